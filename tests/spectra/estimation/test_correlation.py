"""Correlation functions and cross densities against plain sums and known processes."""

from __future__ import annotations

import numpy as np
import pytest
from helpers.oscillators import AMU, BOLTZMANN, angular_frequency, langevin_velocities
from scipy.signal import csd

from aptnn_md.errors import InputError
from aptnn_md.spectra.estimation.correlation import correlations
from aptnn_md.spectra.estimation.plan import plan_spectrum
from aptnn_md.spectra.estimation.runs import power_blocks
from aptnn_md.spectra.estimation.terms import Alone, Auto, Pair, group_terms
from aptnn_md.spectra.options import SpectrumOptions

RUNS = [np.random.default_rng(1).normal(size=(n, 3, 2)) + 0.2 for n in (157, 90)]
A, B = np.array([1.0, 2.0, 0.0]), np.array([0.0, -1.0, 0.5])
TERMS = {"auto": Auto(A), "pair": Pair(A, B), "alone": Alone(np.array([1.0, 0.0, 3.0]))}


def plain_sum(x: np.ndarray, y: np.ndarray, lag: int) -> float:
    """Σ_t x(t)·y(t + lag), term by term."""
    return sum(float(x[t] @ y[t + lag]) for t in range(len(x)) if 0 <= t + lag < len(x))


@pytest.mark.parametrize("unbiased", [True, False])
def test_correlations_are_plain_sums(unbiased: bool) -> None:
    found = correlations(RUNS, 2.0, 80.0, TERMS, unbiased=unbiased)
    for name, (left, right) in {"auto": (A, A), "pair": (A, B)}.items():
        curve = found[name]
        first = -40 if name == "pair" else 0
        np.testing.assert_allclose(curve.time, 2.0 * np.arange(first, 41))
        for lag, value in zip(range(first, 41), curve.values, strict=True):
            mixed = [(np.einsum("s,fsk", left, r), np.einsum("s,fsk", right, r)) for r in RUNS]
            total = sum(plain_sum(x, y, lag) for x, y in mixed)
            count = sum(len(r) - abs(lag) * unbiased for r in RUNS)
            assert value == pytest.approx(total / count, abs=1e-12)
    alone = found["alone"].values
    each = [np.eye(3)[s] for s in (0, 2)]
    own = correlations(RUNS, 2.0, 80.0, {str(k): Auto(w) for k, w in enumerate(each)})
    if unbiased:
        np.testing.assert_allclose(alone, own["0"].values + 3.0 * own["1"].values, atol=1e-12)


def test_pieces_of_any_size_give_the_same() -> None:
    whole = correlations(RUNS, 2.0, 30.0, TERMS)
    rng = np.random.default_rng(2)
    cut = [
        np.split(run, np.sort(rng.integers(0, len(run), size=9))) for run in RUNS
    ]  # some of them empty
    pieces = correlations([iter(run) for run in cut], 2.0, 30.0, TERMS)
    for name, curve in whole.items():
        np.testing.assert_allclose(pieces[name].values, curve.values, atol=1e-12)
        np.testing.assert_allclose(pieces[name].standard_error, curve.standard_error, atol=1e-12)


def test_velocity_correlation_of_an_oscillator() -> None:
    """Against e^{-γt/2}(cos ωt - γ/2ω sin ωt) kT/m, within the errors, which are right."""
    velocities = langevin_velocities((8000, 3 * 40), 2.0, 500.0, 120.0, 300.0, 2.0, seed=4)
    inside, errors, values = [], [], []
    for k in range(40):
        run = velocities[:, None, 3 * k : 3 * k + 3]
        found = correlations([run], 2.0, 120.0, {"v": Auto(np.ones(1))})["v"]
        omega, gamma = angular_frequency(500.0), angular_frequency(120.0)
        damped = np.sqrt(omega**2 - gamma**2 / 4)
        expected = np.exp(-gamma * found.time / 2) * (
            np.cos(damped * found.time) - gamma / (2 * damped) * np.sin(damped * found.time)
        )
        expected *= 3 * BOLTZMANN * 300.0 / (2.0 * AMU) * 1e-10
        inside.append(np.abs(found.values - expected) < 2 * found.standard_error)
        errors.append(found.standard_error)
        values.append(found.values)
    assert 0.93 < np.mean(inside) < 0.995
    ratio = np.mean(errors, axis=0) / np.std(values, axis=0)
    assert ratio.min() > 0.8
    assert np.mean(ratio) < 1.35


@pytest.mark.parametrize("method", ["welch", "blackman-tukey"])
def test_cross_density_of_a_delay(method: str) -> None:
    """y(t) = x(t - τ)/2 with x white: S_xy = e^{-iωτ} S_xx / 2, complex."""
    x = np.random.default_rng(3).normal(size=(100_000, 1))
    y = 0.5 * np.roll(x, 5, axis=0)
    signal = np.stack([x, y], axis=1)
    plan = plan_spectrum(SpectrumOptions(resolution=100.0, method=method), 2.0)
    unit = np.eye(2)
    found = power_blocks([signal], plan, {"xy": Pair(*unit), "yx": Pair(unit[1], unit[0])})
    cross = found["xy"]
    expected = 0.5 * 2.0 * np.exp(-1j * angular_frequency(1.0) * 10.0 * cross.wavenumber)
    for part in (np.real, np.imag):
        deviation = np.abs(part(cross.mean) - part(expected)) / part(cross.standard_error)
        assert 0.9 < np.mean(deviation[20:-20] < 2) < 0.99
    np.testing.assert_allclose(found["yx"].mean, cross.mean.conj(), rtol=1e-9)
    both = cross.both_orders()
    np.testing.assert_allclose(both.mean, 2 * cross.mean.real)
    np.testing.assert_allclose(both.standard_error, 2 * cross.standard_error.real, rtol=1e-9)


def test_welch_is_that_of_scipy() -> None:
    signal = np.random.default_rng(6).normal(size=(5000, 2, 1))
    signal[:, 1] += np.roll(signal[:, 0], 2, axis=0)
    plan = plan_spectrum(SpectrumOptions(resolution=120.0), 2.0)
    length = plan.length
    signal = signal[: length + (plan.hop * ((5000 - length) // plan.hop))]
    found = power_blocks([signal], plan, group_terms(["x", "y"]))["x", "y"]
    taper = np.sin(np.pi * (np.arange(length) + 0.5) / length) ** 2
    x, y = signal[..., 0].T
    _, expected = csd(
        x, y, 1 / 2.0, taper, noverlap=length - plan.hop, nfft=plan.n_fft, detrend=False
    )
    # scipy's is one-sided: all but both ends twice
    np.testing.assert_allclose(found.mean[1:-1], 0.5 * expected[1:-1], rtol=1e-9, atol=1e-12)


def test_memory_does_not_grow_and_blocks_do_not_lose() -> None:
    """Many more segments than blocks: the mean is that of few and long blocks."""
    x = np.random.default_rng(7).normal(size=(60_000, 1, 1))
    plan = plan_spectrum(SpectrumOptions(resolution=500.0), 2.0)
    found = power_blocks([x, x[:30_001]], plan, {"x": Auto(np.ones(1))})["x"]
    assert found.n_segments == sum(2 * n // plan.length - 1 for n in (60_000, 30_001))
    assert 16 <= len(found.weights) <= 64
    assert found.weights.sum() == pytest.approx(1.0)
    assert found.weights[found.runs == 0].sum() == pytest.approx(60_000 / 90_001)
    parts = [
        power_blocks([run], plan, {"x": Auto(np.ones(1))})["x"].mean for run in (x, x[:30_001])
    ]
    expected = (60_000 * parts[0] + 30_001 * parts[1]) / 90_001
    np.testing.assert_allclose(found.mean, expected, rtol=1e-9)


@pytest.mark.parametrize(
    ("spacing", "longest", "message"),
    [
        (2.0, 1e3, "run 2: frames: found 90, expected at least 1000 for correlations up to 1000"),
        (2.0, 0.5, "longest time: found 0.5 fs, expected at least 2 fs"),
        (-2.0, 10.0, "spacing: found -2"),
        (2.0, np.nan, "longest time: found nan"),
    ],
)
def test_bad_times(spacing: float, longest: float, message: str) -> None:
    runs = [np.zeros((5000, 3, 2)), RUNS[1]]
    with pytest.raises(InputError, match=message):
        correlations(runs, spacing, longest, TERMS)


def test_bad_signals() -> None:
    with pytest.raises(InputError, match=r"run 1: signal: found shape \(157, 2, 2\)"):
        correlations([RUNS[0][:, :2]], 2.0, 30.0, TERMS)
    broken = RUNS[0].copy()
    broken[33, 1, 0] = np.nan
    pieces = [broken[:20], broken[20:]]
    with pytest.raises(InputError, match="a, frame 33: signal: found a value that is not finite"):
        correlations([pieces], 2.0, 30.0, TERMS, names=["a"])
    with pytest.raises(InputError, match=r"term: found weights of shape \(2,\), expected \(3,\)"):
        correlations(RUNS, 2.0, 30.0, TERMS | {"x": Auto(np.ones(2))})
    with pytest.raises(InputError, match=r"term: found weights of shape \(4,\), expected \(3,\)"):
        correlations(RUNS, 2.0, 30.0, TERMS | {"x": Alone(np.ones(4))})
    with pytest.raises(InputError, match="terms: found none"):
        correlations(RUNS, 2.0, 30.0, {})
    with pytest.raises(InputError, match="runs: found none"):
        correlations([], 2.0, 30.0, TERMS)
