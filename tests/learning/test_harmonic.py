"""Harmonic lines of engines and models, and spectra of them, against analytic cases."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import toy_molecules

from aptnn_md.learning.engine_potential import EngineCalculator
from aptnn_md.learning.harmonic import (
    Lines,
    band_limits,
    band_values,
    bands_of_lines,
    concentration,
    curve_of,
    lines_of,
    matching_width,
    read_lines,
    relaxed_hessian,
    write_lines,
)
from aptnn_md.units import KM_PER_MOL

GRID = np.arange(0.0, 4500.0, 2.0)
LINES = Lines(
    np.array([-40.0, 300.0, 1050.0, 1130.0, 2950.0, 3010.0]),
    np.array([9.0, 150.0, 60.0, 40.0, 30.0, 90.0]),
    np.zeros(0),
    np.zeros((4, 3)),
)


def test_a_gaussian_is_spread_over_its_known_width():
    sigma = 30.0
    curve = 7.0 * np.exp(-0.5 * ((GRID - 2000.0) / sigma) ** 2)
    assert concentration(GRID, curve) == pytest.approx(2.0 * np.sqrt(np.pi) * sigma, rel=1e-6)


@pytest.mark.parametrize("width", [35.0, 60.0, 120.0])
def test_the_width_of_lines_is_found_again(width):
    curve = 3.7 * curve_of(LINES, "infrared", GRID, width)  # the scale does not matter
    assert matching_width(LINES, "infrared", GRID, curve, 20.0) == pytest.approx(width, rel=1e-3)
    # nothing is narrower than the resolution
    assert matching_width(LINES, "infrared", GRID, curve, 200.0) == pytest.approx(200.0, rel=1e-3)


def test_bands_are_groups_of_lines():
    found = bands_of_lines(LINES, "infrared")
    assert [(s.start, s.stop) for s in found] == [(1, 2), (2, 4), (4, 6)]
    assert band_values(LINES, "infrared", found[1]) == pytest.approx((100.0, 1082.0))
    limits = band_limits(LINES, found)
    assert limits == [(0.0, 675.0), (675.0, 2040.0), (2040.0, 3310.0)]


def lines_at(*wavenumbers: float) -> Lines:
    n = len(wavenumbers)
    return Lines(np.array(wavenumbers), np.ones(n), np.zeros(0), np.zeros((1, 3)))


def test_lines_that_are_everywhere_are_divided_at_the_widest_gaps():
    where = [20.0, 90.0, 200.0, 300.0, 345.0, 440.0, 500.0, 610.0, 620.0, 1000.0, 1020.0]
    found = bands_of_lines(lines_at(*where), "infrared")
    # 20 to 620 is more than 500, its widest gaps 90 to 200 and 500 to 610
    assert [(s.start, s.stop) for s in found] == [(0, 2), (2, 9), (9, 11)]
    dense = lines_at(*np.arange(100.0, 1000.0, 30.0))  # nowhere to divide it
    assert bands_of_lines(dense, "infrared") == [slice(0, 30)]


def test_bands_that_a_coarse_spectrum_cannot_tell_apart_are_joined():
    lines = lines_at(400.0, 540.0, 680.0, 1500.0)
    limits = band_limits(lines, bands_of_lines(lines, "infrared", 100.0))
    assert limits == [(0.0, 470.0), (470.0, 610.0), (610.0, 1090.0), (1090.0, 1800.0)]
    for narrowest, expected in (
        (150.0, [(0.0, 610.0), (610.0, 1090.0), (1090.0, 1800.0)]),
        (500.0, [(0.0, 1090.0), (1090.0, 1800.0)]),
        (5000.0, [(0.0, 1800.0)]),
    ):
        assert band_limits(lines, bands_of_lines(lines, "infrared", narrowest)) == expected


def test_imaginary_modes_have_no_band():
    """A learned potential may have one of -300 cm⁻¹ with much intensity."""
    lines = lines_at(-300.0, 150.0, 1540.0)
    found = bands_of_lines(lines, "infrared")
    assert found == [slice(1, 2), slice(2, 3)]
    assert band_limits(lines, found)[0] == (0.0, 845.0)


def test_rotation_is_no_part_of_a_band_that_is_far_from_it():
    water = lines_at(1540.0, 3640.0, 3650.0)
    limits = band_limits(water, bands_of_lines(water, "infrared"))
    assert limits == [(770.0, 2590.0), (2590.0, 3950.0)]
    low = lines_at(590.0, 1540.0)  # where it may reach into the band they are not told apart
    assert band_limits(low, bands_of_lines(low, "infrared"))[0] == (0.0, 1065.0)
    assert band_limits(water, []) == []


def test_lines_of_an_engine_are_those_of_its_derivatives():
    """Frequencies of the analytic potential, intensities from differences of the dipole."""
    start = toy_molecules.structure(seed=4)
    start.positions += 0.02 * np.random.default_rng(0).normal(size=(3, 3))
    calculator = EngineCalculator("helpers.toy_molecules:Potential")
    hessian, positions = relaxed_hessian(start, calculator)
    atoms = start.copy()
    atoms.positions = positions
    lengths = np.linalg.norm(positions[1:] - positions[0], axis=1)
    assert lengths == pytest.approx([toy_molecules.LENGTH_OH, toy_molecules.LENGTH_OCL], abs=1e-4)
    lines = lines_of(atoms, hessian, {"apt": toy_molecules.polar_tensors(positions)})
    masses = np.repeat(atoms.get_masses(), 3)
    values, vectors = np.linalg.eigh(hessian / np.sqrt(np.outer(masses, masses)))
    for number in range(3):
        along = (vectors[:, -3 + number] / np.sqrt(masses)).reshape(3, 3)
        step = 1e-4
        slope = toy_molecules.dipole(positions + step * along)
        slope = (slope - toy_molecules.dipole(positions - step * along)) / (2.0 * step)
        assert lines.infrared[number] == pytest.approx(KM_PER_MOL * slope @ slope, rel=1e-4)
    # eV/Å²/amu to cm⁻¹ by 521.471
    assert lines.wavenumber == pytest.approx(521.4709 * np.sqrt(values[-3:]), rel=1e-4)


def test_lines_are_read_as_they_were_written(tmp_path):
    write_lines(tmp_path / "lines.json", {"engine": LINES})
    found = read_lines(tmp_path / "lines.json")["engine"]
    for name, value in vars(LINES).items():
        assert np.array_equal(getattr(found, name), value)
