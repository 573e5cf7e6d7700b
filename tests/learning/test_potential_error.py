"""The error of a spectrum by its potential, from normal modes."""

from __future__ import annotations

import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from helpers.oscillators import langevin_velocities

from aptnn_md.learning.harmonic import HarmonicCheck, Lines
from aptnn_md.learning.honest import HonestTest
from aptnn_md.learning.spectrum_errors import band_errors, potential_error
from aptnn_md.spectra import infrared_spectrum
from aptnn_md.units import WAVENUMBER_PER_ANGULAR_FREQUENCY

GRID = np.arange(0.0, 4000.0, 2.0)


def lines_at(*wavenumbers, intensities=(300.0, 100.0)):
    return Lines(
        np.array(wavenumbers), np.array(intensities), np.zeros(0), np.zeros((len(wavenumbers), 3))
    )


def gaussian(centre, sigma, area):
    return area * np.exp(-0.5 * ((GRID - centre) / sigma) ** 2) / (sigma * math.sqrt(2 * math.pi))


def error_of(spectrum, lines, reference=None):
    measured = SimpleNamespace(
        blocks=SimpleNamespace(wavenumber=GRID, mean=spectrum, resolution=20.0)
    )
    return potential_error(measured, "infrared", HarmonicCheck(lines, reference))


def shifted_by(shift, sigma):
    """∫ |difference| / ∫ of a Gaussian and the same elsewhere."""
    return 2.0 * math.erf(abs(shift) / (2.0 * math.sqrt(2.0) * sigma))


@pytest.mark.parametrize("scale", [1.0, 0.7])
def test_each_band_is_as_broad_and_strong_as_in_the_dynamics(scale):
    """A shift of 20 cm⁻¹ is little of a band of 100, and much of one of 20."""
    spectrum = scale * (gaussian(500.0, 100.0, 300.0) + gaussian(3000.0, 20.0, 50.0))
    mean = lines_at(500.0, 3000.0)
    for reference, expected in (
        (lines_at(520.0, 3000.0), 300.0 * shifted_by(20.0, 100.0)),
        (lines_at(500.0, 3020.0), 50.0 * shifted_by(20.0, 20.0)),
        (lines_at(500.0, 3000.0, intensities=(330.0, 100.0)), 30.0),
    ):
        error = error_of(spectrum, {"mean": mean}, reference)
        assert error.sum() * 2.0 == pytest.approx(scale * expected, rel=0.03)
        assert (error >= 0.0).all()


def test_members_count_where_they_are_farther_apart_than_the_engine():
    spectrum = gaussian(500.0, 100.0, 300.0) + gaussian(3000.0, 20.0, 100.0)
    lines = {"mean": lines_at(500.0, 3000.0), "member-1": lines_at(480.0, 3000.0)}
    lines["member-2"] = lines_at(520.0, 3000.0)
    alone = error_of(spectrum, lines)
    # twice the mean deviation from the mean of the members
    assert alone.sum() * 2.0 == pytest.approx(300.0 * shifted_by(40.0, 100.0), rel=0.05)
    near, far = lines_at(505.0, 3000.0), lines_at(600.0, 3000.0)
    assert error_of(spectrum, lines, near) == pytest.approx(alone)
    assert error_of(spectrum, lines, far).sum() > 1.5 * alone.sum()


def test_members_alone_say_as_much_more_as_their_forces_were_wrong():
    spectrum = gaussian(500.0, 100.0, 300.0) + gaussian(3000.0, 20.0, 100.0)
    lines = {"mean": lines_at(500.0, 3000.0), "member-1": lines_at(480.0, 3000.0)}
    lines["member-2"] = lines_at(520.0, 3000.0)
    measured = SimpleNamespace(
        blocks=SimpleNamespace(wavenumber=GRID, mean=spectrum, resolution=20.0)
    )
    plain, engine = HonestTest(5, 0.02, 1.0, {}, {}), lines_at(500.0, 3000.0)
    spread = replace(plain, force_spread=0.008)
    alone = potential_error(measured, "infrared", HarmonicCheck(lines))
    for test, reference, factor in (
        (plain, None, 1.0),
        (spread, None, 2.5),
        (replace(spread, force_spread=0.04), None, 1.0),
        (spread, engine, 1.0),  # the engine says it itself
    ):
        check = HarmonicCheck(lines, reference, test.members_factor)
        found = potential_error(measured, "infrared", check)
        np.testing.assert_allclose(found, factor * alone)
        assert check.shift == pytest.approx(0.0 if reference else factor * 40.0)


def test_without_engine_and_members_nothing_is_known():
    spectrum = gaussian(500.0, 100.0, 300.0)
    assert error_of(spectrum, {"mean": lines_at(500.0, 3000.0)}) is None
    assert error_of(spectrum, {}, lines_at(500.0, 3000.0)) is None


def test_the_error_of_a_band_is_unknown_where_nothing_tells_it():
    """One potential without a reference, and tensors without members: no numbers, not zeros."""
    phase = 500.0 / WAVENUMBER_PER_ANGULAR_FREQUENCY * 2.0 * np.arange(4000.0)
    rate = np.cos(phase)[:, None] * np.array([1e-3, 2e-3, -1e-3])
    measured = infrared_spectrum([rate], 2.0, 300.0, 1000.0, 60.0)
    of_run = SimpleNamespace(blocks=measured.blocks, members=())
    lines = {"mean": lines_at(500.0, intensities=(300.0,))}
    *_, band = band_errors(of_run, "infrared", HarmonicCheck(lines))
    assert band.centroid.value == pytest.approx(500.0, abs=10.0)
    for error in (band.integral, band.centroid):
        assert math.isnan(error.potential)
        assert math.isnan(error.tensors)


def test_bands_have_the_errors_of_their_modes_and_that_of_rotation_is_not_known():
    rates = sum(
        langevin_velocities((20_000, 3), 2.0, where, 40.0, seed=n) * charge
        for n, (where, charge) in enumerate([(100.0, 0.3), (1600.0, 0.5), (3600.0, 0.2)])
    )
    spectrum = infrared_spectrum([rates], 2.0, 300.0, resolution=40.0)
    # members of the tensors: the same, and dipoles larger by a tenth
    larger = infrared_spectrum([1.1 * rates], 2.0, 300.0, resolution=40.0)
    measured = SimpleNamespace(blocks=spectrum.blocks, members=[spectrum.blocks, larger.blocks])
    lines = {
        "mean": lines_at(1600.0, 3600.0, intensities=(200.0, 40.0)),
        "member-1": lines_at(1600.0, 3590.0, intensities=(200.0, 40.0)),
        "member-2": lines_at(1600.0, 3610.0, intensities=(200.0, 40.0)),
    }
    reference = lines_at(1613.0, 3604.0, intensities=(190.0, 44.0))
    rotation, bend, stretch = band_errors(measured, "infrared", HarmonicCheck(lines, reference))
    assert [(band.low, band.high) for band in (rotation, bend, stretch)] == [
        (0.0, 800.0),
        (800.0, 2600.0),
        (2600.0, 3900.0),
    ]
    assert rotation.centroid.value == pytest.approx(100.0, abs=60.0)
    assert math.isnan(rotation.integral.potential)
    assert math.isnan(rotation.centroid.potential)
    assert rotation.integral.statistical > 0.0
    # relative to the harmonic intensity, on the scale of the dynamics; members where farther apart
    assert bend.integral.potential == pytest.approx(0.05 * bend.integral.value)
    assert bend.centroid.potential == pytest.approx(13.0)
    assert stretch.integral.potential == pytest.approx(0.1 * stretch.integral.value)
    assert stretch.centroid.potential == pytest.approx(20.0)
    for band in (rotation, bend, stretch):
        assert band.integral.tensors == pytest.approx(0.21 * band.integral.value, rel=1e-6)
        assert band.centroid.tensors == pytest.approx(0.0, abs=1e-6)


def test_coarse_spectra_of_few_wavenumbers_have_bands_too():
    """Narrow bands are joined, and the last ends where the spectrum does."""
    rates = langevin_velocities((2_000, 3), 4.0, 500.0, 300.0)
    spectrum = infrared_spectrum([rates], 4.0, 300.0, resolution=200.0)
    where = np.array([30.0, 180.0, 320.0, 470.0, 3950.0])  # the Nyquist wavenumber is 4170
    lines = Lines(where, np.ones(5), np.zeros(0), np.zeros((2, 3)))
    measured = SimpleNamespace(blocks=spectrum.blocks, members=[])
    found = band_errors(measured, "infrared", HarmonicCheck({"mean": lines}))
    assert found[-1].high == pytest.approx(spectrum.wavenumber[-1])
    assert all(band.high - band.low >= 400.0 for band in found)
    assert potential_error(measured, "infrared", HarmonicCheck({"mean": lines}, lines)) is not None
