"""Errors of a spectrum by their origin, against numbers that are known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from aptnn_md.spectra.analysis.error_parts import (
    ErrorParts,
    committee_error,
    describe_parts,
    trajectory_error,
)


@dataclass(frozen=True)
class Curve:
    """What of a density's blocks the errors read."""

    wavenumber: np.ndarray
    mean: np.ndarray
    standard_error: np.ndarray


GRID = np.linspace(0.0, 100.0, 201)


def test_committee_error_is_twice_the_mean_deviation():
    members = [np.array([1.0, 5.0]), np.array([2.0, 5.0]), np.array([6.0, 5.0])]
    # mean 3: deviations 2, 1, 3
    assert committee_error(members) == pytest.approx([4.0, 0.0])


def test_what_absorbs_nothing_has_no_relative_error():
    """As nitrogen; an error of nothing is more than everything."""
    nothing = np.zeros(201)
    parts = ErrorParts(GRID, curve=nothing, statistical=nothing, tensors=np.full(201, 0.1))
    assert parts.relative(0.0, 100.0) == {"statistical": 0.0, "tensors": np.inf}


def test_relative_errors_are_ratios_of_integrals_over_the_range():
    parts = ErrorParts(
        GRID,
        curve=np.full(201, 2.0),
        statistical=np.where(GRID < 50.0, 0.2, 1.0),
        tensors=0.01 * GRID,
    )
    assert parts.relative(0.0, 40.0) == pytest.approx({"statistical": 0.1, "tensors": 0.1})
    assert parts.relative(60.0, 100.0)["statistical"] == pytest.approx(0.5)
    text = "\n".join(describe_parts(parts, 0.0, 40.0))
    for words in (
        "10.0 %  statistical",
        "10.0 %  model of tensors",
        "error of the potential is not",
    ):
        assert words in text


def test_statistics_are_taken_out_of_the_error_of_the_potential():
    rng = np.random.default_rng(0)
    noise = 0.3
    grid, shape = np.linspace(0.0, 1.0, 4000), (3, 4000)
    alike = rng.normal(size=shape) * noise
    curves = [Curve(grid, 5.0 + each, np.full(4000, noise)) for each in alike]
    left = trajectory_error(curves)
    # in the mean of the squares nothing is left of noise alone
    raw = committee_error([curve.mean for curve in curves])
    expected = 2.0 * noise * np.sqrt(2.0 / np.pi * 2.0 / 3.0)
    assert raw.mean() == pytest.approx(expected, rel=0.03)
    assert left.mean() < 0.55 * raw.mean()
    # three potentials 0, 3 and 6 apart: mean deviation 2, of which noise hides next to nothing
    apart = [Curve(grid, c.mean + 3.0 * k, c.standard_error) for k, c in enumerate(curves)]
    assert trajectory_error(apart).mean() == pytest.approx(4.0, rel=0.03)
