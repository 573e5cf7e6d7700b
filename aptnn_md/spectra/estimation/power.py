"""A spectral density in blocks of the data: mean, standard errors, integrals, ratios.

Standard errors are those of a mean over blocks that may still be correlated.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Protocol

import numpy as np
from scipy.ndimage import convolve1d
from scipy.special import stdtrit

from aptnn_md.arrays import AnyArray, FloatArray, IntArray
from aptnn_md.spectra.estimation.plan import SpectralPlan

_ENOUGH_BLOCKS = 8
_ENOUGH_RUNS = 4
_TWO_SIGMA = 0.977249868051821  # normal probability of less than two standard deviations
_POOLED_WIDTHS = 6


@dataclass(frozen=True, eq=False)
class PowerBlocks:
    """A density of consecutive blocks of the runs: a curve with its statistics.

    Attributes
    ----------
    wavenumber : (n,) cm⁻¹, from 0 to the Nyquist wavenumber
    values : (n_blocks, n) in unit(x) unit(y) fs; complex for a cross density
    weights : (n_blocks,) share of each block in the data; their sum is 1
    runs : (n_blocks,) index of the run of each block
    shape : (n,) variance of the mean for Gaussian signals, up to a factor; for a complex density
        that of the real part + i that of the imaginary part
    plan : method, window, lengths
    n_segments : segments in all blocks
    """

    wavenumber: FloatArray
    values: AnyArray
    weights: FloatArray
    runs: IntArray
    shape: AnyArray
    plan: SpectralPlan
    n_segments: int

    @property
    def resolution(self) -> float:
        """Full width at half maximum of an infinitely narrow line, cm⁻¹."""
        return self.plan.resolution

    @property
    def spacing(self) -> float:
        """Time between frames, fs."""
        return self.plan.spacing

    @property
    def gaussian_variance(self) -> FloatArray:
        """(n,) relative variance for a Gaussian signal, up to a factor."""
        return self.plan.gaussian_variance

    @property
    def pooled_points(self) -> int:
        """Number of neighbouring wavenumbers over which variances are pooled."""
        step = float(self.wavenumber[1] - self.wavenumber[0])
        return max(1, round(_POOLED_WIDTHS * self.resolution / step))

    @cached_property
    def mean(self) -> AnyArray:
        """(n,) density of all data."""
        return np.asarray(self.weights @ self.values)

    @cached_property
    def standard_error(self) -> AnyArray:
        """(n,) standard error of the mean; of a complex density: of real and imaginary part."""
        if np.iscomplexobj(self.values):
            imaginary = self._error_of(self.values.imag, self.shape.imag)
            return np.asarray(self._error_of(self.values.real, self.shape.real) + 1j * imaginary)
        return self._error_of(self.values, self.shape)

    def integral(self, low: float, high: float) -> tuple[float, float]:
        """Integral of a real density from ``low`` to ``high`` (cm⁻¹), and its standard error."""
        return self.linear(integration_weights(self.wavenumber, low, high))

    def linear(self, coefficients: FloatArray) -> tuple[float, float]:
        """Σ coefficients × mean of a real density, and its standard error.

        Parameters
        ----------
        coefficients : (n,)
        """
        overlap = self._overlap(self.plan.neighbour_correlation[1])
        error = standard_error(self.values @ coefficients, self.weights, self.runs, overlap)
        return float(self.mean @ coefficients), float(error)

    def scaled(self, factor: float | FloatArray) -> PowerBlocks:
        """This density times a number, or times a function (n,) of the wavenumber."""
        return replace(self, values=self.values * factor, shape=self.shape * np.square(factor))

    def mapped(self, operator: Callable[[FloatArray], FloatArray]) -> PowerBlocks:
        """A linear operator on curves, (..., n) -> (..., n), applied to this real density."""
        # the root of the variance is a curve like the density, for cross densities a positive one
        shape = np.square(operator(np.sqrt(self.shape)))
        return replace(self, values=operator(self.values), shape=shape)

    def both_orders(self) -> PowerBlocks:
        """⟨x(0)·y(t)⟩ and ⟨y(0)·x(t)⟩ together, 2 Re of the density: real."""
        return replace(self, values=2.0 * self.values.real, shape=4.0 * self.shape.real)

    def plus(self, other: PowerBlocks) -> PowerBlocks:
        """Sum with another real density of the same data, block by block."""
        return replace(self, values=self.values + other.values, shape=self.shape + other.shape)

    def minus(self, other: PowerBlocks) -> PowerBlocks:
        """Difference to another real density of the same data, block by block."""
        return replace(self, values=self.values - other.values, shape=self.shape + other.shape)

    def between(self, low: float, high: float) -> PowerBlocks:
        """The part of this density from ``low`` to ``high``, cm⁻¹."""
        inside = (self.wavenumber >= low) & (self.wavenumber <= high)
        return replace(
            self,
            wavenumber=self.wavenumber[inside],
            values=self.values[:, inside],
            shape=self.shape[inside],
        )

    def ratio(
        self, to: PowerBlocks, coefficients: FloatArray | None = None
    ) -> tuple[FloatArray, FloatArray]:
        """This real density over another one of the same data, and the standard error of that by
        the jackknife over blocks, so that what both have in common cancels.

        Parameters
        ----------
        to : the other one
        coefficients : (n, m): the ratios of Σ coefficients × mean instead, e.g. of integrals

        Returns
        -------
        (n,) or (m,) each; NaN where the other one is 0
        """
        above, below = self.values, to.values
        if coefficients is not None:
            above, below = above @ coefficients, below @ coefficients
        m = above.shape[1]

        def divide(means: FloatArray) -> FloatArray:
            with np.errstate(divide="ignore", invalid="ignore"):
                quotient = means[:m] / means[m:]
            return np.where(np.isfinite(quotient), quotient, np.nan)

        both = np.concatenate([above, below], axis=1)
        overlap = self._overlap(self.plan.neighbour_correlation[0 if coefficients is None else 1])
        error = jackknife(divide, both, self.weights, self.runs)
        return divide(self.weights @ both), np.sqrt(overlap) * error

    def _overlap(self, correlation: float) -> float:
        """Variance of the mean over that of independent blocks, where neighbouring segments are
        correlated."""
        in_block = max(1.0, self.n_segments / len(self.weights))
        within = 2.0 * correlation * (in_block - 1.0) / in_block
        return (1.0 + 2.0 * correlation) / (1.0 + within)

    def _error_of(self, values: FloatArray, shape: FloatArray) -> FloatArray:
        return spectrum_standard_error(
            values,
            self.weights,
            self.runs,
            shape,
            self.pooled_points,
            _POOLED_WIDTHS,
            self._overlap(self.plan.neighbour_correlation[0]),
        )


class HasBlocks(Protocol):
    """A spectrum that has a curve with its statistics."""

    @property
    def blocks(self) -> PowerBlocks:
        """The curve."""


def integration_weights(wavenumber: FloatArray, low: float, high: float) -> FloatArray:
    """(n,) weights of the integral from ``low`` to ``high`` of a piecewise linear curve."""
    # the integral of each hat function, cut to the range, by its antiderivative at the ends
    step = wavenumber[1] - wavenumber[0]
    edges = np.clip([low, high], wavenumber[0], wavenumber[-1])
    below, above = (
        np.where(u < 0, 0.5 * (1 + u) ** 2, 1 - 0.5 * (1 - u) ** 2)
        for u in (np.clip((edge - wavenumber) / step, -1.0, 1.0) for edge in edges)
    )
    return np.asarray(step * (above - below))


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
        if n_merged < _ENOUGH_BLOCKS or n_merged in (len(level_runs), n_runs):
            break
        level_values, level_weights = merged(level_values, level_weights, label)
        level_runs = level_runs[order % 2 == 0]
    if _ENOUGH_RUNS <= n_runs < len(level_runs):
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


def standard_error(
    values: FloatArray, weights: FloatArray, runs: IntArray, overlap: float = 1.0
) -> FloatArray:
    """Standard error of Σ w x: the largest one of all block levels, times :func:`few_blocks`.

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
    enough = [level for level in levels if len(level[1]) >= _ENOUGH_BLOCKS]
    values, weights = (enough or levels[:1])[-1]
    mean = np.tensordot(weights, values, axes=1)
    full = estimate(mean)
    left_out = [estimate((mean - w * x) / (1.0 - w)) for w, x in zip(weights, values, strict=True)]
    # for a linear estimate this is variance_of_mean, also with unequal weights
    deviations = (1.0 - weights)[:, None] * (np.array(left_out) - full)
    variance = (deviations**2).sum(axis=0) / (1.0 - np.sum(weights**2))
    return np.asarray(few_blocks(weights) * np.sqrt(variance))
