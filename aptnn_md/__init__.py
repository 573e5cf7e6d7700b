"""Infrared spectra from machine-learned molecular dynamics.

A network that knows the atomic polar tensors Pᵢ = ∂M/∂rᵢ runs alongside any ML potential; the run
writes down only Ṁ(t) = Σᵢ Pᵢ·vᵢ, and that thin stream becomes an infrared spectrum with absolute
intensities and error bars. Units and index conventions: :mod:`aptnn_md.units`.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from aptnn_md._version import __version__

if TYPE_CHECKING:
    from aptnn_md.engines.ase.calculator import APTCalculator
    from aptnn_md.engines.ase.observer import StreamObserver
    from aptnn_md.engines.openmm.reporter import StreamReporter
    from aptnn_md.errors import InputError, RunError
    from aptnn_md.prediction.predictor import Predictor
    from aptnn_md.spectra import (
        InfraredOptions,
        InfraredSpectrum,
        RamanOptions,
        RamanSpectrum,
        corrected,
        cross_sections,
        find_bands,
        infrared_spectrum,
        raman_of_streams,
        raman_spectrum,
        read_reference,
        read_table,
        report,
        report_raman,
        spectrum_of_streams,
        velocity_spectrum,
        velocity_spectrum_of_streams,
        write_raman,
        write_table,
    )
    from aptnn_md.stream import StreamHeader, StreamReader, StreamWriter, open_stream

_MODULE_OF = {
    "APTCalculator": "aptnn_md.engines.ase.calculator",
    "InfraredOptions": "aptnn_md.spectra",
    "InfraredSpectrum": "aptnn_md.spectra",
    "InputError": "aptnn_md.errors",
    "Predictor": "aptnn_md.prediction.predictor",
    "RamanOptions": "aptnn_md.spectra",
    "RamanSpectrum": "aptnn_md.spectra",
    "RunError": "aptnn_md.errors",
    "StreamHeader": "aptnn_md.stream",
    "StreamObserver": "aptnn_md.engines.ase.observer",
    "StreamReader": "aptnn_md.stream",
    "StreamReporter": "aptnn_md.engines.openmm.reporter",
    "StreamWriter": "aptnn_md.stream",
    "corrected": "aptnn_md.spectra",
    "cross_sections": "aptnn_md.spectra",
    "find_bands": "aptnn_md.spectra",
    "infrared_spectrum": "aptnn_md.spectra",
    "open_stream": "aptnn_md.stream",
    "raman_of_streams": "aptnn_md.spectra",
    "raman_spectrum": "aptnn_md.spectra",
    "read_reference": "aptnn_md.spectra",
    "read_table": "aptnn_md.spectra",
    "report": "aptnn_md.spectra",
    "report_raman": "aptnn_md.spectra",
    "spectrum_of_streams": "aptnn_md.spectra",
    "velocity_spectrum": "aptnn_md.spectra",
    "velocity_spectrum_of_streams": "aptnn_md.spectra",
    "write_raman": "aptnn_md.spectra",
    "write_table": "aptnn_md.spectra",
}
"""Public name -> module that is imported when it is first asked for."""

__all__ = [
    "APTCalculator",
    "InfraredOptions",
    "InfraredSpectrum",
    "InputError",
    "Predictor",
    "RamanOptions",
    "RamanSpectrum",
    "RunError",
    "StreamHeader",
    "StreamObserver",
    "StreamReader",
    "StreamReporter",
    "StreamWriter",
    "__version__",
    "corrected",
    "cross_sections",
    "find_bands",
    "infrared_spectrum",
    "open_stream",
    "raman_of_streams",
    "raman_spectrum",
    "read_reference",
    "read_table",
    "report",
    "report_raman",
    "spectrum_of_streams",
    "velocity_spectrum",
    "velocity_spectrum_of_streams",
    "write_raman",
    "write_table",
]


def __getattr__(name: str) -> object:
    # torch and zarr are imported only by those who use them
    if name in _MODULE_OF:
        return getattr(importlib.import_module(_MODULE_OF[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
