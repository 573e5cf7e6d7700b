"""Frames of a cycle: replicas on the models, and which of their frames are labelled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms

from aptnn_md.arrays import FloatArray
from aptnn_md.errors import RunError
from aptnn_md.learning.bonds import BondGraph
from aptnn_md.learning.descriptor import fingerprints
from aptnn_md.learning.directory import SYSTEM, Stage, read_frames, write_frames
from aptnn_md.learning.documents import read_record, write_document
from aptnn_md.learning.path_integrals import ring_polymers, sampled_beads
from aptnn_md.learning.replicas import Replica, ReplicaSettings, run_replicas
from aptnn_md.learning.selection import Rule, Spread, draw_of_each, select
from aptnn_md.learning.settings import CampaignSettings
from aptnn_md.learning.stage_models import StageModels
from aptnn_md.prediction.interface import TensorModel
from aptnn_md.progress import log
from aptnn_md.targets import TARGETS
from aptnn_md.tensors import atom_deviations

ORIGIN = "origin"
"""Entry of a frame that says why it was chosen: ``first``, ``selected`` or ``random``."""

FIRST, SELECTED, RANDOM = "first", "selected", "random"

FORCES = "forces"
"""Name of the spread of forces."""


def sample_replicas(
    stage: Stage,
    settings: CampaignSettings,
    bonds: Sequence[BondGraph],
    models: StageModels,
    seed: int,
) -> list[list[Replica]]:
    """Replicas of each system on the models of a stage; those that are there are only read.

    In a campaign of path integrals beads take the place of those at its temperature, and come last.

    Parameters
    ----------
    bonds : of each system, with which its replicas move on
    """
    sampling, beads = settings.sampling, settings.dynamics.beads
    training = read_frames(stage.training)
    found = []
    for number, graph in enumerate(bonds):
        starts = draw_starts(training, number, sampling.replicas, seed)
        n_hot = len(starts) // 2
        n_cold = len(starts) - n_hot if beads == 1 else 0
        starts = starts[: n_cold + n_hot]
        temperatures = [settings.temperature] * n_cold
        temperatures += [sampling.hot * settings.temperature] * n_hot
        found.append(
            run_replicas(
                starts,
                temperatures,
                models.potential,
                ReplicaSettings(
                    steps=round(1000.0 * sampling.picoseconds / sampling.timestep),
                    every=sampling.every,
                    timestep=sampling.timestep,
                    friction=sampling.friction,
                ),
                stage.replicas(number),
                seed + number,
                [graph] * len(starts),
            )
        )
        if beads > 1:
            begun = draw_starts(training, number, settings.dynamics.runs, seed + 1)
            polymers = ring_polymers(stage, settings, number, begun, seed)
            times = 1000.0 * sampling.picoseconds, sampling.every * sampling.timestep
            found[-1] += sampled_beads(polymers, settings, graph, models.potential, times)
    return found


def draw_starts(training: Sequence[Atoms], system: int, n: int, seed: int) -> list[Atoms]:
    """``n`` structures of a system out of the training frames, without labels and momenta.

    Raises
    ------
    RunError
        It has none.
    """
    pool = [atoms for atoms in training if atoms.info.get(SYSTEM) == system]
    if not pool:
        raise RunError(
            f"system {system + 1}: none of its frames could be labelled, so there is nothing to "
            "start from; another start structure, or another engine"
        )
    rng = np.random.default_rng([seed, system])
    starts = []
    for k in rng.choice(len(pool), size=n, replace=len(pool) < n):
        atoms = pool[int(k)].copy()
        atoms.calc = None
        atoms.set_momenta(np.zeros((len(atoms), 3)))
        starts.append(chosen_frame(atoms, system, ""))
    return starts


@dataclass(frozen=True)
class Choice:
    """What was chosen for labels, and why.

    Attributes
    ----------
    averages : moving averages of the spreads, eV/Å and the targets' units
    n_candidates : frames among which it was chosen
    n_uncertain : those above the threshold
    n_stopped : replicas that were stopped
    rule : why as many were chosen, one sentence (:mod:`aptnn_md.learning.balance`)
    """

    averages: dict[str, float]
    n_candidates: int
    n_uncertain: int
    n_stopped: int
    rule: str = ""

    @classmethod
    def read(cls, path: Path) -> Choice:
        """What :func:`choose` wrote.

        Raises
        ------
        InputError
            The file is damaged.
        """
        expected = "the selection of a cycle; remove it and frames.extxyz to select again"
        return read_record(cls, path, "selection", expected)


def choose(
    stage: Stage,
    settings: CampaignSettings,
    replicas: Sequence[Sequence[Replica]],
    tensors: TensorModel,
    before: Choice | None,
    seed: int,
    labels: tuple[int, str],
) -> None:
    """Choose the frames of a cycle, and write them: uncertain ones, and random ones.

    Parameters
    ----------
    stage : of the cycle
    settings : of the campaign
    replicas : of each system
    tensors : model whose members' disagreement counts beside that of the forces
    before : choice of the cycle before; None in the first
    seed : of the random frames
    labels : frames to choose, the random ones included, and why as many
    """
    if stage.frames.exists():
        return
    n_labels, why = labels
    training = read_frames(stage.training)
    pool = _Pool.of(replicas, settings.temperature)
    spread = Spread({FORCES: pool.force_spread, **_tensor_spread(tensors, pool.frames)})
    averages = spread.averages(before.averages if before else {})
    rule = _rule(settings, averages)
    rng = np.random.default_rng([seed, 1])
    n_random = settings.sampling.n_random(n_labels)
    random = draw_of_each(pool.cold, pool.systems, n_random, rng)
    allowed = np.ones(len(pool.frames), dtype=bool)
    allowed[random] = False
    prints = fingerprints([*pool.frames, *training])
    n = n_labels - len(random)
    chosen = select(spread, averages, rule, allowed, _divided(prints, len(pool.frames)), n)
    ratio = spread.relative(averages)
    stopped = [replica.stopped for of_system in replicas for replica in of_system]
    found = Choice(
        averages,
        len(pool.frames),
        int((ratio > rule.threshold).sum()),
        sum(bool(reason) for reason in stopped),
        why,
    )
    log.info(
        "%s: %d of %d frames uncertain, %d replicas stopped; %d chosen, %d at random",
        *(stage.title, found.n_uncertain, found.n_candidates, found.n_stopped),
        *(len(chosen), len(random)),
    )
    write_document(stage.averages, vars(found))
    frames = [chosen_frame(pool.frames[k], pool.systems[k], SELECTED) for k in chosen]
    frames += [chosen_frame(pool.frames[k], pool.systems[k], RANDOM) for k in random]
    write_frames(stage.frames, frames)


def draw_last(stage: Stage, replicas: Sequence[Sequence[Replica]], n: int, seed: int) -> bool:
    """Draw about ``n`` random frames of those where replicas ended; whether there are any.

    They test the models of the end, which no later training learns from.
    """
    if not stage.frames.exists():
        ended = [
            (replica.frames[-1], number)
            for number, of_system in enumerate(replicas)
            for replica in of_system
            if not replica.stopped
        ]
        if not ended:
            return False
        of_systems = [number for _, number in ended]
        rng = np.random.default_rng([seed, 1])
        which = draw_of_each([True] * len(ended), of_systems, n, rng)
        write_frames(stage.frames, [chosen_frame(*ended[k], RANDOM) for k in which])
    return True


@dataclass(frozen=True, eq=False)
class _Pool:
    """All frames of all replicas."""

    frames: list[Atoms]
    systems: list[int]
    force_spread: FloatArray
    cold: list[bool]

    @classmethod
    def of(cls, replicas: Sequence[Sequence[Replica]], temperature: float) -> _Pool:
        frames, systems, spreads, cold = [], [], [], []
        for number, of_system in enumerate(replicas):
            for replica in of_system:
                # the first frame is a training frame
                frames += replica.frames[1:]
                n = len(replica.frames) - 1
                systems += [number] * n
                spreads += [float(s.max()) for s in replica.force_spread[1:]]
                cold += [replica.temperature == temperature] * n
        if not frames:
            raise RunError(
                "sampling: all replicas were stopped at once: the models know too little; more "
                "first_frames, or a longer training"
            )
        return cls(frames, systems, np.array(spreads), cold)


def _rule(settings: CampaignSettings, averages: dict[str, float]) -> Rule:
    sampling = settings.sampling
    bound = max(sampling.bound, sampling.bound_ratio * averages.get(FORCES, 0.0))
    return Rule(sampling.threshold, bound)


def _tensor_spread(model: TensorModel, frames: Sequence[Atoms]) -> dict[str, FloatArray]:
    """Target -> (n_frames,) largest spread of an atom's tensor among the members."""
    found: dict[str, list[float]] = {name: [] for name in model.targets}
    for tensors in model.evaluate(list(frames)):
        for name, members in tensors.items():
            of_atoms = atom_deviations(members, len(TARGETS[name].shape))
            found[name].append(float(of_atoms.max()))
    return {name: np.array(values) for name, values in found.items()}


def _divided(prints: FloatArray, n: int) -> tuple[FloatArray, FloatArray]:
    return prints[:n], prints[n:]


def chosen_frame(atoms: Atoms, system: int, origin: str) -> Atoms:
    """A frame as it is labelled: where the atoms are, their charge, and why it was chosen."""
    found = Atoms(atoms.numbers, atoms.positions, cell=atoms.cell, pbc=atoms.pbc)
    if atoms.has("masses"):
        found.set_masses(atoms.get_masses())
    info: dict[str, Any] = {SYSTEM: system}
    if "charge" in atoms.info:
        info["charge"] = atoms.info["charge"]
    if origin:
        info[ORIGIN] = origin
    found.info.update(info)
    return found
