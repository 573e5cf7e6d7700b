"""Velocity spectra (vibrational densities of states) of groups of atoms, from stream velocities.

D(ν̃) = 2c/(k_B T) Σᵢ mᵢ ∫dt e^{-iωt} ⟨vᵢ(0)·vᵢ(t)⟩ counts degrees of freedom: its integral over
ν̃ ≥ 0 is Σᵢ mᵢ⟨vᵢ²⟩/(k_B T), which by equipartition is 3 for each atom, less the share of what does
not move, such as the centre of mass of a run that holds it. There are no cross terms between
atoms, so groups add up to the total.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from aptnn_md.arrays import AnyArray, FloatArray, IntArray
from aptnn_md.errors import InputError
from aptnn_md.spectra.estimation.accumulate import LagAccumulator
from aptnn_md.spectra.estimation.nyquist import stride_note
from aptnn_md.spectra.estimation.plan import SpectralPlan, check_positive, plan_spectrum
from aptnn_md.spectra.estimation.power import PowerBlocks, densities
from aptnn_md.spectra.estimation.terms import TOTAL, Alone
from aptnn_md.spectra.sources.merging import merge_groups
from aptnn_md.spectra.sources.stream_runs import StreamRun, check_same_system, condition
from aptnn_md.stream.header import StreamHeader
from aptnn_md.units import AMU_A2_PER_FS2_EV, BOLTZMANN_EV_PER_K, LIGHT_SPEED_CM_PER_FS

BY = ("groups", "element")
"""How atoms are grouped: as the stream's groups are, or by element."""

_PASS_VALUES = 2**25
_AT_REST = 1e-3


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
    freedom : label -> degrees of freedom; ``""`` for all atoms
    temperature : K
    plan : how it was computed
    run_lengths : (n_runs,) fs
    n_beads : number of path-integral beads: velocities are those of the centroids
    notes : what the reader should know
    sources : names of the runs
    """

    wavenumber: FloatArray
    total: PowerBlocks
    groups: Mapping[str, PowerBlocks]
    freedom: Mapping[str, Freedom]
    temperature: float
    plan: SpectralPlan
    run_lengths: tuple[float, ...]
    n_beads: int = 1
    notes: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()

    @property
    def spacing(self) -> float:
        """Time between frames, fs."""
        return self.plan.spacing


@dataclass(frozen=True)
class _Atoms:
    """What the header says of atoms: their masses, and in which group each is."""

    masses: FloatArray
    labels: tuple[str, ...]
    index: IntArray
    freedom: FloatArray


def velocity_spectrum(
    paths: Sequence[str | os.PathLike[str]],
    resolution: float = 20.0,
    *,
    by: str = "groups",
    merge: Sequence[str] = (),
    method: str = "welch",
    window: str = "hann",
    unbiased: bool = True,
    temperature: float | None = None,
    skip: float = 0.0,
    pass_values: int = _PASS_VALUES,
) -> VelocitySpectrum:
    """Velocity spectra of streams that are independent runs of one system.

    Parameters
    ----------
    paths : stream directories, written with velocities
    resolution : full width at half maximum of a line without width, cm⁻¹
    by : one of :data:`BY`
    merge : rules by which groups are merged; see
        :func:`aptnn_md.spectra.sources.merging.merge_groups`
    method, window, unbiased : see :class:`aptnn_md.spectra.estimation.plan.SpectralPlan`
    temperature : K; default: what the streams say
    skip : time to leave out at the beginning of each stream, ps
    pass_values : numbers to hold in memory; for more atoms the streams are read several times

    Raises
    ------
    InputError
        A stream without velocities, unknown grouping, streams that do not belong together, a
        temperature that is unknown or differs, or a run that is too short.
    """
    if not paths:
        raise InputError("velocity spectrum", "streams", "none", "one or more")
    if temperature is not None:
        check_positive("temperature", temperature)
    runs = [StreamRun(path, skip) for path in paths]
    check_same_system(runs)
    for run in runs:
        if "velocity" not in run.reader.arrays:
            expected = "velocities (aptnn-md md --velocities, StreamObserver(velocities=True))"
            raise InputError(run.name, "velocity", "none in the stream", expected)
    header = runs[0].reader.header
    atoms = _atoms(runs[0].name, header, by, merge)
    plan = plan_spectrum(resolution, runs[0].reader.spacing, method, window, unbiased=unbiased)
    plan.check_lengths({run.name: max(0, run.reader.n_frames - run.first) for run in runs})
    at_once = max(1, pass_values // (6 * plan.needed))
    curves: dict[str, PowerBlocks] = {}
    momentum = 0.0
    for first in range(0, len(atoms.masses), at_once):
        chosen = slice(first, first + at_once)
        # only what was there when the first pass began: the streams may grow
        runs = [_same_extent(run, paths, skip, number) for number, run in enumerate(runs)]
        found, momentum = _pass(plan, runs, atoms, chosen)
        curves = found if not curves else {n: _sum(curves[n], c) for n, c in found.items()}
    temperatures = condition("temperature", temperature, runs, lambda run: run.temperature)
    return _result(curves, atoms, plan, runs, temperatures, momentum)


def _same_extent(
    run: StreamRun, paths: Sequence[str | os.PathLike[str]], skip: float, number: int
) -> StreamRun:
    """A run read from its beginning again, up to where it was read before."""
    if run.n_frames == 0:
        return run
    again = StreamRun(paths[number], skip)
    again.reader = run.reader
    return again


def _pass(
    plan: SpectralPlan, runs: Sequence[StreamRun], atoms: _Atoms, chosen: slice
) -> tuple[dict[str, PowerBlocks], float]:
    """Densities Σ m S(v) of some atoms, by group and of all, and the mean square momentum of all
    atoms over what it is where the centre of mass moves freely, times the temperature."""
    masses, index = atoms.masses[chosen], atoms.index[chosen]
    terms = {TOTAL: Alone(masses)} | {
        _key(number): Alone(np.where(index == number, masses, 0.0))
        for number in range(len(atoms.labels))
    }
    accumulator = LagAccumulator(plan, terms, len(masses), "velocity")
    squares, n_frames = 0.0, 0
    for run in runs:
        number = accumulator.add_run(run.name)
        for piece in _velocities(run):
            accumulator.feed(number, piece[:, chosen])
            squares += float((np.tensordot(piece, atoms.masses, axes=(1, 0)) ** 2).sum())
            n_frames += len(piece)
    scale = AMU_A2_PER_FS2_EV / (3.0 * atoms.masses.sum() * BOLTZMANN_EV_PER_K)
    return densities(accumulator), scale * squares / max(1, n_frames)


def _velocities(run: StreamRun) -> Iterator[AnyArray]:
    for piece in run.pieces("velocity"):
        yield piece.astype(np.float64)


def _key(number: int) -> str:
    """Name of a group's term; labels of the stream might be those of others."""
    return f"group {number}"


def _sum(first: PowerBlocks, second: PowerBlocks) -> PowerBlocks:
    """Densities of different atoms of the same runs, added."""
    values = first.values + second.values
    shape = (first.weights @ values) ** 2 * first.plan.gaussian_variance
    return replace(first, values=values, shape=shape)


def _atoms(where: str, header: StreamHeader, by: str, merge: Sequence[str]) -> _Atoms:
    if by not in BY:
        raise InputError("velocity spectrum", "by", repr(by), f"one of {', '.join(BY)}")
    if len(header.atom_masses) != header.n_atoms:
        raise InputError(where, "atom_masses", len(header.atom_masses), f"{header.n_atoms}")
    if by == "element":
        from ase.data import chemical_symbols

        numbers, index = np.unique(header.atom_numbers, return_inverse=True)
        labels = tuple(chemical_symbols[z] for z in numbers)
    else:
        labels, index = header.atom_labels, np.array(header.atom_groups)
    if merge:
        merged = merge_groups(labels, merge)
        labels, index = merged.labels, merged.index[index]
    freedom = np.array(header.atom_freedom or (3.0,) * header.n_atoms)
    return _Atoms(np.array(header.atom_masses), labels, np.asarray(index, dtype=np.int64), freedom)


def _result(
    curves: Mapping[str, PowerBlocks],
    atoms: _Atoms,
    plan: SpectralPlan,
    runs: Sequence[StreamRun],
    temperatures: Sequence[float],
    momentum: float,
) -> VelocitySpectrum:
    header = runs[0].reader.header
    temperature = temperatures[0]
    factor = 2.0 * LIGHT_SPEED_CM_PER_FS * AMU_A2_PER_FS2_EV / (BOLTZMANN_EV_PER_K * temperature)
    scaled = {name: curve.scaled(factor) for name, curve in curves.items()}
    groups = {label: scaled[_key(number)] for number, label in enumerate(atoms.labels)}
    resting = momentum < _AT_REST * temperature
    total_mass = atoms.masses.sum()
    freedom = {}
    for number, label in [(-1, TOTAL), *enumerate(atoms.labels)]:
        inside = (atoms.index == number) | (number < 0)
        curve = scaled[TOTAL] if number < 0 else groups[label]
        expected: float | None = float(atoms.freedom[inside].sum())
        if (atoms.freedom < 0.0).any():
            expected = None
        elif resting:
            expected = atoms.freedom[inside].sum() - 3.0 * float(
                atoms.masses[inside].sum() / total_mass
            )
        integral = curve.integral(0.0, float(plan.wavenumber[-1]))
        freedom[label] = Freedom(int(inside.sum()), *integral, expected)
    notes = [stride_note(header.masses, plan.spacing)]
    if (atoms.freedom < 0.0).any():
        notes.append(
            "rigid bonds or other constraints between atoms: the degrees of freedom that they "
            "leave to each group are not known"
        )
    elif n_fixed := int((atoms.freedom == 0.0).sum()):
        notes.append(f"{n_fixed} atoms are fixed: their degrees of freedom are not expected")
    if resting:
        notes.append("the centre of mass rests: its three degrees of freedom are not expected")
    return VelocitySpectrum(
        wavenumber=plan.wavenumber,
        total=scaled[TOTAL],
        groups=groups,
        freedom=freedom,
        temperature=temperature,
        plan=plan,
        run_lengths=tuple(run.n_frames * plan.spacing for run in runs),
        n_beads=header.n_beads,
        notes=tuple(note for note in notes if note),
        sources=tuple(run.name for run in runs),
    )
