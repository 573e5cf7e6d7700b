"""Short runs killed right before each of their file operations, and run again."""

from __future__ import annotations

import pytest
from helpers.campaigns import CAMPAIGN_SHORT_RUNS
from helpers.die_at import killed_at_operations
from helpers.short_runs import SHORT_RUNS
from helpers.tiers import slow

RUNS = {**SHORT_RUNS, **CAMPAIGN_SHORT_RUNS}

SAMPLES = {
    "md": range(1, 31, 3),
    "ensemble": (8, *range(1, 300, 43)),
    "increments": range(1, 90, 17),
    "trajectory": range(1, 90, 17),
    "trajectory increments": range(2, 90, 17),
    "label": range(1, 33, 4),
    "train": (5, 29),
    "spectrum": (2,),
    "predict": (1, 2),
    "runs": (40, 200, 527, 529, 531, 533),
    "replicas": (1, 2, 7, 20),
    "train potential": (1, 9, 20),
}
FEWEST = {"md": 100, "ensemble": 250, "increments": 80, "trajectory": 100}
FEWEST |= {"trajectory increments": 100, "label": 30, "train": 20, "spectrum": 6, "predict": 2}
FEWEST |= {"runs": 500, "replicas": 25, "train potential": 10}

NAMES = [
    pytest.param(name, marks=pytest.mark.mace) if name == "train potential" else name
    for name in RUNS
]

LONG = ("trajectory", "trajectory increments", "ensemble")
LONG += ("spectrum", "runs", "replicas", "train potential")


@pytest.mark.thorough
@pytest.mark.parametrize("name", slow(NAMES, *LONG))
def test_killed_at_some_operations(name, tmp_path):
    assert killed_at_operations(RUNS[name], tmp_path, SAMPLES[name]) == len(SAMPLES[name])


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_killed_at_every_operation(name, tmp_path):
    n_operations = killed_at_operations(RUNS[name], tmp_path, range(1, 10_000))
    print(f"{name}: killed at each of {n_operations} file operations")
    assert n_operations >= FEWEST[name]
