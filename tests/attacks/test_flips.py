"""A flipped bit in a file is named, or it changes nothing."""

from __future__ import annotations

import pytest
from helpers.campaigns import DOCUMENTS
from helpers.flippable_files import FLIPPABLE
from helpers.tiers import slow

SAMPLES = {
    "model": 700,
    "stream": 150,
    "training state": 5000,
    "checkpoint": 40,
    "ensemble": 10,
    "checkpoint of an ensemble": 80,
    "trail": 40,
    "beads of a trail": 8,
    "point": 10,
    "replicas": 200,
    "runs": 200,
    "state of a potential": 3000,
    **{f"{name} of a campaign": 8 for name in DOCUMENTS},
    "frames of a campaign": 8,
}
"""One byte in so many."""

WHOLE = {"training state": 29, "runs": 7, "state of a potential": 29}
"""One byte in so many of the long form, where it is not every byte."""

NAMES = [
    pytest.param(name, marks=pytest.mark.mace) if name == "state of a potential" else name
    for name in FLIPPABLE
]
LONG = ("stream", "runs", "training state", "state of a potential")


@pytest.mark.thorough
@pytest.mark.parametrize("name", slow(NAMES, *LONG))
def test_some_flips(name, tmp_path):
    flippable = FLIPPABLE[name](tmp_path)
    verdicts = flippable.flip(SAMPLES[name])
    assert verdicts.counts.total() >= flippable.n_bytes // SAMPLES[name] > 10
    assert not verdicts.failures


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_every_flip(name, tmp_path):
    verdicts = FLIPPABLE[name](tmp_path).flip(WHOLE.get(name, 1))
    print(f"{name}: {verdicts}")
    if "times" not in name:  # which is for the eye only
        assert verdicts.counts["found"] > 100
    assert not verdicts.failures
