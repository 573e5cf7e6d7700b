"""Infrared absorption from the dipole rate Ṁ(t): n(ν̃)α(ν̃) in cm⁻¹, or of a molecule in km/mol."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from aptnn_md.arrays import FloatArray
from aptnn_md.spectra.analysis.alarms import Alarm, Measured, error_alarms, f_sum_alarm
from aptnn_md.spectra.estimation.accumulate import LagAccumulator
from aptnn_md.spectra.estimation.densities import (
    decompose,
    increments_note,
    notes_of,
    rate_densities,
)
from aptnn_md.spectra.estimation.known_means import regressed
from aptnn_md.spectra.estimation.parts import part_terms
from aptnn_md.spectra.estimation.plan import SpectralPlan, plan_spectrum
from aptnn_md.spectra.estimation.power import PowerBlocks
from aptnn_md.spectra.estimation.runs import Run, feed_rates, of_each_run
from aptnn_md.spectra.estimation.terms import TOTAL, Part
from aptnn_md.spectra.infrared.intensity import absorption_factors, f_sum_factors, ordinate_of
from aptnn_md.spectra.options import InfraredOptions, chosen_for_arrays
from aptnn_md.spectra.output.ordinate import Ordinate


@dataclass(frozen=True)
class SumRule:
    """Integral of the absorption over all wavenumbers, and what it should be.

    Attributes
    ----------
    found, standard_error : of the spectrum, cm⁻²; of a molecule km/mol
    expected : F_SUM_PREFACTOR/V ⟨f_sum⟩ for classical nuclei at the given temperature, in the same
        unit; None where f_sum is unknown
    """

    found: float
    standard_error: float
    expected: float | None = None

    @property
    def ratio(self) -> float | None:
        """Found over expected: 1 within the error, or the temperature is not what was given."""
        return None if not self.expected else self.found / self.expected


def f_sum_alarms(rule: SumRule) -> tuple[Alarm, ...]:
    """An alarm where the f-sum ratio is not 1."""
    if rule.expected is None or rule.ratio is None:
        return ()
    alarm = f_sum_alarm(Measured(rule.ratio, rule.standard_error / rule.expected))
    return () if alarm is None else (alarm,)


@dataclass(frozen=True, eq=False)
class InfraredSpectrum:
    """An absorption spectrum with its error bars.

    Attributes
    ----------
    wavenumber : (n,) cm⁻¹, from 0 to the Nyquist wavenumber
    absorption : (n,) n(ν̃)α(ν̃), cm⁻¹: neperian absorption coefficient times refractive index; of a
        system without a volume the molar absorption of each molecule, km/mol per cm⁻¹
    standard_error : (n,) of the absorption
    resolution : full width at half maximum of an infinitely narrow line, cm⁻¹
    temperature : K
    volume : Å³; None: a molecule or cluster alone
    spacing : time between frames, fs
    run_lengths : (n_runs,) fs
    n_segments : number of (half overlapping) segments that were averaged
    sum_rule : the integral
    blocks : the absorption with its statistics
    parts : absorption of each part, with its statistics: of a group by its label, of a pair of
        groups by both labels; they add up to the total: see
        :mod:`aptnn_md.spectra.estimation.parts`
    notes : what the reader of the spectrum should know, one sentence each
    alarms : reasons not to trust the spectrum
    sources : names of the runs
    estimator : estimator of Ṁ
    n_beads : number of path-integral beads; 1 for classical nuclei
    quantum : quantum correction; the harmonic one is in the formula itself
    options : with which the streams were read; None: made of arrays, or changed afterwards
    n_molecules : by which the absorption of a system without a volume was divided
    """

    wavenumber: FloatArray
    absorption: FloatArray
    standard_error: FloatArray
    resolution: float
    temperature: float
    volume: float | None
    spacing: float
    run_lengths: tuple[float, ...]
    n_segments: int
    sum_rule: SumRule
    blocks: PowerBlocks
    parts: Mapping[Part, PowerBlocks] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    alarms: tuple[Alarm, ...] = ()
    sources: tuple[str, ...] = ()
    estimator: str = ""
    n_beads: int = 1
    quantum: str = "harmonic"
    options: InfraredOptions | None = None
    n_molecules: float = 1.0

    @property
    def ordinate(self) -> Ordinate:
        """What the absorption is, and its unit."""
        return ordinate_of(self.volume)

    @property
    def length(self) -> float:
        """Length of all runs together, fs."""
        return sum(self.run_lengths)

    def integral(self, low: float, high: float) -> tuple[float, float]:
        """Integral of the absorption from ``low`` to ``high`` (cm⁻¹) and its standard error, in
        cm⁻²; of a molecule in km/mol."""
        return self.blocks.integral(low, high)

    def mapped(self, operator: Callable[[PowerBlocks], PowerBlocks]) -> InfraredSpectrum:
        """A linear operator applied to the absorption and to its parts."""
        blocks = operator(self.blocks)
        rule = SumRule(*blocks.integral(0.0, blocks.wavenumber[-1]), self.sum_rule.expected)
        return replace(
            self,
            absorption=blocks.mean,
            standard_error=blocks.standard_error,
            sum_rule=rule,
            blocks=blocks,
            options=None,
            parts={name: operator(part) for name, part in self.parts.items()},
        )


@dataclass(frozen=True)
class Conditions:
    """Under which conditions runs were made; one value for each run.

    Attributes
    ----------
    temperature : K
    volume : Å³; None: a molecule or cluster alone
    f_sum : ⟨Σᵢ Σ_αβ apt²/(3 mᵢ)⟩ of all atoms, e²/amu, for the f-sum rule; None where unknown
    difference : frames hold increments of M over one spacing, divided by the spacing
    labels : of groups whose parts are wanted
    molecules : the groups are molecules: intra- and intermolecular parts
    n_molecules : in a system without a volume
    deviations : of quantities whose mean is known, (n_runs, n); see
        :mod:`aptnn_md.spectra.estimation.known_means`
    """

    temperature: tuple[float, ...]
    volume: tuple[float, ...] | None
    f_sum: tuple[float, ...] | None = None
    difference: bool = False
    labels: tuple[str, ...] = ()
    molecules: bool = False
    n_molecules: float = 1.0
    deviations: FloatArray | None = None


def infrared_spectrum(
    dipole_rates: Sequence[Run],
    spacing: float,
    temperature: float | Sequence[float],
    volume: float | Sequence[float] | None = None,
    resolution: float | None = None,
    options: InfraredOptions | None = None,
    *,
    f_sum: float | Sequence[float] | None = None,
    group_labels: Sequence[str] = (),
    difference: bool = False,
    names: Sequence[str] = (),
    **changes: Any,
) -> InfraredSpectrum:
    """Infrared spectrum of independent runs of one system.

    n(ω)α(ω) = 1/(6 k_B T V c ε₀) ∫dt e^{-iωt} ⟨Ṁ(0)·Ṁ(t)⟩ (SI; Eqs. 1 and 2 of P. Schienbein,
    J. Chem. Theory Comput. 19, 705 (2023)). The harmonic quantum correction βħω/(1 - e^{-βħω})
    is in it already. Ṁ itself enters, so no finite difference of a dipole damps high wavenumbers.
    Without a volume it is the molar absorption of a molecule: N_A V n(ω)α(ω) with n = 1.

    Parameters
    ----------
    dipole_rates : (frames, 3) or (frames, n_groups, 3) for each run, e Å/fs, or iterables of
        such pieces in order; the total is the sum over groups; longer runs weigh more
    spacing : time between frames, fs
    temperature : K; of all runs, or of each
    volume : Å³; of all runs, or of each; None: a molecule or cluster alone
    resolution : full width at half maximum of an infinitely narrow line, cm⁻¹; default: that of
        the options
    options : how the spectrum is estimated; settings that belong to streams are refused
    f_sum : ⟨Σᵢ Σ_αβ apt²/(3 mᵢ)⟩ of all atoms, e²/amu, for the f-sum rule; of all runs, or of each
    group_labels : of the groups: give the parts of the spectrum, too; see
        :mod:`aptnn_md.spectra.estimation.parts`
    difference : frames hold (M(t) - M(t - spacing))/spacing; their damping is divided out
    names : of the runs, for messages; default ``"run 1"`` and so on
    changes : fields of the options, e.g. ``method="blackman-tukey"``

    Raises
    ------
    InputError
        Values that are not positive or not finite, shapes that do not belong together, a run too
        short or frames too far apart for the resolution.
    """
    settings = chosen_for_arrays(InfraredOptions, options, resolution, changes)
    n_runs, labels = len(dipole_rates), tuple(group_labels) if settings.parts else ()
    conditions = Conditions(
        of_each_run("temperature", temperature, n_runs),
        None if volume is None else of_each_run("volume", volume, n_runs),
        None if f_sum is None else of_each_run("f_sum", f_sum, n_runs, zero=True),
        difference,
        labels,
        settings.molecules and settings.parts,
        settings.n_molecules or 1.0,
    )
    plan = plan_spectrum(settings, spacing)
    accumulator = feed_rates(
        dipole_rates,
        "dipole rate",
        3,
        lambda n: infrared_accumulator(plan, len(labels) or n, labels, conditions.molecules),
        names=names,
    )
    return infrared_of(accumulator, conditions)


def infrared_accumulator(
    plan: SpectralPlan,
    n_groups: int,
    group_labels: Sequence[str] = (),
    molecules: bool = False,
) -> LagAccumulator[Part]:
    """An accumulator of Ṁ that :func:`infrared_of` turns into a spectrum."""
    terms = part_terms(n_groups, group_labels, molecules)
    return LagAccumulator(plan, terms, n_groups, "dipole rate")


def infrared_of(accumulator: LagAccumulator[Part], conditions: Conditions) -> InfraredSpectrum:
    """Spectrum of what an accumulator was fed; see :func:`infrared_spectrum`."""
    temperature, volume = conditions.temperature, conditions.volume
    plan, n_molecules = accumulator.plan, conditions.n_molecules
    factors = absorption_factors(temperature, volume, n_molecules)
    curves = rate_densities(accumulator, factors, difference=conditions.difference)
    if conditions.deviations is not None:
        curves = regressed(curves, conditions.deviations)
    notes = (increments_note(plan),) if conditions.difference else ()
    blocks = curves[TOTAL]
    frames = np.array(list(accumulator.run_frames.values()))
    expected = None
    if conditions.f_sum is not None:
        strengths = f_sum_factors(volume, n_molecules) * np.array(conditions.f_sum)
        expected = float(np.average(strengths, weights=frames))
    rule = SumRule(*blocks.integral(0.0, blocks.wavenumber[-1]), expected)
    return InfraredSpectrum(
        wavenumber=blocks.wavenumber,
        absorption=blocks.mean,
        standard_error=blocks.standard_error,
        resolution=blocks.resolution,
        temperature=float(np.average(temperature, weights=frames)),
        volume=None if volume is None else float(np.average(volume, weights=frames)),
        spacing=plan.spacing,
        run_lengths=tuple(float(n) * plan.spacing for n in frames),
        n_segments=blocks.n_segments,
        sum_rule=rule,
        blocks=blocks,
        alarms=(*f_sum_alarms(rule), *error_alarms(blocks)),
        parts=decompose(curves, conditions.labels, conditions.molecules),
        notes=(*notes, *notes_of(blocks, "absorption")),
        sources=tuple(accumulator.run_frames),
        n_molecules=1.0 if volume is not None else n_molecules,
    )
