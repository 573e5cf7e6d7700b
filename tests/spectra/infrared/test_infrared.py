"""Infrared spectra of signals whose spectrum is known."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from helpers.oscillators import (
    AMU,
    BOLTZMANN,
    CHARGE,
    LIGHT_SPEED,
    VACUUM,
    absorption,
    angular_frequency,
    langevin_velocities,
)
from scipy.optimize import curve_fit
from scipy.signal import lfilter

from aptnn_md import units
from aptnn_md.errors import InputError
from aptnn_md.spectra import InfraredSpectrum, find_bands, infrared_spectrum

T, V = 300.0, 1234.5


def test_infrared_prefactor_in_si() -> None:
    """A dipole rate of 2 e Å/fs with a correlation time integral of 7 fs, all in SI."""
    rate = 2.0 * CHARGE * 1e-10 / 1e-15  # C m / s
    integral = rate**2 * 7.0e-15  # C² m² / s
    per_metre = integral / (6.0 * BOLTZMANN * T * V * 1e-30 * LIGHT_SPEED * VACUUM)
    assert pytest.approx(per_metre / 100, rel=1e-7) == units.IR_PREFACTOR / (T * V) * 2.0**2 * 7.0


def test_f_sum_prefactor_in_si() -> None:
    """∫ nα dω = π/(2Vcε₀) q²/m, turned into wavenumbers."""
    omega_integral = math.pi / (2.0 * V * 1e-30 * LIGHT_SPEED * VACUUM) * (0.7 * CHARGE) ** 2
    omega_integral /= 3.0 * AMU  # rad/s/m
    wavenumber_integral = omega_integral / (2.0 * math.pi * LIGHT_SPEED)  # 1/m²
    found = units.F_SUM_PREFACTOR / V * 0.7**2 / 3.0
    assert found == pytest.approx(wavenumber_integral / 1e4, rel=1e-7)


def test_prefactors_belong_together() -> None:
    """The sum rule follows from the other constant and ⟨v²⟩ = 3kT/m."""
    mean_square = 3.0 * BOLTZMANN * T / AMU * 1e-10  # (Å/fs)², for 1 amu
    # ∫₀^∞ dν̃ ∫dt cos(ωt) C(t) = C(0)/(2c)
    integral = units.IR_PREFACTOR / (T * V) * mean_square / (2.0 * units.LIGHT_SPEED_CM_PER_FS)
    assert integral == pytest.approx(units.F_SUM_PREFACTOR / V, rel=1e-7)


@pytest.mark.parametrize("n_frames", [170, 187])
def test_welch_is_the_transform_of_linear_correlations(n_frames: int) -> None:
    """Against plain sums over lags; a circular correlation would differ."""
    rng = np.random.default_rng(1)
    spacing = 2.0
    run = rng.normal(size=(n_frames, 2, 3)) + 0.3
    spectrum = infrared_spectrum([run], spacing, T, V, 300.0)
    plan = spectrum.blocks.plan
    length, hop = plan.length, plan.length // 2
    starts = list(range(0, n_frames - length + 1, hop))
    weights = [1.0] * len(starts)
    left = n_frames - (starts[-1] + length)
    assert 0 < left < hop
    starts.append(n_frames - length)  # to the end, with the weight of what is new in it
    weights.append(left / hop)
    taper = np.sin(np.pi * (np.arange(length) + 0.5) / length) ** 2
    density = np.zeros_like(spectrum.wavenumber)
    for start, weight in zip(starts, weights, strict=True):
        x = run[start : start + length].sum(axis=1) * taper[:, None]
        density += weight * _sum_over_lags(x, length - 1, spectrum, np.ones(length))
    density *= spacing / np.sum(taper**2) / sum(weights)
    np.testing.assert_allclose(
        spectrum.absorption, units.IR_PREFACTOR / (T * V) * density, rtol=1e-9, atol=1e-12
    )


@pytest.mark.parametrize("unbiased", [True, False])
@pytest.mark.parametrize("n_runs", [1, 2])
def test_blackman_tukey_is_the_transform_of_linear_correlations(
    unbiased: bool, n_runs: int
) -> None:
    """The textbook's: the correlation function of all frames, times a window."""
    rng = np.random.default_rng(2)
    spacing = 2.0
    runs = [rng.normal(size=(n, 2, 3)) + 0.3 for n in (203, 139)[:n_runs]]
    spectrum = infrared_spectrum(
        runs, spacing, T, V, 300.0, method="blackman-tukey", unbiased=unbiased
    )
    longest = spectrum.blocks.plan.length
    lags = np.arange(longest + 1)
    pairs = sum(len(run) - lags * unbiased for run in runs)
    window = 0.5 * (1 + np.cos(np.pi * lags / longest)) / pairs
    density = sum(_sum_over_lags(run.sum(axis=1), longest, spectrum, window) for run in runs)
    np.testing.assert_allclose(
        spectrum.absorption, units.IR_PREFACTOR / (T * V) * spacing * density, rtol=1e-9, atol=1e-9
    )


def _sum_over_lags(
    x: np.ndarray, longest: int, spectrum: InfraredSpectrum, window: np.ndarray
) -> np.ndarray:
    phase = 1e-2 * angular_frequency(100.0) * spectrum.spacing * spectrum.wavenumber
    result = np.zeros_like(phase)
    for lag in range(-longest, longest + 1):
        first, second = (x[: len(x) - lag], x[lag:]) if lag >= 0 else (x[-lag:], x[:lag])
        result += window[abs(lag)] * np.sum(first * second) * np.cos(phase * lag)
    return result


def test_white_noise_is_flat_and_of_known_height() -> None:
    spacing = 4.0
    runs = [np.random.default_rng(s).normal(scale=0.02, size=(20_000, 3)) for s in range(4)]
    spectrum = infrared_spectrum(runs, spacing, T, V, 40.0)
    expected = units.IR_PREFACTOR / (T * V) * 3 * 0.02**2 * spacing
    assert spectrum.absorption.mean() == pytest.approx(expected, rel=0.01)
    for part in np.array_split(spectrum.absorption, 10):
        assert part.mean() == pytest.approx(expected, rel=0.04)
    assert spectrum.absorption.min() > 0


@pytest.mark.parametrize("resolution", [5.0, 20.0, 61.7])
def test_single_line_has_the_promised_width_and_area(resolution: float) -> None:
    spacing, position = 2.0, 1643.21
    time = spacing * np.arange(20_000)
    rate = 0.03 * np.cos(angular_frequency(position) * time + 0.4)
    run = np.stack([rate, 0 * rate, 2 * rate], axis=1)
    spectrum = infrared_spectrum([run], spacing, T, V, resolution)
    nu, curve = spectrum.wavenumber, spectrum.absorption
    correlation = 0.5 * 0.03**2 * (1 + 4)
    expected = units.IR_PREFACTOR / (T * V) * correlation / (2 * units.LIGHT_SPEED_CM_PER_FS)
    assert spectrum.sum_rule.found == pytest.approx(expected, rel=1e-3)
    area, _ = spectrum.integral(position - 3 * resolution, position + 3 * resolution)
    assert area == pytest.approx(expected, rel=2e-3)
    fine = np.linspace(position - 2 * resolution, position + 2 * resolution, 100_001)
    high = fine[np.interp(fine, nu, curve) > curve.max() / 2]
    assert spectrum.resolution == pytest.approx(resolution, rel=0.01)
    assert np.ptp(high) == pytest.approx(spectrum.resolution, rel=0.02)
    assert high.mean() == pytest.approx(position, abs=0.02 * resolution)
    # far from the line nothing leaks
    assert curve[np.abs(nu - position) > 8 * resolution].max() < 1e-5 * curve.max()


def test_a_mean_of_the_dipole_rate_is_kept() -> None:
    """A direct current is absorption at zero wavenumber, and only there."""
    run = np.full((20_000, 3), 0.01)
    spectrum = infrared_spectrum([run], 1.0, T, V, 20.0)
    assert spectrum.absorption.argmax() == 0
    expected = units.IR_PREFACTOR / (T * V) * 3 * 0.01**2 / (2 * units.LIGHT_SPEED_CM_PER_FS)
    assert spectrum.integral(0.0, 60.0)[0] == pytest.approx(expected, rel=2e-3)
    assert spectrum.absorption[spectrum.wavenumber > 200].max() < 1e-6 * spectrum.absorption[0]


POSITION, WIDTH, CHARGE_E, MASS = 1500.0, 160.0, 0.7, 2.0


@pytest.fixture(scope="module")
def oscillator() -> InfraredSpectrum:
    velocities = langevin_velocities((16_384, 3 * 90), 1.0, POSITION, WIDTH, T, MASS)
    runs = [CHARGE_E * velocities[:, i : i + 3] for i in range(0, velocities.shape[1], 3)]
    return infrared_spectrum(runs, 1.0, T, V, 8.0, f_sum=CHARGE_E**2 / MASS)


def test_damped_oscillator_to_one_percent(oscillator: InfraredSpectrum) -> None:
    """Area, position and width of a Lorentzian, without any free factor."""
    near = np.abs(oscillator.wavenumber - POSITION) < 3 * WIDTH

    def line(nu: np.ndarray, area: float, position: float, width: float) -> np.ndarray:
        return area * absorption(nu, CHARGE_E**2 / MASS, position, width, V)

    fitted, _ = curve_fit(
        line,
        oscillator.wavenumber[near],
        oscillator.absorption[near],
        [1.0, 1400.0, 100.0],
        sigma=absorption(oscillator.wavenumber, 1.0, POSITION, WIDTH, V)[near],  # relative errors
    )
    np.testing.assert_allclose(fitted, [1.0, POSITION, WIDTH], rtol=0.01)
    # and without a fit, over the line
    expected = absorption(oscillator.wavenumber, CHARGE_E**2 / MASS, POSITION, WIDTH, V)
    inside = np.abs(oscillator.wavenumber - POSITION) < WIDTH
    ratio = oscillator.absorption[inside].sum() / expected[inside].sum()
    assert ratio == pytest.approx(1.0, abs=0.01)


def test_f_sum_rule_to_one_percent(oscillator: InfraredSpectrum) -> None:
    rule = oscillator.sum_rule
    assert rule.ratio == pytest.approx(1.0, abs=0.01)
    assert rule.expected is not None
    assert 0.002 < rule.standard_error / rule.expected < 0.006
    si = math.pi / (2 * V * 1e-30 * LIGHT_SPEED * VACUUM) * (CHARGE_E * CHARGE) ** 2 / (MASS * AMU)
    assert rule.expected == pytest.approx(si / (2 * math.pi * LIGHT_SPEED) / 1e4, rel=1e-6)


def test_band_of_the_oscillator(oscillator: InfraredSpectrum) -> None:
    (band,) = find_bands(oscillator, {"stretch": (1300.0, 1700.0)})
    expected = absorption(np.array([POSITION]), CHARGE_E**2 / MASS, POSITION, WIDTH, V)[0]
    assert abs(band.position - POSITION) < 3 * band.position_error < 12
    assert abs(band.height - expected) < 3 * band.height_error < 0.15 * expected
    fine = np.linspace(1300, 1700, 4001)
    area = np.trapezoid(absorption(fine, CHARGE_E**2 / MASS, POSITION, WIDTH, V), fine)
    assert abs(band.integral - area) < 3 * band.integral_error < 0.02 * area
    assert not band.at_edge
    (edge,) = find_bands(oscillator, {"wing": (1600.0, 1900.0)})
    assert edge.at_edge


def test_unequal_lengths_weigh_as_long_as_they_are() -> None:
    """Also where the number of segments is not in proportion to the length."""
    time = np.arange(20_000.0)
    wave = np.cos(angular_frequency(500.0) * time)[:, None] * np.ones(3)
    length = infrared_spectrum([wave], 1.0, T, V, 20.0).blocks.plan.length
    assert length == 2403
    short, long = 1.0 * wave[: length + 100], 3.0 * wave[: 2 * length + 50]
    both = infrared_spectrum([short, long], 1.0, T, V, 20.0)
    alone = [infrared_spectrum([run, run], 1.0, T, V, 20.0).absorption for run in (short, long)]
    expected = np.average(alone, axis=0, weights=[len(short), len(long)])
    np.testing.assert_allclose(both.absorption, expected, rtol=1e-10)
    assert both.run_lengths == (len(short), len(long))


def _correlated_groups(n_groups: int, n_frames: int) -> np.ndarray:
    """(frames, groups, 3), every group correlated with the first one, late."""
    rng = np.random.default_rng(3)
    signals = rng.normal(size=(n_frames, n_groups, 3))
    signals[:, 1:] += np.roll(0.5 * signals[:, :1], 3, axis=0)
    return signals


@pytest.mark.parametrize("method", ["welch", "blackman-tukey"])
@pytest.mark.parametrize("n_groups", [1, 2, 3, 11, 40])
def test_parts_add_up_to_the_total(n_groups: int, method: str) -> None:
    labels = [f"g{k}" for k in range(n_groups)]
    runs = [_correlated_groups(n_groups, n) for n in (2211, 1500)]
    whole = infrared_spectrum(runs, 2.0, T, V, 60.0, method=method, group_labels=labels)
    total = infrared_spectrum([r.sum(axis=1) for r in runs], 2.0, T, V, 60.0, method=method)
    largest = total.absorption.max()
    np.testing.assert_allclose(whole.absorption, total.absorption, atol=1e-12 * largest)
    np.testing.assert_allclose(whole.standard_error, total.standard_error, rtol=1e-9)
    expected = {1: 0, 2: 3, 3: 6, 11: 12, 40: 2}[n_groups]
    assert len(whole.parts) == expected
    if expected:
        summed = sum(part.mean for part in whole.parts.values())
        np.testing.assert_allclose(summed, whole.absorption, atol=1e-12 * largest)
    for k in range(n_groups if 2 <= n_groups <= 11 else 0):
        alone = infrared_spectrum([run[:, k] for run in runs], 2.0, T, V, 60.0, method=method)
        own = whole.parts[f"g{k}"]
        np.testing.assert_allclose(own.mean, alone.absorption, atol=1e-12 * largest)
        np.testing.assert_allclose(own.standard_error, alone.standard_error, rtol=1e-6)
    if n_groups == 40:
        each = [
            infrared_spectrum([run[:, k] for run in runs], 2.0, T, V, 60.0, method=method)
            for k in range(n_groups)
        ]
        within = sum(spectrum.absorption for spectrum in each)
        np.testing.assert_allclose(whole.parts["within groups"].mean, within, rtol=1e-9)


def test_cross_terms_of_what_is_known() -> None:
    """b(t) = a(t - 3Δt)/2 + noise: the pair's term is cos(3ωΔt) of a's spectrum."""
    run = _correlated_groups(2, 60_000)
    spectrum = infrared_spectrum([run], 2.0, T, V, 60.0, group_labels=["a", "b"])
    pair = spectrum.parts["a", "b"]
    phase = 3 * 2.0 * 1e-2 * angular_frequency(100.0) * spectrum.wavenumber
    expected = np.cos(phase) * units.IR_PREFACTOR / (T * V) * 3 * 2.0
    deviation = (pair.mean - expected) / pair.standard_error
    assert 0.9 < np.mean(np.abs(deviation) < 2) < 0.99
    assert np.median(pair.standard_error) < 0.1 * expected.max()


def _noise(seed: int, n_frames: int) -> np.ndarray:
    """A coloured signal: white noise through a recursion, beyond its transient."""
    white = np.random.default_rng(seed).normal(size=(n_frames + 500, 3))
    return np.asarray(lfilter([1.0], [1.0, -1.6, 0.8], white, axis=0)[500:])


def _true_noise_spectrum(spectrum: InfraredSpectrum) -> np.ndarray:
    phase = angular_frequency(1.0) * spectrum.spacing * spectrum.wavenumber
    response = 1.0 / (1.0 - 1.6 * np.exp(-1j * phase) + 0.8 * np.exp(-2j * phase))
    return units.IR_PREFACTOR / (T * V) * 3 * spectrum.spacing * np.abs(response) ** 2


@pytest.mark.parametrize(
    ("n_frames", "n_runs", "low", "high"),
    [
        (3100, 1, 0.93, 0.975),  # 23 blocks
        (600, 1, 0.85, 0.97),  # 3 blocks: the scatter is badly known
        (300, 12, 0.93, 0.975),  # runs of one segment each
    ],
)
def test_error_bars_are_honest(n_frames: int, n_runs: int, low: float, high: float) -> None:
    """The share of values within two standard errors of the truth over many repetitions."""
    within, errors, values = [], [], []
    for repetition in range(120):
        seeds = range(repetition * n_runs, (repetition + 1) * n_runs)
        runs = [_noise(seed, n_frames) for seed in seeds]
        spectrum = infrared_spectrum(runs, 1.0, T, V, 190.0)
        deviation = spectrum.absorption - _true_noise_spectrum(spectrum)
        within.append(np.abs(deviation) < 2 * spectrum.standard_error)
        errors.append(spectrum.standard_error)
        values.append(spectrum.absorption)
    assert low < np.mean(within) < high
    scatter = np.std(values, axis=0)
    ratio = np.sqrt(np.mean(np.square(errors), axis=0)) / scatter
    # everywhere, the ends with their fewer degrees of freedom included
    for part in np.array_split(ratio, 12):
        assert 0.85 < part.mean() < 1.25


@pytest.mark.thorough
def test_slow_motion_makes_error_bars_larger() -> None:
    """Blocks that know of each other: the strength of the signal changes slowly."""
    values, errors = [], []
    for repetition in range(60):
        rng = np.random.default_rng(1000 + repetition)
        slow = np.repeat(rng.choice([0.5, 1.5], size=40), 800)  # 800 frames; segments have 253
        run = slow[:, None] * rng.normal(size=(len(slow), 3))
        spectrum = infrared_spectrum([run], 1.0, T, V, 190.0)
        values.append(spectrum.sum_rule.found)
        errors.append(spectrum.sum_rule.standard_error)
    assert 0.95 < np.median(errors) / np.std(values) < 1.5
    within = np.abs(np.array(values) - np.mean(values)) < 2 * np.array(errors)
    assert np.mean(within) > 0.9


@pytest.mark.thorough
def test_band_errors_are_honest() -> None:
    positions, heights = [], []
    for repetition in range(50):
        velocities = langevin_velocities((6000, 3), 1.0, 1000.0, 150.0, seed=repetition)
        (band,) = find_bands(
            infrared_spectrum([velocities], 1.0, T, V, 40.0), {"band": (600.0, 1400.0)}
        )
        positions.append((band.position, band.position_error))
        heights.append((band.height, band.height_error))
    for sample in (np.array(positions), np.array(heights)):
        assert 0.7 < sample[:, 1].mean() / sample[:, 0].std() < 1.5
    assert np.mean(positions, axis=0)[0] == pytest.approx(1000.0, abs=15.0)


def test_integral_and_its_error_over_a_range() -> None:
    run = _noise(5, 20_000)
    spectrum = infrared_spectrum([run], 1.0, T, V, 50.0)
    nu, curve = spectrum.wavenumber, spectrum.absorption
    low, high = 1234.5, 3456.7
    fine = np.linspace(low, high, 400_001)
    expected = np.trapezoid(np.interp(fine, nu, curve), fine)
    value, error = spectrum.integral(low, high)
    assert value == pytest.approx(expected, rel=1e-6)
    assert 0 < error < 0.1 * value
    parts = spectrum.integral(0, low)[0] + value + spectrum.integral(high, 1e9)[0]
    assert parts == pytest.approx(spectrum.sum_rule.found, rel=1e-9)


def test_frames_too_far_apart_are_noted() -> None:
    velocities = langevin_velocities((20_000, 3), 1.0, 3400.0, 100.0)
    assert infrared_spectrum([velocities], 1.0, T, V).notes == ()
    every = infrared_spectrum([velocities[::5]], 5.0, T, V, 20.0)
    assert "Nyquist wavenumber 3336 cm⁻¹" in every.notes[0]


RUN = np.random.default_rng(0).normal(size=(5000, 3))


def _call(**changes: object) -> Callable[[], InfraredSpectrum]:
    values = {"dipole_rates": [RUN], "spacing": 1.0, "temperature": T, "volume": V} | changes
    return lambda: infrared_spectrum(**values)  # type: ignore[arg-type]


def _with(frame: int, value: float) -> np.ndarray:
    run = RUN.copy()
    run[frame, 1] = value
    return run


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (_call(temperature=None), "spectrum: temperature: found nothing, expected a positive"),
        (_call(temperature=-300.0), "temperature: found -300"),
        (_call(volume=0.0), "volume: found 0"),
        (_call(volume=math.nan), "volume: found nan"),
        (_call(spacing=math.inf), "spacing: found inf"),
        (_call(resolution=-1.0), "resolution: found -1"),
        (_call(dipole_rates=[]), "dipole rates: found no runs"),
        (_call(dipole_rates=[RUN[:, 0]]), r"run 1: dipole rate: found shape \(5000,\)"),
        (_call(dipole_rates=[RUN[:, :2]]), r"run 1: dipole rate: found shape \(5000, 2\)"),
        (_call(dipole_rates=[RUN, np.empty((0, 3))]), "run 2: length: found 0 frames"),
        (_call(dipole_rates=[np.empty((0, 3)), RUN]), "run 1: length: found 0 frames"),
        (_call(dipole_rates=[iter(()), RUN]), "run 1: length: found 0 frames"),
        (_call(dipole_rates=[iter(())]), "dipole rates: found no frames"),
        (_call(dipole_rates=[RUN, _with(17, math.nan)]), "run 2, frame 17: dipole rate"),
        (_call(dipole_rates=[_with(4999, math.inf)]), "run 1, frame 4999: dipole rate"),
        (_call(dipole_rates=[RUN[:3000]]), r"3000 frames, 3 ps, expected at least 3.6 ps for a"),
        (_call(dipole_rates=[RUN, RUN[:2000]], names=["a", "b"]), "^b: length: found 2000"),
        (_call(resolution=5.0), r"or a resolution of 15 cm⁻¹"),
        (_call(resolution=9000.0), "found 9000 cm⁻¹, expected at most 3e\\+03 cm⁻¹ with frames 1"),
        (
            _call(group_labels=["a", "b"]),
            r"run 1: dipole rate: found shape \(5000, 1, 3\), expected \(frames, 2, components\)",
        ),
        (
            _call(dipole_rates=[RUN, np.zeros((5000, 2, 3))]),
            r"run 2: dipole rate: found shape \(5000, 2, 3\), expected \(frames, 1, components\)",
        ),
    ],
)
def test_bad_input(call: Callable[[], InfraredSpectrum], message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)


def test_suggested_resolution_works() -> None:
    for n_frames in (700, 1999, 3000):
        with pytest.raises(InputError, match=r"\(or a resolution of") as caught:
            infrared_spectrum([RUN[:n_frames]], 1.0, T, V, 5.0)
        suggestion = float(str(caught.value).split("(or a resolution of ")[1].split()[0])
        spectrum = infrared_spectrum([RUN[:n_frames]], 1.0, T, V, suggestion)
        assert spectrum.n_segments >= 2


def test_band_range_outside_the_spectrum() -> None:
    spectrum = infrared_spectrum([RUN], 1.0, T, V)
    for low, high in [(-5.0, 100.0), (300.0, 200.0), (1000.0, 1e6), (500.0, 500.1)]:
        with pytest.raises(InputError, match=r"band 'x': found .*, expected low < high within 0"):
            find_bands(spectrum, {"x": (low, high)})


def test_what_is_given_is_not_changed() -> None:
    run = RUN.copy()
    infrared_spectrum([run], 1.0, T, V)
    np.testing.assert_array_equal(run, RUN)
