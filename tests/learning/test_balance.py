"""How many labels a cycle makes: by what they were measured to cost."""

from __future__ import annotations

import pytest

from aptnn_md.learning.balance import Balance
from aptnn_md.learning.settings import SamplingSettings

SECONDS = {
    "first frames": 500.0,
    "first labels": 8.0,
    "cycle 1: training": 50.0,
    "cycle 1: labelling": 4.0,
    "cycle 2: training": 60.0,
    "cycle 2: sampling": 70.0,
}


def test_costs_are_those_of_all_labels_before_and_of_the_training_of_the_cycle():
    assert Balance.of(SECONDS, 0, 40) == Balance(8.0 / 40, 50.0)
    assert Balance.of(SECONDS, 1, 60) == Balance(12.0 / 60, 60.0)


@pytest.mark.parametrize(
    ("label", "training", "expected"),
    [
        (0.5, 60.0, 60),  # half of a minute
        (0.02, 60.0, 200),  # nearly free: the most
        (20.0, 60.0, 20),  # dear: the least
        (None, 60.0, 20),
        (0.5, None, 20),
    ],
)
def test_labels_take_a_share_of_the_time_of_the_training(label, training, expected):
    sampling = SamplingSettings(labels=20, label_share=0.5, most_labels=200)
    balance = Balance(label, training)
    assert balance.n_labels(sampling) == expected
    assert f"{expected} frames are labelled" in balance.text(sampling)


def test_without_a_share_the_number_does_not_depend_on_the_clock():
    sampling = SamplingSettings(labels=20, label_share=0.0)
    assert Balance(1e-3, 60.0).n_labels(sampling) == 20
    assert Balance(1e-3, 60.0).text(sampling) == "20 frames are labelled"
    # more labels than the most are what was asked for
    assert Balance(1e-3, 60.0).n_labels(SamplingSettings(labels=300)) == 300


def test_times_that_are_lost_leave_the_least():
    assert Balance.of({}, 0, 40) == Balance(None, None)
    del_labels = {k: v for k, v in SECONDS.items() if k != "cycle 1: labelling"}
    assert Balance.of(del_labels, 1, 60).label is None


def test_a_quarter_of_them_is_random():
    sampling = SamplingSettings()
    assert [sampling.n_random(n) for n in (1, 20, 200)] == [1, 5, 50]
