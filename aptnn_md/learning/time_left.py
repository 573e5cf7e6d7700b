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
    STEPS_OF_A_CYCLE,
    STEPS_OF_THE_END,
    TRAINING,
    step_of_cycle,
)


def seconds_left(
    settings: CampaignSettings, seconds: Mapping[str, float], now: str
) -> float | None:
    """Seconds until the end; None before the first training has ended.

    Every cycle that is allowed counts, with the mean time of those before, so this is an upper
    bound until the end has begun. A step in progress counts in full.

    Parameters
    ----------
    settings : of the campaign
    seconds : that steps took
    now : the step in progress
    """
    mean = _means(seconds, now)
    if TRAINING not in mean:
        return None
    of_end = {
        FINAL_TRAINING: mean[TRAINING] * _longer_training(settings),
        FINAL_TEST: mean.get(DYNAMICS, 0.0) * _equilibration(settings),
        FINAL_DYNAMICS: mean.get(DYNAMICS, 0.0) * _rounds(settings),
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


def _rounds(settings: CampaignSettings) -> float:
    """Time of the final dynamics, relative to that of a cycle.

    A group of runs takes about as long for few as for many, and each job moves one.
    """
    dynamics, n_systems = settings.dynamics, len(settings.structures)

    def rounds(n_runs: int) -> int:
        return math.ceil(n_systems * math.ceil(n_runs / GROUP) / settings.jobs)

    return rounds(dynamics.final_runs) / rounds(dynamics.runs)


def _equilibration(settings: CampaignSettings) -> float:
    """Time of the dynamics before the final runs, relative to the dynamics of a cycle."""
    dynamics = settings.dynamics
    n_steps = 1000.0 * dynamics.equilibrate / dynamics.timestep
    return n_steps / steps_of_run(settings) * _rounds(settings)
