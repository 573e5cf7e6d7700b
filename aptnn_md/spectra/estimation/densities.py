"""From sums over lags to power spectral densities ∫dt e^{-iωt} ⟨x(0)·y(t)⟩, and to their parts.

One computation serves both methods, Welch's and that of Blackman and Tukey; see
:class:`aptnn_md.spectra.estimation.plan.SpectralPlan`. No mean is subtracted: a mean of Ṁ is a
current, and its power at ω = 0 belongs to the spectrum. Densities of Welch are positive except for
rounding; those of Blackman and Tukey may become negative by noise and next to sharp lines.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from scipy.fft import rfft

from aptnn_md.arrays import AnyArray, FloatArray
from aptnn_md.spectra.estimation.accumulate import LagAccumulator, LagSums
from aptnn_md.spectra.estimation.block_errors import ENOUGH_BLOCKS
from aptnn_md.spectra.estimation.parts import BETWEEN, INTERMOLECULAR, MAX_PAIRED
from aptnn_md.spectra.estimation.plan import SpectralPlan
from aptnn_md.spectra.estimation.power import PowerBlocks
from aptnn_md.spectra.estimation.terms import TOTAL, Key, Pair, Part, Term
from aptnn_md.units import LIGHT_SPEED_CM_PER_FS

_ALIASED_SHARE = 0.01


def densities(
    accumulator: LagAccumulator[Key], factors: Sequence[float] | FloatArray = ()
) -> dict[Key, PowerBlocks]:
    """Densities of what an accumulator has been fed.

    Parameters
    ----------
    factors : what the densities of each run are multiplied by; default 1

    Raises
    ------
    InputError
        A run is too short.
    """
    sums, plan = accumulator.result(), accumulator.plan
    weights, scale = _weights(sums, plan)
    if len(factors):
        scale = scale * np.asarray(factors, dtype=np.float64)[sums.runs][:, None]
    correlation = sums.sums * (scale * plan.lag_window)[:, None, :]
    found: dict[Key, PowerBlocks] = {}
    for name, term in accumulator.terms.items():
        rows = accumulator.rows.of_term[name]
        values = _transform(plan, correlation, rows)
        found[name] = PowerBlocks(
            wavenumber=plan.wavenumber,
            values=values,
            weights=weights,
            runs=sums.runs,
            variance_shape=_variance_shape(plan, term, weights, values, correlation, rows),
            plan=plan,
            n_segments=_n_segments(sums, plan),
        )
    return found


def increments_correction(plan: SpectralPlan) -> FloatArray:
    """(n,) what the density of (M(t) - M(t - Δt))/Δt is multiplied by to be that of Ṁ.

    The difference is the mean of Ṁ over Δt, which damps the amplitude by sin(x)/x with x = ωΔt/2.
    At the Nyquist wavenumber x = π/2, far from the first zero at π, so the factor stays between 1
    and π²/4. What lies beyond the Nyquist wavenumber is gone before, by aliasing.
    """
    return np.asarray(np.sinc(LIGHT_SPEED_CM_PER_FS * plan.wavenumber * plan.spacing) ** -2)


def rate_densities(
    accumulator: LagAccumulator[Key],
    factors: Sequence[float] | FloatArray = (),
    *,
    difference: bool = False,
) -> dict[Key, PowerBlocks]:
    """Densities of rates, times a factor for each run; with ``difference``, of increments, whose
    damping is divided out."""
    curves = densities(accumulator, factors)
    if not difference:
        return curves
    correction = increments_correction(accumulator.plan)
    return {name: curve.scaled(correction) for name, curve in curves.items()}


def increments_note(plan: SpectralPlan, quantity: str = "dipole") -> str:
    """What was done about increments, in one sentence."""
    return (
        f"frames hold differences of the {quantity} over Δt = {plan.spacing:g} fs: the spectrum "
        "was divided by (sin(x)/x)², x = ωΔt/2, which is "
        f"{1 / increments_correction(plan)[-1]:.3f} at the highest wavenumber"
    )


def decompose(
    curves: Mapping[Part, PowerBlocks], group_labels: Sequence[str] = (), molecules: bool = False
) -> dict[Part, PowerBlocks]:
    """Parts that add up to the total.

    Parameters
    ----------
    curves : of :func:`aptnn_md.spectra.estimation.parts.part_terms`
    group_labels, molecules : as there
    """
    parts = {
        part: curve.both_orders() if np.iscomplexobj(curve.values) else curve
        for part, curve in curves.items()
        if part != TOTAL
    }
    if not parts or (2 <= len(group_labels) <= MAX_PAIRED and not molecules):
        return parts
    rest = curves[TOTAL]
    for curve in parts.values():
        rest = rest.minus(curve)
    return parts | {INTERMOLECULAR if molecules else BETWEEN: rest}


def notes_of(blocks: PowerBlocks, quantity: str) -> tuple[str, ...]:
    """Notes that follow from a spectrum alone.

    Parameters
    ----------
    quantity : what it is, e.g. ``"absorption"``
    """
    notes = []
    highest, total = blocks.wavenumber[-1], blocks.mean.sum()
    share = float(blocks.mean[blocks.wavenumber > 0.9 * highest].sum() / total) if total else 0.0
    if share >= _ALIASED_SHARE:
        notes.append(
            f"{100 * share:.0f} % of the {quantity} lies within 10 % of the Nyquist wavenumber "
            f"{highest:.0f} cm⁻¹: with frames {blocks.plan.spacing:g} fs apart, faster vibrations "
            "may appear at wrong wavenumbers"
        )
    if len(blocks.weights) < ENOUGH_BLOCKS:
        notes.append(
            f"only {len(blocks.weights)} blocks: standard errors were increased after Student so "
            "that two of them hold 95 %, but know themselves badly"
        )
    return tuple(notes)


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


def _variance_shape(
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
