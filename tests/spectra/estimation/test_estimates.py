"""Standard errors of smooth functions of means over blocks."""

from __future__ import annotations

import numpy as np
import pytest

from aptnn_md.spectra.estimation.estimates import block_influence, estimate_function
from aptnn_md.spectra.estimation.slow_exchange import standard_error


def test_a_linear_function_is_a_mean_over_blocks() -> None:
    rng = np.random.default_rng(1)
    x, weights, runs = (
        rng.normal(size=(20, 3)),
        rng.uniform(0.5, 1.5, size=20),
        np.repeat([0, 1], 10),
    )
    weights /= weights.sum()
    a = np.array([[1.0, -2.0, 0.5], [0.0, 3.0, 1.0]])
    found = estimate_function(lambda m: a @ m + 7.0, x, weights, runs, 1.3)
    np.testing.assert_allclose(found.values, a @ (weights @ x) + 7.0)
    expected = standard_error(x @ a.T, weights, runs, 1.3)
    np.testing.assert_allclose(found.standard_error, expected, rtol=1e-7)


def test_influence_is_the_derivative() -> None:
    """Of a centroid m1/m0 and of a width, whose derivatives are known."""
    rng = np.random.default_rng(2)
    x = np.array([2.0, 6800.0, 2.4e7]) * (1.0 + 0.2 * rng.normal(size=(12, 3)))
    m = np.array([2.0, 6800.0, 2.4e7])

    def function(m):
        return np.array([m[1] / m[0], np.sqrt(m[2] / m[0] - (m[1] / m[0]) ** 2)])

    c, s = function(m)
    d = x - m
    centroid = (d[:, 1] - c * d[:, 0]) / m[0]
    second = (d[:, 2] - m[2] / m[0] * d[:, 0]) / m[0] - 2 * c * centroid
    np.testing.assert_allclose(
        block_influence(function, x, m), np.stack([centroid, second / (2 * s)], axis=1), rtol=1e-4
    )


def test_a_ratio_whose_parts_fluctuate_together_is_certain() -> None:
    rng = np.random.default_rng(3)
    size = 1.0 + 0.3 * rng.normal(size=40)
    x = size[:, None] * np.array([2.0, 7.0])
    weights, runs = np.full(40, 1 / 40), np.zeros(40, dtype=np.int64)
    found = estimate_function(lambda m: np.array([m[1] / m[0], m[0]]), x, weights, runs)
    assert found.values[0] == pytest.approx(3.5)
    assert found.standard_error[0] < 1e-9
    assert found.standard_error[1] > 0.05


def test_what_is_not_finite_has_no_error() -> None:
    x = np.zeros((8, 2))
    x[:, 0] = np.arange(8.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        found = estimate_function(
            lambda m: m[:1] / m[1:], x, np.full(8, 1 / 8), np.zeros(8, dtype=np.int64)
        )
    assert not np.isfinite(found.standard_error[0])
