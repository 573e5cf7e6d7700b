"""Velocity spectra (vibrational densities of states) of groups of atoms.

D(ν̃) = 2c/(k_B T) Σᵢ mᵢ ∫dt e^{-iωt} ⟨vᵢ(0)·vᵢ(t)⟩ counts degrees of freedom: its integral over
ν̃ ≥ 0 is Σᵢ mᵢ⟨vᵢ²⟩/(k_B T), which by equipartition is 3 for each atom, less the share of what does
not move, such as the centre of mass of a run that holds it. There are no cross terms between
atoms, so groups add up to the total.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from aptnn_md.arrays import AnyArray, FloatArray, IntArray
from aptnn_md.errors import InputError
from aptnn_md.spectra.analysis.alarms import Alarm
from aptnn_md.spectra.estimation.accumulate import LagAccumulator
from aptnn_md.spectra.estimation.densities import densities
from aptnn_md.spectra.estimation.plan import SpectralPlan, plan_spectrum
from aptnn_md.spectra.estimation.power import PowerBlocks
from aptnn_md.spectra.estimation.runs import Run, pieces_of, run_names
from aptnn_md.spectra.estimation.terms import TOTAL, Alone, Term
from aptnn_md.spectra.options import VelocityOptions, check_positive, chosen_for_arrays
from aptnn_md.units import AMU_A2_PER_FS2_EV, BOLTZMANN_EV_PER_K, LIGHT_SPEED_CM_PER_FS

_AT_REST = 1e-3

GroupTerm: TypeAlias = int | tuple[str, ...]
"""Key of a term: the number of a group of atoms, or the total."""


@dataclass(frozen=True)
class Freedom:
    """Degrees of freedom of a group of atoms.

    Attributes
    ----------
    n_atoms : number of atoms
    found, standard_error : integral of the spectrum
    expected : 3 for each atom, less what is fixed and the share of a centre of mass at rest; None
        where constraints between atoms leave it unknown
    """

    n_atoms: int
    found: float
    standard_error: float
    expected: float | None


@dataclass(frozen=True, eq=False)
class VelocitySpectrum:
    """Velocity spectra of groups of atoms and of all.

    Attributes
    ----------
    wavenumber : (n,) cm⁻¹
    total : D(ν̃) of all atoms with its statistics, degrees of freedom per cm⁻¹
    groups : label -> D(ν̃) of a group
    freedom : label -> degrees of freedom of a group
    total_freedom : degrees of freedom of all atoms
    temperature : K
    plan : how it was computed
    run_lengths : (n_runs,) fs
    n_beads : number of path-integral beads: velocities are those of the centroids
    notes : what the reader should know
    sources : names of the runs
    alarms : reasons not to trust the spectrum
    """

    wavenumber: FloatArray
    total: PowerBlocks
    groups: Mapping[str, PowerBlocks]
    freedom: Mapping[str, Freedom]
    total_freedom: Freedom
    temperature: float
    plan: SpectralPlan
    run_lengths: tuple[float, ...]
    n_beads: int = 1
    notes: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    alarms: tuple[Alarm, ...] = ()

    @property
    def spacing(self) -> float:
        """Time between frames, fs."""
        return self.plan.spacing

    @property
    def resolution(self) -> float:
        """Full width at half maximum of an infinitely narrow line, cm⁻¹."""
        return self.plan.resolution


@dataclass(frozen=True)
class AtomGroups:
    """Atoms and the group of each.

    Attributes
    ----------
    masses : (n_atoms,) amu
    labels : of the groups
    index : (n_atoms,) number of the group of each atom
    freedom : (n_atoms,) degrees of freedom of each atom, 3 where it is free, 0 where it is fixed;
        negative where constraints between atoms leave them unknown
    """

    masses: FloatArray
    labels: tuple[str, ...]
    index: IntArray
    freedom: FloatArray


@dataclass(frozen=True)
class VelocityRuns:
    """What is known of runs besides their velocities.

    Attributes
    ----------
    names : of the runs
    n_frames : of each
    temperature : of all of them together, K
    """

    names: tuple[str, ...]
    n_frames: tuple[int, ...]
    temperature: float


class VelocityAccumulator:
    """Σ m S(v) of some atoms, by group and of all, and the momentum of all atoms.

    Parameters
    ----------
    plan : method, window, lengths
    atoms : all of them
    chosen : those whose velocities are correlated
    """

    def __init__(self, plan: SpectralPlan, atoms: AtomGroups, chosen: slice = slice(None)) -> None:
        self._masses, self._chosen = atoms.masses, chosen
        masses, index = atoms.masses[chosen], atoms.index[chosen]
        terms: dict[GroupTerm, Term] = {TOTAL: Alone(masses)}
        for number in range(len(atoms.labels)):
            terms[number] = Alone(np.where(index == number, masses, 0.0))
        self.lags = LagAccumulator(plan, terms, len(masses), "velocity")
        self._squares = 0.0

    def feed(self, run: int, piece: AnyArray) -> None:
        """Add the next frames of a run, (frames, n_atoms, 3) Å/fs.

        Raises
        ------
        InputError
            The shape is wrong, or a value is not finite.
        """
        velocities = np.asarray(piece, dtype=np.float64)
        if velocities.ndim != 3 or velocities.shape[1:] != (len(self._masses), 3):
            name = list(self.lags.run_frames)[run]
            expected = f"(frames, {len(self._masses)}, 3)"
            raise InputError(name, "velocity", f"shape {np.shape(piece)}", expected)
        self.lags.feed(run, velocities[:, self._chosen])
        self._squares += float((np.tensordot(velocities, self._masses, axes=(1, 0)) ** 2).sum())

    def result(self) -> dict[GroupTerm, PowerBlocks]:
        """Densities of what was fed."""
        return densities(self.lags)

    @property
    def momentum(self) -> float:
        """Mean square momentum of all atoms over what it is where the centre of mass moves freely,
        times the temperature, K."""
        scale = AMU_A2_PER_FS2_EV / (3.0 * self._masses.sum() * BOLTZMANN_EV_PER_K)
        return float(scale * self._squares / max(1, sum(self.lags.run_frames.values())))


def velocity_spectrum(
    velocities: Sequence[Run],
    spacing: float,
    masses: Sequence[float] | FloatArray,
    temperature: float,
    resolution: float | None = None,
    options: VelocityOptions | None = None,
    *,
    labels: Sequence[str] = (),
    names: Sequence[str] = (),
    **changes: Any,
) -> VelocitySpectrum:
    """Velocity spectra of independent runs of one system.

    Parameters
    ----------
    velocities : (frames, n_atoms, 3) for each run, Å/fs, or iterables of such pieces in order
    spacing : time between frames, fs
    masses : (n_atoms,) amu
    temperature : K
    resolution : full width at half maximum of an infinitely narrow line, cm⁻¹; default: that of
        the options
    options : how the spectrum is estimated; settings that belong to streams are refused
    labels : (n_atoms,) of the group of each atom; default: one group ``"all"``
    names : of the runs, for messages; default ``"run 1"`` and so on
    changes : fields of the options, e.g. ``window="gaussian"``

    Raises
    ------
    InputError
        Values that are not positive or not finite, shapes that do not belong together, or a run
        too short for the resolution.
    """
    settings = chosen_for_arrays(VelocityOptions, options, resolution, changes)
    check_positive("temperature", temperature)
    plan = plan_spectrum(settings, spacing)
    atoms = _atom_groups(masses, labels)
    accumulator = VelocityAccumulator(plan, atoms)
    for name, run in zip(run_names(velocities, names), velocities, strict=True):
        number = accumulator.lags.add_run(name)
        for piece in pieces_of(run):
            accumulator.feed(number, piece)
    curves = accumulator.result()
    frames = accumulator.lags.run_frames
    runs = VelocityRuns(tuple(frames), tuple(frames.values()), temperature)
    return velocities_of(curves, atoms, plan, runs, accumulator.momentum)


def velocities_of(
    curves: Mapping[GroupTerm, PowerBlocks],
    atoms: AtomGroups,
    plan: SpectralPlan,
    runs: VelocityRuns,
    momentum: float,
) -> VelocitySpectrum:
    """Spectra of the densities of all atoms; see :func:`velocity_spectrum`.

    Parameters
    ----------
    momentum : see :attr:`VelocityAccumulator.momentum`
    """
    factor = 2.0 * LIGHT_SPEED_CM_PER_FS * AMU_A2_PER_FS2_EV
    factor /= BOLTZMANN_EV_PER_K * runs.temperature
    scaled = {key: curve.scaled(factor) for key, curve in curves.items()}
    resting = momentum < _AT_REST * runs.temperature
    held = 3.0 / atoms.masses.sum() if resting else 0.0
    unknown = bool((atoms.freedom < 0.0).any())

    def freedom(curve: PowerBlocks, inside: AnyArray) -> Freedom:
        expected = float(atoms.freedom[inside].sum()) - held * float(atoms.masses[inside].sum())
        found = curve.integral(0.0, float(plan.wavenumber[-1]))
        return Freedom(int(inside.sum()), *found, None if unknown else expected)

    return VelocitySpectrum(
        wavenumber=plan.wavenumber,
        total=scaled[TOTAL],
        groups={label: scaled[number] for number, label in enumerate(atoms.labels)},
        freedom={
            label: freedom(scaled[number], atoms.index == number)
            for number, label in enumerate(atoms.labels)
        },
        total_freedom=freedom(scaled[TOTAL], np.full(len(atoms.masses), True)),
        temperature=runs.temperature,
        plan=plan,
        run_lengths=tuple(n * plan.spacing for n in runs.n_frames),
        notes=_notes(atoms, resting),
        sources=runs.names,
    )


def _notes(atoms: AtomGroups, resting: bool) -> tuple[str, ...]:
    """What the expected degrees of freedom leave out."""
    notes = []
    if (atoms.freedom < 0.0).any():
        notes.append(
            "rigid bonds or other constraints between atoms: the degrees of freedom that they "
            "leave to each group are not known"
        )
    elif n_fixed := int((atoms.freedom == 0.0).sum()):
        notes.append(f"{n_fixed} atoms are fixed: their degrees of freedom are not expected")
    if resting:
        notes.append("the centre of mass is at rest: its three degrees of freedom are not expected")
    return tuple(notes)


def _atom_groups(masses: Sequence[float] | FloatArray, labels: Sequence[str]) -> AtomGroups:
    weights = np.asarray(masses, dtype=np.float64)
    if weights.ndim != 1 or not len(weights) or not (weights > 0.0).all():
        raise InputError("velocity spectrum", "masses", weights, "one positive number an atom")
    each = list(labels) or ["all"] * len(weights)
    if len(each) != len(weights):
        expected = f"{len(weights)}, one for each atom"
        raise InputError("velocity spectrum", "labels", len(each), expected)
    order = tuple(dict.fromkeys(each))
    number = {label: k for k, label in enumerate(order)}
    index = np.array([number[label] for label in each], dtype=np.int64)
    return AtomGroups(weights, order, index, np.full(len(weights), 3.0))
