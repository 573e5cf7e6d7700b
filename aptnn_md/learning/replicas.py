"""Replicas: many structures, at several temperatures, that move at once on one potential.

All replicas are evaluated in one call, and each has random numbers of its own, so that its path
does not depend on the others. Where the potential is a committee, the members' disagreement on the
force of each atom is followed, and a replica stops where it says that nothing is known any more.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import BaseCalculator

from aptnn_md.arrays import FloatArray
from aptnn_md.errors import InputError
from aptnn_md.learning.bonds import BondGraph
from aptnn_md.learning.langevin import LangevinPath, independent_seeds
from aptnn_md.learning.replica_state import (
    Frame,
    ReplicaState,
    fingerprint,
    read_replicas,
    write_replicas,
)
from aptnn_md.potentials.interface import BatchedPotential, as_batched
from aptnn_md.progress import Progress
from aptnn_md.settings import AtLeastZero, Count, Positive, Range, check_settings

SMALLEST_BOUND = 0.5
"""Of the disagreement on an atom's force, eV/Å, at which a replica stops."""

BOUND_FACTOR = 5.0
"""A replica stops at this multiple of the median disagreement, if that is more."""

SAVED_EVERY = 20.0
"""Seconds between two writings of the state."""

UPPER_BOUND, BONDS, FORCES = "upper bound", "bonds", "no forces"
"""Why a replica was stopped."""


@dataclass(frozen=True)
class ReplicaSettings:
    """How replicas move.

    Attributes
    ----------
    steps : of each replica
    every : steps between frames that are kept
    timestep : fs
    friction : 1/ps; 0: constant energy
    upper_bound : of the committee's disagreement on an atom's force, eV/Å, at which a replica
        stops; None: the larger of :data:`SMALLEST_BOUND` and :data:`BOUND_FACTOR` times the median
        over all atoms of all frames so far

    Raises
    ------
    InputError
        A value of another type or out of its range.
    """

    steps: Annotated[int, Range(at_least=0)] = 1000
    every: Count = 10
    timestep: Positive = 0.5
    friction: AtLeastZero = 10.0
    upper_bound: Positive | None = None

    def __post_init__(self) -> None:
        check_settings(self)


@dataclass(frozen=True, eq=False)
class Replica:
    """The path of one replica.

    Attributes
    ----------
    frames : the start, every ``every``-th step and, of a replica that was stopped, the last step
        before that; with positions and momenta
    force_spread : (n_frames, n_atoms), eV/Å, see :func:`force_spread`
    temperature : K
    stopped : ``"upper bound"``, ``"bonds"``, ``"no forces"`` where the potential gave none that
        are finite, or empty where it came to its end
    """

    frames: list[Atoms]
    force_spread: FloatArray
    temperature: float
    stopped: str = ""


def run_replicas(
    starts: Sequence[Atoms],
    temperatures: Sequence[float],
    potential: BatchedPotential | BaseCalculator,
    settings: ReplicaSettings,
    state: str | os.PathLike[str],
    seed: int,
    bonds: Sequence[BondGraph | None] | None = None,
) -> list[Replica]:
    """Move replicas by Langevin dynamics and keep frames of each.

    Killed and called again it resumes with the same random numbers; called after its end it only
    reads the state, and with more steps it continues.

    Parameters
    ----------
    starts : first structure of each replica; they may differ in size and kind. Momenta are kept,
        or thermal ones drawn where there are none
    temperatures : of each replica, K
    potential : its mean force moves the atoms; a resumed run must have the same. A replica whose
        forces are NaN stops
    settings : see :class:`ReplicaSettings`
    state : file of the state, ``.npz``, written whole every :data:`SAVED_EVERY` seconds
    seed : of the random numbers
    bonds : of each replica, None where bonds may break

    Raises
    ------
    InputError
        Other starts or settings than those of the state, a damaged state, or constraints other
        than fixed atoms.
    """
    if len(temperatures) != len(starts) or (bonds is not None and len(bonds) != len(starts)):
        found = f"{len(temperatures)} temperatures and {len(bonds or starts)} graphs of bonds"
        raise InputError("replicas", "starts", len(starts), f"as many as there are {found}")
    seeds = independent_seeds(seed, len(starts))
    paths = [
        _Path(start, float(temperature), own_seed, None if bonds is None else bonds[number])
        for number, (start, temperature, own_seed) in enumerate(
            zip(starts, temperatures, seeds, strict=True)
        )
    ]
    constant = asdict(settings)
    del constant["steps"]  # a run may be resumed with more
    about = fingerprint(starts, temperatures, constant, seed)
    _Run(paths, as_batched(potential), settings, Path(state), about).go()
    return [path.replica() for path in paths]


def bound_of_median(median: float) -> float:
    """Disagreement on an atom's force at which a replica stops, by the median of all; eV/Å."""
    return max(SMALLEST_BOUND, BOUND_FACTOR * median)


def force_spread(result: Mapping[str, Any], n_atoms: int) -> FloatArray:
    """Disagreement of a committee on the force of each atom (n_atoms,), eV/Å.

    It is the root mean square over the members of the length of F_k minus the mean force, and zero
    where the results of a potential have no ``member_forces`` (n_members, n_atoms, 3).
    """
    members = result.get("member_forces")
    if members is None:
        return np.zeros(n_atoms)
    differences = np.asarray(members, dtype=np.float64)
    differences = differences - differences.mean(axis=0)
    spread: FloatArray = np.sqrt((differences**2).sum(axis=-1).mean(axis=0))
    return spread


class _Path:
    """A replica at work: where it is, what is known there, and the frames that it has left."""

    def __init__(
        self,
        start: Atoms,
        temperature: float,
        seed: np.random.SeedSequence,
        bonds: BondGraph | None,
    ) -> None:
        self.start, self.temperature, self.bonds = start, temperature, bonds
        self.moving = LangevinPath(start, temperature, seed)
        self.forces = np.zeros((len(start), 3))
        self.spread = np.zeros(len(start))
        self.frames: list[Frame] = []
        self.stopped = ""

    def here(self) -> Frame:
        """The present step."""
        return Frame(self.moving.positions, self.moving.momenta, self.spread)

    def atoms(self, frame: Frame) -> Atoms:
        """A frame as a structure."""
        atoms: Atoms = self.start.copy()
        atoms.calc = None
        atoms.positions[:] = frame.positions
        atoms.set_momenta(frame.momenta, apply_constraint=False)
        return atoms

    def take(self, result: Mapping[str, Any]) -> None:
        """Keep what the potential says about the present positions."""
        self.forces = np.asarray(result["forces"], dtype=np.float64)
        self.spread = force_spread(result, len(self.start))

    def known(self) -> bool:
        """Whether the potential gave forces here."""
        return bool(np.isfinite(self.forces).all())

    def intact(self) -> bool:
        """Whether no bond is broken or new here."""
        return self.bonds is None or self.bonds.intact(self.moving.positions)

    def stop(self, reason: str, last: Frame) -> None:
        """End with the frame ``last``."""
        self.stopped = reason
        if not np.array_equal(self.frames[-1].positions, last.positions):
            self.frames.append(last)

    def replica(self) -> Replica:
        """The result."""
        spread = np.array([frame.spread for frame in self.frames])
        frames = [self.atoms(frame) for frame in self.frames]
        return Replica(frames, spread, self.temperature, self.stopped)

    def state(self) -> ReplicaState:
        """All that the rest of the path depends on."""
        noise = self.moving.noise_state()
        return ReplicaState(self.here(), self.forces, self.frames, self.stopped, noise)

    def load(self, state: ReplicaState) -> None:
        """The inverse of :meth:`state`."""
        self.moving.positions, self.moving.momenta = state.here.positions, state.here.momenta
        self.forces, self.spread = state.forces, state.here.spread
        self.frames, self.stopped = list(state.frames), state.stopped
        self.moving.set_noise_state(state.noise)


class _Run:
    """All replicas, step by step."""

    def __init__(
        self,
        paths: Sequence[_Path],
        potential: BatchedPotential,
        settings: ReplicaSettings,
        file: Path,
        about: Mapping[str, Any],
    ) -> None:
        self.paths, self.potential, self.settings = list(paths), potential, settings
        self.file, self.about = file, about
        self.step = -1
        found = read_replicas(file, about, [len(path.start) for path in self.paths])
        if found is not None:
            self.step, states = found
            for path, state in zip(self.paths, states, strict=True):
                path.load(state)
        self._median, self._n_frames = 0.0, -1

    def go(self) -> None:
        """Move until the last step, or until none is left."""
        if self.step < 0:
            self._begin()
        saved = time.monotonic()
        begun_at = self.step
        with Progress(self.settings.steps, f"{len(self.paths)} replicas") as progress:
            progress.update(min(self.step, self.settings.steps))
            while self.step < self.settings.steps and (moving := self._moving()):
                self._one_step(moving)
                progress.update(1, f"{len(moving)} moving")
                if time.monotonic() - saved > SAVED_EVERY:
                    self._save()
                    saved = time.monotonic()
        if self.step > begun_at:
            self._save()

    def _moving(self) -> list[_Path]:
        return [path for path in self.paths if not path.stopped]

    def _begin(self) -> None:
        self._evaluate(self.paths)
        for path in self.paths:
            path.frames.append(path.here())
        for path in self.paths:
            if not path.known():
                path.stop(FORCES, path.here())
            elif not path.intact():
                path.stop(BONDS, path.here())
            elif path.spread.max(initial=0.0) > self._bound():
                path.stop(UPPER_BOUND, path.here())
        self.step = 0
        self._save()

    def _one_step(self, moving: Sequence[_Path]) -> None:
        timestep, friction = self.settings.timestep, self.settings.friction
        before = {id(path): path.here() for path in moving}
        for path in moving:
            path.moving.to_next_forces(path.forces, timestep, friction)
            if not path.intact():
                path.stop(BONDS, before[id(path)])
        left = [path for path in moving if not path.stopped]
        self._evaluate(left)
        bound = self._bound()
        self.step += 1
        for path in left:
            if not path.known():
                path.stop(FORCES, before[id(path)])
                continue
            path.moving.finish(path.forces, timestep)
            if path.spread.max(initial=0.0) > bound:
                path.stop(UPPER_BOUND, before[id(path)])
            elif self.step % self.settings.every == 0:
                path.frames.append(path.here())

    def _evaluate(self, paths: Sequence[_Path]) -> None:
        if paths:
            structures = [path.atoms(path.here()) for path in paths]
            for path, result in zip(paths, self.potential.evaluate(structures), strict=True):
                path.take(result)

    def _bound(self) -> float:
        if self.settings.upper_bound is not None:
            return self.settings.upper_bound
        n_frames = sum(len(path.frames) for path in self.paths)
        if n_frames != self._n_frames:
            spreads = [frame.spread for path in self.paths for frame in path.frames]
            self._median, self._n_frames = float(np.median(np.concatenate(spreads))), n_frames
        return bound_of_median(self._median)

    def _save(self) -> None:
        write_replicas(self.file, self.about, self.step, [path.state() for path in self.paths])
