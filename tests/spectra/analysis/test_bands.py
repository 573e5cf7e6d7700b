"""Bands of Lorentzians of known position, height, width and integral."""

from __future__ import annotations

import math

import numpy as np
import pytest
from helpers.oscillators import absorption, langevin_velocities

from aptnn_md.spectra import Band, InfraredSpectrum, find_bands, infrared_spectrum

T, V = 300.0, 1000.0
POSITION, WIDTH = 1000.0, 150.0
LOW, HIGH = 600.0, 1400.0


def exact(baseline: bool) -> dict[str, float]:
    """Of the line without noise, by brute force on a fine grid."""
    nu = np.linspace(LOW, HIGH, 80_001)
    line = absorption(nu, 1.0, POSITION, WIDTH, V)
    if baseline:
        line = line - line[0] - (line[-1] - line[0]) * (nu - LOW) / (HIGH - LOW)
    return {
        "position": float(nu[line.argmax()]),
        "height": float(line.max()),
        "width": float(np.ptp(nu[line > line.max() / 2])),
        "integral": float(np.trapezoid(line, nu)),
    }


@pytest.fixture(scope="module")
def velocities() -> np.ndarray:
    return langevin_velocities((16_000, 3 * 60), 1.0, POSITION, WIDTH)


def spectrum_of(velocities: np.ndarray, columns: range) -> InfraredSpectrum:
    return infrared_spectrum([velocities[:, k : k + 3] for k in columns], 1.0, T, V, 20.0)


def bands(spectrum: InfraredSpectrum, baseline: bool) -> Band:
    (band,) = find_bands(spectrum, {"line": (LOW, HIGH)}, baseline)
    return band


@pytest.mark.parametrize("baseline", [False, True])
def test_line_is_found_within_the_printed_errors(velocities: np.ndarray, baseline: bool) -> None:
    band = bands(spectrum_of(velocities, range(0, 180, 3)), baseline)
    for name, value in exact(baseline).items():
        found, error = getattr(band, name), getattr(band, f"{name}_error")
        # the resolution of 20 cm⁻¹ makes a line of 150 cm⁻¹ 2 % wider and lower
        allowed = 2.5 * error + (0.02 * value if name in ("height", "width") else 0.0)
        assert abs(found - value) < allowed, name
        assert error < 0.05 * value
    assert not band.at_edge


@pytest.mark.slow
def test_errors_are_honest(velocities: np.ndarray) -> None:
    """Sixty runs alone: scatter, printed errors, and the share within two of them."""
    found = [bands(spectrum_of(velocities, range(k, k + 1)), False) for k in range(0, 180, 3)]
    for name, value in exact(False).items():
        values = np.array([getattr(band, name) for band in found])
        errors = np.array([getattr(band, f"{name}_error") for band in found])
        assert 0.75 < np.sqrt(np.mean(errors**2)) / np.std(values) < 2.0, name
        assert np.mean(np.abs(values - value) < 2 * errors) > 0.87, name


def test_width_without_an_end(velocities: np.ndarray) -> None:
    """A range that cuts the band above half of its height has a maximum but no width."""
    spectrum = spectrum_of(velocities, range(0, 180, 3))
    (band,) = find_bands(spectrum, {"top": (960.0, 1400.0)})
    assert not band.at_edge
    assert math.isnan(band.width)
    assert math.isnan(band.width_error)
    assert band.height_error < 0.1 * band.height
    assert spectrum.integral(960.0, 1400.0) == (band.integral, band.integral_error)
