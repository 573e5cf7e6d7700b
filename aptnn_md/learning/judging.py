"""What a stage is judged by: its runs at constant energy, and normal modes of its models."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from ase import Atoms

from aptnn_md.errors import RunError
from aptnn_md.learning import harmonic
from aptnn_md.learning.bonds import BondGraph
from aptnn_md.learning.directory import Stage, read_frames
from aptnn_md.learning.harmonic import Lines
from aptnn_md.learning.replicas import Replica, ReplicaSettings, run_replicas
from aptnn_md.learning.runs import BrokenRunsError, RunsJob, make_runs
from aptnn_md.learning.sampling import draw_starts
from aptnn_md.learning.settings import CampaignSettings
from aptnn_md.learning.stage_models import StageModels
from aptnn_md.progress import log
from aptnn_md.spectra.analysis.error_parts import committee_error
from aptnn_md.spectra.estimation.plan import plan_spectrum
from aptnn_md.spectra.options import InfraredOptions
from aptnn_md.targets import PGT, mean_of_members

ENGINE, MEAN, MEMBER = "engine", "mean", "member"
"""Names of lines: of the engine, of the mean potential, and of its members with a number."""


def kinds_of(settings: CampaignSettings) -> tuple[str, ...]:
    """Kinds of spectra that the targets give."""
    return ("infrared", "raman") if PGT.name in settings.properties else ("infrared",)


# ---------------------------------------------------------------------- runs


def equilibrated(
    stage: Stage,
    settings: CampaignSettings,
    systems: Sequence[Atoms],
    models: StageModels,
    n_runs: int,
    seed: int,
) -> list[list[Replica]]:
    """Replicas of each system at the temperature of the campaign, from training frames."""
    dynamics, found = settings.dynamics, []
    training = read_frames(stage.training)
    n_steps = round(1000.0 * dynamics.equilibrate / dynamics.timestep)
    for number, system in enumerate(systems):
        found.append(
            run_replicas(
                draw_starts(training, number, n_runs, seed),
                [settings.temperature] * n_runs,
                models.potential,
                ReplicaSettings(
                    steps=n_steps,
                    every=n_steps,
                    timestep=dynamics.timestep,
                    friction=dynamics.friction,
                ),
                stage.equilibration(number),
                seed + number,
                [BondGraph.of(system)] * n_runs,
            )
        )
    return found


def run_dynamics(
    stage: Stage,
    settings: CampaignSettings,
    systems: Sequence[Atoms],
    models: StageModels,
    replicas: Sequence[Sequence[Replica]],
    work: tuple[int, int],
) -> int:
    """Runs of each system with the models of a stage; the number of those whose bonds broke.

    Parameters
    ----------
    replicas : of each system; where those at the temperature of the campaign ended, runs begin.
        Those that were stopped count as broken
    work : number of runs of each system, and seed of their momenta

    Raises
    ------
    BrokenRunsError
        All replicas were stopped, or bonds broke in all runs.
    """
    (n_runs, seed), dynamics, n_broken = work, settings.dynamics, 0
    for number, system in enumerate(systems):
        cold = [r for r in replicas[number] if r.temperature == settings.temperature]
        whole = [replica.frames[-1] for replica in cold if not replica.stopped]
        if not whole:
            raise BrokenRunsError(
                f"{stage.path}: all {len(cold)} replicas at {settings.temperature:g} K were "
                "stopped: the potential is not yet good enough for dynamics"
            )
        complete = make_runs(
            RunsJob(
                stage.runs(number),
                [whole[k % len(whole)] for k in range(n_runs)],
                models.potential,
                models.tensors,
                settings.temperature,
                dynamics.timestep,
                dynamics.stride,
                steps_of_run(settings),
                seed + 104729 + number,
                BondGraph.of(system),
            )
        )
        n_broken += n_runs - complete + len(cold) - len(whole)
    return n_broken


def steps_of_run(settings: CampaignSettings) -> int:
    """Steps of a run that gives the resolution."""
    dynamics = settings.dynamics
    options = InfraredOptions(resolution=dynamics.resolution)
    plan = plan_spectrum(options, dynamics.timestep * dynamics.stride)
    return int((plan.needed - 1) * dynamics.stride)


# ---------------------------------------------------------------------- normal modes


def model_lines(
    stage: Stage, number: int, system: Atoms, models: StageModels, reference: Lines | None
) -> dict[str, Lines]:
    """Harmonic lines of the mean potential and of its members; an empty one where none was found.

    Parameters
    ----------
    number, system : of the system, which is periodic in no direction
    reference : of the engine, whose minimum is where the search begins
    """
    path = stage.harmonic(number)
    if path.exists():
        return harmonic.read_lines(path)
    start = system.copy()
    if reference is not None:
        start.positions = reference.positions
    calculators = {MEAN: models.calculator}
    calculators |= {f"{MEMBER}-{k}": m for k, m in enumerate(models.members, start=1)}
    found: dict[str, Lines] = {}
    for name, calculator in calculators.items():
        try:
            hessian, positions = harmonic.relaxed_hessian(start, calculator)
        except RunError as error:
            log.warning("harmonic check of %s, %s: %s", stage.name, name, error)
            continue
        at_minimum = start.copy()
        at_minimum.positions = positions
        (tensors,) = models.tensors.evaluate([at_minimum])
        found[name] = harmonic.lines_of(at_minimum, hessian, mean_of_members(tensors))
    harmonic.write_lines(path, found)
    return found


def harmonic_shift(lines: Mapping[str, Lines], reference: Lines | None) -> float:
    """Largest difference of a wavenumber from the reference, or among members; NaN if unknown."""
    if MEAN not in lines:
        return math.nan
    mean = lines[MEAN].wavenumber
    if reference is not None:
        return float(np.abs(mean - reference.wavenumber).max())
    members = members_of(lines)
    if len(members) < 2:
        return math.nan
    return float(committee_error([member.wavenumber for member in members]).max())


def members_of(lines: Mapping[str, Lines]) -> list[Lines]:
    """Lines of the members of the potential."""
    return [found for name, found in lines.items() if name.startswith(MEMBER)]
