"""⟨ȧ(t) Ṁ(0)⟩ where the order of time and the sign matter."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from helpers.oscillators import AMU, BOLTZMANN, angular_frequency, langevin_states

from aptnn_md.errors import InputError
from aptnn_md.spectra import polarizability_dipole, polarizability_dipole_of_streams
from aptnn_md.spectra.raman.cross_correlation import joined
from aptnn_md.stream import StreamHeader, StreamWriter

T, SPACING, POSITION, WIDTH = 300.0, 2.0, 600.0, 120.0
A = np.array([0.3, -0.7, 1.1, 0.2, -0.4, 0.9])
B = np.array([-0.5, 0.1, 0.6, -0.8, 0.7, 0.25])
M = np.array([0.4, -1.2, 0.7])


def runs_of(n_runs: int, n_frames: int) -> list[np.ndarray]:
    """(frames, 2, 9) each: of group 1 ȧ = A Q̇ and Ṁ = M Q̇, of group 2 ȧ = B ωQ and no Ṁ."""
    omega = angular_frequency(POSITION)
    states = langevin_states((n_frames, n_runs), SPACING, POSITION, WIDTH, T, seed=7)
    found = []
    for k in range(n_runs):
        position, velocity = omega * states[:, 0, k, None], states[:, 1, k, None]
        first = joined(velocity * A, velocity * M)
        second = joined(position * B, 0.0 * velocity * M)
        found.append(np.stack([first, second], axis=1))
    return found


def even(time: np.ndarray) -> np.ndarray:
    """⟨Q̇(t) Q̇(0)⟩ = kT/m e^{-γ|t|/2} (cos Ωt - γ/2Ω sin Ω|t|), Ω² = ω² - γ²/4."""
    omega, gamma = angular_frequency(POSITION), angular_frequency(WIDTH)
    damped = np.sqrt(omega**2 - gamma**2 / 4)
    t = np.abs(time)
    curve = np.cos(damped * t) - gamma / (2 * damped) * np.sin(damped * t)
    return BOLTZMANN * T / AMU * 1e-10 * np.exp(-gamma * t / 2) * curve


def odd(time: np.ndarray) -> np.ndarray:
    """⟨ωQ(t) Q̇(0)⟩ = kT/m ω/Ω e^{-γ|t|/2} sin Ωt: it grows when time begins."""
    omega, gamma = angular_frequency(POSITION), angular_frequency(WIDTH)
    damped = np.sqrt(omega**2 - gamma**2 / 4)
    curve = np.exp(-gamma * np.abs(time) / 2) * np.sin(damped * time)
    return BOLTZMANN * T / AMU * 1e-10 * omega / damped * curve


def test_odd_and_even_correlations_of_an_oscillator() -> None:
    """Each of 18 elements, of each pair of groups, against the curves, with right errors."""
    runs = runs_of(4, 10_000)
    found = polarizability_dipole(runs, SPACING, 100.0, group_labels=("a", "b"))
    assert list(found) == [(), ("a", "a"), ("a", "b"), ("b", "a"), ("b", "b")]
    time = found[()].time
    np.testing.assert_allclose(time, np.arange(-50, 51) * SPACING)
    parts = {
        ("a", "a"): even(time)[:, None, None] * A[:, None] * M,
        ("b", "a"): odd(time)[:, None, None] * B[:, None] * M,
    }
    expected = parts | {(): sum(parts.values())}
    for name, curve in found.items():
        assert curve.values.shape == curve.standard_error.shape == (101, 6, 3)
        if name and name[1] == "b":  # group b has no dipole
            np.testing.assert_allclose(curve.values, 0.0, atol=1e-30)
            continue
        deviation = np.abs(curve.values - expected[name])
        assert np.mean(deviation < 2 * curve.standard_error) > 0.8
        assert deviation.max() < 0.15 * np.abs(expected[name]).max()
        assert np.median(curve.standard_error) < 0.05 * np.abs(expected[name]).max()
    total = sum(found[name].values for name in found if name)
    np.testing.assert_allclose(found[()].values, total, atol=1e-12 * np.abs(total).max())
    # the wrong order of time, and the wrong sign, are far outside
    later = np.abs(found["b", "a"].values[::-1] - expected["b", "a"])
    assert np.mean(later < 2 * found["b", "a"].standard_error) < 0.3


def test_plain_sums() -> None:
    """Without labels the groups are summed; element by element against sums by hand."""
    rates = np.random.default_rng(5).normal(size=(120, 2, 9))
    found = polarizability_dipole([rates], 1.0, 10.0)[()]
    both = rates.sum(axis=1)
    for lag, time in zip(range(-10, 11), found.time, strict=True):
        assert time == lag
        begin, end = max(0, -lag), min(120, 120 - lag)
        a, m = both[begin + lag : end + lag, :6], both[begin:end, 6:]
        np.testing.assert_allclose(found.values[10 + lag], a.T @ m / (end - begin), atol=1e-12)


def test_streams_give_what_arrays_give(tmp_path: Path) -> None:
    """Both arrays of the same frames; skipped time, merged groups."""
    (rates,) = runs_of(1, 900)
    header = StreamHeader(timestep=1.0, stride=2, groups=("O-1", "O-2"), temperature=T)
    paths = [tmp_path / "a.stream", tmp_path / "b.stream"]
    for path, polarizability in zip(paths, (True, False), strict=True):
        with StreamWriter(path, header) as writer:
            for k, frame in enumerate(rates):
                more = {"polarizability_rates": {"bead": frame[:, :6]}} if polarizability else {}
                writer.append(2 * k, 2.0 * k, {"bead": frame[:, 6:]}, **more)
    found = polarizability_dipole_of_streams([paths[0]], 40.0, skip=0.2)
    expected = polarizability_dipole([rates[100:]], 2.0, 40.0, group_labels=("O-1", "O-2"))
    for name, curve in expected.items():
        np.testing.assert_allclose(found[name].values, curve.values, atol=1e-20)
        np.testing.assert_allclose(found[name].standard_error, curve.standard_error, atol=1e-20)
    for options in ({"merge": ("kind",)}, {"parts": False}):
        merged = polarizability_dipole_of_streams([paths[0]], 40.0, skip=0.2, **options)
        assert list(merged) == [()]
        np.testing.assert_allclose(merged[()].values, expected[()].values, atol=1e-20)
    biased = polarizability_dipole_of_streams([paths[0]], 40.0, skip=0.2, unbiased=False)
    fewer = 1.0 - np.abs(expected[()].time) / (2.0 * len(rates[100:]))  # terms of a lag
    np.testing.assert_allclose(
        biased[()].values, expected[()].values * fewer[:, None, None], atol=1e-20
    )
    with pytest.raises(InputError, match=r"arrays: found dipole rates only, .*water-pgt"):
        polarizability_dipole_of_streams([paths[1]], 40.0)
    with pytest.raises(InputError, match="streams: found none"):
        polarizability_dipole_of_streams([], 40.0)


@pytest.mark.parametrize(
    ("shape", "labels", "message"),
    [
        ((200, 2, 8), ("a", "b"), r"found shape \(200, 2, 8\), expected \(frames, 2, 9\)"),
        ((200, 3, 9), ("a", "b"), r"found shape \(200, 3, 9\)"),
        ((200, 9, 9), tuple("abcdefghi"), "groups: found 9, expected at most 8"),
        ((20, 1, 9), (), "frames: found 20"),
    ],
)
def test_bad_input(shape: tuple[int, ...], labels: tuple[str, ...], message: str) -> None:
    with pytest.raises(InputError, match=message):
        polarizability_dipole([np.ones(shape)], 1.0, 50.0, group_labels=labels)
