"""Densities of two signals that fluctuate together, and their difference with its own error.

Both are in the same segments and blocks, so the difference of block values holds the covariance of
the signals exactly. How its variance depends on the wavenumber follows from the cross density: for
Gaussian signals a and b with densities S_a and S_b and cross density S_ab

    var(S_b - S_a) ∝ S_a² + S_b² - 2 |S_ab|² = (S_b - S_a)² + 2 (S_a S_b - |S_ab|²),

where the last bracket vanishes as far as both are coherent.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from aptnn_md.arrays import FloatArray
from aptnn_md.spectra.estimation.accumulate import LagAccumulator
from aptnn_md.spectra.estimation.densities import densities, increments_correction
from aptnn_md.spectra.estimation.known_means import with_known_means
from aptnn_md.spectra.estimation.power import PowerBlocks
from aptnn_md.spectra.estimation.terms import Auto, Pair, Term

_FIRST, _SECOND, _CROSS = "first", "second", "cross"
_SMALLEST_VARIANCE = 1e-24  # of a difference, relative: rounding


def paired_terms() -> dict[str, Term]:
    """What is accumulated of two signals for :func:`paired_densities`."""
    first, second = np.eye(2)
    return {_FIRST: Auto(first), _SECOND: Auto(second), _CROSS: Pair(first, second)}


@dataclass(frozen=True, eq=False)
class PairedBlocks:
    """Densities of two signals in the same blocks.

    Attributes
    ----------
    first, second : the densities
    difference : second minus first
    """

    first: PowerBlocks
    second: PowerBlocks
    difference: PowerBlocks

    def regressed(self, deviations: FloatArray) -> PairedBlocks:
        """:func:`~aptnn_md.spectra.estimation.known_means.with_known_means` of all three, which
        stay a difference: the regression is linear."""
        curves = (self.first, self.second, self.difference)
        return PairedBlocks(*(with_known_means(curve, deviations) for curve in curves))


def paired_densities(
    accumulator: LagAccumulator[str],
    first_factors: FloatArray,
    second_factors: FloatArray,
    *,
    increments: tuple[bool, bool] = (False, False),
) -> PairedBlocks:
    """Densities of two signals, and their difference.

    Parameters
    ----------
    accumulator : of :func:`paired_terms`
    first_factors, second_factors : (n_runs,) what the densities of each run are multiplied by
    increments : which of the signals are increments; their damping is divided out

    Raises
    ------
    InputError
        A run is too short.
    """

    def scaled(name: str, factors: FloatArray, *damped: bool) -> PowerBlocks:
        curve = densities(accumulator, factors)[name]
        # a square root for each factor of the product
        return curve.scaled(increments_correction(accumulator.plan) ** (0.5 * sum(damped)))

    a, b = increments
    first, second = scaled(_FIRST, first_factors, a, a), scaled(_SECOND, second_factors, b, b)
    cross = scaled(_CROSS, np.sqrt(first_factors * second_factors), a, b)
    mean = second.mean - first.mean
    incoherent = first.mean * second.mean - np.abs(cross.mean) ** 2
    floor = _SMALLEST_VARIANCE * (first.mean**2 + second.mean**2)
    variance = np.maximum(mean**2 + 2.0 * np.maximum(incoherent, 0.0), floor)
    difference = replace(
        first,
        values=second.values - first.values,
        variance_shape=variance * first.gaussian_variance,
    )
    return PairedBlocks(first, second, difference)
