"""Spectra of broadened lines."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Literal, get_args

import numpy as np

from aptnn_md.arrays import FloatArray
from aptnn_md.settings import Range, check_settings

Shape = Literal["lorentzian", "gaussian"]

SHAPES: tuple[str, ...] = get_args(Shape)
"""Names of the shapes of broadened lines."""


@dataclass(frozen=True)
class LineShape:
    """How lines are broadened.

    Attributes
    ----------
    width : full width at half maximum, cm⁻¹
    shape : one of :data:`SHAPES`

    Raises
    ------
    InputError
        A width that is not positive, or an unknown shape.
    """

    width: Annotated[float, Range(more_than=0.0)] = 20.0
    shape: Shape = "lorentzian"

    def __post_init__(self) -> None:
        check_settings(self, "broadened spectrum")

    def __call__(self, distance: FloatArray) -> FloatArray:
        """Line of unit area at distances from its centre, cm⁻¹."""
        half_width = 0.5 * self.width
        relative = distance / half_width
        if self.shape == "lorentzian":
            return np.asarray(1.0 / (1.0 + relative**2) / (math.pi * half_width))
        log2 = math.log(2.0)
        return np.asarray(np.exp(-log2 * relative**2) * math.sqrt(log2 / math.pi) / half_width)


DEFAULT_LINE = LineShape()
"""Lines by default."""


def broadened(
    positions: FloatArray, areas: FloatArray, wavenumber: FloatArray, line: LineShape = DEFAULT_LINE
) -> FloatArray:
    """Sum of lines of unit area times their areas.

    Parameters
    ----------
    positions : (n_modes,) of the lines, cm⁻¹; imaginary ones, which are negative, are left out
    areas : (n_modes,)
    wavenumber : (n,) cm⁻¹
    line : width and shape of all lines

    Returns
    -------
    (n,) unit of the areas per cm⁻¹
    """
    real = positions > 0
    return np.asarray(line(wavenumber[:, None] - positions[real]) @ areas[real])
