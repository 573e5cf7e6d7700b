"""Infrared absorption n(ν̃)α(ν̃) in cm⁻¹ from the dipole rate Ṁ(t)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from aptnn_md.arrays import AnyArray, FloatArray
from aptnn_md.errors import InputError
from aptnn_md.spectra.errors_of_mean import spectrum_standard_error, standard_error
from aptnn_md.spectra.power import PowerBlocks, check_lengths, power_blocks
from aptnn_md.units import F_SUM_PREFACTOR, IR_PREFACTOR

_POOLED_WIDTHS = 6
_ALIASED_SHARE = 0.01


@dataclass(frozen=True)
class SumRule:
    """∫ n(ν̃)α(ν̃) dν̃ over all wavenumbers, and what it must be.

    Attributes
    ----------
    found, standard_error : of the spectrum, cm⁻²
    expected : F_SUM_PREFACTOR/V ⟨f_sum⟩ for classical nuclei at the given temperature, cm⁻²;
        None where f_sum is unknown
    """

    found: float
    standard_error: float
    expected: float | None = None

    @property
    def ratio(self) -> float | None:
        """Found over expected: 1 within the error, or the temperature is not what was given."""
        return None if not self.expected else self.found / self.expected


@dataclass(frozen=True, eq=False)
class InfraredSpectrum:
    """An absorption spectrum with its error bars.

    Attributes
    ----------
    wavenumber : (n,) cm⁻¹, from 0 to the Nyquist wavenumber
    absorption : (n,) n(ν̃)α(ν̃), cm⁻¹: neperian absorption coefficient times refractive index
    standard_error : (n,) of the absorption, cm⁻¹
    resolution : full width at half maximum of a line without width, cm⁻¹
    temperature, volume : K, Å³
    spacing : time between frames, fs
    run_lengths : (n_runs,) fs
    n_segments : number of (half overlapping) segments that were averaged
    sum_rule : the integral
    blocks : spectra of the pieces of the data in ``blocks.values``, cm⁻¹
    group_labels : labels of the groups; empty where not asked for
    group_absorption : (n_groups, n) absorption of each group alone, cm⁻¹; the rest of the total
        are cross terms between groups
    notes : what the reader of the spectrum should know, one sentence each
    sources : names of the runs
    estimator : estimator of Ṁ
    """

    wavenumber: FloatArray
    absorption: FloatArray
    standard_error: FloatArray
    resolution: float
    temperature: float
    volume: float
    spacing: float
    run_lengths: tuple[float, ...]
    n_segments: int
    sum_rule: SumRule
    blocks: PowerBlocks
    group_labels: tuple[str, ...] = ()
    group_absorption: FloatArray | None = None
    notes: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    estimator: str = ""

    @property
    def length(self) -> float:
        """Length of all runs together, fs."""
        return sum(self.run_lengths)

    def integral(self, low: float, high: float) -> tuple[float, float]:
        """∫ n(ν̃)α(ν̃) dν̃ from ``low`` to ``high`` (cm⁻¹) and its standard error, cm⁻²."""
        weights = integration_weights(self.wavenumber, low, high)
        blocks = self.blocks
        error = standard_error(blocks.values @ weights, blocks.weights, blocks.runs)
        return float(self.absorption @ weights), float(error)


def infrared_spectrum(
    dipole_rates: Sequence[AnyArray],
    spacing: float,
    temperature: float,
    volume: float,
    resolution: float = 20.0,
    *,
    f_sum: float | None = None,
    group_labels: Sequence[str] = (),
    names: Sequence[str] = (),
) -> InfraredSpectrum:
    """Infrared spectrum of independent runs of one system.

    n(ω)α(ω) = 1/(6 k_B T V c ε₀) ∫dt e^{-iωt} ⟨Ṁ(0)·Ṁ(t)⟩ (SI; Eqs. 1 and 2 of P. Schienbein,
    J. Chem. Theory Comput. 19, 705 (2023)). The harmonic quantum correction βħω/(1 - e^{-βħω})
    is in it already. Ṁ itself enters, so no finite difference of a dipole damps high wavenumbers.

    Parameters
    ----------
    dipole_rates : (frames, 3) or (frames, n_groups, 3) for each run, e Å/fs; the total is the
        sum over groups; longer runs weigh more
    spacing : time between frames, fs
    temperature : K
    volume : Å³
    resolution : full width at half maximum of a line without width, cm⁻¹
    f_sum : ⟨Σᵢ Σ_αβ apt²/(3 mᵢ)⟩ of all atoms, e²/amu, for the f-sum rule
    group_labels : give each group's own spectrum, too, under these labels
    names : of the runs, for messages; default ``"run 1"`` and so on

    Raises
    ------
    InputError
        Values that are not positive or not finite, shapes that do not belong together, a run too
        short or frames too far apart for the resolution.
    """
    for field, value in {
        "spacing": spacing,
        "temperature": temperature,
        "volume": volume,
        "resolution": resolution,
    }.items():
        _check_positive(field, value)
    names = names or [f"run {number}" for number in range(1, len(dipole_rates) + 1)]
    runs = [_checked_run(name, run) for name, run in zip(names, dipole_rates, strict=True)]
    if not runs:
        raise InputError("spectrum", "dipole rates", "no runs", "one or more")
    n_groups = {run.shape[1] for run in runs}
    if len(n_groups) != 1 or (group_labels and n_groups != {len(group_labels)}):
        expected = len(group_labels) or "the same in all runs"
        raise InputError("spectrum", "number of groups", sorted(n_groups), expected)
    check_lengths({n: len(run) for n, run in zip(names, runs, strict=True)}, spacing, resolution)
    power = power_blocks(runs, spacing, resolution, keep_groups=bool(group_labels))
    blocks = _scaled(power, IR_PREFACTOR / (temperature * volume))
    return InfraredSpectrum(
        wavenumber=blocks.wavenumber,
        absorption=blocks.mean,
        standard_error=_standard_error(blocks),
        resolution=blocks.resolution,
        temperature=temperature,
        volume=volume,
        spacing=spacing,
        run_lengths=tuple(len(run) * spacing for run in runs),
        n_segments=blocks.n_segments,
        sum_rule=_sum_rule(blocks, None if f_sum is None else F_SUM_PREFACTOR / volume * f_sum),
        blocks=blocks,
        group_labels=tuple(group_labels),
        group_absorption=blocks.groups if group_labels else None,
        notes=_notes(blocks, spacing),
        sources=tuple(names),
    )


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


def _standard_error(blocks: PowerBlocks) -> FloatArray:
    step = blocks.wavenumber[1] - blocks.wavenumber[0]
    return spectrum_standard_error(
        blocks.values,
        blocks.weights,
        blocks.runs,
        max(1, round(_POOLED_WIDTHS * blocks.resolution / step)),
        blocks.gaussian_variance,
    )


def _sum_rule(blocks: PowerBlocks, expected: float | None) -> SumRule:
    weights = integration_weights(blocks.wavenumber, 0.0, blocks.wavenumber[-1])
    error = standard_error(blocks.values @ weights, blocks.weights, blocks.runs)
    return SumRule(float(blocks.mean @ weights), float(error), expected)


def _notes(blocks: PowerBlocks, spacing: float) -> tuple[str, ...]:
    highest = blocks.wavenumber[-1]
    total = blocks.mean.sum()
    share = float(blocks.mean[blocks.wavenumber > 0.9 * highest].sum() / total) if total else 0.0
    if share < _ALIASED_SHARE:
        return ()
    return (
        f"{100 * share:.0f} % of the absorption lies within 10 % of the Nyquist wavenumber "
        f"{highest:.0f} cm⁻¹: with frames {spacing:g} fs apart, faster vibrations may appear at "
        "wrong wavenumbers",
    )


def _scaled(power: PowerBlocks, factor: float) -> PowerBlocks:
    return replace(power, values=factor * power.values, groups=factor * power.groups)


def _check_positive(field: str, value: float | None) -> None:
    if value is None or not math.isfinite(value) or value <= 0:
        found = "nothing" if value is None else value
        raise InputError("spectrum", field, found, "a positive number")


def _checked_run(name: str, run: AnyArray) -> FloatArray:
    rates = np.asarray(run, dtype=np.float64)
    rates = rates[:, None, :] if rates.ndim == 2 else rates
    if rates.ndim != 3 or rates.shape[2] != 3 or rates.shape[1] == 0:
        expected = "(frames, 3) or (frames, groups, 3)"
        raise InputError(name, "dipole rate", f"shape {np.shape(run)}", expected)
    finite = np.isfinite(rates).all(axis=(1, 2))
    if not finite.all():
        frame = int(np.argmin(finite))
        raise InputError(f"{name}, frame {frame}", "dipole rate", "no number", "numbers")
    return rates
