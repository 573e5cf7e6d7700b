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
from dataclasses import dataclass, field, replace

import numpy as np

from aptnn_md.arrays import FloatArray
from aptnn_md.errors import InputError
from aptnn_md.spectra.estimation.accumulate import LagAccumulator
from aptnn_md.spectra.estimation.increments import increments_note, rate_densities
from aptnn_md.spectra.estimation.notes import notes_of
from aptnn_md.spectra.estimation.parts import decompose, part_terms
from aptnn_md.spectra.estimation.plan import (
    SpectralPlan,
    check_positive,
    of_each_run,
    plan_spectrum,
)
from aptnn_md.spectra.estimation.power import PowerBlocks, integration_weights
from aptnn_md.spectra.estimation.runs import Run, feed_rates
from aptnn_md.spectra.estimation.terms import TOTAL, Term, restricted
from aptnn_md.spectra.raman.polarizability import (
    ANISOTROPIC,
    COMPONENTS,
    ISOTROPIC,
    component_index,
    coordinates,
)
from aptnn_md.units import RAMAN_PREFACTOR

REDUCED_UNIT = "Å⁴/amu per cm⁻¹"

_ISOTROPIC, _ANISOTROPIC = "isotropic", "anisotropic"
_SEPARATOR = "|"


@dataclass(frozen=True, eq=False)
class RamanCurves:
    """The Raman spectrum of a system or of a part of it, in one unit.

    Attributes
    ----------
    isotropic : 45 ā², with its statistics
    anisotropic : γ²
    components : name -> 45 times a single component, of oriented samples
    """

    isotropic: PowerBlocks
    anisotropic: PowerBlocks
    components: Mapping[str, PowerBlocks] = field(default_factory=dict)

    @property
    def polarised(self) -> PowerBlocks:
        """VV, 45 ā² + 4 γ²."""
        return self.isotropic.plus(self.anisotropic.scaled(4.0))

    @property
    def depolarised(self) -> PowerBlocks:
        """VH, 3 γ²."""
        return self.anisotropic.scaled(3.0)

    @property
    def unpolarised(self) -> PowerBlocks:
        """VV + VH, 45 ā² + 7 γ²."""
        return self.isotropic.plus(self.anisotropic.scaled(7.0))

    @property
    def named(self) -> dict[str, PowerBlocks]:
        """All of them by name."""
        return {
            _ISOTROPIC: self.isotropic,
            _ANISOTROPIC: self.anisotropic,
            "VV": self.polarised,
            "VH": self.depolarised,
            "unpolarised": self.unpolarised,
            **self.components,
        }

    def depolarisation(self) -> tuple[FloatArray, FloatArray]:
        """ρ = 3γ²/(45ā² + 4γ²) at each wavenumber and its standard error, (n,) each."""
        return self.depolarised.ratio(self.polarised)

    def band_depolarisation(self, low: float, high: float) -> tuple[float, float]:
        """ρ of the integrals from ``low`` to ``high`` (cm⁻¹), and its standard error."""
        weights = integration_weights(self.isotropic.wavenumber, low, high)[:, None]
        value, error = self.depolarised.ratio(self.polarised, weights)
        return float(value[0]), float(error[0])

    def mapped(self, operator: Callable[[PowerBlocks], PowerBlocks]) -> RamanCurves:
        """A linear operator applied to all curves."""
        return RamanCurves(
            operator(self.isotropic),
            operator(self.anisotropic),
            {name: operator(curve) for name, curve in self.components.items()},
        )


@dataclass(frozen=True, eq=False)
class RamanSpectrum:
    """A Raman spectrum with its error bars.

    Attributes
    ----------
    total : of the whole system
    parts : name -> of a part; parts add up to the total: see
        :mod:`aptnn_md.spectra.estimation.parts`
    temperature : K
    spacing : time between frames, fs
    run_lengths : (n_runs,) fs
    unit : of all curves but ρ
    n_molecules : by which all curves were divided
    laser : wavenumber of the laser, cm⁻¹; None for the reduced form
    counting : photons are counted, not their energy
    notes : what the reader of the spectrum should know, one sentence each
    sources : names of the runs
    estimator : estimator of ȧ
    n_beads : number of path-integral beads; 1 for classical nuclei
    quantum : quantum correction; the harmonic one is in the formula itself
    """

    total: RamanCurves
    parts: Mapping[str, RamanCurves]
    temperature: float
    spacing: float
    run_lengths: tuple[float, ...]
    unit: str = REDUCED_UNIT
    n_molecules: float = 1.0
    laser: float | None = None
    counting: bool = False
    notes: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    estimator: str = ""
    n_beads: int = 1
    quantum: str = "harmonic"

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
        """Full width at half maximum of a line without width, cm⁻¹."""
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
        parts = {name: curves.mapped(operator) for name, curves in self.parts.items()}
        return replace(self, total=self.total.mapped(operator), parts=parts)


def raman_spectrum(
    polarizability_rates: Sequence[Run],
    spacing: float,
    temperature: float | Sequence[float],
    resolution: float = 20.0,
    *,
    method: str = "welch",
    window: str = "hann",
    unbiased: bool = True,
    components: Sequence[str] = (),
    n_molecules: float = 1.0,
    group_labels: Sequence[str] = (),
    molecules: bool = False,
    difference: bool = False,
    names: Sequence[str] = (),
) -> RamanSpectrum:
    """Reduced Raman spectrum of independent runs of one system; see
    :mod:`aptnn_md.spectra.raman.spectrum`.

    Parameters
    ----------
    polarizability_rates : (frames, 6) or (frames, n_groups, 6) for each run, Å³/fs, components xx,
        yy, zz, yz, xz, xy, or iterables of such pieces in order; longer runs weigh more
    spacing : time between frames, fs
    temperature : K; of all runs, or of each
    resolution : full width at half maximum of a line without width, cm⁻¹
    method, window, unbiased : see :class:`aptnn_md.spectra.estimation.plan.SpectralPlan`
    components : single components to give, too, e.g. ``("zz", "xy")``
    n_molecules : divide by this number of molecules in the system
    group_labels : give the parts of the spectrum, too; see :mod:`aptnn_md.spectra.estimation.parts`
    molecules : the labels are those of molecules: intra- and intermolecular parts
    difference : frames hold (a(t) - a(t - spacing))/spacing; their damping is divided out
    names : of the runs, for messages; default ``"run 1"`` and so on

    Raises
    ------
    InputError
        Values that are not positive or not finite, shapes that do not belong together, an unknown
        component, a run too short or frames too far apart for the resolution.
    """
    n_runs = len(polarizability_rates)
    temperatures = of_each_run("temperature", temperature, n_runs)
    plan = plan_spectrum(resolution, spacing, method, window, unbiased=unbiased)
    accumulator = feed_rates(
        polarizability_rates,
        "polarizability rate",
        len(COMPONENTS),
        lambda n: raman_accumulator(
            plan, len(group_labels) or n, group_labels, molecules, components
        ),
        lambda rates: coordinates(rates, components),
        names,
    )
    return raman_of(
        accumulator,
        temperatures,
        group_labels,
        components,
        n_molecules=n_molecules,
        difference=difference,
    )


def raman_accumulator(
    plan: SpectralPlan,
    n_groups: int,
    group_labels: Sequence[str] = (),
    molecules: bool = False,
    components: Sequence[str] = (),
) -> LagAccumulator:
    """An accumulator of :func:`aptnn_md.spectra.raman.polarizability.coordinates` of ȧ, which
    :func:`raman_of` turns into a spectrum."""
    parts = part_terms(n_groups, group_labels, molecules)
    terms: dict[str, Term] = {}
    for channel, numbers in _channels(components).items():
        terms |= {
            f"{channel}{_SEPARATOR}{name}": term
            for name, term in restricted(parts, numbers).items()
        }
    return LagAccumulator(plan, terms, n_groups, "polarizability rate")


def raman_of(
    accumulator: LagAccumulator,
    temperatures: Sequence[float],
    group_labels: Sequence[str] = (),
    components: Sequence[str] = (),
    *,
    n_molecules: float = 1.0,
    difference: bool = False,
) -> RamanSpectrum:
    """Spectrum of what an accumulator was fed; see :func:`raman_spectrum`."""
    check_positive("number of molecules", n_molecules)
    factors = RAMAN_PREFACTOR / (n_molecules * np.array(temperatures))
    curves = raman_densities(accumulator, components, factors, difference=difference)
    channels = {name: decompose(found, group_labels) for name, found in curves.items()}
    frames = np.array(list(accumulator.run_frames.values()))
    total = _curves({name: found[TOTAL] for name, found in curves.items()})
    notes = (increments_note(accumulator.plan, "polarizability"),) if difference else ()
    return RamanSpectrum(
        total=total,
        parts={
            part: _curves({name: found[part] for name, found in channels.items()})
            for part in channels[_ISOTROPIC]
        },
        temperature=float(np.average(temperatures, weights=frames)),
        spacing=accumulator.plan.spacing,
        run_lengths=tuple(float(n) * accumulator.plan.spacing for n in frames),
        n_molecules=n_molecules,
        notes=(*notes, *notes_of(total.unpolarised, "activity")),
        sources=tuple(accumulator.run_frames),
    )


def raman_densities(
    accumulator: LagAccumulator,
    components: Sequence[str] = (),
    factors: Sequence[float] | FloatArray = (),
    *,
    difference: bool = False,
) -> dict[str, dict[str, PowerBlocks]]:
    """Densities of what an accumulator was fed: isotropic, anisotropic, components -> term ->
    density, times a factor for each run."""
    found = rate_densities(accumulator, tuple(factors), difference=difference)
    channels: dict[str, dict[str, PowerBlocks]] = {}
    for channel, numbers in _channels(components).items():
        # variances of sums of squares: each of n equal ones tells the same, so 1/n of them is left
        channels[channel] = {
            name.partition(_SEPARATOR)[2]: replace(curve, shape=curve.shape / len(numbers))
            for name, curve in found.items()
            if name.partition(_SEPARATOR)[0] == channel
        }
    return channels


def unpolarised_density(accumulator: LagAccumulator, *, difference: bool = False) -> PowerBlocks:
    """Density of 45 ā̇² + 7 γ̇², Å⁶/fs, of what an accumulator was fed."""
    curves = raman_densities(accumulator, difference=difference)
    return _curves({name: found[TOTAL] for name, found in curves.items()}).unpolarised


def _channels(components: Sequence[str]) -> dict[str, tuple[int, ...]]:
    """Name -> numbers of the coordinates."""
    found = {_ISOTROPIC: ISOTROPIC, _ANISOTROPIC: ANISOTROPIC}
    for number, name in enumerate(components, start=len(COMPONENTS)):
        component_index(name)
        if name in found:
            raise InputError("spectrum", "components", f"{name} twice", "each of them once")
        found[name] = (number,)
    return found


def _curves(channels: Mapping[str, PowerBlocks]) -> RamanCurves:
    single = {n: c for n, c in channels.items() if n not in (_ISOTROPIC, _ANISOTROPIC)}
    return RamanCurves(channels[_ISOTROPIC], channels[_ANISOTROPIC], single)
