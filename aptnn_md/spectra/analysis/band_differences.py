"""Differences of bands between two spectra, with the error of the difference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from aptnn_md.spectra.analysis.bands import Band, BandMeasure
from aptnn_md.spectra.estimation.block_errors import jackknife
from aptnn_md.spectra.estimation.paired import PairedBlocks


@dataclass(frozen=True)
class BandDifference:
    """A band of the second spectrum minus that of the first one.

    Attributes
    ----------
    name : of the band
    position, position_error : of the maximum, cm⁻¹
    integral, integral_error : over the range, cm⁻²
    at_edge : one of both spectra has its largest value at the edge of the range, where the position
        of a maximum has no meaning
    """

    name: str
    position: float
    position_error: float
    integral: float
    integral_error: float
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
            a.at_edge or b.at_edge,
        )
        for a, b in zip(first, second, strict=True)
    ]


def paired_differences(
    blocks: PairedBlocks, ranges: Mapping[str, tuple[float, float]], baseline: bool = False
) -> list[BandDifference]:
    """Differences of bands of two spectra of the same frames.

    The error of a position is that of the jackknife over blocks, each of which is left out of both
    spectra. Noise that is common to both moves both maxima alike and does not enter.

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
    return BandDifference(
        name,
        position=float(b[0] - a[0]),
        position_error=float(by_blocks[0]),
        integral=float(b[3] - a[3]) if baseline else integral,
        integral_error=float(by_blocks[3]) if baseline else integral_error,
        at_edge=bool(any(edges)),
    )
