"""Spectra of broadened lines."""

from __future__ import annotations

import math

import numpy as np

from aptnn_md.arrays import FloatArray
from aptnn_md.errors import InputError

SHAPES = ("lorentzian", "gaussian")
"""Shapes of broadened lines."""


def broadened(
    positions: FloatArray,
    areas: FloatArray,
    wavenumber: FloatArray,
    width: float = 20.0,
    shape: str = "lorentzian",
) -> FloatArray:
    """Sum of lines of unit area times their areas.

    Parameters
    ----------
    positions : (n_modes,) of the lines, cm⁻¹; imaginary ones, which are negative, are left out
    areas : (n_modes,)
    wavenumber : (n,) cm⁻¹
    width : full width at half maximum, cm⁻¹
    shape : one of :data:`SHAPES`

    Returns
    -------
    (n,) unit of the areas per cm⁻¹

    Raises
    ------
    InputError
        A width that is not positive, or an unknown shape.
    """
    if not (math.isfinite(width) and width > 0):
        raise InputError("broadened spectrum", "width", width, "a positive number, cm⁻¹")
    if shape not in SHAPES:
        expected = f"one of {', '.join(SHAPES)}"
        raise InputError("broadened spectrum", "shape", repr(shape), expected)
    real = positions > 0
    # in half widths at half maximum
    distance = (wavenumber[:, None] - positions[real]) / (0.5 * width)
    if shape == "lorentzian":
        lines = 1.0 / (1.0 + distance**2) / (0.5 * math.pi * width)
    else:
        log2 = math.log(2.0)
        lines = np.exp(-log2 * distance**2) * math.sqrt(log2 / math.pi) / (0.5 * width)
    return np.asarray(lines @ areas[real])
