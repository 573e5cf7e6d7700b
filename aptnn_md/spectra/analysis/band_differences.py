"""Differences of bands between two spectra, with the error of the difference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from aptnn_md.arrays import FloatArray
from aptnn_md.spectra.analysis.bands import Band, BandMeasure
from aptnn_md.spectra.analysis.moments import MomentMeasure
from aptnn_md.spectra.estimation.block_errors import jackknife
from aptnn_md.spectra.estimation.paired import PairedBlocks


@dataclass(frozen=True)
class BandDifference:
    """A band of the second spectrum minus that of the first one.

    Attributes
    ----------
    name : of the band
    position, position_error : of the maximum, cm⁻¹
    integral, integral_error : over the range, in the spectra's unit times cm⁻¹
    centroid, centroid_error, spread, spread_error : see :class:`Band`, cm⁻¹
    at_edge : one of both spectra has its largest value at the edge of the range, where the position
        of a maximum has no meaning
    """

    name: str
    position: float
    position_error: float
    integral: float
    integral_error: float
    centroid: float
    centroid_error: float
    spread: float
    spread_error: float
    at_edge: bool


def independent_differences(first: Sequence[Band], second: Sequence[Band]) -> list[BandDifference]:
    """Differences of bands of independent spectra: errors add in quadrature."""
    return [
        BandDifference(
            a.name,
            b.position - a.position,
            float(np.hypot(a.position_error, b.position_error)),
            b.integral - a.integral,
            float(np.hypot(a.integral_error, b.integral_error)),
            b.centroid - a.centroid,
            float(np.hypot(a.centroid_error, b.centroid_error)),
            b.spread - a.spread,
            float(np.hypot(a.spread_error, b.spread_error)),
            a.at_edge or b.at_edge,
        )
        for a, b in zip(first, second, strict=True)
    ]


def paired_differences(
    blocks: PairedBlocks, ranges: Mapping[str, tuple[float, float]], baseline: bool = False
) -> list[BandDifference]:
    """Differences of bands of two spectra of the same frames.

    The error of a position is that of the jackknife over blocks, each of which is left out of both
    spectra; errors of centroids and spreads are those of differences of the blocks. Noise that is
    common to both moves both bands alike and does not enter.

    Parameters
    ----------
    ranges, baseline : see :func:`aptnn_md.spectra.analysis.bands.find_bands`
    """
    return [_difference(blocks, name, *limits, baseline) for name, limits in ranges.items()]


def _difference(
    blocks: PairedBlocks, name: str, low: float, high: float, baseline: bool
) -> BandDifference:
    first, second = blocks.first, blocks.second
    n = len(first.wavenumber)
    measure = BandMeasure(first.wavenumber, low, high, baseline)
    a, b = measure(first.mean), measure(second.mean)
    by_blocks = jackknife(
        lambda both: measure(both[n:]) - measure(both[:n]),
        np.concatenate([first.values, second.values], axis=1),
        first.weights,
        first.runs,
    )
    step = first.wavenumber[1] - first.wavenumber[0]
    edges = [min(each[0] - low, high - each[0]) < 1.5 * step for each in (a, b)]
    integral, integral_error = blocks.difference.integral(low, high)
    moments = MomentMeasure(first.wavenumber, low, high, baseline)
    mine, other = moments(first.mean), moments(second.mean)
    return BandDifference(
        name,
        position=float(b[0] - a[0]),
        position_error=float(by_blocks[0]),
        integral=float(b[3] - a[3]) if baseline else integral,
        integral_error=float(by_blocks[3]) if baseline else integral_error,
        centroid=other.centroid - mine.centroid,
        centroid_error=_error(blocks, mine.centroid_slope, other.centroid_slope),
        spread=other.spread - mine.spread,
        spread_error=_error(blocks, mine.spread_slope, other.spread_slope),
        at_edge=bool(any(edges)),
    )


def _error(blocks: PairedBlocks, first: FloatArray, second: FloatArray) -> float:
    """Standard error of the difference of two linear functions, one of each spectrum, block by
    block."""
    values = second * blocks.second.values - first * blocks.first.values
    return replace(blocks.difference, values=values).linear(np.ones(len(first)))[1]
