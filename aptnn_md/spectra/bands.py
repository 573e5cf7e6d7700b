"""Bands of a spectrum: position, height and integral, each with its standard error."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter1d

from aptnn_md.arrays import FloatArray, IntArray
from aptnn_md.errors import InputError
from aptnn_md.spectra.errors_of_mean import jackknife
from aptnn_md.spectra.infrared import InfraredSpectrum

_SMOOTHING = 0.1
_NOISY_COPIES = 100
_FWHM_PER_SIGMA = 2.3548200450309493


@dataclass(frozen=True)
class ReferenceBand:
    """A band in an experimental n(ν̃)α(ν̃).

    Attributes
    ----------
    name : of the band
    low, high : range in which it is looked for, cm⁻¹
    position, position_error : cm⁻¹
    height, height_error : cm⁻¹
    """

    name: str
    low: float
    high: float
    position: float
    position_error: float
    height: float
    height_error: float


@dataclass(frozen=True)
class Reference:
    """Bands of a substance, who measured them, and what their errors are."""

    substance: str
    citation: str
    errors: str
    bands: tuple[ReferenceBand, ...]

    @property
    def text(self) -> str:
        """Substance and citation."""
        return f"{self.substance}; {self.citation}"

    @property
    def ranges(self) -> dict[str, tuple[float, float]]:
        """Name -> range of each band, for :func:`find_bands`."""
        return {band.name: (band.low, band.high) for band in self.bands}


WATER = Reference(
    "liquid water, 25 °C",
    "Bertie & Lan, Appl. Spectrosc. 50, 1047 (1996)",
    "± half the width of the top within 1 % (positions), spread of published tables (heights)",
    (
        ReferenceBand("H-bond stretch", 60.0, 300.0, 181.0, 13.0, 1943.0, 194.0),
        ReferenceBand("libration", 350.0, 1000.0, 616.0, 29.0, 4621.0, 462.0),
        ReferenceBand("bend", 1500.0, 1800.0, 1643.0, 5.0, 3724.0, 372.0),
        ReferenceBand("OH stretch", 2800.0, 4000.0, 3392.0, 17.0, 17395.0, 1740.0),
    ),
)
"""Maxima of n·α of liquid water; published tables differ by up to 10 % at the maxima."""

REFERENCES: Mapping[str, Reference] = {"water": WATER}
"""Name on the command line -> experiment."""


@dataclass(frozen=True)
class Band:
    """A band that was found.

    Attributes
    ----------
    name : of the band
    low, high : range in which it was looked for, cm⁻¹
    position, position_error : of the maximum, cm⁻¹
    height, height_error : absorption there, cm⁻¹
    integral, integral_error : over the range, cm⁻²
    at_edge : the largest value is at the edge of the range: there is no maximum in it
    """

    name: str
    low: float
    high: float
    position: float
    position_error: float
    height: float
    height_error: float
    integral: float
    integral_error: float
    at_edge: bool


def find_bands(spectrum: InfraredSpectrum, ranges: Mapping[str, tuple[float, float]]) -> list[Band]:
    """The largest maximum in each range.

    The position is that of the maximum of the spectrum smoothed by a Gaussian whose full width at
    half maximum is a tenth of the range, so that single noise spikes do not decide; the height is
    the value of the spectrum itself there. Standard errors of both are the larger of two: from the
    jackknife over blocks, which knows how the blocks differ but not much where there are few of
    them, and from what noise of the spectrum's standard error does to the maximum.

    Parameters
    ----------
    ranges : name -> (low, high), cm⁻¹

    Raises
    ------
    InputError
        A range is not inside the spectrum.
    """
    return [_band(spectrum, name, low, high) for name, (low, high) in ranges.items()]


def _band(spectrum: InfraredSpectrum, name: str, low: float, high: float) -> Band:
    wavenumber, blocks = spectrum.wavenumber, spectrum.blocks
    step = wavenumber[1] - wavenumber[0]
    if not (low >= 0 and low + 3 * step <= high <= wavenumber[-1]):
        expected = f"low < high within 0 to {wavenumber[-1]:.0f} cm⁻¹"
        raise InputError("spectrum", f"band '{name}'", f"{low:g} to {high:g} cm⁻¹", expected)
    inside = np.flatnonzero((wavenumber >= low) & (wavenumber <= high))
    sigma = _SMOOTHING * (high - low) / step / _FWHM_PER_SIGMA

    def measure(curve: FloatArray) -> FloatArray:
        smooth = gaussian_filter1d(curve, sigma, mode="mirror")
        position = _maximum(wavenumber, smooth, inside)
        return np.array([position, np.interp(position, wavenumber, curve)])

    mean = blocks.mean
    position, height = measure(mean)
    errors = np.fmax(
        jackknife(measure, blocks.values, blocks.weights, blocks.runs),
        np.std([measure(curve) for curve in _with_noise(spectrum)], axis=0),
    )
    integral, integral_error = spectrum.integral(low, high)
    return Band(
        name,
        low,
        high,
        position=float(position),
        position_error=float(errors[0]),
        height=float(height),
        height_error=float(errors[1]),
        integral=integral,
        integral_error=integral_error,
        at_edge=bool(min(position - low, high - position) < 1.5 * step),
    )


def _with_noise(spectrum: InfraredSpectrum) -> Iterator[FloatArray]:
    """Copies of a spectrum with noise of its standard error, correlated over the resolution."""
    step = spectrum.wavenumber[1] - spectrum.wavenumber[0]
    sigma = spectrum.resolution / step / _FWHM_PER_SIGMA
    random = np.random.default_rng(0)
    for _ in range(_NOISY_COPIES):
        noise = gaussian_filter1d(random.normal(size=len(spectrum.wavenumber)), sigma)
        yield spectrum.blocks.mean + spectrum.standard_error * noise / noise.std()


def _maximum(wavenumber: FloatArray, curve: FloatArray, inside: IntArray) -> float:
    """Place of the largest value, refined by the parabola through it and its neighbours."""
    top = int(inside[np.argmax(curve[inside])])
    if top in (inside[0], inside[-1]):
        return float(wavenumber[top])
    left, middle, right = curve[top - 1 : top + 2]
    shift = 0.5 * (left - right) / (left - 2 * middle + right)
    return float(wavenumber[top] + shift * (wavenumber[1] - wavenumber[0]))
