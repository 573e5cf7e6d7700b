"""The first frames of a campaign: hot dynamics of the engine itself."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from ase import Atoms

from aptnn_md.errors import RunError
from aptnn_md.learning.bonds import BondGraph
from aptnn_md.learning.directory import SYSTEM, Stage, read_frames, system_names, write_frames
from aptnn_md.learning.engine_potential import EngineCalculator, RememberingEngine
from aptnn_md.learning.replicas import FORCES as NO_FORCES
from aptnn_md.learning.replicas import Replica, ReplicaSettings, run_replicas
from aptnn_md.learning.sampling import FIRST, chosen_frame
from aptnn_md.learning.settings import CampaignSettings, SamplingSettings
from aptnn_md.progress import log

DYNAMICS = "dynamics"
"""Origin of frames of the first dynamics that have forces only."""

FIRST_REPLICAS = 4
"""Trajectories of the first dynamics: few, so that most of it is equilibrated."""


def sample_first(stage: Stage, settings: CampaignSettings, systems: Sequence[Atoms]) -> None:
    """Frames of hot dynamics of the engine, at equal intervals, the same number of each system.

    Each step of that dynamics has energy and forces, so that the frames between those that are
    labelled cost nothing more: they are kept for the potential, unless another engine moved them.
    """
    if stage.frames.exists():
        return
    stage.path.mkdir(parents=True, exist_ok=True)
    sampling, frames, with_forces = settings.sampling, [], []
    engine = RememberingEngine(EngineCalculator(settings.sampler or settings.engine))
    for number, system in enumerate(systems):
        n_wanted = -(-sampling.first_frames // len(systems))
        n_replicas = min(FIRST_REPLICAS, n_wanted)
        n_each = -(-n_wanted // n_replicas)
        kept, of_label = _intervals(sampling)
        replicas = run_replicas(
            [system] * n_replicas,
            [sampling.hot * settings.temperature] * n_replicas,
            engine,
            ReplicaSettings(
                steps=kept * of_label * n_each,
                every=kept,
                timestep=sampling.timestep,
                friction=sampling.friction,
            ),
            stage.path / f"dynamics-{number}.npz",
            settings.seed + 7919 * number,
            [BondGraph.of(system, moving_protons=True)] * n_replicas,
        )
        found, others = _divide_first(replicas, of_label, n_wanted)
        frames += [chosen_frame(atoms, number, FIRST) for atoms in found]
        with_forces += [chosen_frame(atoms, number, DYNAMICS) for atoms in others]
        if not found:
            raise _nothing_found(stage, replicas)
    if settings.learns_potential and not settings.sampler:
        log.info("%d frames of the first dynamics have forces, but no labels", len(with_forces))
        known = [engine.with_results(atoms) for atoms in with_forces]
        write_frames(stage.forces, [atoms for atoms in known if _finite(atoms)])
    write_frames(stage.frames, frames)


def bonds_of_systems(
    stage: Stage, settings: CampaignSettings, systems: Sequence[Atoms]
) -> list[BondGraph]:
    """Bonds of each system, which its models have to keep; protons may move if they do here.

    Parameters
    ----------
    stage : of the first frames
    settings : of the campaign
    systems : start structures
    """
    frames = read_frames(stage.frames)
    if stage.forces.exists():
        frames += read_frames(stage.forces)
    found = []
    for number, (name, system) in enumerate(zip(system_names(settings), systems, strict=True)):
        own = [atoms for atoms in frames if atoms.info[SYSTEM] == number]
        graph = BondGraph.from_dynamics(system, own)
        if graph.moving_protons:
            log.info("%s: protons move in the first dynamics, so they may in all others", name)
        found.append(graph)
    return found


def _intervals(sampling: SamplingSettings) -> tuple[int, int]:
    """Steps between the frames that are kept, and how many of these one label stands for."""
    steps = max(1, round(1000.0 * sampling.first_picoseconds / sampling.timestep))
    of_label = max(1, steps // sampling.every)
    return max(1, round(steps / of_label)), of_label


def _divide_first(
    replicas: Sequence[Replica], of_label: int, n_wanted: int
) -> tuple[list[Atoms], list[Atoms]]:
    """Frames to label, every ``of_label``-th of each replica, and all others."""
    found: list[Atoms] = []
    others: list[Atoms] = []
    for replica in replicas:
        for number, atoms in enumerate(replica.frames[1:], start=1):
            # what remains of a replica that was stopped counts, too: it may be all there is
            ends = number % of_label == 0 or (number < of_label and atoms is replica.frames[-1])
            (found if ends and len(found) < n_wanted else others).append(atoms)
    return found, others


def _finite(atoms: Atoms) -> bool:
    results = atoms.calc.results
    return bool(np.isfinite(results["energy"]) and np.isfinite(results["forces"]).all())


def _nothing_found(stage: Stage, replicas: Sequence[Replica]) -> RunError:
    reasons = {replica.stopped for replica in replicas}
    if reasons == {NO_FORCES}:
        return RunError(
            f"{stage.path}: the engine could not calculate any start: see its messages above; "
            "after a change begin again in another directory (--out)"
        )
    return RunError(
        f"{stage.path}: bonds broke at once: begin again in another directory with a lower "
        "temperature, or hot = 1 in [sampling]"
    )
