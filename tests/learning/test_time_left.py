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
    SamplingSettings,
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
    sampling=SamplingSettings(replicas=8, picoseconds=0.5, timestep=0.5),
    dynamics=DynamicsSettings(runs=8, final_runs=72, equilibrate=0.4, timestep=0.5),
)
N_ATOMS = 6
FINAL = 3.0 * (42 + 24 * N_ATOMS) / (42 + 8 * N_ATOMS)
"""Time of the final dynamics, in that of a cycle: three groups of 24 runs instead of 8 runs."""
START = {"first frames": 500.0, "first labels": 300.0, "normal modes of the engine": 20.0}
CYCLE = {"training": 100.0, "sampling": 60.0, "labelling": 30.0, "honest test": 5.0}


def cycle(number, **more):
    return {f"cycle {number}: {name}": value for name, value in (CYCLE | more).items()}


def test_before_the_first_training_has_ended_nothing_is_known():
    assert seconds_left(SETTINGS, N_ATOMS, START, "first labels") is None
    now = "cycle 1: training"
    # what a run that was killed in it has spent says nothing
    assert seconds_left(SETTINGS, N_ATOMS, START | {now: 40.0}, now) is None


def test_cycles_that_are_left_and_the_end_count():
    seconds = START | cycle(1, dynamics=200.0)
    before = FINAL * 200.0 * 800.0 / steps_of_run(SETTINGS)
    end = 4.0 * 100.0 + before + FINAL * 200.0
    left = seconds_left(SETTINGS, N_ATOMS, seconds, "cycle 2: training")
    assert left == pytest.approx(2.0 * 395.0 + end)
    later = seconds | {"cycle 2: training": 300.0}  # a mean of 200
    left = seconds_left(SETTINGS, N_ATOMS, later, "cycle 2: sampling")
    assert left == pytest.approx(295.0 + 495.0 + 4.0 * 200.0 + before + FINAL * 200.0)


def test_the_end_of_a_loop_that_stopped_early_has_no_cycles_left():
    seconds = START | cycle(1, dynamics=200.0)
    runs = FINAL * 200.0
    before = runs * 800.0 / steps_of_run(SETTINGS)
    assert seconds_left(SETTINGS, N_ATOMS, seconds, "final training") == pytest.approx(
        400.0 + before + runs
    )
    assert seconds_left(SETTINGS, N_ATOMS, seconds, "final honest test") == pytest.approx(
        before + runs
    )
    assert seconds_left(SETTINGS, N_ATOMS, seconds, "final dynamics") == pytest.approx(runs)


def test_dynamics_that_was_stopped_at_once_is_estimated_by_sampling():
    """Whose steps, of as many replicas as runs, take as long."""
    n_steps = 1000.0  # of sampling, in 60 seconds
    expected = 60.0 * steps_of_run(SETTINGS) / n_steps
    stopped = START | cycle(1, dynamics=0.5)
    found = seconds_left(SETTINGS, N_ATOMS, stopped, "final dynamics")
    assert found == pytest.approx(FINAL * expected)
    # a cycle that ran to its end tells it
    later = stopped | cycle(2, dynamics=expected / 2.0)
    found = seconds_left(SETTINGS, N_ATOMS, later, "final dynamics")
    assert found == pytest.approx(FINAL * expected / 2.0)


def test_many_runs_of_a_large_molecule_take_longer_in_proportion():
    seconds = START | cycle(1, dynamics=200.0)
    small = replace(SETTINGS, dynamics=replace(SETTINGS.dynamics, final_runs=24))
    large = seconds_left(small, 1000, seconds, "final dynamics")
    assert large == pytest.approx(3.0 * 200.0, rel=0.01)


def test_jobs_move_groups_at_the_same_time_and_a_fixed_potential_is_not_trained():
    seconds = START | cycle(1, dynamics=200.0)
    jobs = replace(SETTINGS, jobs=2)  # two groups of a cycle in one round, six of the end in three
    assert seconds_left(jobs, N_ATOMS, seconds, "final dynamics") == pytest.approx(FINAL * 200.0)
    six = replace(SETTINGS, jobs=6)
    assert seconds_left(six, N_ATOMS, seconds, "final dynamics") == pytest.approx(
        FINAL / 3.0 * 200.0
    )
    fixed = replace(SETTINGS, potential="water-mace")
    trained = seconds_left(SETTINGS, N_ATOMS, seconds, "final training")
    assert trained is not None
    assert seconds_left(fixed, N_ATOMS, seconds, "final training") == pytest.approx(trained - 100.0)
