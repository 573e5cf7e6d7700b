"""Differences of spectra of signals that fluctuate together: their errors are their scatter."""

from __future__ import annotations

import numpy as np
import pytest
from helpers.paired_streams import (
    BANDS,
    FIRST_CHARGES,
    SECOND_CHARGES,
    SPACING,
    rates_of,
    trajectories,
)
from helpers.tiers import thorough_but

from aptnn_md.spectra.analysis.band_differences import paired_differences
from aptnn_md.spectra.estimation.accumulate import LagAccumulator
from aptnn_md.spectra.estimation.paired import PairedBlocks, paired_densities, paired_terms
from aptnn_md.spectra.estimation.plan import plan_spectrum
from aptnn_md.spectra.options import InfraredOptions

N_RUNS, N_FRAMES = 128, 2400


def paired_blocks(method: str) -> list[PairedBlocks]:
    """Two models on each of many independent trajectories."""
    options = InfraredOptions(resolution=100.0, method=method)
    found = []
    for seed, velocities in enumerate(trajectories(N_FRAMES, N_RUNS)):
        accumulator = LagAccumulator(plan_spectrum(options, SPACING), paired_terms(), 2)
        first = rates_of(velocities, FIRST_CHARGES, 2 * seed)
        second = rates_of(velocities, SECOND_CHARGES, 2 * seed + 1)
        accumulator.feed(accumulator.add_run("run"), np.stack([first, second], axis=1))
        found.append(paired_densities(accumulator, np.ones(1), np.ones(1)))
    return found


@pytest.fixture(scope="module", params=thorough_but(["welch", "blackman-tukey"], "welch"))
def runs(request: pytest.FixtureRequest) -> list[PairedBlocks]:
    return paired_blocks(request.param)


@pytest.mark.thorough
def test_error_of_the_curve(runs: list[PairedBlocks]) -> None:
    """Within the bands, where models differ by charges, and outside, where noise is all."""
    curves = np.array([run.difference.mean for run in runs])
    errors = np.array([run.difference.standard_error for run in runs])
    single = np.array([run.first.standard_error for run in runs])
    grid = runs[0].first.wavenumber
    ratio = np.sqrt((errors**2).mean(axis=0)) / curves.std(axis=0, ddof=1)
    for low, high in ((0, 400), *BANDS.values(), (900, 1400), (1900, 4000), (4000, 8300)):
        inside = (grid > low) & (grid <= high)
        assert 0.8 < ratio[inside].mean() < 1.35, (low, high)
        assert 5.0 * errors[:, inside].mean() < single[:, inside].mean()


@pytest.mark.thorough
def test_error_of_integrals_and_positions(runs: list[PairedBlocks]) -> None:
    whole = (0.0, float(runs[0].first.wavenumber[-1]))
    bands = [paired_differences(run, {**BANDS, "all": whole}) for run in runs]
    for k in range(len(BANDS) + 1):
        found = np.array([(row[k].integral, row[k].integral_error) for row in bands])
        single = np.array([run.first.integral(*(*BANDS.values(), whole)[k])[1] for run in runs])
        ratio = np.sqrt((found[:, 1] ** 2).mean()) / found[:, 0].std(ddof=1)
        # 15 to 19 blocks cannot exclude slow motion, which widens errors
        assert 0.9 < ratio < 1.5
        assert 5.0 * found[:, 1].mean() < single.mean()
    for k in range(len(BANDS)):
        shifts = np.array([(row[k].position, row[k].position_error) for row in bands])
        # the jackknife of a maximum has outliers
        assert 0.8 < np.median(shifts[:, 1]) / shifts[:, 0].std(ddof=1) < 1.3


def test_equal_signals_differ_by_nothing() -> None:
    signal = np.random.default_rng(0).normal(size=(3000, 1, 3)).repeat(2, axis=1)
    plan = plan_spectrum(InfraredOptions(resolution=100.0), SPACING)
    accumulator = LagAccumulator(plan, paired_terms(), 2)
    accumulator.feed(accumulator.add_run("run"), signal)
    same = paired_densities(accumulator, np.ones(1), np.ones(1))
    assert np.abs(same.difference.mean).max() < 1e-10 * same.first.mean.max()
    assert same.difference.standard_error.max() < 1e-6 * same.first.standard_error.max()
    # the second one counts twice
    twice = paired_densities(accumulator, np.ones(1), np.full(1, 2.0))
    np.testing.assert_allclose(twice.difference.mean, same.first.mean, rtol=1e-9)
    np.testing.assert_allclose(
        twice.difference.standard_error, same.first.standard_error, rtol=1e-6
    )
