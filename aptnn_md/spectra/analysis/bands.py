"""Bands of a spectrum: position, height, width, integral, centroid, spread, with their errors."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter1d

from aptnn_md.arrays import FloatArray, IntArray
from aptnn_md.errors import InputError
from aptnn_md.spectra.analysis.experiment import ReferenceCurve
from aptnn_md.spectra.analysis.moments import MomentMeasure
from aptnn_md.spectra.estimation.block_errors import jackknife
from aptnn_md.spectra.estimation.power import HasBlocks, PowerBlocks, integration_weights
from aptnn_md.spectra.estimation.windows import FWHM_PER_SIGMA

_SMOOTHING = 0.1
_NOISY_COPIES = 100
_CURVE_POINTS = 2001


@dataclass(frozen=True)
class Band:
    """A band that was found.

    Attributes
    ----------
    name : of the band
    low, high : range in which it was searched for, cm⁻¹
    position, position_error : of the maximum, cm⁻¹
    height, height_error : of the spectrum there, in its unit
    width, width_error : full width at half maximum, cm⁻¹; NaN where the curve does not fall to
        half of its maximum on both sides within the range
    integral, integral_error : over the range, in the spectrum's unit times cm⁻¹
    centroid, centroid_error : mean wavenumber, weighted by the spectrum, over the range, cm⁻¹
    spread, spread_error : standard deviation about it, the root of the second moment, cm⁻¹; see
        :mod:`aptnn_md.spectra.analysis.moments` for both
    at_edge : the largest value is at the edge of the range, which has no maximum inside
    """

    name: str
    low: float
    high: float
    position: float
    position_error: float
    height: float
    height_error: float
    width: float
    width_error: float
    integral: float
    integral_error: float
    centroid: float
    centroid_error: float
    spread: float
    spread_error: float
    at_edge: bool


def find_bands(
    spectrum: HasBlocks, ranges: Mapping[str, tuple[float, float]], baseline: bool = False
) -> list[Band]:
    """The largest maximum in each range.

    The position is that of the maximum of the spectrum smoothed by a Gaussian whose full width at
    half maximum is a tenth of the range, so that single noise spikes do not decide; the height is
    the value of the spectrum itself there; the width is the length of the parts of the range in
    which the spectrum is above half of the height. Standard errors of these are the larger of two:
    from the jackknife over blocks, which measures how the blocks differ but is uncertain when they
    are few, and from what noise of the spectrum's standard error does to the maximum. Integral,
    centroid and spread use the whole range and have the errors of linear functions of the blocks;
    of a broad band with a flat top the centroid is known far better than the maximum.

    Parameters
    ----------
    ranges : name -> (low, high), cm⁻¹
    baseline : measure all but the position above the straight line between the values at both ends
        of the range; otherwise background within the range counts as part of the band

    Raises
    ------
    InputError
        A range is not inside the spectrum.
    """
    return bands_of_blocks(spectrum.blocks, ranges, baseline)


def bands_of_blocks(
    blocks: PowerBlocks, ranges: Mapping[str, tuple[float, float]], baseline: bool = False
) -> list[Band]:
    """:func:`find_bands` of any real density, in its own unit."""
    return [_band(blocks, name, *limits, baseline) for name, limits in ranges.items()]


def bands_of_curve(
    curve: ReferenceCurve, ranges: Mapping[str, tuple[float, float]], baseline: bool = False
) -> list[Band]:
    """The same of an experimental curve: no errors, and NaN where it does not cover a range."""
    bands = []
    for name, (low, high) in ranges.items():
        values, moments = np.full(4, math.nan), (math.nan, math.nan)
        if curve.wavenumber[0] <= low < high <= curve.wavenumber[-1]:
            grid = np.linspace(low, high, _CURVE_POINTS)
            line = np.interp(grid, curve.wavenumber, curve.absorption)
            values = BandMeasure(grid, low, high, baseline)(line)
            found = MomentMeasure(grid, low, high, baseline)(line)
            moments = found.centroid, found.spread
        position, height, width, integral = map(float, values)
        at_edge = bool(min(position - low, high - position) < 1e-3 * (high - low))
        bands.append(
            Band(
                name,
                low,
                high,
                position=position,
                position_error=math.nan,
                height=height,
                height_error=math.nan,
                width=width,
                width_error=math.nan,
                integral=integral,
                integral_error=math.nan,
                centroid=moments[0],
                centroid_error=math.nan,
                spread=moments[1],
                spread_error=math.nan,
                at_edge=at_edge,
            )
        )
    return bands


def _band(blocks: PowerBlocks, name: str, low: float, high: float, baseline: bool) -> Band:
    wavenumber = blocks.wavenumber
    step = wavenumber[1] - wavenumber[0]
    if not (low >= wavenumber[0] and low + 3 * step <= high <= wavenumber[-1]):
        limits = f"low < high within {wavenumber[0]:.0f} to {wavenumber[-1]:.0f} cm⁻¹"
        expected = f"{limits}, {3 * step:.3g} cm⁻¹ or more apart"
        raise InputError("spectrum", f"band '{name}'", f"{low:g} to {high:g} cm⁻¹", expected)
    measure = BandMeasure(wavenumber, low, high, baseline)
    position, height, width, integral = measure(blocks.mean)
    by_blocks = jackknife(measure, blocks.values, blocks.weights, blocks.runs)
    copies = np.transpose([measure(curve) for curve in _with_noise(blocks)])
    # a copy, or the spectrum without one block, may have no width
    by_noise = [np.std(v[np.isfinite(v)]) if np.isfinite(v).any() else np.nan for v in copies[:3]]
    errors = np.fmax(by_blocks, [*by_noise, 0.0])
    if math.isnan(width):
        errors[2] = math.nan
    moments = MomentMeasure(wavenumber, low, high, baseline)(blocks.mean)
    return Band(
        name,
        low,
        high,
        position=float(position),
        position_error=float(errors[0]),
        height=float(height),
        height_error=float(errors[1]),
        width=float(width),
        width_error=float(errors[2]),
        integral=float(integral),
        # with no maximum in it, an integral has no other error than that of its blocks
        integral_error=float(errors[3]) if baseline else blocks.integral(low, high)[1],
        centroid=moments.centroid,
        centroid_error=blocks.linear(moments.centroid_slope)[1],
        spread=moments.spread,
        spread_error=blocks.linear(moments.spread_slope)[1],
        at_edge=bool(min(position - low, high - position) < 1.5 * step),
    )


class BandMeasure:
    """Position, height, width and integral of the band in a curve (n,): four numbers.

    Parameters
    ----------
    wavenumber : (n,) cm⁻¹, equidistant
    low, high, baseline : see :func:`find_bands`
    """

    def __init__(self, wavenumber: FloatArray, low: float, high: float, baseline: bool) -> None:
        self.wavenumber, self.low, self.high, self.baseline = wavenumber, low, high, baseline
        self.step = float(wavenumber[1] - wavenumber[0])
        self.inside = np.flatnonzero((wavenumber >= low) & (wavenumber <= high))
        self.sigma = _SMOOTHING * (high - low) / self.step / FWHM_PER_SIGMA
        self.weights = integration_weights(wavenumber, low, high)

    def __call__(self, curve: FloatArray) -> FloatArray:
        """(4,) numbers; the width is NaN where the curve has none."""
        if self.baseline:
            ends = np.interp([self.low, self.high], self.wavenumber, curve)
            slope = (ends[1] - ends[0]) / (self.high - self.low)
            curve = curve - ends[0] - slope * (self.wavenumber - self.low)
        smooth = gaussian_filter1d(curve, self.sigma, mode="mirror")
        position = _maximum(self.wavenumber, smooth, self.inside)
        height = float(np.interp(position, self.wavenumber, curve))
        width = _length_above(self.wavenumber[self.inside], curve[self.inside], 0.5 * height)
        return np.array([position, height, width, curve @ self.weights])


def _length_above(wavenumber: FloatArray, curve: FloatArray, level: float) -> float:
    """Length of the parts in which a piecewise linear curve is above a level; NaN at an edge."""
    above = curve - level
    if above[0] >= 0.0 or above[-1] >= 0.0:
        return math.nan
    first, second = above[:-1], above[1:]
    # share of each step: all, none, or up to the crossing
    top, bottom = np.maximum(first, second), np.minimum(first, second)
    share = np.clip(top / np.where(top == bottom, 1.0, top - bottom), 0.0, 1.0)
    share = np.where(top == bottom, top > 0.0, share)
    return float(share @ np.diff(wavenumber))


def _with_noise(blocks: PowerBlocks) -> Iterator[FloatArray]:
    """Copies of a curve with noise of its standard error, correlated over the resolution."""
    step = blocks.wavenumber[1] - blocks.wavenumber[0]
    sigma = blocks.resolution / step / FWHM_PER_SIGMA
    random = np.random.default_rng(0)
    for _ in range(_NOISY_COPIES):
        noise = gaussian_filter1d(random.normal(size=len(blocks.wavenumber)), sigma)
        yield blocks.mean + blocks.standard_error * noise / noise.std()


def _maximum(wavenumber: FloatArray, curve: FloatArray, inside: IntArray) -> float:
    """Place of the largest value, refined by the parabola through it and its neighbours."""
    top = int(inside[np.argmax(curve[inside])])
    if top in (inside[0], inside[-1]):
        return float(wavenumber[top])
    left, middle, right = curve[top - 1 : top + 2]
    shift = 0.5 * (left - right) / (left - 2 * middle + right)
    return float(wavenumber[top] + shift * (wavenumber[1] - wavenumber[0]))
