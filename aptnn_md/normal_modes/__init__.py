"""Harmonic spectra: normal modes from a Hessian, infrared and Raman intensities from tensors.

:func:`finite_difference_hessian` or :func:`read_hessian`, then :func:`normal_modes`, then
:func:`infrared_modes` and :func:`raman_modes`; :func:`table`, :func:`write_modes` and
:func:`aptnn_md.normal_modes.plot.draw_modes` show what was found.
"""

from __future__ import annotations

from aptnn_md.normal_modes.broadening import SHAPES
from aptnn_md.normal_modes.differences import Hessian, finite_difference_hessian, relaxed
from aptnn_md.normal_modes.infrared import (
    InfraredModes,
    infrared_modes,
    wavenumber_grid,
)
from aptnn_md.normal_modes.modes import NormalModes, normal_modes
from aptnn_md.normal_modes.raman import RamanModes, raman_modes
from aptnn_md.normal_modes.reading import (
    hessian_of,
    read_hessian,
    read_molecule,
    read_polar_tensors,
    read_polarizability_gradients,
)
from aptnn_md.normal_modes.table import table, write_broadened, write_modes

__all__ = [
    "SHAPES",
    "Hessian",
    "InfraredModes",
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
    "table",
    "wavenumber_grid",
    "write_broadened",
    "write_modes",
]
