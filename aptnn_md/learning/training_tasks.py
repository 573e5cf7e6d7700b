"""Trainings of a stage, each a piece of work for an executor: tensors, and members of a potential.

A task whose file is there is done; one that was killed resumes from its own state. Work is counted
in optimiser steps, so the result does not depend on how fast the machine is.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from aptnn_md.learning.directory import Stage, read_frames
from aptnn_md.learning.parallel import do_elsewhere
from aptnn_md.learning.settings import CampaignSettings
from aptnn_md.progress import log


@dataclass(frozen=True)
class TensorTask:
    """The committee of the tensors.

    Attributes
    ----------
    data : labelled frames
    out : model file
    start_from : model to begin with; empty: random weights
    steps : of the optimiser, for each member
    settings : of the campaign
    seed : of the first member
    """

    data: Path
    out: Path
    start_from: str
    steps: int
    settings: CampaignSettings
    seed: int


@dataclass(frozen=True)
class ForceTask:
    """A member of the potential; attributes as of :class:`TensorTask`.

    Attributes
    ----------
    more : frames that have forces only, of the first dynamics; there may be no such file
    """

    data: Path
    more: Path
    out: Path
    start_from: Path | None
    steps: int
    settings: CampaignSettings
    seed: int


def tasks_of(
    stage: Stage,
    settings: CampaignSettings,
    before: Stage | None,
    more: Path,
    final: bool = False,
) -> list[TensorTask | ForceTask]:
    """What must be trained for a stage.

    Parameters
    ----------
    stage : whose models they are
    settings : of the campaign
    before : stage whose models they begin with; None: random weights, or ``start_from``
    more : frames for the potential alone
    final : whether they are those of the end, whose trainings are longer
    """
    tensors, forces = settings.tensors, settings.forces
    # the members of the end are others than those of the cycles, not the same once more
    seed = settings.seed + (1000 if final else 0)
    tasks: list[TensorTask | ForceTask] = []
    if settings.learns_potential:
        paths = stage.potentials(forces.committee)
        for number, path in enumerate(paths):
            start = None if before is None else before.potentials(forces.committee)[number]
            steps = forces.final_steps if final else forces.steps
            tasks.append(
                ForceTask(stage.training, more, path, start, steps, settings, seed + number)
            )
    start_from = settings.start_from if before is None else str(before.tensors)
    steps = tensors.final_steps if final else tensors.steps
    tasks.append(TensorTask(stage.training, stage.tensors, start_from, steps, settings, seed))
    return tasks


def run_tasks(tasks: Sequence[TensorTask | ForceTask], settings: CampaignSettings) -> None:
    """Train what is not there yet, as many at once as the executor has workers.

    Raises
    ------
    RunError
        A process died.
    """
    todo = [task for task in tasks if not task.out.exists()]
    if not do_elsewhere(train, todo, settings, "training"):
        for task in todo:
            train(task)


def train(task: TensorTask | ForceTask) -> None:
    """Train what a task says; for a worker, too."""
    if isinstance(task, TensorTask):
        _train_tensors(task)
    else:
        _train_forces(task)


def _train_tensors(task: TensorTask) -> None:
    from aptnn_md.training.dataset import read_labelled
    from aptnn_md.training.job import run_training
    from aptnn_md.training.settings import TrainingJob

    settings, tensors = task.settings, task.settings.tensors
    training = tensors.training_settings(task.seed)
    if not training.epochs:
        frames = read_labelled(task.data, settings.target)
        sizes = [len(frame.atoms) for frame in frames if frame.any_label]
        per_epoch = len(training.batches(range(len(sizes)), sizes))
        training = replace(training, epochs=math.ceil(task.steps / per_epoch))
    job = TrainingJob(
        data=task.data,
        out=task.out,
        valid_fraction=0.0,
        target=settings.target,
        network=tensors.network,
        network_settings=(
            {} if task.start_from else tensors.settings_of_network(settings.properties)
        ),
        start_from=task.start_from,
        committee=tensors.committee,
        training=training,
        device=settings.device,
    )
    log.info("training the tensors: %s, %d epochs", task.out, training.epochs)
    run_training(job, restart=job.state_path.exists())


def _train_forces(task: ForceTask) -> None:
    from aptnn_md.training.potential import train_potential

    chosen = task.settings.forces.potential_settings(task.steps, task.settings.device)
    log.info("training the potential: %s, %d steps", task.out, task.steps)
    frames = read_frames(task.data)
    if task.more.exists():
        frames += read_frames(task.more)
    train_potential(frames, chosen, task.out, task.seed, start_from=task.start_from)
