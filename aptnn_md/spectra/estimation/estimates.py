"""Smooth functions of means over blocks, with standard errors: integrals, ratios, centroids.

A centroid is a ratio of two integrals that fluctuate together. To first order a function f of the
means m of some functionals changes with each block x_b by the derivative of f along x_b - m, so

    y_b = d/dε f(m + ε (x_b - m)) at ε = 0

are block values of one number (the infinitesimal jackknife; B. Efron and C. Stein, Ann. Statist.
9, 586 (1981)). Its standard error is found in the same way as that of any other mean over blocks.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from aptnn_md.arrays import FloatArray, IntArray
from aptnn_md.spectra.estimation.slow_exchange import standard_error

_STEP = 1e-4  # of the central difference, in units of the deviation of a block from the mean


@dataclass(frozen=True, eq=False)
class Estimate:
    """One or more numbers with their standard errors.

    Attributes
    ----------
    values, standard_error : (m,)
    """

    values: FloatArray
    standard_error: FloatArray


def estimate_function(
    function: Callable[[FloatArray], FloatArray],
    functionals: FloatArray,
    weights: FloatArray,
    runs: IntArray,
    overlap: float = 1.0,
) -> Estimate:
    """A smooth function of the means of functionals of a curve, and its standard error.

    Parameters
    ----------
    function : (k,) means -> (m,) numbers; smooth near the means, so that a maximum will not do
    functionals : (n_blocks, k) their values in each block
    weights, runs : (n_blocks,) share of each block in the data, and index of its run
    overlap : variance of the mean of the blocks over what it were if they were independent

    Returns
    -------
    numbers; NaN where the function is not finite at the means or next to them
    """
    mean = weights @ functionals
    influence = block_influence(function, functionals, mean)
    return Estimate(
        np.asarray(function(mean), dtype=np.float64),
        standard_error(influence, weights, runs, overlap),
    )


def block_influence(
    function: Callable[[FloatArray], FloatArray], functionals: FloatArray, mean: FloatArray
) -> FloatArray:
    """(n_blocks, m) derivatives of a function (k,) -> (m,) along each block's deviation from the
    mean (k,)."""
    deviations = _STEP * (functionals - mean)
    up = np.array([function(mean + deviation) for deviation in deviations])
    down = np.array([function(mean - deviation) for deviation in deviations])
    return np.asarray((up - down) / (2.0 * _STEP))
