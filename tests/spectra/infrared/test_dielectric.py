"""Optical constants from absorption: a Lorentz oscillator in closed form, and honest errors."""

from __future__ import annotations

import math

import numpy as np
import pytest
from helpers.oscillators import AMU, CHARGE, LIGHT_SPEED, VACUUM, absorption, langevin_velocities

from aptnn_md.errors import InputError
from aptnn_md.spectra import InfraredSpectrum, infrared_spectrum
from aptnn_md.spectra.infrared.dielectric import (
    QUANTITIES,
    optical_constants,
    quantities,
    static_permittivity,
)
from aptnn_md.units import AMU_A2_PER_FS2_EV, BOLTZMANN_EV_PER_K

V, EPS_INF = 60.0, 1.8
KELVIN = 300.0
POSITION, WIDTH, STRENGTH = 1200.0, 220.0, 6.0


def permittivity(nu: np.ndarray, infinity: float = EPS_INF) -> np.ndarray:
    """ε∞ + Σq²/m / (3 V ε₀ (ω₀² - ω² - iγω)) for three directions, in SI."""
    omega = 2 * np.pi * LIGHT_SPEED * 100 * nu
    omega_0, gamma = (2 * np.pi * LIGHT_SPEED * 100 * value for value in (POSITION, WIDTH))
    strength = STRENGTH * CHARGE**2 / AMU / (V * 1e-30 * VACUUM)
    return np.asarray(infinity + strength / (omega_0**2 - omega**2 - 1j * gamma * omega))


def test_absorption_and_permittivity_of_the_test_belong_together() -> None:
    nu = np.linspace(1.0, 4000.0, 500)
    si = permittivity(nu).imag * 2 * np.pi * nu  # ε″ω/c in cm⁻¹
    np.testing.assert_allclose(absorption(nu, STRENGTH, POSITION, WIDTH, V), si, rtol=1e-9)


@pytest.mark.parametrize("grid", ["uniform", "table"])
def test_lorentz_oscillator_to_one_percent(grid: str) -> None:
    """ε, n, κ and α from n·α alone, through the region where n and α are far from independent."""
    nu = np.linspace(0, 8000, 4001) if grid == "uniform" else np.geomspace(0.5, 9000.0, 4000)
    exact = permittivity(nu)
    found = optical_constants(nu, absorption(nu, STRENGTH, POSITION, WIDTH, V), EPS_INF)
    assert exact.real.min() < 0 < 8 < exact.real.max()
    inside = nu < 6000
    size = np.abs(exact)[inside]
    assert np.max(np.abs(found.permittivity - exact)[inside] / size) < 0.01
    index = np.sqrt(exact)
    assert np.max(np.abs(found.refractive_index - index)[inside] / np.abs(index)[inside]) < 0.01
    alpha = 4 * np.pi * nu * index.imag
    deviation = np.abs(found.absorption_coefficient - alpha)[inside]
    assert deviation.max() < 0.01 * alpha.max()


def test_absorption_below_the_lowest_wavenumber_grows_like_its_square() -> None:
    nu = np.linspace(0.0, 4000.0, 2001)
    exact = absorption(nu, STRENGTH, POSITION, WIDTH, V)
    spoiled = exact + np.where(nu < 40, 50.0, 0.0)  # what a window smears to low wavenumbers
    found = optical_constants(nu, spoiled, EPS_INF, lowest=40.0)
    np.testing.assert_allclose(
        found.permittivity.real, optical_constants(nu, exact, EPS_INF).permittivity.real, rtol=1e-3
    )
    assert found.permittivity.imag[0] == 0.0
    np.testing.assert_allclose(np.diff(found.permittivity.imag[:20], 2), 0.0, atol=1e-12)


@pytest.fixture(scope="module")
def runs() -> list[np.ndarray]:
    velocities = langevin_velocities((12_000, 3 * 60), 1.0, POSITION, WIDTH)
    return [math.sqrt(STRENGTH) * velocities[:, k : k + 3] for k in range(0, 180, 3)]


@pytest.fixture(scope="module")
def spectrum(runs: list[np.ndarray]) -> InfraredSpectrum:
    return infrared_spectrum(runs, 1.0, 300.0, V, 15.0)


def exact_values(nu: np.ndarray) -> dict[str, np.ndarray]:
    epsilon = permittivity(nu)
    index = np.sqrt(epsilon)
    alpha = 4 * np.pi * nu * index.imag
    omega = 2 * np.pi * LIGHT_SPEED * 100 * nu
    avogadro = 6.02214076e23
    return {
        "epsilon-real": epsilon.real,
        "epsilon-imag": epsilon.imag,
        "n": index.real,
        "kappa": index.imag,
        "alpha": alpha,
        "decadic-alpha": alpha * math.log10(math.e),
        "conductivity": VACUUM * omega * epsilon.imag,
        "molar-absorption": alpha * math.log10(math.e) / (2 / (V * 1e-27) / avogadro),
    }


def test_conductivity_of_free_charges_begins_at_wavenumber_0() -> None:
    """Ions with friction γ: σ(0) = N q²/(m γ V), where ⟨v²⟩ = k_B T/m."""
    charge, mass, gamma, n_ions, volume, step = 1.0, 23.0, 0.02, 3, 4000.0, 2.0
    rng, thermal = np.random.default_rng(6), math.sqrt(KELVIN * BOLTZMANN_EV_PER_K / mass)
    thermal /= math.sqrt(AMU_A2_PER_FS2_EV)  # Å/fs
    kept = math.exp(-gamma * step)
    velocity = thermal * rng.normal(size=(40, n_ions, 3))
    rates = np.empty((4000, 40, 3))
    for frame in rates:
        frame[:] = charge * velocity.sum(axis=1)
        kick = thermal * math.sqrt(1.0 - kept**2) * rng.normal(size=velocity.shape)
        velocity = kept * velocity + kick
    runs = [rates[:, k] for k in range(40)]
    spectrum = infrared_spectrum(runs, step, KELVIN, volume, 10.0)
    (found,) = quantities(spectrum, ["conductivity"])
    exact = n_ions * 1.602176634e-19**2 / (mass * 1.66053907e-27 * gamma * 1e15 * volume * 1e-30)
    near = found.values[:5]
    assert np.all(np.abs(near - exact) < 4.0 * found.standard_error[:5] + 0.05 * exact)
    np.testing.assert_allclose(
        found.values, 100.0 * VACUUM * LIGHT_SPEED * spectrum.absorption, rtol=1e-6
    )


def test_quantities_of_a_spectrum(spectrum: InfraredSpectrum) -> None:
    """Within their errors everywhere, and on the whole to 1 %."""
    found = quantities(spectrum, epsilon_infinity=EPS_INF, n_molecules=2)
    assert [quantity.name for quantity in found] == list(QUANTITIES)
    nu = spectrum.wavenumber
    inside = (nu > 600) & (nu < 2500)
    for quantity in found:
        exact = exact_values(nu)[quantity.name]
        # the resolution smears the line a little
        smear = 0.012 * np.abs(exact).max()
        near = np.abs(quantity.values - exact) < 2 * quantity.standard_error + smear
        assert np.mean(near[inside]) > 0.95, quantity.name
        error = quantity.values[inside].sum() / exact[inside].sum() - 1
        assert abs(error) < 0.01, quantity.name
        assert np.all(quantity.standard_error[inside] < 0.1 * np.abs(exact).max())


@pytest.mark.thorough
def test_errors_are_honest(runs: list[np.ndarray]) -> None:
    """Scatter over independent runs against what each says about itself."""
    spectra = [infrared_spectrum([run], 1.0, 300.0, V, 30.0) for run in runs]
    names = ["epsilon-real", "epsilon-imag", "n", "alpha"]
    found = [quantities(s, names, epsilon_infinity=EPS_INF) for s in spectra]
    nu = spectra[0].wavenumber
    inside = (nu > 500) & (nu < 2000)
    for k, name in enumerate(names):
        values = np.array([each[k].values for each in found])
        errors = np.array([each[k].standard_error for each in found])
        ratio = np.sqrt(np.mean(errors**2, axis=0))[inside] / np.std(values, axis=0)[inside]
        assert 0.8 < np.median(ratio) < 1.4, name
    direct = spectra[0].standard_error / (2 * np.pi * np.where(nu > 0, nu, np.inf))
    np.testing.assert_allclose(found[0][1].standard_error[inside], direct[inside], rtol=0.2)


def test_static_permittivity(spectrum: InfraredSpectrum) -> None:
    """Frames fold the far wing of a Lorentzian, ∝ 1/ν̃², back: that is in the sum, and known."""
    nu, nyquist = spectrum.wavenumber, spectrum.wavenumber[-1]
    images = [nu, *(2 * k * nyquist + sign * nu for k in range(1, 200) for sign in (-1, 1))]
    folded = np.sum([absorption(image, STRENGTH, POSITION, WIDTH, V) for image in images], axis=0)
    value, error = static_permittivity(spectrum, EPS_INF)
    exact = optical_constants(nu, folded, EPS_INF, lowest=15.0).permittivity[0].real
    assert abs(value - exact) < 3 * error
    assert error < 0.02 * (exact - EPS_INF)
    # without the folding, what the oscillator has
    plain = optical_constants(nu, absorption(nu, STRENGTH, POSITION, WIDTH, V), EPS_INF)
    static = permittivity(np.zeros(1))[0].real
    assert plain.permittivity[0].real == pytest.approx(static, rel=1e-3)


def test_what_cannot_be_computed(spectrum: InfraredSpectrum) -> None:
    with pytest.raises(InputError, match="number of molecules: found nothing, expected the posi"):
        quantities(spectrum, ["molar-absorption"])
    with pytest.raises(InputError, match="number of molecules: found -1"):
        quantities(spectrum, ["molar-absorption"], n_molecules=-1)
    with pytest.raises(InputError, match="quantity: found 'beta', expected one of epsilon-real"):
        quantities(spectrum, ["beta"])
    with pytest.raises(InputError, match=r"ε∞: found 0.5, expected a number of at least 1"):
        quantities(spectrum, ["n"], epsilon_infinity=0.5)
    assert quantities(spectrum, []) == []
