"""Bands found in a spectrum by themselves: peaks that noise does not make, and their limits.

A maximum counts as a peak if it rises above both saddles that separate it from higher ones

* by several standard errors of the spectrum there, so that noise seldom makes one. Noise of a
  density is a share of it, so rises are ratios: ln(peak/saddle) in units of the relative errors;
* by more than what the window moves there from stronger bands;
* in both halves of the data, by a third of that at least, so that no single event makes one.

A band reaches from its peak to the lowest point on the way to the next peak, but not beyond where
the spectrum has fallen to a small share of its height, nor beyond many of its half widths: far
tails, maybe of other bands, say nothing about a band and would decide its second moment. A
Lorentzian loses 3 % of its area.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy.fft import rfft
from scipy.ndimage import gaussian_filter1d

from aptnn_md.arrays import FloatArray
from aptnn_md.spectra.estimation.parts import BETWEEN, INTERMOLECULAR, WITHIN, part_name
from aptnn_md.spectra.estimation.plan import SpectralPlan
from aptnn_md.spectra.estimation.power import PowerBlocks
from aptnn_md.spectra.estimation.terms import Part
from aptnn_md.spectra.estimation.windows import FWHM_PER_SIGMA

SIGNIFICANT = 5.0
"""Standard errors by which a peak must rise above its saddles."""

NO_PEAKS = f"no peak rises {SIGNIFICANT:g} standard errors above its surroundings"
"""What is said where no band was found."""

_SMALLEST_ERROR = 1e-9
_TAIL = 0.002  # of the height, where a band ends
_HALF_WIDTHS = 20  # after which it ends, too
_LEAKAGE = 3.0  # times what the window moves to the place of a peak
_MIN_BLOCKS = 4  # fewer cannot be divided into halves that mean something


@dataclass(frozen=True)
class Peak:
    """A peak that was found.

    Attributes
    ----------
    position : of the maximum, cm⁻¹
    low, high : limits of its band, cm⁻¹
    significance : ln(peak/saddle) of the higher one of its saddles over the standard error of that
    """

    position: float
    low: float
    high: float
    significance: float


def find_peaks(blocks: PowerBlocks, significant: float = SIGNIFICANT) -> list[Peak]:
    """Peaks of a spectrum, in order.

    Parameters
    ----------
    blocks : the spectrum with its statistics, in any unit
    significant : standard errors by which a peak must rise above its saddles
    """
    step = float(blocks.wavenumber[1] - blocks.wavenumber[0])
    sigma = blocks.resolution / step / FWHM_PER_SIGMA

    def smooth(curve: FloatArray) -> FloatArray:
        return np.asarray(gaussian_filter1d(curve, sigma, mode="nearest"))

    curve, error = smooth(blocks.mean), blocks.standard_error
    # what is not above its error, and what rounding leaves negative, has no logarithm
    tiny = np.finfo(float).tiny
    floor = np.maximum(error, tiny)
    level = np.log(np.maximum(curve, floor))
    halves = [np.log(np.maximum(smooth(half), tiny)) for half in _halves(blocks)]
    relative = error / np.maximum(curve, floor)
    leakage, reach = _leakage(blocks.plan, step)
    found: list[tuple[int, float]] = []
    for top, left, right in _prominent(curve):
        saddles = np.array([left, right])
        errors = np.maximum(np.hypot(relative[top], relative[saddles]), _SMALLEST_ERROR)
        rises = level[top] - level[saddles]
        significance = float(np.min(rises / errors))
        rise = curve[top] - curve[saddles].max()
        moved = max((curve[t] * leakage[min(abs(t - top), reach)] for t, _ in found), default=0.0)
        stable = all((half[top] - half[saddles] > rises / 3.0).all() for half in halves)
        if significance > significant and rise > _LEAKAGE * moved and stable:
            found.append((top, significance))
    found.sort()
    limits = _limits(curve, [top for top, _ in found])
    grid = blocks.wavenumber
    return [
        Peak(float(grid[top]), float(grid[low]), float(grid[high]), significance)
        for (top, significance), (low, high) in zip(found, limits, strict=True)
    ]


def peak_ranges(
    blocks: PowerBlocks,
    parts: Mapping[Part, PowerBlocks] | None = None,
    significant: float = SIGNIFICANT,
) -> dict[str, tuple[float, float]]:
    """Bands of a spectrum by themselves, for :func:`aptnn_md.spectra.analysis.bands.find_bands`.

    They are named by their position and, where the spectrum has parts, by the group or motion that
    contributes most to the integral: its own part and half of its cross terms with others.

    Parameters
    ----------
    blocks, significant : see :func:`find_peaks`
    parts : what adds up to the spectrum

    Returns
    -------
    name -> (low, high), cm⁻¹
    """
    ranges: dict[str, tuple[float, float]] = {}
    for peak in find_peaks(blocks, significant):
        owner = _owner(parts or {}, peak.low, peak.high)
        name = f"{peak.position:.0f}" + (f" {owner}" if owner else "")
        ranges[name] = peak.low, peak.high
    return ranges


def _halves(blocks: PowerBlocks) -> list[FloatArray]:
    """Means of the first and of the second half of the data; none of too few blocks."""
    if len(blocks.weights) < _MIN_BLOCKS:
        return []
    first = np.cumsum(blocks.weights) - 0.5 * blocks.weights < 0.5
    shares = [blocks.weights * first, blocks.weights * ~first]
    return [np.asarray(share @ blocks.values / share.sum()) for share in shares]


def _leakage(plan: SpectralPlan, step: float) -> tuple[FloatArray, int]:
    """What the window makes of an infinitely narrow line of height 1: the largest value at each
    distance, in steps of the grid, or farther away; and the largest distance."""
    if plan.method == "welch":
        line = np.abs(rfft(plan.taper, plan.n_fft)) ** 2
    else:
        line = np.abs(2.0 * rfft(plan.lag_window, plan.n_fft).real - plan.lag_window[0])
    envelope = np.maximum.accumulate(line[::-1])[::-1] / line[0]
    # within the main lobe a peak is told from its neighbour by the saddle between them
    main = round(plan.resolution / step)
    envelope[:main] = envelope[min(main, len(envelope) - 1)]
    return envelope, len(envelope) - 1


def _prominent(curve: FloatArray) -> list[tuple[int, int, int]]:
    """Maxima of a curve, the highest first, each with the lowest points on its left and right
    before the curve is higher again, or ends."""
    inner = np.flatnonzero((curve[1:-1] > curve[:-2]) & (curve[1:-1] >= curve[2:])) + 1
    found: list[tuple[int, int, int]] = []
    for top in sorted(inner, key=lambda k: -curve[k]):
        above = np.flatnonzero(curve > curve[top])
        left, right = above[above < top], above[above > top]
        begin = int(left[-1]) if len(left) else 0
        end = int(right[0]) if len(right) else len(curve) - 1
        found.append(
            (
                int(top),
                begin + int(np.argmin(curve[begin : top + 1])),
                int(top) + int(np.argmin(curve[top : end + 1])),
            )
        )
    return found


def _limits(curve: FloatArray, tops: list[int]) -> list[tuple[int, int]]:
    """First and last point of the band of each top."""
    between = [a + int(np.argmin(curve[a : b + 1])) for a, b in pairwise(tops)]
    edges = [0, *between, len(curve) - 1]
    limits = []
    for number, top in enumerate(tops):
        left, right = curve[edges[number] : top + 1][::-1], curve[top : edges[number + 1] + 1]
        limits.append((top - _reach(left), top + _reach(right)))
    return limits


def _reach(falling: FloatArray) -> int:
    """How many points a band reaches from its top, (n,) values from there to the limit."""
    farthest = len(falling) - 1
    half = np.flatnonzero(falling <= 0.5 * falling[0])
    if len(half):
        farthest = min(farthest, _HALF_WIDTHS * int(half[0]))
    faint = np.flatnonzero(falling <= _TAIL * falling[0])
    return min(farthest, int(faint[0])) if len(faint) else farthest


def _owner(parts: Mapping[Part, PowerBlocks], low: float, high: float) -> str:
    """The group that contributes most to an integral; empty where groups are not told apart."""
    shares: dict[str, float] = {}
    for part, curve in parts.items():
        value = curve.integral(low, high)[0]
        for name in part if isinstance(part, tuple) else (part_name(part),):
            share = value / len(part) if isinstance(part, tuple) else value
            shares[name] = shares.get(name, 0.0) + share
    if WITHIN in shares:
        return ""
    own = {name: s for name, s in shares.items() if name not in (BETWEEN, INTERMOLECULAR)}
    return max(own, key=own.__getitem__, default="")
