"""Harmonic spectra: normal modes from a Hessian, infrared intensities from polar tensors.

:func:`finite_difference_hessian` or :func:`read_hessian`, then :func:`normal_modes`, then
:func:`infrared_modes`; :func:`table`, :func:`write_modes` and
:func:`aptnn_md.normal_modes.plot.draw_modes` show what was found.
"""

from __future__ import annotations

from aptnn_md.normal_modes.differences import Hessian, finite_difference_hessian, relaxed
from aptnn_md.normal_modes.infrared import (
    SHAPES,
    InfraredModes,
    infrared_modes,
    wavenumber_grid,
)
from aptnn_md.normal_modes.modes import NormalModes, normal_modes
from aptnn_md.normal_modes.reading import read_hessian, read_polar_tensors
from aptnn_md.normal_modes.table import table, write_broadened, write_modes

__all__ = [
    "SHAPES",
    "Hessian",
    "InfraredModes",
    "NormalModes",
    "finite_difference_hessian",
    "infrared_modes",
    "normal_modes",
    "read_hessian",
    "read_polar_tensors",
    "relaxed",
    "table",
    "wavenumber_grid",
    "write_broadened",
    "write_modes",
]
