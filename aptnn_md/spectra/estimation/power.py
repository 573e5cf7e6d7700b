"""Power spectral densities ∫dt e^{-iωt} ⟨x(0)·y(t)⟩ of signals of any length, in blocks.

One computation serves both methods, Welch's and that of Blackman and Tukey; see
:class:`aptnn_md.spectra.estimation.plan.SpectralPlan`. No mean is subtracted: a mean of Ṁ is a
current, and its power at ω = 0 belongs to the spectrum. Densities of Welch are positive but for
rounding; those of Blackman and Tukey may become negative by noise and beside sharp lines.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from scipy.fft import rfft

from aptnn_md.arrays import AnyArray, FloatArray, IntArray
from aptnn_md.spectra.estimation.accumulate import LagAccumulator, LagSums
from aptnn_md.spectra.estimation.errors_of_mean import (
    jackknife,
    spectrum_standard_error,
    standard_error,
)
from aptnn_md.spectra.estimation.plan import SpectralPlan
from aptnn_md.spectra.estimation.runs import Run, feed_runs
from aptnn_md.spectra.estimation.terms import Pair, Term

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
        """Full width at half maximum of a line without width, cm⁻¹."""
        return self.plan.resolution

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


def power_blocks(
    runs: Sequence[Run],
    plan: SpectralPlan,
    terms: Mapping[str, Term],
    *,
    names: Sequence[str] = (),
    factors: Sequence[float] = (),
) -> dict[str, PowerBlocks]:
    """Densities of independent runs of one system; longer runs weigh more.

    Parameters
    ----------
    runs : signals, or iterables of pieces of them
    plan : method, window, lengths
    terms : name -> density that is asked for
    names : of the runs, for messages; default ``"run 1"`` and so on
    factors : what the densities of each run are multiplied by; default 1

    Raises
    ------
    InputError
        Shapes do not belong together, a value is not finite, or a run is too short.
    """
    return densities(feed_runs(runs, plan, terms, names), factors)


def densities(accumulator: LagAccumulator, factors: Sequence[float] = ()) -> dict[str, PowerBlocks]:
    """Densities of what an accumulator has been fed; see :func:`power_blocks`."""
    sums, plan = accumulator.result(), accumulator.plan
    weights, scale = _weights(sums, plan)
    if len(factors):
        scale = scale * np.asarray(factors, dtype=np.float64)[sums.runs][:, None]
    correlation = sums.sums * (scale * plan.lag_window)[:, None, :]
    found: dict[str, PowerBlocks] = {}
    for name, term in accumulator.terms.items():
        rows = accumulator.rows.of_term[name]
        values = _transform(plan, correlation, rows)
        found[name] = PowerBlocks(
            wavenumber=plan.wavenumber,
            values=values,
            weights=weights,
            runs=sums.runs,
            shape=_shape(plan, term, weights, values, correlation, rows),
            plan=plan,
            n_segments=_n_segments(sums, plan),
        )
    return found


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


def _weights(sums: LagSums, plan: SpectralPlan) -> tuple[FloatArray, FloatArray]:
    """(n_blocks,) weights, and (n_blocks, n_lags) what makes the sums of a block a mean."""
    total = sums.run_frames.sum()
    if plan.method == "welch":
        segments = np.bincount(sums.runs, sums.segments)
        weights = (sums.run_frames / total / segments)[sums.runs] * sums.segments
        return weights, np.repeat(1.0 / sums.segments[:, None], plan.n_lags, axis=1)
    lags = np.arange(plan.n_lags)
    # the terms of all runs in the sum at each lag; the blocks' shares then add up to the mean
    terms = (sums.run_frames[:, None] - lags * plan.unbiased).sum(axis=0)
    weights = sums.segments / total
    return weights, (total / terms)[None, :] / sums.segments[:, None]


def _n_segments(sums: LagSums, plan: SpectralPlan) -> int:
    segments = sums.segments if plan.method == "welch" else sums.segments / plan.segment
    return max(len(sums.runs), round(float(segments.sum())))


def _transform(plan: SpectralPlan, correlation: FloatArray, rows: tuple[int, ...]) -> AnyArray:
    """(n_blocks, n_fft // 2 + 1) density of rows that belong to one term."""
    forward = _half_transform(plan, correlation[:, rows[0]])
    if len(rows) == 1:
        return np.asarray(2.0 * forward.real)
    return np.asarray(forward + _half_transform(plan, correlation[:, rows[1]]).conj())


def _half_transform(plan: SpectralPlan, lags: FloatArray) -> AnyArray:
    """Sum over lags from 0 on, with half the weight of lag 0, times the spacing."""
    halved = lags * np.where(np.arange(plan.n_lags) == 0, 0.5, 1.0)
    return np.asarray(plan.spacing * rfft(halved, plan.n_fft, axis=1))


def _shape(
    plan: SpectralPlan,
    term: Term,
    weights: FloatArray,
    values: AnyArray,
    correlation: FloatArray,
    rows: tuple[int, ...],
) -> AnyArray:
    mean = weights @ values
    if not isinstance(term, Pair):
        return np.asarray(mean**2 * plan.gaussian_variance)
    mean_correlation = np.tensordot(weights, correlation, axes=1)[None]
    left, right = (_transform(plan, mean_correlation, (row,))[0] for row in rows[2:])
    # variances of the parts of a cross periodogram of Gaussian signals
    product, difference = left * right, mean.real**2 - mean.imag**2
    both = 0.5 * ((product + difference) + 1j * (product - difference))
    floor = 1e-12 * np.abs(product)
    real, imaginary = np.maximum(both.real, floor), np.maximum(both.imag, floor)
    return np.asarray((real + 1j * imaginary) * plan.gaussian_variance)
