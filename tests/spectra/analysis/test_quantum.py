"""Quantum corrections: detailed balance, limits, closed cases, and no correction twice."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from helpers.oscillators import AMU, BOLTZMANN, LIGHT_SPEED, angular_frequency

from aptnn_md.errors import InputError
from aptnn_md.spectra import InfraredSpectrum, infrared_spectrum
from aptnn_md.spectra.analysis.quantum import (
    correct,
    quantum_factor,
)
from aptnn_md.spectra.infrared.corrections import corrected
from aptnn_md.spectra.infrared.report import describe_quantum
from aptnn_md.spectra.options import CORRECTIONS

PLANCK = 6.62607015e-34
T = 300.0
NU = np.linspace(0.0, 5000.0, 5001)
X = PLANCK * LIGHT_SPEED * 100.0 * NU / (BOLTZMANN * T)


@pytest.mark.parametrize("correction", CORRECTIONS)
def test_detailed_balance_and_classical_limit(correction: str) -> None:
    x = np.linspace(0.0, 30.0, 301)
    up, down = quantum_factor(correction, x), quantum_factor(correction, -x)
    np.testing.assert_allclose(down, np.exp(-x) * up, rtol=1e-12)
    small = np.array([0.0, 1e-9, 1e-4])
    # all are 1 + x/2 + O(x²)
    np.testing.assert_allclose(quantum_factor(correction, small), 1 + small / 2, atol=1e-8)


def test_factors_by_their_formulas() -> None:
    x = np.array([-7.0, -0.3, 0.2, 1.0, 8.0])
    harmonic = x / (1.0 - np.exp(-x))
    np.testing.assert_allclose(quantum_factor("harmonic", x), harmonic, rtol=1e-12)
    np.testing.assert_allclose(quantum_factor("standard", x), 2.0 / (1.0 + np.exp(-x)), rtol=1e-12)
    np.testing.assert_allclose(quantum_factor("schofield", x), np.exp(x / 2), rtol=1e-12)
    mixed = np.sqrt(quantum_factor("harmonic", x) * quantum_factor("schofield", x))
    np.testing.assert_allclose(quantum_factor("mixed", x), mixed, rtol=1e-12)


@pytest.mark.parametrize("correction", [name for name in CORRECTIONS if name != "egelstaff"])
def test_absorption_has_the_factor_instead_of_the_harmonic_one(correction: str) -> None:
    absorption = 1e3 * np.exp(-(((NU - 1500) / 700) ** 2))
    found = correct(correction, NU, absorption, T)
    classical = absorption[1:] / quantum_factor("harmonic", X[1:])
    np.testing.assert_allclose(found[1:], classical * quantum_factor(correction, X[1:]), rtol=1e-6)
    np.testing.assert_allclose(found[NU < 2.0], absorption[NU < 2.0], rtol=1e-4)
    if correction == "harmonic":
        np.testing.assert_array_equal(found, absorption)


def test_harmonic_oscillator_is_exact_with_the_harmonic_factor_only() -> None:
    """Absorbed power of a quantum oscillator: (1 - e^{-x})⟨μ²⟩ with ⟨μ²⟩ = ħ/(2mω)(n + 1) q²."""
    omega = angular_frequency(1500.0) * 1e15
    x = PLANCK * LIGHT_SPEED * 1500.0 * 100.0 / (BOLTZMANN * T)
    hbar, mass = PLANCK / (2 * np.pi), 2 * AMU
    occupation = 1.0 / np.expm1(x)
    quantum = (1 - np.exp(-x)) * hbar / (2 * mass * omega) * (occupation + 1)
    # classical: half of ⟨x²⟩ = kT/(mω²) at +ω, times Q, the same (1 - e^{-x}) in front
    classical = (1 - np.exp(-x)) * 0.5 * BOLTZMANN * T / (mass * omega**2)
    found = {name: classical * quantum_factor(name, x) / quantum for name in CORRECTIONS}
    assert found["harmonic"] == pytest.approx(1.0, rel=1e-9)
    assert found["standard"] < 0.5  # tanh(x/2)/(x/2) of it
    assert found["schofield"] > 2.0


@pytest.mark.parametrize("temperature", [150.0, 300.0, 1000.0])
def test_egelstaff_of_a_gaussian(temperature: float) -> None:
    """C(t) = exp(-t²/2s²) at √(t² + a²) is e^{-a²/2s²} C(t), so its spectrum too."""
    a = PLANCK / (2 * np.pi) / (2 * BOLTZMANN * temperature)
    s = 15e-15
    omega = angular_frequency(1.0) * 1e15 * NU
    classical = np.exp(-0.5 * (s * omega) ** 2)
    expected = np.exp(-0.5 * (a / s) ** 2) * classical
    x = 2 * a * omega
    found = correct("egelstaff", NU, classical, temperature)
    np.testing.assert_allclose(
        found[1:], (expected * 2 * np.sinh(x / 2))[1:] / x[1:], rtol=1e-3, atol=1e-6
    )


def test_egelstaff_of_any_curve_by_quadrature() -> None:
    """The transform of C(√(t² + a²)), done in time."""
    nu = np.linspace(0.0, 900.0, 451)
    curve = np.exp(-(((nu - 300) / 60) ** 2)) + 0.4 * np.exp(-(((nu - 520) / 25) ** 2))
    a = PLANCK / (2 * np.pi) / (2 * BOLTZMANN * T) * 1e15  # fs
    omega, time = angular_frequency(1.0) * nu, np.arange(0.0, 8_000.0, 8.0)
    step = omega[1]
    correlation = np.cos(np.sqrt(time**2 + a**2)[:, None] * omega) @ curve * step / np.pi
    weights = np.full(time.shape, 8.0)
    weights[0] = 4.0
    transform = 2 * np.cos(omega[:, None] * time) @ (weights * correlation)
    x = 2 * a * omega
    expected = transform[1:] * 2 * np.sinh(x[1:] / 2) / x[1:]
    found = correct("egelstaff", nu, np.stack([curve, 2 * curve]), T)
    assert np.max(np.abs(found[0, 1:] - expected)) < 1e-3 * expected.max()
    np.testing.assert_allclose(found[1], 2 * found[0])


def test_bad_corrections() -> None:
    with pytest.raises(InputError, match="name: found 'kubo', expected one of harmonic, standard"):
        correct("kubo", NU, NU, T)
    with pytest.raises(InputError, match="'schofield': temperature: found 1 K with a spectrum up"):
        correct("schofield", NU, NU, 1.0)
    np.testing.assert_array_equal(correct("harmonic", NU, NU, 1.0), NU)


@pytest.fixture(scope="module")
def spectrum() -> InfraredSpectrum:
    rng = np.random.default_rng(8)
    a, b = rng.normal(size=(2, 9000, 3))
    runs = [np.stack([a, 0.4 * a + b], axis=1)]
    return infrared_spectrum(runs, 3.0, T, 1000.0, 40.0, f_sum=1.0, group_labels=["a", "b"])


@pytest.mark.parametrize("correction", CORRECTIONS)
def test_everything_in_a_spectrum_is_corrected(spectrum: InfraredSpectrum, correction: str) -> None:
    found = corrected(spectrum, correction)
    expected = correct(correction, spectrum.wavenumber, spectrum.absorption, T)
    np.testing.assert_allclose(found.absorption, expected, rtol=1e-9)
    np.testing.assert_allclose(found.absorption, found.blocks.mean, rtol=1e-12)
    parts = np.sum([part.mean for part in found.parts.values()], axis=0)
    scale = np.abs(found.absorption).max()
    np.testing.assert_allclose(parts, found.absorption, atol=1e-9 * scale)
    assert found.integral(500.0, 1500.0)[1] > 0
    if correction != "egelstaff":
        np.testing.assert_allclose(
            found.standard_error / found.absorption,
            spectrum.standard_error / spectrum.absorption,
            rtol=0.1,  # pooled over neighbours
        )
    if correction == "harmonic":
        assert found is spectrum
        assert "built into Eq. 2" in describe_quantum(found)
    else:
        assert correction in describe_quantum(found)
        assert found.sum_rule.expected is None
        assert "before the quantum correction" in found.notes[-1]


def test_nothing_is_corrected_twice(spectrum: InfraredSpectrum) -> None:
    with pytest.raises(InputError, match="found 'mixed' on top of 'standard', expected one corr"):
        corrected(corrected(spectrum, "standard"), "mixed")
    beads = replace(spectrum, n_beads=8, estimator="bead")
    with pytest.raises(InputError, match="'standard' for a path integral of 8 beads, expected non"):
        corrected(beads, "standard")
    assert corrected(beads, "harmonic") is beads
    assert "path integral of 8 beads, estimator 'bead'" in describe_quantum(beads)
    assert "nothing to correct" in describe_quantum(beads)
