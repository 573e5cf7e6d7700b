"""Which frames are chosen, on data where the answer is known."""

from __future__ import annotations

import numpy as np
import pytest

from aptnn_md.learning.selection import (
    Rule,
    Spread,
    draw_of_each,
    draw_random,
    farthest_points,
    select,
    worth_a_label,
)


def test_moving_averages_remember_half_of_what_was():
    spread = Spread({"forces": np.array([1.0, 2.0, 9.0]), "apt": np.array([0.1, 0.1, 0.4])})
    first = spread.averages({})
    assert first == {"forces": 2.0, "apt": 0.1}  # medians: one wild frame does not count
    second = Spread({"forces": np.array([4.0]), "apt": np.array([0.3])}).averages(first)
    assert second == pytest.approx({"forces": 3.0, "apt": 0.2})


def test_a_frame_counts_by_whatever_members_disagree_about_most():
    spread = Spread({"forces": np.array([1.0, 4.0]), "apt": np.array([0.3, 0.1])})
    assert spread.relative({"forces": 2.0, "apt": 0.1}) == pytest.approx([3.0, 2.0])
    assert spread.relative({"forces": 2.0, "apt": 0.0}) == pytest.approx([0.5, 2.0])


def test_between_threshold_and_bound_and_with_intact_bonds():
    forces = np.array([0.1, 0.31, 0.9, 2.0, 0.5, 0.4])
    spread = Spread({"forces": forces})
    allowed = np.array([True, True, True, True, False, True])
    found = worth_a_label(spread, {"forces": 0.2}, Rule(1.5, 1.0), allowed)
    # 0.1 is certain, 2.0 above the bound, 0.5 broken; the most uncertain first
    assert found.tolist() == [2, 5, 1]
    assert not len(worth_a_label(spread, {"forces": 2.0}, Rule(1.5, 1.0), allowed))


def test_farthest_points_of_a_line():
    line = np.array([[0.0], [1.0], [4.0], [9.0], [10.0]])
    assert farthest_points(line, np.array([[0.0]]), 3) == [4, 2, 1]
    # what is known already, or twice there, is not chosen
    assert farthest_points(np.array([[2.0], [2.0], [5.0]]), np.array([[5.0]]), 3) == [0]
    assert farthest_points(line, line[:0], 2) == [0, 4]


def test_farthest_points_against_the_definition():
    rng = np.random.default_rng(1)
    points, known = rng.normal(size=(40, 5)), rng.normal(size=(7, 5))
    there, expected = list(known), []
    for _ in range(6):
        gaps = [min(np.linalg.norm(p - q) for q in there) for p in points]
        expected.append(int(np.argmax(gaps)))
        there.append(points[expected[-1]])
    assert farthest_points(points, known, 6) == expected


def test_select_takes_uncertain_frames_far_apart_then_fills_up():
    # frames 0 to 3 are uncertain; 0 and 1 are alike, 3 is above the bound
    forces = np.array([0.8, 0.9, 0.7, 5.0, 0.2, 0.1])
    prints = np.array([[0.0, 0.0], [0.01, 0.0], [5.0, 0.0], [9.0, 9.0], [0.0, 7.0], [1.0, 0.0]])
    spread, rule = Spread({"forces": forces}), Rule(1.5, 1.0)
    allowed, known = np.ones(6, dtype=bool), np.array([[0.0, 1.0]])
    averages = {"forces": 0.4}
    assert select(spread, averages, rule, allowed, (prints, known), 2) == [2, 1]
    assert select(spread, averages, rule, allowed, (prints, known), 4) == [2, 1, 0, 4]
    assert 3 not in select(spread, averages, rule, allowed, (prints, known), 6)


def test_random_frames_are_drawn_once_each_of_those_allowed():
    allowed = [True, False, True, True, False]
    assert draw_random(allowed, 10, np.random.default_rng(0)) == [0, 2, 3]
    counts = np.zeros(5)
    for seed in range(600):
        counts[draw_random(allowed, 1, np.random.default_rng(seed))] += 1
    assert counts[[1, 4]].tolist() == [0, 0]
    assert counts[[0, 2, 3]] == pytest.approx(200, abs=45)  # four standard deviations


def test_each_system_has_random_frames():
    systems = np.array([0] * 50 + [1] * 5 + [4] * 20)
    allowed = np.arange(75) % 2 == 0
    rng = np.random.default_rng(0)
    drawn = draw_of_each(allowed, systems, 8, rng)
    assert drawn == sorted(set(drawn))
    assert allowed[drawn].all()
    assert [int((systems[drawn] == number).sum()) for number in (0, 1, 4)] == [2, 3, 3]
    # the second has three that are allowed
    many = draw_of_each(allowed, systems, 15, rng)
    assert [int((systems[many] == number).sum()) for number in (0, 1, 4)] == [5, 3, 5]
    few = draw_of_each(allowed, systems, 2, rng)
    assert sorted(systems[few]) == [0, 1, 4]
    alone = draw_of_each(allowed, [3] * 75, 8, np.random.default_rng(5))
    assert alone == draw_random(allowed, 8, np.random.default_rng(5))
