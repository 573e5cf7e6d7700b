"""Whether spectra and their errors are right, on processes that are known exactly."""

from __future__ import annotations

import math

import numpy as np
import pytest
from helpers.oscillators import absorption, angular_frequency, langevin_velocities
from scipy.integrate import quad
from scipy.linalg import expm

from aptnn_md import units
from aptnn_md.arrays import FloatArray
from aptnn_md.spectra import find_bands, infrared_spectrum

T, V = 300.0, 1000.0
POSITION, WIDTH = 1000.0, 100.0
REPETITIONS = 200


def true_integral(low: float, high: float) -> float:
    def curve(nu: float) -> float:
        return float(absorption(np.array([nu]), 1.0, POSITION, WIDTH, V)[0])

    return float(quad(curve, low, high, points=[POSITION], limit=200)[0])


@pytest.mark.thorough
@pytest.mark.parametrize("method", ["welch", "blackman-tukey"])
def test_errors_of_a_damped_charge_hold_95_percent(method: str) -> None:
    """Points of the curve, integrals, the sum rule, position and height of the band."""
    velocities = langevin_velocities((4500, 3 * REPETITIONS), 4.0, POSITION, WIDTH, T, seed=3)
    low, high = POSITION - 2 * WIDTH, POSITION + 2 * WIDTH
    area = true_integral(low, high)
    top = absorption(np.array([POSITION]), 1.0, POSITION, WIDTH, V)[0]
    inside: dict[str, list[bool]] = {}
    points, found = [], []
    for k in range(REPETITIONS):
        run = velocities[:, 3 * k : 3 * k + 3]
        spectrum = infrared_spectrum([run], 4.0, T, V, 15.0, f_sum=1.0, method=method)
        near = np.abs(spectrum.wavenumber - POSITION) < 1.5 * WIDTH
        true = absorption(spectrum.wavenumber[near], 1.0, POSITION, WIDTH, V)
        points.append(np.abs(spectrum.absorption[near] - true) < 2 * spectrum.standard_error[near])
        value, error = spectrum.integral(low, high)
        found.append((value, error))
        rule = spectrum.sum_rule
        assert rule.expected is not None
        now = {"integral": (value - area, error)}
        now["sum rule"] = (rule.found - rule.expected, rule.standard_error)
        if method == "welch" and k % 4 == 0:
            (band,) = find_bands(spectrum, {"line": (low, high)})
            now["position"] = (band.position - POSITION, band.position_error)
            now["height"] = (band.height - top, band.height_error)
        for name, (deviation, sigma) in now.items():
            inside.setdefault(name, []).append(abs(deviation) < 2 * sigma)
    assert 0.92 < np.mean(points) < 0.98
    # 95 % of 200 come with a standard deviation of 1.5 %
    for name, values in inside.items():
        assert np.mean(values) > 0.95 - 3 * math.sqrt(0.05 * 0.95 / len(values)), name
    values, errors = np.transpose(found)
    assert np.mean(values) == pytest.approx(area, rel=0.012)
    # 10 blocks cannot exclude slow motion, which widens errors
    assert 1.0 < np.sqrt(np.mean(errors**2)) / np.std(values) < 1.45


def test_f_sum_rule_to_half_a_percent() -> None:
    velocities = langevin_velocities((20_000, 3 * 60), 2.0, POSITION, 800.0, T, 2.0, seed=5)
    runs = [0.7 * velocities[:, i : i + 3] for i in range(0, velocities.shape[1], 3)]
    for method in ("welch", "blackman-tukey"):
        rule = infrared_spectrum(runs, 2.0, T, V, 20.0, f_sum=0.7**2 / 2.0, method=method).sum_rule
        assert rule.expected is not None
        assert rule.standard_error / rule.expected < 0.0025
        assert rule.ratio == pytest.approx(1.0, abs=0.005)


@pytest.mark.parametrize("method", ["welch", "blackman-tukey"])
@pytest.mark.parametrize("window", ["hann", "gaussian", "blackman-harris"])
def test_constant_signal(method: str, window: str) -> None:
    """All of it at zero, no wider than the resolution, however long the record."""
    run = np.full((30_000, 3), 0.01)
    spectrum = infrared_spectrum([run], 1.0, T, V, 20.0, method=method, window=window)
    expected = units.IR_PREFACTOR / (T * V) * 3 * 0.01**2 / (2 * units.LIGHT_SPEED_CM_PER_FS)
    assert spectrum.integral(0.0, 80.0)[0] == pytest.approx(expected, rel=5e-3)
    far = np.abs(spectrum.absorption[spectrum.wavenumber > 200]).max()
    assert far < 2e-4 * spectrum.absorption[0]
    # nothing differs between blocks but the end of the run, where correlations have fewer terms
    largest = 1e-6 if method == "welch" else 0.03
    assert spectrum.standard_error[0] < largest * spectrum.absorption[0]


@pytest.mark.parametrize("method", ["welch", "blackman-tukey"])
def test_linear_signal(method: str) -> None:
    """A drift is slow: nothing of it beyond the resolution. Its mean square is the integral (frames
    at both ends weigh less in Welch's), and blocks differ, so it has a large error."""
    run = 0.01 * np.linspace(-1.0, 2.0, 30_000)[:, None] * np.ones(3)
    spectrum = infrared_spectrum([run], 1.0, T, V, 20.0, method=method)
    expected = units.IR_PREFACTOR / (T * V) * np.mean(np.sum(run**2, axis=1))
    expected /= 2 * units.LIGHT_SPEED_CM_PER_FS
    value, error = spectrum.integral(0.0, 100.0)
    assert value == pytest.approx(expected, rel=0.1)
    assert 0.2 * value < error < value
    assert np.abs(spectrum.absorption[spectrum.wavenumber > 300]).max() < (
        1e-4 * spectrum.absorption[0]
    )


def test_white_noise_by_both_methods() -> None:
    """Flat, at 3σ²Δt; relative errors as the number of independent segments says."""
    run = np.random.default_rng(7).normal(scale=0.02, size=(60_000, 3))
    expected = units.IR_PREFACTOR / (T * V) * 3 * 0.02**2 * 4.0
    for method, variance in {"welch": 1.0 / 1.89, "blackman-tukey": 0.75}.items():
        spectrum = infrared_spectrum([run], 4.0, T, V, 40.0, method=method)
        length = spectrum.blocks.plan.length
        assert spectrum.absorption.mean() == pytest.approx(expected, rel=0.01)
        middle = spectrum.standard_error[100:-100].mean() / expected
        assert middle == pytest.approx(math.sqrt(variance * length / (3 * 60_000)), rel=0.1)
        scatter = np.std(spectrum.absorption[100:-100]) / expected
        assert middle == pytest.approx(scatter, rel=0.15)


def positions_and_velocities(n_frames: int, spacing: float) -> tuple[FloatArray, FloatArray]:
    """Displacements and velocities of a damped oscillator, both of one trajectory, exact."""
    rng = np.random.default_rng(11)
    omega, gamma = angular_frequency(POSITION), angular_frequency(WIDTH)
    propagator = expm(np.array([[0.0, 1.0], [-(omega**2), -gamma]]) * spacing)
    equilibrium = np.diag([1.0 / omega**2, 1.0])
    kick = np.linalg.cholesky(equilibrium - propagator @ equilibrium @ propagator.T)
    state = np.sqrt(np.diag(equilibrium))[:, None] * rng.normal(size=(2, 3))
    found = np.empty((n_frames, 2, 3))
    for frame in range(n_frames):
        found[frame] = state
        state = propagator @ state + kick @ rng.normal(size=state.shape)
    return found[:, 0], found[:, 1]


def test_rate_and_dipole_give_one_spectrum() -> None:
    """S of Ṁ is ω² times S of M, and increments of M give it too once their sinc is out.

    All are of one trajectory, so statistics cancel; frames are close enough that what is mirrored
    at the Nyquist wavenumber is small.
    """
    spacing = 1.0
    dipole, rate = positions_and_velocities(40_000, spacing)
    resolution = 20.0

    def spectrum(signal: FloatArray, difference: bool = False) -> FloatArray:
        return infrared_spectrum(
            [signal], spacing, T, V, resolution, difference=difference, window="blackman-harris"
        ).absorption

    by_rate = spectrum(rate)
    grid = infrared_spectrum([rate], spacing, T, V, resolution, window="blackman-harris").wavenumber
    by_dipole = spectrum(dipole) * (2 * np.pi * units.LIGHT_SPEED_CM_PER_FS * grid) ** 2
    increments = np.diff(dipole, axis=0) / spacing
    by_increments = spectrum(increments, difference=True)
    uncorrected = spectrum(increments)
    near = np.abs(grid - POSITION) < 2 * WIDTH
    for other in (by_dipole, by_increments):
        ratio = other[near].sum() / by_rate[near].sum()
        assert ratio == pytest.approx(1.0, abs=3e-3)
        np.testing.assert_allclose(other[near], by_rate[near], rtol=0.1)
    # at 4 fs the correction is large
    coarse, full = dipole[::4], rate[::4]
    corrected = infrared_spectrum(
        [np.diff(coarse, axis=0) / 4.0], 4.0, T, V, resolution, difference=True
    )
    exact = infrared_spectrum([full[1:]], 4.0, T, V, resolution)
    bare = infrared_spectrum([np.diff(coarse, axis=0) / 4.0], 4.0, T, V, resolution)
    near = np.abs(exact.wavenumber - POSITION) < WIDTH
    assert bare.absorption[near].sum() / exact.absorption[near].sum() == pytest.approx(
        np.sinc(units.LIGHT_SPEED_CM_PER_FS * POSITION * 4.0) ** 2, rel=0.02
    )
    assert corrected.absorption[near].sum() / exact.absorption[near].sum() == pytest.approx(
        1.0, abs=0.02
    )
    assert "the spectrum was divided by (sin(x)/x)²" in corrected.notes[0]
    assert uncorrected.sum() < by_increments.sum()


def test_runs_under_different_conditions_count_with_their_own() -> None:
    rng = np.random.default_rng(12)
    hot, cold = rng.normal(size=(6000, 3)), 0.8 * rng.normal(size=(3000, 3))
    mixed = infrared_spectrum(
        [hot, cold], 1.0, (400.0, 200.0), (900.0, 1100.0), 40.0, f_sum=(0.5, 0.7)
    )
    alone = [
        infrared_spectrum([run, run], 1.0, t, v, 40.0, f_sum=f)
        for run, t, v, f in [(hot, 400.0, 900.0, 0.5), (cold, 200.0, 1100.0, 0.7)]
    ]
    expected = np.average([s.absorption for s in alone], axis=0, weights=[6000, 3000])
    np.testing.assert_allclose(mixed.absorption, expected, rtol=1e-9)
    rules = [s.sum_rule.expected for s in alone]
    assert mixed.sum_rule.expected == pytest.approx(np.average(rules, weights=[2, 1]))
    assert mixed.temperature == pytest.approx(1000 / 3)
    assert mixed.volume == pytest.approx(2900 / 3)


@pytest.mark.thorough
def test_few_blocks_say_so_and_have_longer_bars() -> None:
    """Two standard errors hold 95 % with four blocks, too; a plain s/√n would hold less."""
    inside, plain = [], []
    velocities = langevin_velocities((3000, 3 * REPETITIONS), 2.0, POSITION, 200.0, T, seed=9)
    for k in range(REPETITIONS):
        spectrum = infrared_spectrum([velocities[:, 3 * k : 3 * k + 3]], 2.0, T, V, 20.0, f_sum=1.0)
        rule, blocks = spectrum.sum_rule, spectrum.blocks
        assert rule.expected is not None
        inside.append(abs(rule.found - rule.expected) < 2 * rule.standard_error)
        totals = blocks.values @ np.gradient(blocks.wavenumber)
        bare = np.std(totals, ddof=1) / math.sqrt(len(totals))
        plain.append(abs(rule.found - rule.expected) < 2 * bare)
    assert len(blocks.weights) in (3, 4)
    assert any("blocks: standard errors were increased" in note for note in spectrum.notes)
    assert np.mean(inside) > 0.92
    assert np.mean(plain) < 0.91
