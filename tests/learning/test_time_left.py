"""What a campaign still takes, of steps whose times are known."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from aptnn_md.learning.judging import steps_of_run
from aptnn_md.learning.settings import (
    CampaignSettings,
    DynamicsSettings,
    ForceSettings,
    TensorSettings,
)
from aptnn_md.learning.time_left import seconds_left

SETTINGS = CampaignSettings(
    structures=(Path("a.xyz"), Path("b.xyz")),
    engine="tblite",
    out=Path("out"),
    cycles=3,
    forces=ForceSettings(steps=100, final_steps=400),
    tensors=TensorSettings(steps=10, final_steps=30),
    dynamics=DynamicsSettings(runs=8, final_runs=72, equilibrate=0.4, timestep=0.5),
)
START = {"first frames": 500.0, "first labels": 300.0, "normal modes of the engine": 20.0}
CYCLE = {"training": 100.0, "sampling": 60.0, "labelling": 30.0, "honest test": 5.0}


def cycle(number, **more):
    return {f"cycle {number}: {name}": value for name, value in (CYCLE | more).items()}


def test_before_the_first_training_has_ended_nothing_is_known():
    assert seconds_left(SETTINGS, START, "first labels") is None
    now = "cycle 1: training"
    # what a run that was killed in it has spent says nothing
    assert seconds_left(SETTINGS, START | {now: 40.0}, now) is None


def test_cycles_that_are_left_and_the_end_count():
    seconds = START | cycle(1, dynamics=200.0)
    # three groups of 24 runs in the place of one, and as many of the equilibration
    before = 3.0 * 200.0 * 800.0 / steps_of_run(SETTINGS)
    end = 4.0 * 100.0 + before + 3.0 * 200.0
    left = seconds_left(SETTINGS, seconds, "cycle 2: training")
    assert left == pytest.approx(2.0 * 395.0 + end)
    later = seconds | {"cycle 2: training": 300.0}  # a mean of 200
    left = seconds_left(SETTINGS, later, "cycle 2: sampling")
    assert left == pytest.approx(295.0 + 495.0 + 4.0 * 200.0 + before + 600.0)


def test_the_end_of_a_loop_that_stopped_early_has_no_cycles_left():
    seconds = START | cycle(1, dynamics=200.0)
    before = 600.0 * 800.0 / steps_of_run(SETTINGS)
    assert seconds_left(SETTINGS, seconds, "final training") == pytest.approx(1000.0 + before)
    assert seconds_left(SETTINGS, seconds, "final honest test") == pytest.approx(600.0 + before)
    assert seconds_left(SETTINGS, seconds, "final dynamics") == pytest.approx(600.0)


def test_jobs_move_groups_at_the_same_time_and_a_fixed_potential_is_not_trained():
    seconds = START | cycle(1, dynamics=200.0)
    jobs = replace(SETTINGS, jobs=2)  # two groups of a cycle in one round, six of the end in three
    assert seconds_left(jobs, seconds, "final dynamics") == pytest.approx(600.0)
    six = replace(SETTINGS, jobs=6)
    assert seconds_left(six, seconds, "final dynamics") == pytest.approx(200.0)
    fixed = replace(SETTINGS, potential="water-mace")
    trained = seconds_left(SETTINGS, seconds, "final training")
    assert trained is not None
    assert seconds_left(fixed, seconds, "final training") == pytest.approx(trained - 100.0)
