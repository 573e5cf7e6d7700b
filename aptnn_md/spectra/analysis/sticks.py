"""Sticks: lines without width, such as those of a harmonic calculation, measured like bands."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from aptnn_md.arrays import FloatArray
from aptnn_md.spectra.analysis.bands import Band


@dataclass(frozen=True, eq=False)
class Sticks:
    """Lines without width.

    Attributes
    ----------
    name : what tables and pictures call them
    wavenumber : (n,) cm⁻¹
    area : (n,) what each adds to the integral of a spectrum, in the unit of that
    """

    name: str
    wavenumber: FloatArray
    area: FloatArray

    def within(self, low: float, high: float) -> Sticks:
        """Those from ``low`` to ``high``, cm⁻¹."""
        inside = (self.wavenumber >= low) & (self.wavenumber <= high)
        return Sticks(self.name, self.wavenumber[inside], self.area[inside])


def bands_of_sticks(sticks: Sticks, ranges: Mapping[str, tuple[float, float]]) -> list[Band]:
    """Sum of the sticks in each range as its integral, their mean and standard deviation, weighted
    by the areas, as centroid and spread, and the place of the largest one as position. Sticks have
    neither height nor width, and no errors."""
    return [_band(sticks.within(*limits), name, *limits) for name, limits in ranges.items()]


def _band(inside: Sticks, name: str, low: float, high: float) -> Band:
    nothing = math.nan
    total = float(inside.area.sum())
    position = centroid = spread = nothing
    if total > 0.0:
        share = inside.area / total
        position = float(inside.wavenumber[np.argmax(inside.area)])
        centroid = float(share @ inside.wavenumber)
        spread = math.sqrt(float(share @ (inside.wavenumber - centroid) ** 2))
    return Band(
        name,
        low,
        high,
        position=position,
        position_error=nothing,
        height=nothing,
        height_error=nothing,
        width=nothing,
        width_error=nothing,
        integral=total,
        integral_error=nothing,
        centroid=centroid,
        centroid_error=nothing,
        spread=spread,
        spread_error=nothing,
        at_edge=False,
    )
