"""Infrared spectra from machine-learned molecular dynamics.

A network that knows the atomic polar tensors Pᵢ = ∂M/∂rᵢ runs beside any ML potential; the run
writes down only Ṁ(t) = Σᵢ Pᵢ·vᵢ, and that thin stream becomes an infrared spectrum with absolute
intensities and error bars. Units and index conventions: :mod:`aptnn_md.units`.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from aptnn_md._version import __version__

_HOME = {
    "APTCalculator": "aptnn_md.engines.ase.calculator",
    "InputError": "aptnn_md.errors",
    "Predictor": "aptnn_md.prediction.predictor",
    "RunError": "aptnn_md.errors",
    "StreamHeader": "aptnn_md.stream",
    "StreamObserver": "aptnn_md.engines.ase.observer",
    "StreamReader": "aptnn_md.stream",
    "StreamWriter": "aptnn_md.stream",
    "infrared_spectrum": "aptnn_md.spectra",
}

__all__ = [
    "APTCalculator",
    "InputError",
    "Predictor",
    "RunError",
    "StreamHeader",
    "StreamObserver",
    "StreamReader",
    "StreamWriter",
    "__version__",
    "infrared_spectrum",
]

if TYPE_CHECKING:
    from aptnn_md.engines.ase.calculator import APTCalculator
    from aptnn_md.engines.ase.observer import StreamObserver
    from aptnn_md.errors import InputError, RunError
    from aptnn_md.prediction.predictor import Predictor
    from aptnn_md.spectra import infrared_spectrum
    from aptnn_md.stream import StreamHeader, StreamReader, StreamWriter


def __getattr__(name: str) -> object:
    # torch and zarr are imported only by those who use them
    if name in _HOME:
        return getattr(importlib.import_module(_HOME[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
