"""Harmonic spectra: normal modes from a Hessian, infrared and Raman intensities from tensors.

:func:`finite_difference_hessian` or :func:`read_hessian`, then :func:`normal_modes`, then
:func:`infrared_modes` and :func:`raman_modes`; :func:`report_modes`, :func:`write_modes` and
:func:`aptnn_md.normal_modes.plot.draw_modes` show the results.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aptnn_md.normal_modes.broadening import LineShape
    from aptnn_md.normal_modes.differences import Hessian, finite_difference_hessian, relaxed
    from aptnn_md.normal_modes.infrared import InfraredModes, infrared_modes, wavenumber_grid
    from aptnn_md.normal_modes.modes import NormalModes, normal_modes
    from aptnn_md.normal_modes.raman import RamanModes, raman_modes
    from aptnn_md.normal_modes.reading import (
        hessian_of,
        read_hessian,
        read_molecule,
        read_polar_tensors,
        read_polarizability_gradients,
    )
    from aptnn_md.normal_modes.table import report_modes, write_broadened, write_modes

_MODULE_OF = {
    "LineShape": "broadening",
    "Hessian": "differences",
    "finite_difference_hessian": "differences",
    "relaxed": "differences",
    "InfraredModes": "infrared",
    "infrared_modes": "infrared",
    "wavenumber_grid": "infrared",
    "NormalModes": "modes",
    "normal_modes": "modes",
    "RamanModes": "raman",
    "raman_modes": "raman",
    "hessian_of": "reading",
    "read_hessian": "reading",
    "read_molecule": "reading",
    "read_polar_tensors": "reading",
    "read_polarizability_gradients": "reading",
    "report_modes": "table",
    "write_broadened": "table",
    "write_modes": "table",
}
"""Public name -> module of this room."""

__all__ = [
    "Hessian",
    "InfraredModes",
    "LineShape",
    "NormalModes",
    "RamanModes",
    "finite_difference_hessian",
    "hessian_of",
    "infrared_modes",
    "normal_modes",
    "raman_modes",
    "read_hessian",
    "read_molecule",
    "read_polar_tensors",
    "read_polarizability_gradients",
    "relaxed",
    "report_modes",
    "wavenumber_grid",
    "write_broadened",
    "write_modes",
]


def __getattr__(name: str) -> object:
    # the defaults of options must not cost the import of all that computes
    if name in _MODULE_OF:
        return getattr(importlib.import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
