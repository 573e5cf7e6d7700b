"""e3nn, imported so that every supported version works with every supported torch, and alike.

e3nn 0.4.4, which MACE pins, reads its constants with ``torch.load`` and stores a ``slice`` among
them; torch >= 2.6 refuses that unless it is told that a ``slice`` is harmless.

The sign of a Wigner 3j symbol with odd l1 + l2 + l3 is free, and versions of e3nn differ in it,
e.g. for (1, 2, 2). Weights learned with one sign are wrong with the other, so networks take the
symbols from :func:`wigner_3j` here and never from e3nn.
"""

from __future__ import annotations

import warnings

import torch
from torch import Tensor

torch.serialization.add_safe_globals([slice])

with warnings.catch_warnings():
    # e3nn 0.4.4 calls torch.load and TorchScript in ways that newer torch versions warn about
    warnings.simplefilter("ignore")
    from e3nn import o3

__all__ = ["o3", "wigner_3j"]


def wigner_3j(l1: int, l2: int, l3: int) -> Tensor:
    """Wigner's 3j symbol (2 l1 + 1, 2 l2 + 1, 2 l3 + 1) of e3nn's real harmonics, in float64.

    Where the sum of the degrees is odd, the sign is that of e3nn 0.4.4: the first component that is
    not zero is positive when the degrees ascend.
    """
    symbol: Tensor = o3.wigner_3j(l1, l2, l3, dtype=torch.float64)
    if (l1 + l2 + l3) % 2 == 0:
        return symbol
    ascending = o3.wigner_3j(*sorted((l1, l2, l3)), dtype=torch.float64).flatten()
    first = ascending[ascending.abs() > 1e-6][0]
    signed: Tensor = symbol * first.sign()
    return signed
