"""What a stage is judged by: its runs at constant energy, and normal modes of its models."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ase import Atoms

from aptnn_md.errors import RunError
from aptnn_md.learning import harmonic
from aptnn_md.learning.bonds import BondGraph
from aptnn_md.learning.directory import Stage, read_frames
from aptnn_md.learning.harmonic import MEAN, MEMBER, Lines
from aptnn_md.learning.parallel import do_elsewhere
from aptnn_md.learning.path_integrals import ring_polymers, sampled_beads, stream_ring_polymers
from aptnn_md.learning.replicas import Replica, ReplicaSettings, run_replicas
from aptnn_md.learning.runs import GROUP, BrokenRunsError, RunsJob, make_runs, move_group
from aptnn_md.learning.sampling import draw_starts
from aptnn_md.learning.settings import CampaignSettings
from aptnn_md.learning.stage_models import StageModels
from aptnn_md.progress import log
from aptnn_md.spectra.estimation.plan import plan_spectrum
from aptnn_md.spectra.options import InfraredOptions
from aptnn_md.stream.ensemble import is_ensemble
from aptnn_md.targets import PGT, mean_of_members

FRAMES_BEFORE = 10
"""Frames of a ring polymer before it is streamed, by which it is judged."""


def kinds_of(settings: CampaignSettings) -> tuple[str, ...]:
    """Kinds of spectra that the targets give."""
    return ("infrared", "raman") if PGT.name in settings.properties else ("infrared",)


# ---------------------------------------------------------------------- runs


@dataclass(frozen=True, eq=False)
class RunsTask:
    """Runs of a group, and the dynamics before them, for a worker, too.

    Attributes
    ----------
    stage : whose models move them
    settings : of the campaign
    bonds, number : of the system, and its number
    starts : of all runs of the system
    seed : of random numbers
    group : see :data:`aptnn_md.learning.runs.GROUP`
    """

    stage: Stage
    settings: CampaignSettings
    bonds: BondGraph
    number: int
    starts: Sequence[Atoms]
    seed: int
    group: int


def equilibrated(
    stage: Stage,
    settings: CampaignSettings,
    bonds: Sequence[BondGraph],
    models: StageModels,
    n_runs: int,
    seed: int,
) -> list[list[Replica]]:
    """Replicas of each system at the temperature of the campaign, from training frames."""
    training = read_frames(stage.training)
    starts_of = [draw_starts(training, number, n_runs, seed) for number in range(len(bonds))]
    if settings.dynamics.beads > 1:
        time = 1000.0 * settings.dynamics.equilibrate
        times = time, time / FRAMES_BEFORE
        return [
            sampled_beads(
                ring_polymers(stage, settings, number, starts, seed),
                *(settings, graph, models.potential, times),
            )
            for number, (graph, starts) in enumerate(zip(bonds, starts_of, strict=True))
        ]
    tasks = []
    for number, (graph, starts) in enumerate(zip(bonds, starts_of, strict=True)):
        tasks += [
            RunsTask(stage, settings, graph, number, starts[k : k + GROUP], seed, k // GROUP)
            for k in range(0, n_runs, GROUP)
        ]
    if len(tasks) > 1:
        do_elsewhere(_equilibrate, tasks, settings, "equilibration")
    found: list[list[Replica]] = [[] for _ in bonds]
    for task in tasks:
        found[task.number] += _equilibrate(task, models)
    return found


def _equilibrate(task: RunsTask, models: StageModels | None = None) -> list[Replica]:
    """Langevin dynamics of a group of starts; what has ended is only read."""
    models = models or StageModels.of(task.stage, task.settings)
    dynamics, n = task.settings.dynamics, len(task.starts)
    n_steps = round(1000.0 * dynamics.equilibrate / dynamics.timestep)
    settings = ReplicaSettings(
        steps=n_steps, every=n_steps, timestep=dynamics.timestep, friction=dynamics.friction
    )
    return run_replicas(
        task.starts,
        [task.settings.temperature] * n,
        models.potential,
        settings,
        task.stage.equilibration(task.number, task.group),
        task.seed + task.number + 15485863 * task.group,
        [task.bonds] * n,
    )


def run_dynamics(
    stage: Stage,
    settings: CampaignSettings,
    bonds: Sequence[BondGraph],
    models: StageModels,
    replicas: Sequence[Sequence[Replica]],
    work: tuple[int, int],
) -> int:
    """Runs of each system with the models of a stage; the number of those that ended early.

    Parameters
    ----------
    bonds : of each system
    replicas : of each system; where those at the temperature of the campaign ended, runs begin.
        Those that were stopped count as runs that ended early
    work : number of runs of each system, and seed of their momenta

    Raises
    ------
    BrokenRunsError
        All replicas were stopped, or bonds broke in all runs.
    """
    (n_runs, seed), n_broken, tasks = work, 0, []
    if settings.dynamics.beads > 1:
        of_polymers = n_runs, steps_of_run(settings)
        return stream_ring_polymers(stage, settings, bonds, replicas, of_polymers)
    for number, graph in enumerate(bonds):
        cold = [r for r in replicas[number] if r.temperature == settings.temperature]
        whole = [replica.frames[-1] for replica in cold if not replica.stopped]
        if not whole:
            raise BrokenRunsError(
                f"{stage.path}: all {len(cold)} replicas at {settings.temperature:g} K were "
                "stopped: the potential is not yet good enough for dynamics"
            )
        starts = [whole[k % len(whole)] for k in range(n_runs)]
        tasks.append(RunsTask(stage, settings, graph, number, starts, seed, 0))
        n_broken += len(cold) - len(whole)
    groups = [
        replace(task, group=group)
        for task in tasks
        if not is_ensemble(stage.runs(task.number))
        for group in range(len(_runs_job(task, models).groups))
    ]
    if len(groups) > 1:
        do_elsewhere(_move, groups, settings, "dynamics")
    return n_broken + sum(n_runs - make_runs(_runs_job(task, models)) for task in tasks)


def _move(task: RunsTask) -> None:
    """Move a group of runs, in a worker."""
    move_group(_runs_job(task, StageModels.of(task.stage, task.settings)), task.group)


def _runs_job(task: RunsTask, models: StageModels) -> RunsJob:
    dynamics = task.settings.dynamics
    return RunsJob(
        task.stage.runs(task.number),
        task.starts,
        models.potential,
        models.tensors,
        task.settings.temperature,
        dynamics.timestep,
        dynamics.stride,
        steps_of_run(task.settings),
        task.seed + 104729 + task.number,
        task.bonds,
    )


def steps_of_run(settings: CampaignSettings) -> int:
    """Steps of a run that gives the resolution."""
    dynamics = settings.dynamics
    options = InfraredOptions(resolution=dynamics.resolution)
    plan = plan_spectrum(options, dynamics.timestep * dynamics.stride)
    return int((plan.needed - 1) * dynamics.stride)


# ---------------------------------------------------------------------- normal modes


def model_lines(
    stage: Stage, number: int, bonds: BondGraph, models: StageModels, reference: Lines | None
) -> dict[str, Lines]:
    """Harmonic lines of the mean potential and of its members, of those that have a minimum.

    A minimum with other bonds than the start's is none: a potential that has learned little may
    make molecules react when they are cooled, and the modes of another molecule say nothing.

    Parameters
    ----------
    number, bonds : of the system
    reference : of the engine, whose minimum is where the search begins. The members begin at the
        minimum of the mean: a liquid has many, of which theirs are to be the same
    """
    path = stage.harmonic(number)
    if path.exists():
        return harmonic.read_lines(path)
    start = bonds.start.copy()
    if reference is not None:
        start.positions = reference.positions
    calculators = {MEAN: models.calculator}
    calculators |= {f"{MEMBER}-{k}": m for k, m in enumerate(models.members, start=1)}
    found: dict[str, Lines] = {}
    for name, calculator in calculators.items():
        try:
            hessian, positions = harmonic.relaxed_hessian(start, calculator)
        except RunError as error:
            log.warning("harmonic check of %s, %s: %s", stage.title, name, error)
            continue
        if not bonds.intact(positions):
            text = "harmonic check of %s, %s: its minimum has other bonds than the start"
            log.warning(text, stage.title, name)
            continue
        at_minimum = start.copy()
        at_minimum.positions = positions
        if name == MEAN:
            start = at_minimum
        (tensors,) = models.tensors.evaluate([at_minimum])
        lines = harmonic.lines_of(at_minimum, hessian, mean_of_members(tensors))
        others = reference or next(iter(found.values()), lines)
        if len(lines.wavenumber) != len(others.wavenumber):
            text = "harmonic check of %s, %s: its minimum is bent and others linear, or the reverse"
            log.warning(text, stage.title, name)
            continue
        found[name] = lines
    harmonic.write_lines(path, found)
    return found
