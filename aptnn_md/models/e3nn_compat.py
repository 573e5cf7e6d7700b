"""e3nn, imported so that every supported version works with every supported torch.

e3nn 0.4.4, which MACE pins, reads its constants with ``torch.load`` and stores a ``slice`` among
them; torch >= 2.6 refuses that unless told that a ``slice`` is harmless.
"""

from __future__ import annotations

import warnings

import torch

torch.serialization.add_safe_globals([slice])

with warnings.catch_warnings():
    # e3nn 0.4.4 calls torch.load and TorchScript in ways that newer torch versions warn about
    warnings.simplefilter("ignore")
    from e3nn import o3

__all__ = ["o3"]
