"""Two printed errors hold the truth in about 95 % of cases where modes exchange energy slowly."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from helpers.energy_exchange import Modes

from aptnn_md.arrays import FloatArray
from aptnn_md.spectra.estimation.block_errors import level_standard_error
from aptnn_md.spectra.estimation.power import integration_weights
from aptnn_md.spectra.estimation.slow_exchange import excess_variance, mean_error
from aptnn_md.spectra.infrared.spectrum import infrared_spectrum

SPACING = 4.0
BANDS = {"low": (300.0, 700.0), "middle": (900.0, 1600.0), "high": (2600.0, 3300.0)}
MODES = Modes(
    wavenumbers=(500.0, 1050.0, 1250.0, 1450.0, 2800.0, 2950.0, 3050.0),
    strengths=(1.0, 1.0, 0.5, 0.8, 1.0, 1.5, 0.7),
    exchange_time=4000.0,
    dephasing_time=400.0,
)
CONSERVED = replace(MODES, conserved=True)
CASES: dict[str, Callable[[np.random.Generator], FloatArray]] = {
    "one run of 20 exchange times": lambda rng: MODES.rates(20_000, SPACING, rng),
    "one run, conserved": lambda rng: CONSERVED.rates(20_000, SPACING, rng),
    "8 runs": lambda rng: MODES.rates(2000, SPACING, rng, 8),
    "8 runs, conserved": lambda rng: CONSERVED.rates(2000, SPACING, rng, 8),
    "24 runs": lambda rng: MODES.rates(1000, SPACING, rng, 24),
    "24 runs, conserved": lambda rng: CONSERVED.rates(1000, SPACING, rng, 24),
    "white": lambda rng: rng.normal(size=(1, 20_000, 3)),
}


def share_within(case: str, n: int, seed: int) -> dict[str, float]:
    """Quantity -> share of ``n`` surrogates whose mean of all is within two printed errors."""
    rng = np.random.default_rng(seed)
    found: dict[str, list[tuple[float, float]]] = {}
    for _ in range(n):
        spectrum = infrared_spectrum(list(CASES[case](rng)), SPACING, 300.0, 1e3, 20.0)
        blocks = spectrum.blocks
        found.setdefault("all", []).append(blocks.integral(0.0, blocks.wavenumber[-1]))
        for name, limits in BANDS.items():
            weights = integration_weights(blocks.wavenumber, *limits)
            moments = np.stack([weights, weights * blocks.wavenumber], axis=1)
            centroid = blocks.estimate(lambda m: m[1:] / m[:1], moments)
            found.setdefault(f"{name} integral", []).append(blocks.integral(*limits))
            pair = float(centroid.values[0]), float(centroid.standard_error[0])
            found.setdefault(f"{name} centroid", []).append(pair)
    shares = {}
    for name, pairs in found.items():
        values, errors = np.array(pairs).T
        shares[name] = float(np.mean(np.abs(values - values.mean()) < 2.0 * errors))
    return shares


@pytest.mark.parametrize("case", ["8 runs", "one run, conserved"])
def test_few_surrogates(case: str) -> None:
    """All numbers of 12 surrogates together: 84."""
    assert np.mean(list(share_within(case, 12, 5).values())) > 0.88


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_200_surrogates(case: str) -> None:
    shares = share_within(case, 200, 3)
    print(case, {name: f"{100 * share:.1f} %" for name, share in shares.items()})
    highest = 0.995 if case == "white" else 0.985
    for name, share in shares.items():
        assert 0.90 <= share <= highest, (name, share)


def test_plateau_of_correlated_blocks() -> None:
    """Averages of e^{-t/τ} have a known variance of the mean; short blocks miss most of it."""
    rng = np.random.default_rng(1)
    tau, n_blocks, size = 4.0, 64, 1500  # in blocks
    keep = np.exp(-1 / (8 * tau))
    x = rng.normal(size=(size, n_blocks * 8))
    for k in range(1, x.shape[1]):
        x[:, k] = keep * x[:, k - 1] + np.sqrt(1 - keep**2) * x[:, k]
    blocks = x.reshape(size, n_blocks, 8).mean(axis=2).T + 20.0
    weights, runs = np.full(n_blocks, 1 / n_blocks), np.zeros(n_blocks, dtype=np.int64)
    truth = blocks.mean(axis=0).std()
    assert truth == pytest.approx(np.sqrt(2 * tau / n_blocks * (1 - tau / n_blocks)), rel=0.06)
    found = mean_error(blocks, weights, runs)
    levels = level_standard_error(blocks, weights, runs)
    assert np.median(levels) / truth < 0.8
    assert 0.85 < np.median(found.standard_error) / truth < 1.25
    assert np.median(found.slow) > 0.99
    within = np.abs(blocks.mean(axis=0) - 20.0) < 2.0 * found.standard_error
    assert 0.88 < within.mean() < 0.98


@pytest.mark.parametrize("n_blocks", [5, 10, 30, 64])
def test_independent_blocks(n_blocks: int) -> None:
    rng = np.random.default_rng(n_blocks)
    values = rng.normal(size=(n_blocks, 2000)) + 50.0
    weights, runs = np.full(n_blocks, 1 / n_blocks), np.zeros(n_blocks, dtype=np.int64)
    found = mean_error(values, weights, runs)
    within = np.abs(values.mean(axis=0) - 50.0) < 2.0 * found.standard_error
    assert 0.945 < within.mean() < 0.99
    assert np.median(found.standard_error) * np.sqrt(n_blocks) < (1.2 if n_blocks > 20 else 1.7)
    assert not found.by_runs


def test_enough_runs_give_the_error_by_their_scatter() -> None:
    rng = np.random.default_rng(3)
    values = np.repeat(rng.normal(size=8), 5)[:, None] + 0.1 * rng.normal(size=(40, 1))
    weights, runs = np.full(40, 1 / 40), np.repeat(np.arange(8), 5)
    found = mean_error(values, weights, runs)
    means = values.reshape(8, 5).mean(axis=1)
    student = 2.429 / 2.0  # of seven degrees of freedom, 95.45 %
    expected = student * means.std(ddof=1) / np.sqrt(8)
    assert found.by_runs
    assert found.standard_error[0] == pytest.approx(expected, rel=1e-3)
    # of few runs the part that is the same within a run is a model
    few = mean_error(values[:15], np.full(15, 1 / 15), runs[:15])
    assert not few.by_runs
    assert few.standard_error[0] > means[:3].std(ddof=1) / np.sqrt(3)


@pytest.mark.parametrize(("noise", "least"), [(1e-9, 0.92), (1e-2, 0.92), (0.3, 0.8)])
@pytest.mark.parametrize("n_runs", [2, 3, 5, 7])
def test_a_few_runs_of_which_each_keeps_its_energy(n_runs: int, noise: float, least: float) -> None:
    """As isolated molecules do, however many blocks there are in each. Of two runs that are alike
    by chance nothing tells that the next one would not be."""
    rng = np.random.default_rng(n_runs)
    energy = rng.gamma(3.0, 1.0 / 3.0, size=(n_runs, 1500))
    values = np.repeat(energy, 12, axis=0)
    values = values * (1.0 + noise * rng.normal(size=values.shape))
    weights = np.full(len(values), 1.0 / len(values))
    found = mean_error(values, weights, np.repeat(np.arange(n_runs), 12))
    within = np.abs(weights @ values - 1.0) < 2.0 * found.standard_error
    assert least < within.mean() < 0.99


def test_independent_blocks_of_few_runs_have_about_their_own_error() -> None:
    rng = np.random.default_rng(8)
    values = 5.0 + rng.normal(size=(30, 2000))
    weights, runs = np.full(30, 1 / 30), np.repeat(np.arange(3), 10)
    found = mean_error(values, weights, runs)
    within = np.abs(values.mean(axis=0) - 5.0) < 2.0 * found.standard_error
    assert 0.945 < within.mean() < 0.995
    assert np.median(found.standard_error) * np.sqrt(30) < 1.5


def test_small_values_beside_a_large_line_have_finite_excess() -> None:
    rng = np.random.default_rng(9)
    level = np.where(np.arange(400) == 100, 1e100, 1.0)
    level[200:] = 1e-60
    values = level * rng.gamma(3.0, 1 / 3.0, size=(16, 400))
    weights, runs = np.full(16, 1 / 16), np.repeat([0, 1], 8)
    found = excess_variance(values, weights, runs, level**2, 20)
    assert np.isfinite(found).all()
    assert (found[220:] < 10.0 * level[220:] ** 2).all()


def test_units_and_order_of_columns_do_not_matter() -> None:
    rng = np.random.default_rng(4)
    values = 10.0 + rng.normal(size=(30, 3))
    weights = rng.uniform(0.5, 1.5, size=30)
    weights /= weights.sum()
    runs = np.repeat([3, 7], 15)
    error = mean_error(values, weights, runs, 1.1).standard_error
    scaled = mean_error(1e-12 * values[:, ::-1], weights, runs, 1.1).standard_error
    np.testing.assert_allclose(scaled[::-1], 1e-12 * error, rtol=1e-9)
    # a quantity that can be negative is not widened
    assert np.all(mean_error(values - 10.0, weights, runs, 1.1).standard_error <= error)
    constant = mean_error(np.ones((30, 1)), weights, runs).standard_error
    assert constant[0] < 1e-12


def test_excess_is_where_the_slow_motion_is() -> None:
    rng = np.random.default_rng(5)
    slow = np.repeat(rng.choice([0.3, 1.7], size=8), 8)[:, None]
    values = rng.gamma(3.0, 1 / 3.0, size=(64, 400))
    values[:, 200:] *= slow
    weights, runs = np.full(64, 1 / 64), np.zeros(64, dtype=np.int64)
    found = excess_variance(values, weights, runs, np.ones(400), 20)
    assert found[260:].mean() > 20.0 * found[:140].mean()
    truth = np.var(slow) / 8
    assert 0.3 * truth < found[260:].mean() < 4.0 * truth
    assert not excess_variance(values[:6], np.full(6, 1 / 6), runs[:6], np.ones(400), 20).any()
