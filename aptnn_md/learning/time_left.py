"""How long a campaign will still take, judged by what its steps have taken so far."""

from __future__ import annotations

import math
from collections.abc import Mapping

from aptnn_md.learning.judging import steps_of_run
from aptnn_md.learning.runs import GROUP
from aptnn_md.learning.settings import CampaignSettings
from aptnn_md.learning.steps import (
    DYNAMICS,
    FINAL_DYNAMICS,
    FINAL_TEST,
    FINAL_TRAINING,
    SAMPLING,
    STEPS_OF_A_CYCLE,
    STEPS_OF_THE_END,
    TRAINING,
    step_of_cycle,
)

OVERHEAD = 42
"""Atoms whose forces take as long as what an evaluation takes however small it is: of MACE with one
layer on one core, 7 ms for 6 atoms and 27 ms for 144 at once."""

STOPPED_EARLY = 0.1
"""Dynamics that took a smaller part of the time that was expected did not run to their end."""


def seconds_left(
    settings: CampaignSettings, n_atoms: int, seconds: Mapping[str, float], now: str
) -> float | None:
    """Seconds until the end; None before the first training has ended.

    Every cycle that is allowed counts, with the mean time of those before, so this is an upper
    bound until the end has begun. A step in progress counts in full.

    Parameters
    ----------
    settings : of the campaign
    n_atoms : of its largest structure
    seconds : that steps took
    now : the step in progress
    """
    mean = _means(seconds, now)
    if TRAINING not in mean:
        return None
    known = [t for step, t in seconds.items() if step.endswith(f": {DYNAMICS}") and step != now]
    sampling = mean.get(SAMPLING, 0.0)
    mean[DYNAMICS] = _seconds_of_dynamics(settings, n_atoms, max(known, default=0.0), sampling)
    dynamics, final = settings.dynamics, _cost(settings, settings.dynamics.final_runs, n_atoms)
    at_end = mean[DYNAMICS] * final / _cost(settings, dynamics.runs, n_atoms)
    n_before = 1000.0 * dynamics.equilibrate / dynamics.timestep
    of_end = {
        FINAL_TRAINING: mean[TRAINING] * _longer_training(settings),
        FINAL_TEST: at_end * n_before / steps_of_run(settings),
        FINAL_DYNAMICS: at_end,
    }
    if now in STEPS_OF_THE_END:  # the loop has stopped, perhaps before the last cycle
        return sum(of_end[step] for step in STEPS_OF_THE_END[STEPS_OF_THE_END.index(now) :])
    done = {step for step in seconds if step != now}
    left = sum(of_end.values())
    for number in range(settings.cycles):
        for kind in STEPS_OF_A_CYCLE:
            if step_of_cycle(number, kind) not in done:
                left += mean.get(kind, 0.0)
    return left


def _means(seconds: Mapping[str, float], now: str) -> dict[str, float]:
    """Mean time of each step of a cycle, over the cycles that have made it."""
    known: dict[str, list[float]] = {}
    for step, value in seconds.items():
        kind = step.rpartition(": ")[2]
        if step.startswith("cycle") and kind in STEPS_OF_A_CYCLE and step != now:
            known.setdefault(kind, []).append(value)
    return {kind: sum(values) / len(values) for kind, values in known.items()}


def _longer_training(settings: CampaignSettings) -> float:
    """Time of the final training, relative to that of a cycle."""
    if settings.learns_potential:
        return settings.forces.final_steps / settings.forces.steps
    return settings.tensors.final_steps / settings.tensors.steps


def _seconds_of_dynamics(
    settings: CampaignSettings, n_atoms: int, longest: float, seconds_of_sampling: float
) -> float:
    """Time of the dynamics of a cycle: the longest so far, as runs may have been stopped early.

    Where all have been, and as long as there are none, the time of a step is that of sampling.
    """
    sampling, dynamics = settings.sampling, settings.dynamics
    steps = 1000.0 * sampling.picoseconds / sampling.timestep
    longer = steps_of_run(settings) / steps
    more = _cost(settings, dynamics.runs, n_atoms) / _cost(settings, sampling.replicas, n_atoms)
    by_sampling = seconds_of_sampling * longer * more
    return longest if longest > STOPPED_EARLY * by_sampling else by_sampling


def _cost(settings: CampaignSettings, n_runs: int, n_atoms: int) -> int:
    """Time of a step of so many runs of each system, in the time for the forces of an atom.

    Groups of runs, or the beads of a ring polymer, are moved at once, and each job moves one group
    after the other.
    """
    beads = settings.dynamics.beads
    at_once = beads if beads > 1 else min(n_runs, GROUP)
    groups = len(settings.structures) * (n_runs if beads > 1 else math.ceil(n_runs / GROUP))
    return math.ceil(groups / settings.jobs) * (OVERHEAD + at_once * n_atoms)
