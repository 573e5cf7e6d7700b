"""Runs of every kind killed at random and started again: the same as one that nobody disturbed."""

from __future__ import annotations

import importlib.util

import pytest
from helpers.kills import KILLED_RUNS, killed_as_unbroken
from helpers.tiers import slow

if importlib.util.find_spec("ipi") is not None:
    from helpers.ipi_kills import IPI_RUNS
else:
    IPI_RUNS = {}

RUNS = {**KILLED_RUNS, **IPI_RUNS}
needs_ipi = pytest.mark.skipif(not IPI_RUNS, reason="needs i-PI")
NAMES = [
    *(
        pytest.param(name, marks=pytest.mark.mace) if name == "train potential" else name
        for name in KILLED_RUNS
    ),
    *(pytest.param(name, marks=[pytest.mark.ipi, needs_ipi]) for name in ("ipi", "driver")),
]
LONG = ("learn", "train", "train potential", "ensemble", "driver")


FEW = {"learn": 1, "train potential": 1}
"""Kills of long runs in the short form; two of the others."""


@pytest.mark.thorough
@pytest.mark.parametrize("name", slow(NAMES, *LONG))
def test_killed_once_or_twice_it_is_the_unbroken_run(name, tmp_path):
    n_kills = FEW.get(name, 2)
    assert killed_as_unbroken(RUNS[name], tmp_path, n_kills) == n_kills


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_killed_often(name, tmp_path):
    kills = killed_as_unbroken(RUNS[name], tmp_path, n_kills=50, seed=1)
    print(f"{name}: {kills} kills")
    assert kills == 50
