"""Path integrals of a campaign: ring polymers that sample, and are streamed, in place of atoms.

A ring polymer counts as several replicas, those of some of its beads: the beads next to each other
are nearly alike, and say the same of the models.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from ase import Atoms

from aptnn_md.arrays import FloatArray
from aptnn_md.learning.bonds import BondGraph
from aptnn_md.learning.directory import Stage
from aptnn_md.learning.parallel import do_elsewhere
from aptnn_md.learning.replicas import (
    BONDS,
    FORCES,
    UPPER_BOUND,
    Replica,
    bound_of_median,
    force_spread,
)
from aptnn_md.learning.ring_polymers import BEFORE, STREAMED, RingPolymers
from aptnn_md.learning.runs import BrokenRunsError, end_ensemble
from aptnn_md.learning.settings import CampaignSettings
from aptnn_md.potentials.interface import BatchedPotential
from aptnn_md.stream.ensemble import Ensemble, is_ensemble, run_path

KEPT_BEADS = 4
"""Of a ring polymer, as replicas of their own."""


def kept_beads(n_beads: int) -> range:
    """Numbers, from 0, of the beads that are replicas, far from each other."""
    return range(0, n_beads, -(-n_beads // KEPT_BEADS))


def ring_polymers(
    stage: Stage, settings: CampaignSettings, number: int, starts: Sequence[Atoms], seed: int
) -> RingPolymers:
    """Those of a system in a stage.

    Parameters
    ----------
    stage : whose models move them
    settings : of the campaign
    number : of the system
    starts : structure at which each begins
    seed : of momenta and thermostats
    """
    potential = stage.potential if settings.learns_potential else Path(settings.potential)
    return RingPolymers(
        stage.ring_polymers(number),
        starts,
        str(potential) if potential.exists() else settings.potential,
        stage.tensors,
        settings.dynamics.beads,
        settings.temperature,
        settings.dynamics.timestep,
        seed + 6700417 * number,
        settings.device,
    )


@dataclass(frozen=True, eq=False)
class MoveTask:
    """A ring polymer to be moved with a thermostat, or streamed, for a worker too.

    Attributes
    ----------
    polymers, number : which one
    n_steps, every : steps, and those between the frames that are kept
    stream : to be written, a frame every so many steps; None: with a thermostat, without a stream
    """

    polymers: RingPolymers
    number: int
    n_steps: int
    every: int
    stream: Path | None = None


def _move(task: MoveTask) -> None:
    if task.stream is None:
        task.polymers.move_with_thermostat(task.number, task.n_steps, task.every)
    else:
        task.polymers.stream(task.number, task.stream, task.n_steps, task.every)


def _move_all(tasks: Sequence[MoveTask], settings: CampaignSettings, what: str) -> None:
    if not do_elsewhere(_move, tasks, settings, what):
        for task in tasks:
            _move(task)


def sampled_beads(
    polymers: RingPolymers,
    settings: CampaignSettings,
    bonds: BondGraph,
    potential: BatchedPotential,
    times: tuple[float, float],
) -> list[Replica]:
    """Move ring polymers with a thermostat; :data:`KEPT_BEADS` replicas of each, in their order.

    Parameters
    ----------
    polymers : all of a system
    settings : of the campaign
    bonds : of the system
    potential : whose members' disagreement is looked at
    times : of the dynamics, and between the frames that are kept, fs
    """
    steps, every = (max(1, round(time / polymers.timestep)) for time in times)
    numbers = range(1, len(polymers.starts) + 1)
    tasks = [MoveTask(polymers, number, steps, every) for number in numbers]
    _move_all(tasks, settings, "ring polymers")
    return replicas_of_beads(polymers, potential, bonds)


def replicas_of_beads(
    polymers: RingPolymers, potential: BatchedPotential, bonds: BondGraph
) -> list[Replica]:
    """Paths of :data:`KEPT_BEADS` of each ring polymer that was moved with a thermostat.

    A ring polymer whose beads lost a bond, or on which the members of the potential disagree too
    much, counts up to there, and as stopped: all its beads are.

    Parameters
    ----------
    polymers : that were moved
    potential : whose members' disagreement is looked at
    bonds : of the system
    """
    known = [_Path.of(polymers, number, potential) for number in range(1, len(polymers.starts) + 1)]
    bound = bound_of_median(float(np.median(np.concatenate([p.spread.ravel() for p in known]))))
    return [replica for each in known for replica in each.replicas(bonds, bound, polymers)]


@dataclass(frozen=True, eq=False)
class _Path:
    """Frames of a ring polymer.

    Attributes
    ----------
    start : the atoms
    positions : (n_frames, n_beads, n_atoms, 3), Å, of all beads
    kept : which beads are replicas
    spread : (n_frames, n_kept, n_atoms), eV/Å, the members' disagreement on each force
    failed : whether it could not be moved to its end
    """

    start: Atoms
    positions: FloatArray
    kept: range
    spread: FloatArray
    failed: bool

    @classmethod
    def of(cls, polymers: RingPolymers, number: int, potential: BatchedPotential) -> _Path:
        """That of a ring polymer, counted from 1."""
        start, positions = polymers.starts[number - 1], polymers.frames(number, BEFORE)
        n_frames, n_beads, n_atoms = positions.shape[:3]
        kept = kept_beads(n_beads)
        spread = np.zeros((n_frames, len(kept), n_atoms))
        found = cls(start, positions, kept, spread, polymers.has_failed(number))
        for frame in range(n_frames):
            structures = [found.atoms(frame, bead) for bead in kept]
            for k, result in enumerate(potential.evaluate(structures)):
                found.spread[frame, k] = force_spread(result, n_atoms)
        return found

    def atoms(self, frame: int, bead: int) -> Atoms:
        """A bead as a structure."""
        atoms: Atoms = self.start.copy()
        atoms.calc = None
        atoms.positions = self.positions[frame, bead]
        return atoms

    def replicas(self, bonds: BondGraph, bound: float, polymers: RingPolymers) -> list[Replica]:
        """Of the beads that are kept."""
        end, reason = self._end(bonds, bound)
        return [
            Replica(
                [self.atoms(frame, bead) for frame in range(end)],
                self.spread[:end, k],
                polymers.temperature,
                reason,
            )
            for k, bead in enumerate(self.kept)
        ]

    def _end(self, bonds: BondGraph, bound: float) -> tuple[int, str]:
        """Number of frames that count, one at least, and why no more; empty if all do."""
        for frame, beads in enumerate(self.positions):
            if not all(bonds.intact(bead) for bead in beads):
                return max(1, frame), BONDS
            if self.spread[frame].max(initial=0.0) > bound:
                return max(1, frame), UPPER_BOUND
        return len(self.positions), FORCES if self.failed else ""


def stream_ring_polymers(
    stage: Stage,
    settings: CampaignSettings,
    bonds: Sequence[BondGraph],
    replicas: Sequence[Sequence[Replica]],
    work: tuple[int, int],
) -> int:
    """Stream the ring polymers of each system that were not stopped; the number of the others.

    Parameters
    ----------
    stage : whose models move them
    settings : of the campaign
    bonds : of each system
    replicas : of each system, those of the beads of its ring polymers at the end
    work : number of runs of each system, and number of steps of each

    Raises
    ------
    BrokenRunsError
        No ring polymer of a system is left.
    """
    (n_runs, n_steps), stride = work, settings.dynamics.stride
    tasks: list[MoveTask] = []
    of_systems: list[list[MoveTask]] = []
    for number, graph in enumerate(bonds):
        polymers = ring_polymers(stage, settings, number, [graph.start] * n_runs, 0)
        numbers = unstopped(replicas[number], n_runs, settings.dynamics.beads)
        if not numbers:
            raise BrokenRunsError(
                f"{stage.path}: all {n_runs} ring polymers were stopped: the potential is not yet "
                "good enough for dynamics"
            )
        runs = stage.runs(number)
        of_system = [
            MoveTask(polymers, polymer, n_steps, stride, run_path(runs, run))
            for run, polymer in enumerate(numbers, start=1)
        ]
        of_systems.append(of_system)
        tasks += [] if is_ensemble(runs) else of_system
    if tasks:
        _move_all(tasks, settings, "dynamics")
    n_complete = [
        _complete(stage.runs(number), of_system, bonds[number])
        for number, of_system in enumerate(of_systems)
    ]
    return sum(n_runs - n for n in n_complete)


def unstopped(replicas: Sequence[Replica], n_polymers: int, n_beads: int) -> list[int]:
    """Numbers, from 1, of the ring polymers that were not stopped.

    Parameters
    ----------
    replicas : of a system; those of the beads of its ring polymers are the last
    n_polymers, n_beads : of the ring polymers, and of each
    """
    n_kept = len(kept_beads(n_beads))
    first = len(replicas) - n_kept * n_polymers
    return [k + 1 for k in range(n_polymers) if not replicas[first + k * n_kept].stopped]


def _complete(runs: Path, tasks: Sequence[MoveTask], bonds: BondGraph) -> int:
    """Set runs aside whose bonds broke, and make an ensemble of the others; their number."""
    if not is_ensemble(runs):
        broken = np.array([_is_broken(task, bonds) for task in tasks])
        end_ensemble(runs, broken, tasks[0].n_steps // tasks[0].every + 1)
    return Ensemble.read(runs).n_runs


def _is_broken(task: MoveTask, bonds: BondGraph) -> bool:
    """Whether a bead lost or made a bond, or the potential gave no forces any more."""
    if task.polymers.has_failed(task.number):
        return True
    frames = task.polymers.frames(task.number, STREAMED)
    return not all(bonds.intact(bead) for beads in frames for bead in beads)
