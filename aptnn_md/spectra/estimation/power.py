"""A spectral density in blocks of the data: mean, standard errors, integrals, ratios.

Standard errors are those of a mean over blocks that may still be correlated.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Protocol

import numpy as np

from aptnn_md.arrays import AnyArray, FloatArray, IntArray
from aptnn_md.spectra.estimation.block_errors import jackknife, spectrum_standard_error
from aptnn_md.spectra.estimation.estimates import Estimate, estimate_function
from aptnn_md.spectra.estimation.plan import SpectralPlan
from aptnn_md.spectra.estimation.slow_exchange import MeanError, excess_variance, mean_error

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
    variance_shape : (n,) variance of the mean for Gaussian signals, up to a factor; for a complex
        density that of the real part + i that of the imaginary part
    plan : method, window, lengths
    n_segments : segments in all blocks
    """

    wavenumber: FloatArray
    values: AnyArray
    weights: FloatArray
    runs: IntArray
    variance_shape: AnyArray
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
            imaginary = self._error_of(self.values.imag, self.variance_shape.imag)
            return np.asarray(
                self._error_of(self.values.real, self.variance_shape.real) + 1j * imaginary
            )
        return self._error_of(self.values, self.variance_shape)

    def integral(self, low: float, high: float) -> tuple[float, float]:
        """Integral of a real density from ``low`` to ``high`` (cm⁻¹), and its standard error."""
        return self.linear(integration_weights(self.wavenumber, low, high))

    def linear(self, coefficients: FloatArray) -> tuple[float, float]:
        """Σ coefficients × mean of a real density, and its standard error.

        Parameters
        ----------
        coefficients : (n,)
        """
        error = self.errors_of(coefficients[:, None]).standard_error[0]
        return float(self.mean @ coefficients), float(error)

    def errors_of(self, coefficients: FloatArray) -> MeanError:
        """Standard errors of Σ coefficients × mean of a real density, and what they rest on.

        Parameters
        ----------
        coefficients : (n, m)
        """
        overlap = self._overlap(self.plan.neighbour_correlation[1])
        return mean_error(self.values @ coefficients, self.weights, self.runs, overlap)

    def slowest(self, n_parts: int = 4) -> MeanError:
        """What the errors of parts of a real density rest on: integrals over ranges that hold about
        equal shares of all of it.

        Parameters
        ----------
        n_parts : number of ranges
        """
        share = np.cumsum(np.abs(self.mean))
        part = np.minimum(n_parts * share / max(float(share[-1]), 1e-300), n_parts - 0.5)
        return self.errors_of(np.asarray(part.astype(int)[:, None] == np.arange(n_parts), float))

    def estimate(
        self, function: Callable[[FloatArray], FloatArray], coefficients: FloatArray
    ) -> Estimate:
        """A smooth function of linear functionals of a real density, e.g. a centroid, with its
        standard error.

        Parameters
        ----------
        function : (k,) values of the functionals -> (m,) numbers, smooth (no maximum)
        coefficients : (n, k): the functionals are Σ coefficients × mean

        Examples
        --------
        The centroid of a band and its integral, with errors that know that both fluctuate
        together::

            weights = integration_weights(blocks.wavenumber, low, high)
            moments = np.stack([weights, blocks.wavenumber * weights], axis=1)
            found = blocks.estimate(lambda m: np.array([m[1] / m[0], m[0]]), moments)
            centroid, integral = found.values
            centroid_error, integral_error = found.standard_error
        """
        overlap = self._overlap(self.plan.neighbour_correlation[1])
        functionals = self.values @ coefficients
        return estimate_function(function, functionals, self.weights, self.runs, overlap)

    def scaled(self, factor: float | FloatArray) -> PowerBlocks:
        """This density times a number, or times a function (n,) of the wavenumber."""
        return replace(
            self,
            values=self.values * factor,
            variance_shape=self.variance_shape * np.square(factor),
        )

    def mapped(self, operator: Callable[[FloatArray], FloatArray]) -> PowerBlocks:
        """A linear operator on curves, (..., n) -> (..., n), applied to this real density."""
        # the root of the variance is a curve like the density, for cross densities a positive one
        variance_shape = np.square(operator(np.sqrt(self.variance_shape)))
        return replace(self, values=operator(self.values), variance_shape=variance_shape)

    def both_orders(self) -> PowerBlocks:
        """⟨x(0)·y(t)⟩ and ⟨y(0)·x(t)⟩ together, 2 Re of the density: real."""
        return replace(
            self, values=2.0 * self.values.real, variance_shape=4.0 * self.variance_shape.real
        )

    def plus(self, other: PowerBlocks) -> PowerBlocks:
        """Sum with another real density of the same data, block by block."""
        return replace(
            self,
            values=self.values + other.values,
            variance_shape=self.variance_shape + other.variance_shape,
        )

    def minus(self, other: PowerBlocks) -> PowerBlocks:
        """Difference to another real density of the same data, block by block."""
        return replace(
            self,
            values=self.values - other.values,
            variance_shape=self.variance_shape + other.variance_shape,
        )

    def between(self, low: float, high: float) -> PowerBlocks:
        """The part of this density from ``low`` to ``high``, cm⁻¹."""
        inside = (self.wavenumber >= low) & (self.wavenumber <= high)
        return replace(
            self,
            wavenumber=self.wavenumber[inside],
            values=self.values[:, inside],
            variance_shape=self.variance_shape[inside],
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
        points = self.pooled_points
        of_points, of_sums = (self._overlap(c) for c in self.plan.neighbour_correlation)
        noise = spectrum_standard_error(
            values, self.weights, self.runs, shape, points, _POOLED_WIDTHS, of_points
        )
        slow = excess_variance(values, self.weights, self.runs, shape, points, of_sums)
        return np.asarray(np.sqrt(noise**2 + slow))


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
