"""Raman spectra and their errors on processes that are known exactly."""

from __future__ import annotations

import math

import numpy as np
import pytest
from helpers.oscillators import angular_frequency, langevin_velocities
from helpers.raman_oscillators import (
    SPEED_CM_PER_FS,
    line,
    mean_and_anisotropy,
    rates,
    six,
    thermal_energy,
)
from scipy import constants
from scipy.spatial.transform import Rotation

from aptnn_md import units
from aptnn_md.errors import InputError
from aptnn_md.spectra import corrected_raman, cross_sections, raman_spectrum
from aptnn_md.spectra.raman.polarizability import (
    ANISOTROPIC_COORDINATES,
    COMPONENTS,
    ISOTROPIC_COORDINATES,
    coordinates,
)
from aptnn_md.spectra.raman.scattering import cross_section_factor, laser_wavenumber
from aptnn_md.spectra.raman.spectrum import RamanSpectrum

T, POSITION, WIDTH = 300.0, 1000.0, 100.0
ISOTROPIC_COORDINATES_TENSOR = 0.7 * np.eye(3)
TRACELESS = np.array([[0.4, -0.3, 0.2], [-0.3, 0.5, 0.1], [0.2, 0.1, -0.9]])
MIXED = np.array([[1.4, -0.3, 0.2], [-0.3, 0.1, 0.6], [0.2, 0.6, -0.4]])


def symmetric(seed: int) -> np.ndarray:
    matrix = np.random.default_rng(seed).normal(size=(3, 3))
    return np.asarray(matrix + matrix.T)


def many(tensor: np.ndarray, n: int, seed: int, n_frames: int = 4500) -> list[np.ndarray]:
    """ȧ of n runs of one oscillator."""
    velocities = langevin_velocities((n_frames, n), 4.0, POSITION, WIDTH, T, seed=seed)
    return [velocities[:, k, None] * six(tensor) for k in range(n)]


def test_invariants_of_a_tensor() -> None:
    """Against eigenvalues, for any orientation; and the average over orientations by numbers."""
    tensor = symmetric(1)
    expected = mean_and_anisotropy(tensor)
    turns = Rotation.random(20_000, rng=np.random.default_rng(2)).as_matrix()
    turned = turns @ tensor @ turns.transpose(0, 2, 1)
    squares = coordinates(six(turned)) ** 2
    np.testing.assert_allclose(
        squares[:, list(ISOTROPIC_COORDINATES)].sum(axis=1), expected[0], rtol=1e-9
    )
    np.testing.assert_allclose(
        squares[:, list(ANISOTROPIC_COORDINATES)].sum(axis=1), expected[1], rtol=1e-9
    )
    single = coordinates(six(turned), COMPONENTS)[:, 6:] ** 2
    polarised, depolarised = expected[0] + 4 * expected[1], 3 * expected[1]
    for name, values in zip(COMPONENTS, single.T, strict=True):
        mean = polarised if name[0] == name[1] else depolarised
        error = values.std() / math.sqrt(len(values))
        assert abs(values.mean() - mean) < 4 * error
        assert error < 0.02 * mean


@pytest.mark.parametrize(
    ("tensor", "ratio"), [(ISOTROPIC_COORDINATES_TENSOR, 0.0), (TRACELESS, 0.75), (MIXED, None)]
)
def test_line_of_an_oscillator(tensor: np.ndarray, ratio: float | None) -> None:
    """The curve, the area, both invariants and ρ of a damped oscillator."""
    isotropic, anisotropic = mean_and_anisotropy(tensor)
    found = raman_spectrum(many(tensor, 40, 3), 4.0, T, 15.0)
    x, total = found.wavenumber, found.total
    # frames 4 fs apart: what is beyond the Nyquist wavenumber is mirrored into the spectrum
    expected = line(x, POSITION, WIDTH) + line(2 * x[-1] - x, POSITION, WIDTH)
    near = np.abs(x - POSITION) < 150
    for curve, strength in ((total.isotropic, isotropic), (total.anisotropic, anisotropic)):
        if strength < 1e-12:
            assert abs(curve.mean).max() < 1e-12
            continue
        deviation = (curve.mean - strength * expected)[near] / curve.standard_error[near]
        assert np.mean(np.abs(deviation) < 2) > 0.8
        value, error = curve.integral(0.0, x[-1])
        assert value == pytest.approx(strength, abs=3 * error)
        assert error < 0.02 * strength
    rho = 3 * anisotropic / (isotropic + 4 * anisotropic)
    assert ratio is None or rho == pytest.approx(ratio, abs=1e-12)
    curve, _ = total.depolarisation()
    np.testing.assert_allclose(curve[near], rho, atol=1e-9)
    assert total.band_depolarisation(800, 1200)[0] == pytest.approx(rho, abs=1e-9)
    np.testing.assert_allclose(
        total.polarised.mean, total.isotropic.mean + 4 * total.anisotropic.mean
    )
    np.testing.assert_allclose(total.depolarised.mean, 3 * total.anisotropic.mean)
    np.testing.assert_allclose(
        total.unpolarised.mean, total.polarised.mean + total.depolarised.mean, rtol=1e-12
    )


def test_prefactor_by_hand() -> None:
    """A constant ȧ: 2c/kT ȧ² T_total at ν̃ = 0 integrates to ȧ²/kT of each coordinate."""
    rate = six(MIXED) * 1e-3
    found = raman_spectrum([np.tile(rate, (20_000, 1))], 1.0, T, 20.0)
    expected = np.array(mean_and_anisotropy(MIXED)) * 1e-6 / thermal_energy(T)
    for curve, value in zip(
        (found.total.isotropic, found.total.anisotropic), expected, strict=True
    ):
        # half of the line at 0 is at negative wavenumbers; R counts both halves at once
        assert curve.integral(0.0, 100.0)[0] == pytest.approx(value, rel=5e-3)
    assert pytest.approx(2 * SPEED_CM_PER_FS * T / thermal_energy(T)) == units.RAMAN_PREFACTOR


def two_oscillators(n: int, n_frames: int, seed: int = 11) -> list[np.ndarray]:
    """ȧ of two independent overlapping lines, one isotropic and one not: ρ depends on ν̃."""
    first, second = (
        langevin_velocities((n_frames, n), 4.0, POSITION + k * 100, WIDTH, T, seed=seed + k)
        for k in range(2)
    )
    return [
        first[:, k, None] * six(ISOTROPIC_COORDINATES_TENSOR) + second[:, k, None] * six(TRACELESS)
        for k in range(n)
    ]


@pytest.mark.thorough
def test_errors_hold_95_percent() -> None:
    """Points, integrals, and both kinds of depolarisation ratio: integrals and at wavenumbers."""
    isotropic, anisotropic = (
        mean_and_anisotropy(ISOTROPIC_COORDINATES_TENSOR)[0],
        mean_and_anisotropy(TRACELESS)[1],
    )
    inside: dict[str, list[np.ndarray]] = {}
    for run in two_oscillators(80, 6000):
        found = raman_spectrum([run], 4.0, T, 25.0)
        x, total = found.wavenumber, found.total
        end = 2 * x[-1]
        first = isotropic * (line(x, POSITION, WIDTH) + line(end - x, POSITION, WIDTH))
        second = anisotropic * (
            line(x, POSITION + 100, WIDTH) + line(end - x, POSITION + 100, WIDTH)
        )
        near = np.abs(x - POSITION - 50) < 150
        for name, curve, true in (
            ("isotropic", total.isotropic, first),
            ("VV", total.polarised, first + 4 * second),
            ("unpolarised", total.unpolarised, first + 7 * second),
        ):
            inside.setdefault(name, []).append(
                np.abs(curve.mean - true)[near] < 2 * curve.standard_error[near]
            )
        ratio, error = total.depolarisation()
        true = 3 * second / (first + 4 * second)
        inside.setdefault("ratio", []).append((np.abs(ratio - true) < 2 * error)[near])
        low, high = POSITION - 100, POSITION + 200
        step = np.linspace(low, high, 3001)
        areas = [
            strength * np.mean(line(step, place, WIDTH) + line(end - step, place, WIDTH))
            for strength, place in ((isotropic, POSITION), (anisotropic, POSITION + 100))
        ]
        value, sigma = total.band_depolarisation(low, high)
        true_ratio = 3 * areas[1] / (areas[0] + 4 * areas[1])
        inside.setdefault("band ratio", []).append(np.array(abs(value - true_ratio) < 2 * sigma))
    for name, values in inside.items():
        share = np.mean(values)
        # errors of ratios are by the jackknife, from few blocks and so on the safe side
        assert 0.91 < share < (0.995 if "ratio" in name else 0.97), (name, share)


def test_rotations_change_nothing_but_components() -> None:
    """Random orientations of the whole frame, two groups; single components do change."""
    rng = np.random.default_rng(4)
    tensors = np.stack([symmetric(k) for k in range(5)])
    velocities = rng.normal(size=(4000, 2, 5))
    turn = Rotation.random(rng=rng).as_matrix()

    def spectrum(these: np.ndarray) -> RamanSpectrum:
        run = velocities @ six(these)
        return raman_spectrum([run], 2.0, T, 30.0, components=("xx", "xz"), group_labels=("a", "b"))

    first, second = spectrum(tensors), spectrum(turn @ tensors @ turn.T)
    curves = [(first.total, second.total)]
    curves += [(first.parts[name], second.parts[name]) for name in first.parts]
    for one, other in curves:
        for name in ("isotropic", "anisotropic", "VV", "VH", "unpolarised"):
            largest = np.abs(one.named[name].mean).max()
            np.testing.assert_allclose(
                one.named[name].mean, other.named[name].mean, atol=1e-10 * largest
            )
    error = first.total.polarised.standard_error
    np.testing.assert_allclose(error, second.total.polarised.standard_error, rtol=1e-6)
    for name in ("xx", "xz"):
        ratio = second.total.components[name].mean / first.total.components[name].mean
        assert np.abs(ratio - 1).max() > 0.1


def test_single_components_are_those_of_the_tensor() -> None:
    tensor = symmetric(9)
    found = raman_spectrum(
        [rates(tensor[None], 4000, 4.0, POSITION, WIDTH, T, 5)], 4.0, T, 25.0, components=COMPONENTS
    )
    areas = {name: c.integral(0, 3000)[0] for name, c in found.total.components.items()}
    isotropic = found.total.isotropic.integral(0, 3000)[0]
    unit = isotropic / mean_and_anisotropy(tensor)[0]
    for name, area in areas.items():
        row, column = ("xyz".index(letter) for letter in name)
        assert area == pytest.approx(45 * tensor[row, column] ** 2 * unit, rel=1e-9)
    swapped = raman_spectrum([np.ones((900, 6))], 1.0, T, 100.0, components=("yx",))
    assert list(swapped.total.components) == ["yx"]


@pytest.mark.parametrize("method", ["welch", "blackman-tukey"])
def test_runs_groups_and_conditions(method: str) -> None:
    """Parts add up; runs at other temperatures count with their own; pieces give the same."""
    rng = np.random.default_rng(6)
    hot, cold = rng.normal(size=(3000, 3, 6)), 0.5 * rng.normal(size=(2000, 3, 6))
    labels = ("H2O-1", "H2O-2", "Cl-1")
    both = raman_spectrum(
        [hot, cold], 1.0, (600.0, 300.0), 60.0, method=method, group_labels=labels, molecules=True
    )
    assert list(both.parts) == ["H2O intramolecular", "Cl intramolecular", "intermolecular"]
    for name, curve in both.total.named.items():
        parts = [part.named[name].mean for part in both.parts.values()]
        np.testing.assert_allclose(np.sum(parts, axis=0), curve.mean, atol=1e-12)
    alone = raman_spectrum([hot[:, 2:], cold[:, 2:]], 1.0, (600.0, 300.0), 60.0, method=method)
    chloride = both.parts["Cl intramolecular"]
    np.testing.assert_allclose(chloride.isotropic.mean, alone.total.isotropic.mean, atol=1e-12)
    np.testing.assert_allclose(chloride.anisotropic.mean, alone.total.anisotropic.mean, atol=1e-12)
    cut = [iter(np.array_split(run, 7)) for run in (hot, cold)]
    again = raman_spectrum(cut, 1.0, (600.0, 300.0), 60.0, method=method, n_molecules=4.0)
    np.testing.assert_allclose(4 * again.blocks.mean, both.blocks.mean, atol=1e-12)


def test_increments_are_corrected() -> None:
    """Differences of a over the spacing instead of ȧ."""
    run = rates(MIXED[None], 20_000, 1.0, POSITION, WIDTH, T, 8)
    a = np.cumsum(run, axis=0)[::6]
    coarse = raman_spectrum([np.diff(a, axis=0) / 6.0], 6.0, T, 30.0, difference=True)
    exact = raman_spectrum([run[1:]], 1.0, T, 30.0)
    value, expected = (s.total.polarised.integral(700, 1300)[0] for s in (coarse, exact))
    assert value == pytest.approx(expected, rel=0.02)
    assert "differences of the polarizability" in coarse.notes[0]


def test_cross_sections_by_hand() -> None:
    """dσ/dΩ = π²/ε₀² (ν̃₀ - ν̃)⁴ h/(8π²cν̃) S/45 /(1 - e^{-hcν̃/kT}), SI, α in C m²/V."""
    laser, position, activity, temperature = 19436.0, 2331.0, 31.0, 295.0
    volt = 4 * math.pi * constants.epsilon_0 * 1e-20 / math.sqrt(constants.atomic_mass)
    si = activity * volt**2  # (C m/V)²/kg
    expected = math.pi**2 / constants.epsilon_0**2 * ((laser - position) * 100) ** 4
    expected *= constants.h / (8 * math.pi**2 * constants.c * position * 100) * si / 45
    expected /= 1 - math.exp(
        -constants.h * constants.c * position * 100 / (constants.k * temperature)
    )
    x = np.array([position])
    found = activity * cross_section_factor(x, laser, temperature)[0]
    assert found == pytest.approx(expected * 1e4, rel=1e-7)
    # N2 at 514.5 nm, all of the band: measured 5.5e-31 cm²/sr and less
    assert 3e-31 < found < 8e-31
    photons = activity * cross_section_factor(x, laser, temperature, counting=True)[0]
    assert photons / found == pytest.approx(laser / (laser - position))
    # hot: many quanta, k_B T/(hcν̃) times as much; cold: none
    low = np.array([10.0])
    many_quanta = cross_section_factor(low, laser, 3000.0) / cross_section_factor(low, laser, 1e-3)
    assert many_quanta[0] == pytest.approx(3000.0 / (1.4387769 * 10.0) + 0.5, rel=1e-4)


def test_measured_form_is_the_reduced_one_times_a_function() -> None:
    reduced = raman_spectrum(two_oscillators(1, 3000), 4.0, T, 25.0, components=("zz",))
    laser = laser_wavenumber("514.5 nm")
    found = cross_sections(reduced, laser)
    assert found.wavenumber[0] >= reduced.resolution
    kept = np.searchsorted(reduced.wavenumber, found.wavenumber)
    factor = cross_section_factor(found.wavenumber, laser, T)
    for name, curve in found.total.named.items():
        before = reduced.total.named[name]
        np.testing.assert_allclose(curve.mean, factor * before.mean[kept], rtol=1e-12)
        error = factor * before.standard_error[kept]
        # pooled over neighbours, so the same only where the factor is nearly constant; and the
        # stretches in which slow motion is looked for begin elsewhere
        far = found.wavenumber > 600.0
        np.testing.assert_allclose(curve.standard_error[far], error[far], rtol=0.1)
        assert np.median(curve.standard_error[far] / error[far]) == pytest.approx(1.0, abs=0.04)
    ratio = [s.total.depolarisation()[0] for s in (reduced, found)]
    np.testing.assert_allclose(ratio[1], ratio[0][kept], rtol=1e-9)
    # another correction: 2x/(1 + e^-x) instead of x/(1 - e^-x), by hand at the line
    standard = cross_sections(corrected_raman(reduced, "standard"), laser)
    x = units.KELVIN_PER_WAVENUMBER * found.wavenumber / T
    quotient = 2 / (1 + np.exp(-x)) / (x / (1 - np.exp(-x)))
    np.testing.assert_allclose(standard.blocks.mean, quotient * found.blocks.mean, rtol=1e-9)
    assert standard.quantum == "standard"
    for change in (
        lambda: cross_sections(found, laser),
        lambda: corrected_raman(found, "standard"),
    ):
        with pytest.raises(InputError, match="form: found a measured one"):
            change()
    with pytest.raises(InputError, match="'standard' on top of 'standard'"):
        corrected_raman(corrected_raman(reduced, "standard"), "standard")


def test_laser() -> None:
    assert laser_wavenumber("532nm") == pytest.approx(18796.99, abs=0.01)
    assert laser_wavenumber(" 18797 cm-1 ") == 18797.0
    assert laser_wavenumber("1.8797e4cm^-1") == pytest.approx(18797.0)
    for text in ("532", "green", "-5nm", "0nm", "1e999nm", "nm", "1.2.3nm"):
        with pytest.raises(InputError, match="laser: found"):
            laser_wavenumber(text)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([], 1.0, T), "polarizability rates: found no runs"),
        (([np.zeros((900, 3))], 1.0, T), r"found shape \(900, 3\), expected \(frames, 6\)"),
        (([np.zeros((900, 2, 9))], 1.0, T), r"found shape \(900, 2, 9\)"),
        (
            ([np.full((900, 6), np.nan)], 1.0, T),
            "polarizability rate: found a value that is not finite",
        ),
        (([np.zeros((900, 6))], 1.0, -T), "temperature: found -300"),
        (([np.zeros((900, 6))], 1.0, (T, T)), "temperature: found 2 values"),
        (([np.zeros((90, 6))], 1.0, T), "length: found 90 frames"),
    ],
)
def test_bad_input(arguments: tuple[object, ...], message: str) -> None:
    with pytest.raises(InputError, match=message):
        raman_spectrum(*arguments)  # type: ignore[arg-type]


def test_angular_frequency_of_the_line() -> None:
    """The line is written in wavenumbers; its maximum is at the oscillator's."""
    x = np.linspace(1.0, 4000.0, 400_001)
    curve = line(x, POSITION, WIDTH)
    assert x[np.argmax(curve)] == pytest.approx(POSITION, abs=0.02)
    assert np.trapezoid(curve, x) == pytest.approx(1.0, abs=0.02)
    omega = angular_frequency(POSITION)
    assert omega == pytest.approx(2 * math.pi * SPEED_CM_PER_FS * POSITION)
