"""Standard errors of means over blocks that slow motion correlates.

Vibrational energy moves between modes over picoseconds, and the integral of a band follows it.
Blocks of one run are then not independent, and the error grows with the length of the blocks until
they are longer than the exchange. In a run of some twenty exchange times there are few such blocks,
so the growth is not read off but modelled: block values are

    x_b = mean + noise + slow part,    ⟨noise²⟩ ∝ 1/length,    ⟨slow(0) slow(t)⟩ ∝ e^{-t/τ},

with the time τ and the size of the slow part unknown. Each pair (τ, size) on a grid gives the
standard error of the mean by least squares, and the likelihood of the data, in which the mean and
the scale are integrated out; the error is the average over the grid weighted with the likelihood,
times Student's factor. Before the data the greater part of the weight belongs to independent
blocks. Blocks without slow motion thus give an error that is a little larger than s/√n, because
slow motion cannot be excluded, and blocks with it the plateau to which the errors of longer and
longer blocks tend.

From :data:`ENOUGH_RUNS` independent runs on the scatter of their means gives the error, whatever
happens within them. With fewer, a part that stays the same within a run is among the models, as the
energies of single molecules do; its error is that of the scatter of the runs, of which there are so
few. Of one run alone nothing can be known of it.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import convolve1d

from aptnn_md.arrays import BoolArray, FloatArray, IntArray
from aptnn_md.spectra.estimation.block_errors import (
    ENOUGH_BLOCKS,
    few_blocks,
    level_standard_error,
    merged,
    variance_of_mean,
)

ENOUGH_RUNS = 8
"""Number of independent runs whose scatter alone gives the error."""

_SAME_IN_RUN = 1e4  # τ in units of the longest run: constant in each
_LONGEST_TIME = 0.25  # in units of the longest run; longer ones cannot be told from the mean
_SHORTEST_TIME = 0.5  # in blocks; shorter ones cannot be told from noise
# slow over fast part of the variance of the mean
_SIZES = 2.0 ** np.array([-1, 0, 1, 2, 3, 4, 6, 8])
_SIZES_OF_RUNS = 2.0 ** np.arange(-1, 15, 2)  # energies of single molecules are constants of runs
_INDEPENDENT = 0.7  # probability, before the data, that blocks are independent


@dataclass(frozen=True, eq=False)
class MeanError:
    """Standard errors of means over blocks, and what they rest on.

    Attributes
    ----------
    standard_error : (m,) two of them hold the truth in about 95 % of cases
    n_independent : (m,) number of independent samples with the scatter of one block, to which the
        data amount
    slow : (m,) probability that a slow part is in the data; 0 where runs give the error
    by_runs : the scatter of independent runs gives the error
    """

    standard_error: FloatArray
    n_independent: FloatArray
    slow: FloatArray
    by_runs: bool


def mean_error(
    values: FloatArray, weights: FloatArray, runs: IntArray, overlap: float = 1.0
) -> MeanError:
    """Standard errors of Σ w x.

    Parameters
    ----------
    values : (n_blocks, m)
    weights, runs : (n_blocks,) share of each block in the data, and index of its run
    overlap : variance of the mean of the blocks over what it were if they were independent, where
        segments overlap
    """
    _, run = np.unique(runs, return_inverse=True)
    of_runs, run_weights = merged(values, weights, run)
    enough = 1.0 / np.sum(run_weights**2) > ENOUGH_RUNS - 0.5
    if enough or len(run_weights) == len(weights) > 1:
        error = few_blocks(run_weights) * np.sqrt(variance_of_mean(of_runs, run_weights))
        n = np.full(values.shape[1], 1.0 / np.sum(run_weights**2))
        found = MeanError(error, n, np.zeros_like(n), True)
    else:
        found = _by_models(values, weights, run, overlap)
    wide = _of_positive(values, weights @ values, found.standard_error)
    return MeanError(wide, found.n_independent, found.slow, found.by_runs)


def standard_error(
    values: FloatArray, weights: FloatArray, runs: IntArray, overlap: float = 1.0
) -> FloatArray:
    """Standard errors (...) of Σ w x of block values (n_blocks, ...); see :func:`mean_error`."""
    columns = values.reshape(len(values), -1)
    found = mean_error(columns, weights, runs, overlap).standard_error
    return found.reshape(values.shape[1:])


def excess_variance(
    values: FloatArray,
    weights: FloatArray,
    runs: IntArray,
    shape: FloatArray,
    points: int,
    overlap: float = 1.0,
) -> FloatArray:
    """What slow motion adds to the variance of a mean spectrum beyond that of its block levels.

    Slow motion moves neighbouring wavenumbers together, and noise does not. So it is seen best in
    sums over stretches of the spectrum, and their excess is spread over the points of each.

    Parameters
    ----------
    values : (n_blocks, n)
    weights, runs, overlap : see :func:`mean_error`
    shape : (n,) variance for a Gaussian signal, up to a factor
    points : length of a stretch

    Returns
    -------
    (n,), zero where there are fewer than :data:`ENOUGH_BLOCKS`
    """
    n = values.shape[1]
    if len(weights) < ENOUGH_BLOCKS:
        return np.zeros(n)
    starts = np.arange(0, max(1, n - points // 2), points)
    sums = np.add.reduceat(values, starts, axis=1)
    found = mean_error(sums, weights, runs, overlap)
    known = level_standard_error(sums, weights, runs, overlap)
    excess = found.standard_error**2 - known**2
    if not found.by_runs:
        excess *= found.slow
    size = np.add.reduceat(np.sqrt(shape), starts) ** 2
    centres = 0.5 * (starts + np.append(starts[1:], n) - 1)
    # of independent blocks chance gives excess and its opposite alike, so neighbours are averaged;
    # summed directly: a running sum would lose small values after a large line
    added, of = (
        np.interp(np.arange(n), centres, convolve1d(quantity, np.ones(3) / 3.0, mode="nearest"))
        for quantity in (excess, size)
    )
    return np.asarray(np.maximum(added, 0.0) / np.maximum(of, np.finfo(float).tiny) * shape)


def _by_models(
    values: FloatArray, weights: FloatArray, runs: IntArray, overlap: float
) -> MeanError:
    models = _models(weights.tobytes(), runs.tobytes(), overlap)
    centred = values - weights @ values
    scale = np.sqrt(np.mean(centred**2, axis=0))
    centred = centred / np.where(scale > 0.0, scale, 1.0)
    # generalized least squares: residual sum of squares of each model, with the mean fitted
    residual = np.array([np.sum(centred * (p @ centred), axis=0) for p in models.residual])
    residual = np.maximum(residual, 0.0)  # rounding
    freedom = len(weights) - 1
    log_weight = models.log_weight[:, None] - 0.5 * freedom * np.log(
        np.maximum(residual, np.finfo(float).tiny)
    )
    share = np.exp(log_weight - log_weight.max(axis=0))
    share /= share.sum(axis=0)
    of_models = few_blocks(weights) * np.sqrt(residual / freedom * models.variance[:, None])
    if models.same_in_run.any():
        # the error that the scatter of the runs gives: how much they differ is as well known as
        # there are runs, whatever the number of blocks
        of_runs, run_weights = merged(centred, weights, runs)
        by_runs = few_blocks(run_weights) * np.sqrt(variance_of_mean(of_runs, run_weights))
        of_models[models.same_in_run] = by_runs
    error = np.sum(share * of_models, axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        plain = error / few_blocks(weights)
        n_independent = np.sum(centred**2, axis=0) / freedom / plain**2
    return MeanError(scale * error, n_independent, 1.0 - share[0], by_runs=False)


def _of_positive(values: FloatArray, mean: FloatArray, error: FloatArray) -> FloatArray:
    """Errors of quantities that cannot be negative, such as powers, whose scatter is proportional
    to themselves.

    Where the mean came out too small by chance, so did its error. On the logarithmic scale this is
    not so; of the two sides there, the upper one is the larger: m (e^{2σ/m} - 1)/2.
    """
    positive = (values > 0.0).all(axis=0)
    relative = np.minimum(np.where(positive, error / np.where(positive, mean, 1.0), 0.0), 0.5)
    factor = np.where(relative > 0.0, np.expm1(2.0 * relative), 2.0)
    return np.asarray(error * factor / np.where(relative > 0.0, 2.0 * relative, 2.0))


@dataclass(frozen=True, eq=False)
class _Models:
    """Covariances of blocks, in units of that of noise in a block of mean length; the first is of
    independent blocks.

    Attributes
    ----------
    residual : (k, n_blocks, n_blocks) V⁻¹ less its projection on a constant mean
    variance : (k,) of the mean
    log_weight : (k,) logarithm of what does not depend on the data in the likelihood, and of the
        weight before the data
    same_in_run : (k,) of bool, models whose slow part is the same within a run
    """

    residual: FloatArray
    variance: FloatArray
    log_weight: FloatArray
    same_in_run: BoolArray


@functools.lru_cache(maxsize=8)
def _models(weights_bytes: bytes, runs_bytes: bytes, overlap: float) -> _Models:
    weights = np.frombuffer(weights_bytes, dtype=np.float64)
    runs = np.frombuffer(runs_bytes, dtype=np.int64)
    noise = _noise_covariance(weights, runs, overlap)
    of_noise = weights @ noise @ weights
    lengths = weights * len(weights)
    covariances, shares, same_in_run = [noise], [_INDEPENDENT], [False]
    times = _times(lengths, runs)
    for time in times:
        slow = _slow_covariance(lengths, runs, time)
        unit = of_noise / (weights @ slow @ weights)
        is_same = time > lengths.sum()
        for size in _SIZES_OF_RUNS if is_same else _SIZES:
            covariances.append(noise + size * unit * slow)
            same_in_run.append(is_same)
            shares.append((1.0 - _INDEPENDENT) / (len(times) * len(_SIZES)))
    inverse = np.linalg.inv(np.array(covariances))
    rows = inverse.sum(axis=2)
    total = rows.sum(axis=1)
    determinant = -np.linalg.slogdet(inverse)[1]
    return _Models(
        residual=inverse - rows[:, :, None] * rows[:, None, :] / total[:, None, None],
        variance=np.einsum("a,kab,b->k", weights, np.array(covariances), weights),
        log_weight=np.log(shares) - 0.5 * (determinant + np.log(total)),
        same_in_run=np.array(same_in_run),
    )


def _noise_covariance(weights: FloatArray, runs: IntArray, overlap: float) -> FloatArray:
    """(n_blocks, n_blocks) of blocks whose segments overlap with those of their neighbours."""
    deviation = 1.0 / np.sqrt(weights * len(weights))
    neighbours = (np.diff(runs) == 0) * 0.5 * (overlap - 1.0) * deviation[1:] * deviation[:-1]
    return np.asarray(np.diag(deviation**2) + np.diag(neighbours, 1) + np.diag(neighbours, -1))


def _times(lengths: FloatArray, runs: IntArray) -> FloatArray:
    """τ of the models, in mean blocks."""
    longest = float(np.bincount(runs, lengths).max())
    low = _SHORTEST_TIME * float(np.median(lengths))
    high = max(low, _LONGEST_TIME * longest)
    times = np.geomspace(low, high, 1 + int(np.ceil(np.log2(high / low))))
    return times if runs.max() == 0 else np.append(times, _SAME_IN_RUN * longest)


def _slow_covariance(lengths: FloatArray, runs: IntArray, time: float) -> FloatArray:
    """(n_blocks, n_blocks) covariance of block averages of a process with correlation e^{-t/τ}."""
    ends = np.cumsum(lengths)
    starts = ends - lengths
    x = lengths / time
    average = -np.expm1(-x) / x  # of e^{-t/τ} from the edge of a block into it
    gaps = np.maximum(starts[None, :] - ends[:, None], 0.0)
    after = np.triu(np.exp(-gaps / time) * average[:, None] * average[None, :], 1)
    # the double integral of e^{-|t-t'|/τ} within a block, also for blocks short against τ
    within = np.where(x > 1e-4, 2.0 * (x + np.expm1(-x)) / x**2, 1.0 - x / 3.0)
    same: FloatArray = runs[:, None] == runs[None, :]
    return np.asarray((after + after.T + np.diag(within)) * same)
