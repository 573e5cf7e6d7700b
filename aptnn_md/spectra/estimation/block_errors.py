"""Standard errors of means over blocks of data, which may still be correlated."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from scipy.ndimage import convolve1d
from scipy.special import stdtrit

from aptnn_md.arrays import FloatArray, IntArray

ENOUGH_BLOCKS = 8
"""With fewer blocks slow motion can be allowed for in a number, but not located in a spectrum."""

_MERGED_RUNS = 4  # from so many on, runs are blocks, too
_TWO_SIGMA = 0.977249868051821  # normal probability of less than two standard deviations


def block_levels(
    values: FloatArray, weights: FloatArray, runs: IntArray
) -> Iterator[tuple[FloatArray, FloatArray]]:
    """The same data in fewer and longer blocks: as given, merged by pairs as long as enough
    blocks are left, and by runs if there are enough of them.

    Where blocks are independent all levels give the same standard error; where slow motion
    correlates neighbours the later ones give a larger one.

    Parameters
    ----------
    values : (n_blocks, ...)
    weights : (n_blocks,) with sum 1
    runs : (n_blocks,) index of the run that a block belongs to; only blocks of a run are merged
    """
    n_runs = len(np.unique(runs))
    level_values, level_weights, level_runs = values, weights, runs
    while True:
        yield level_values, level_weights
        order = np.arange(len(level_runs)) - np.searchsorted(level_runs, level_runs)
        label = np.cumsum(order % 2 == 0) - 1
        n_merged = int(label[-1]) + 1
        if n_merged < ENOUGH_BLOCKS or n_merged in (len(level_runs), n_runs):
            break
        level_values, level_weights = merged(level_values, level_weights, label)
        level_runs = level_runs[order % 2 == 0]
    if _MERGED_RUNS <= n_runs < len(level_runs):
        yield merged(values, weights, np.unique(runs, return_inverse=True)[1])


def merged(
    values: FloatArray, weights: FloatArray, label: IntArray
) -> tuple[FloatArray, FloatArray]:
    """Weighted means of the blocks that share a label, and their weights."""
    new_weights: FloatArray = np.bincount(label, weights).astype(np.float64)
    share = np.zeros((len(new_weights), len(weights)))
    share[label, np.arange(len(weights))] = weights / new_weights[label]
    return np.tensordot(share, values, axes=1), new_weights


def variance_of_mean(values: FloatArray, weights: FloatArray) -> FloatArray:
    """Variance of Σ w x for independent blocks x whose variances go like 1/w.

    Σ w² (x - x̄)² / (1 - Σ w²), which is without bias; s²/n for equal weights.
    """
    mean = np.tensordot(weights, values, axes=1)
    return np.asarray(
        np.tensordot(weights**2, (values - mean) ** 2, axes=1) / (1.0 - np.sum(weights**2))
    )


def level_standard_error(
    values: FloatArray, weights: FloatArray, runs: IntArray, overlap: float = 1.0
) -> FloatArray:
    """Standard error of Σ w x for many x at once: the largest one of all block levels, times
    :func:`few_blocks`.

    Where slow motion correlates the longest blocks it is too small; for a few numbers
    :func:`aptnn_md.spectra.estimation.slow_exchange.mean_error` is the better one.

    Parameters
    ----------
    values : (n_blocks, ...)
    weights, runs : (n_blocks,)
    overlap : variance of the mean of the blocks over what it were if they were independent
    """
    levels = block_levels(values, weights, runs)
    variance = np.max([variance_of_mean(*level) for level in levels], axis=0)
    return np.asarray(few_blocks(weights) * np.sqrt(overlap * variance))


def few_blocks(weights: FloatArray, pooled: float = 1.0) -> float:
    """Factor that widens a standard error from few blocks, so that two of them hold 95 %.

    The scatter of few blocks is poorly known: deviations in units of it follow Student's
    distribution, whose tails are longer than those of the normal distribution.

    Parameters
    ----------
    weights : (n_blocks,) with sum 1
    pooled : number of independent values whose variance is pooled
    """
    freedom = pooled * (1.0 / np.sum(weights**2) - 1.0)
    return float(stdtrit(max(freedom, 1.0), _TWO_SIGMA) / 2.0)


def spectrum_standard_error(
    values: FloatArray,
    weights: FloatArray,
    runs: IntArray,
    shape: FloatArray,
    pooled_points: int,
    pooled_widths: float,
    overlap: float = 1.0,
) -> FloatArray:
    """Standard error of a mean spectrum.

    The scatter of a few blocks at one wavenumber is poorly known, but how the variance depends on
    the wavenumber is known for a Gaussian signal, up to the number of independent samples. So the
    variance is pooled over neighbouring wavenumbers in units of it.

    Parameters
    ----------
    values : (n_blocks, n)
    weights, runs : (n_blocks,)
    shape : (n,) variance for a Gaussian signal, up to a factor
    pooled_points : number of neighbouring wavenumbers to pool
    pooled_widths : number of independent values among them
    overlap : variance of the mean of the blocks over what it were if they were independent

    Returns
    -------
    (n,)
    """

    def pooled(quantity: FloatArray) -> FloatArray:
        # summed directly: a running sum would lose small values after a large line
        return np.asarray(convolve1d(quantity, np.ones(pooled_points), mode="mirror"))

    below = np.maximum(pooled(shape), np.finfo(float).tiny)
    levels = block_levels(values, weights, runs)
    relative = [pooled(variance_of_mean(*level)) / below for level in levels]
    factor = few_blocks(weights, pooled_widths)
    return np.asarray(factor * np.sqrt(overlap * np.max(relative, axis=0) * shape))


def jackknife(
    estimate: Callable[[FloatArray], FloatArray],
    values: FloatArray,
    weights: FloatArray,
    runs: IntArray,
) -> FloatArray:
    """Standard error of ``estimate(mean spectrum)`` by leaving out one block after another, times
    :func:`few_blocks`.

    Parameters
    ----------
    estimate : (n,) -> (m,)
    values, weights, runs : blocks; they are merged into the longest ones of which there are enough

    Returns
    -------
    (m,)
    """
    levels = list(block_levels(values, weights, runs))
    enough = [level for level in levels if len(level[1]) >= ENOUGH_BLOCKS]
    values, weights = (enough or levels[:1])[-1]
    mean = np.tensordot(weights, values, axes=1)
    full = estimate(mean)
    left_out = [estimate((mean - w * x) / (1.0 - w)) for w, x in zip(weights, values, strict=True)]
    # for a linear estimate this is variance_of_mean, also with unequal weights
    deviations = (1.0 - weights)[:, None] * (np.array(left_out) - full)
    variance = (deviations**2).sum(axis=0) / (1.0 - np.sum(weights**2))
    return np.asarray(few_blocks(weights) * np.sqrt(variance))
