"""Bands of n(ν̃)α(ν̃) that experiments found."""

from __future__ import annotations

import math
from dataclasses import dataclass

from aptnn_md.spectra.analysis.experiment import ReferenceCurve


@dataclass(frozen=True)
class ReferenceBand:
    """A band in an experimental n(ν̃)α(ν̃).

    Attributes
    ----------
    name : of the band
    low, high : range in which it is searched for, cm⁻¹
    position, position_error : cm⁻¹
    height, height_error : cm⁻¹
    width : full width at half maximum, cm⁻¹; NaN where the curve does not fall to half
    integral : of the curve from ``low`` to ``high``, cm⁻²
    centroid, spread : mean and standard deviation over that range, weighted by the curve, cm⁻¹; see
        :mod:`aptnn_md.spectra.analysis.moments`
    """

    name: str
    low: float
    high: float
    position: float
    position_error: float
    height: float
    height_error: float
    width: float
    integral: float
    centroid: float
    spread: float


@dataclass(frozen=True)
class Reference:
    """Bands of a substance, who measured them, what their errors are, and the curve if known."""

    substance: str
    citation: str
    errors: str
    bands: tuple[ReferenceBand, ...]
    curve: ReferenceCurve | None = None

    @property
    def text(self) -> str:
        """Substance and citation."""
        return f"{self.substance}; {self.citation}"

    def band(self, name: str) -> ReferenceBand | None:
        """The band of that name, or None."""
        return next((band for band in self.bands if band.name == name), None)

    @property
    def ranges(self) -> dict[str, tuple[float, float]]:
        """Name -> range of each band, for :func:`aptnn_md.spectra.analysis.bands.find_bands`."""
        return {band.name: (band.low, band.high) for band in self.bands}


WATER = Reference(
    "liquid water, 25 °C",
    "Bertie & Lan, Appl. Spectrosc. 50, 1047 (1996)",
    "± half the width of the top within 1 % (positions), spread of published tables (heights)",
    (
        ReferenceBand(
            "H-bond stretch", 60.0, 300.0, 181.0, 13.0, 1943.0, 194.0, math.nan, 3.86e5, 191.2, 63.9
        ),
        ReferenceBand(
            "libration", 350.0, 1000.0, 616.0, 29.0, 4621.0, 462.0, 498.0, 2.066e6, 637.0, 155.0
        ),
        ReferenceBand(
            "bend", 1500.0, 1800.0, 1643.0, 5.0, 3724.0, 372.0, 99.0, 4.85e5, 1638.4, 63.4
        ),
        ReferenceBand(
            "OH stretch",
            2800.0,
            4000.0,
            3392.0,
            17.0,
            17395.0,
            1740.0,
            375.0,
            6.851e6,
            3355.8,
            163.3,
        ),
    ),
)
"""Bands of n·α of liquid water, from the n and k of the published table; widths, integrals and
moments are those of the straight lines between its points. Other tables differ by up to 10 % at the
maxima."""
