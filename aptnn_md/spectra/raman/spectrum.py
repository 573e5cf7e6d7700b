"""Raman spectra from the polarizability rate ȧ(t): activity in each wavenumber.

Of light scattered by a system that is turned in all directions (liquids, gases, powders) two
invariants of ȧ are all that matters, the mean ā = tr a/3 and the anisotropy γ²
(:mod:`aptnn_md.spectra.raman.polarizability`). The *reduced* spectrum of either is

    R(ν̃) = 2c/(k_B T) ∫dt e^{-iωt} ⟨ȧ(0) ȧ(t)⟩,  ω = 2πcν̃,

in Å⁴/amu per cm⁻¹, with 45⟨ā̇(0)ā̇(t)⟩ for the isotropic one and, for the anisotropic one, the
bilinear form that belongs to γ². Temperature and the choice of light do not enter a harmonic
system's: the integral of each of its lines is 45(∂ā/∂Q)², or γ² of ∂a/∂Q, the parts of its Raman
activity. From the two follow (D. A. Long, The Raman Effect, Wiley 2002)

=================  ===========  =======================================================
polarised, VV      45ā² + 4γ²   scattered light polarised like the laser
depolarised, VH    3γ²          perpendicular to it
unpolarised        45ā² + 7γ²   both together
depolarisation ρ   VH/VV        0 for isotropic changes of a, at most 3/4
=================  ===========  =======================================================

Single components of oriented samples, e.g. of a crystal, are 45 R of ȧ_xx, ȧ_xy, ...: for a sample
without orientation xx is VV and xy is VH. Frames of reference are those of the stream.

Quantum effects: what is measured is the spectrum of the quantum correlation of a(t) itself. The
harmonic correction βħω/(1 - e^{-βħω}) turns a classical correlation into it, and is exact for the
Kubo-transformed correlation that path integrals approximate;
:mod:`aptnn_md.spectra.raman.scattering` has it built in when it makes the *measured* form of R.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np

from aptnn_md.arrays import FloatArray
from aptnn_md.errors import InputError
from aptnn_md.spectra.analysis.alarms import Alarm
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
from aptnn_md.spectra.options import RamanOptions, chosen_for_arrays
from aptnn_md.spectra.output.ordinate import Ordinate
from aptnn_md.spectra.raman.curves import ANISOTROPIC, ISOTROPIC, RamanCurves
from aptnn_md.spectra.raman.forms import ACTIVITY
from aptnn_md.spectra.raman.polarizability import (
    ANISOTROPIC_COORDINATES,
    COMPONENTS,
    ISOTROPIC_COORDINATES,
    component_index,
    coordinates,
)
from aptnn_md.units import RAMAN_PREFACTOR

ChannelTerm: TypeAlias = tuple[str, Part]
"""Key of a term: isotropic, anisotropic or the name of a component, and a part."""


@dataclass(frozen=True, eq=False)
class RamanSpectrum:
    """A Raman spectrum with its error bars.

    Attributes
    ----------
    total : of the whole system
    parts : of a group by its label, of a pair of groups by both labels; parts add up to the
        total: see :mod:`aptnn_md.spectra.estimation.parts`
    temperature : K
    spacing : time between frames, fs
    run_lengths : (n_runs,) fs
    ordinate : what all curves but ρ are
    n_molecules : by which all curves were divided
    laser : wavenumber of the laser, cm⁻¹; None for the reduced form
    counting : photons are counted, not their energy
    notes : what the reader of the spectrum should know, one sentence each
    alarms : reasons not to trust the spectrum
    sources : names of the runs
    estimator : estimator of ȧ
    n_beads : number of path-integral beads; 1 for classical nuclei
    quantum : quantum correction; the harmonic one is in the formula itself
    isolated : of a molecule or cluster alone, whose streams have no volume
    """

    total: RamanCurves
    parts: Mapping[Part, RamanCurves]
    temperature: float
    spacing: float
    run_lengths: tuple[float, ...]
    ordinate: Ordinate = ACTIVITY
    n_molecules: float = 1.0
    laser: float | None = None
    counting: bool = False
    notes: tuple[str, ...] = ()
    alarms: tuple[Alarm, ...] = ()
    sources: tuple[str, ...] = ()
    estimator: str = ""
    n_beads: int = 1
    quantum: str = "harmonic"
    isolated: bool = False

    @property
    def unit(self) -> str:
        """Of all curves but ρ."""
        return self.ordinate.unit

    @property
    def blocks(self) -> PowerBlocks:
        """The unpolarised spectrum with its statistics."""
        return self.total.unpolarised

    @property
    def wavenumber(self) -> FloatArray:
        """(n,) cm⁻¹."""
        return self.total.isotropic.wavenumber

    @property
    def plan(self) -> SpectralPlan:
        """Method, window and lengths."""
        return self.total.isotropic.plan

    @property
    def resolution(self) -> float:
        """Full width at half maximum of an infinitely narrow line, cm⁻¹."""
        return self.plan.resolution

    @property
    def n_segments(self) -> int:
        """Number of segments that were averaged."""
        return self.total.isotropic.n_segments

    @property
    def length(self) -> float:
        """Length of all runs together, fs."""
        return sum(self.run_lengths)

    def mapped(self, operator: Callable[[PowerBlocks], PowerBlocks]) -> RamanSpectrum:
        """A linear operator applied to all curves."""
        parts = {part: curves.mapped(operator) for part, curves in self.parts.items()}
        return replace(self, total=self.total.mapped(operator), parts=parts)


@dataclass(frozen=True)
class RamanConditions:
    """Under which conditions runs were made, and what is asked of them.

    Attributes
    ----------
    temperature : K, of each run
    difference : frames hold increments of the polarizability over one spacing, divided by it
    labels : of groups whose parts are wanted
    options : molecules, components, number of molecules
    deviations : of quantities whose mean is known, (n_runs, n); see
        :mod:`aptnn_md.spectra.estimation.known_means`
    """

    temperature: tuple[float, ...]
    difference: bool
    labels: tuple[str, ...]
    options: RamanOptions
    deviations: FloatArray | None = None


def raman_spectrum(
    polarizability_rates: Sequence[Run],
    spacing: float,
    temperature: float | Sequence[float],
    resolution: float | None = None,
    options: RamanOptions | None = None,
    *,
    group_labels: Sequence[str] = (),
    difference: bool = False,
    names: Sequence[str] = (),
    **changes: Any,
) -> RamanSpectrum:
    """Reduced Raman spectrum of independent runs of one system; see
    :mod:`aptnn_md.spectra.raman.spectrum`.

    Parameters
    ----------
    polarizability_rates : (frames, 6) or (frames, n_groups, 6) for each run, Å³/fs, components xx,
        yy, zz, yz, xz, xy, or iterables of such pieces in order; longer runs weigh more
    spacing : time between frames, fs
    temperature : K; of all runs, or of each
    resolution : full width at half maximum of an infinitely narrow line, cm⁻¹; default: that of
        the options
    options : how the spectrum is estimated; settings that belong to streams are refused
    group_labels : give the parts of the spectrum, too; see :mod:`aptnn_md.spectra.estimation.parts`
    difference : frames hold (a(t) - a(t - spacing))/spacing; their damping is divided out
    names : of the runs, for messages; default ``"run 1"`` and so on
    changes : fields of the options, e.g. ``components=("zz", "xy")``

    Raises
    ------
    InputError
        Values that are not positive or not finite, shapes that do not belong together, an unknown
        component, a run too short or frames too far apart for the resolution.
    """
    settings = chosen_for_arrays(RamanOptions, options, resolution, changes)
    labels = tuple(group_labels) if settings.parts else ()
    temperatures = of_each_run("temperature", temperature, len(polarizability_rates))
    plan = plan_spectrum(settings, spacing)
    accumulator = feed_rates(
        polarizability_rates,
        "polarizability rate",
        len(COMPONENTS),
        lambda n: raman_accumulator(plan, len(labels) or n, labels, settings),
        lambda rates: coordinates(rates, settings.components),
        names,
    )
    return raman_of(accumulator, RamanConditions(temperatures, difference, labels, settings))


def raman_accumulator(
    plan: SpectralPlan, n_groups: int, group_labels: Sequence[str], options: RamanOptions
) -> LagAccumulator[ChannelTerm]:
    """An accumulator of :func:`aptnn_md.spectra.raman.polarizability.coordinates` of ȧ, which
    :func:`raman_of` turns into a spectrum."""
    parts = part_terms(n_groups, group_labels, options.molecules and options.parts)
    terms = {
        (channel, part): replace(term, components=numbers)
        for channel, numbers in _channels(options.components).items()
        for part, term in parts.items()
    }
    return LagAccumulator(plan, terms, n_groups, "polarizability rate")


def raman_of(
    accumulator: LagAccumulator[ChannelTerm], conditions: RamanConditions
) -> RamanSpectrum:
    """Spectrum of what an accumulator was fed; see :func:`raman_spectrum`."""
    options, temperatures = conditions.options, conditions.temperature
    factors = RAMAN_PREFACTOR / (options.n_molecules * np.array(temperatures))
    curves = raman_densities(
        accumulator, options.components, factors, difference=conditions.difference
    )
    known = conditions.deviations
    if known is not None:
        curves = {name: regressed(found, known) for name, found in curves.items()}
    molecules = options.molecules and options.parts
    channels = {
        name: decompose(found, conditions.labels, molecules) for name, found in curves.items()
    }
    frames = np.array(list(accumulator.run_frames.values()))
    total = _curves({name: found[TOTAL] for name, found in curves.items()})
    plan = accumulator.plan
    notes = (increments_note(plan, "polarizability"),) if conditions.difference else ()
    return RamanSpectrum(
        total=total,
        parts={
            part: _curves({name: found[part] for name, found in channels.items()})
            for part in channels[ISOTROPIC]
        },
        temperature=float(np.average(temperatures, weights=frames)),
        spacing=plan.spacing,
        run_lengths=tuple(float(n) * plan.spacing for n in frames),
        n_molecules=options.n_molecules,
        notes=(*notes, *notes_of(total.unpolarised, "activity")),
        sources=tuple(accumulator.run_frames),
    )


def raman_densities(
    accumulator: LagAccumulator[ChannelTerm],
    components: Sequence[str] = (),
    factors: Sequence[float] | FloatArray = (),
    *,
    difference: bool = False,
) -> dict[str, dict[Part, PowerBlocks]]:
    """Densities of what an accumulator was fed: isotropic, anisotropic, components -> part ->
    density, times a factor for each run."""
    found = rate_densities(accumulator, factors, difference=difference)
    channels: dict[str, dict[Part, PowerBlocks]] = {}
    for channel, numbers in _channels(components).items():
        # variances of sums of squares: each of n equal ones tells the same, so 1/n of them is left
        channels[channel] = {
            part: replace(curve, variance_shape=curve.variance_shape / len(numbers))
            for (of, part), curve in found.items()
            if of == channel
        }
    return channels


def unpolarised_density(
    accumulator: LagAccumulator[ChannelTerm], *, difference: bool = False
) -> PowerBlocks:
    """Density of 45 ā̇² + 7 γ̇², Å⁶/fs, of what an accumulator was fed."""
    curves = raman_densities(accumulator, difference=difference)
    return _curves({name: found[TOTAL] for name, found in curves.items()}).unpolarised


def _channels(components: Sequence[str]) -> dict[str, tuple[int, ...]]:
    """Name -> numbers of the coordinates."""
    found = {ISOTROPIC: ISOTROPIC_COORDINATES, ANISOTROPIC: ANISOTROPIC_COORDINATES}
    for number, name in enumerate(components, start=len(COMPONENTS)):
        component_index(name)
        if name in found:
            raise InputError("spectrum", "components", f"{name} twice", "each of them once")
        found[name] = (number,)
    return found


def _curves(channels: Mapping[str, PowerBlocks]) -> RamanCurves:
    single = {n: c for n, c in channels.items() if n not in (ISOTROPIC, ANISOTROPIC)}
    return RamanCurves(channels[ISOTROPIC], channels[ANISOTROPIC], single)
