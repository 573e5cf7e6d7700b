"""Linear molecules turn about two axes and bend in two directions, however straight a file is."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import toy_molecules as toy

from aptnn_md.errors import InputError
from aptnn_md.normal_modes import finite_difference_hessian, normal_modes

LENGTH, STRETCH, BEND = 1.16, 60.0, 5.0  # Å, eV/Å², eV
MASSES = np.array([16.0, 12.0, 16.0])


def energy(flat, angle):
    """Of a symmetric triatomic, the middle atom second, with its minimum at an angle."""
    one, middle, other = flat.reshape(3, 3)
    first, second = one - middle, other - middle
    lengths = np.linalg.norm(first), np.linalg.norm(second)
    here = np.arctan2(np.linalg.norm(np.cross(first, second)), first @ second)
    bent = here - angle
    return 0.5 * STRETCH * sum((x - LENGTH) ** 2 for x in lengths) + 0.5 * BEND * bent**2


def hessian_at(positions, angle, step=1e-3):
    """By differences of the energy."""
    n, moves = positions.size, step * np.eye(positions.size)
    found = np.empty((n, n))
    for i, j in np.ndindex(n, n):
        signs = [(a, b) for a in (1, -1) for b in (1, -1)]
        found[i, j] = sum(
            a * b * energy(positions.ravel() + a * moves[i] + b * moves[j], angle) for a, b in signs
        )
    return found / (4.0 * step**2)


def molecule(angle, seed=0):
    """At its minimum, turned at random."""
    half = 0.5 * angle
    arm = LENGTH * np.array([np.sin(half), np.cos(half), 0.0])
    positions = np.array([arm, np.zeros(3), arm * [-1.0, 1.0, 1.0]])
    return positions @ np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))[0] + 0.7


def bend_of_linear():
    """cm⁻¹ of BEND/2 (θ - π)² with displacements u of the ends and -2 u m/M of the middle."""
    outer, inner = MASSES[0], MASSES[1]
    reduced = 2.0 * outer * inner / (2.0 * outer + inner)  # of the bending coordinate
    omega = np.sqrt(BEND * 4.0 / LENGTH**2 / reduced * 9.648533e-3)  # 1/fs
    return omega / (2.0 * np.pi * 2.99792458e-5)


@pytest.mark.parametrize("digits", [2, 3, 4, 6, 8, 16])
@pytest.mark.parametrize("seed", range(3))
def test_a_molecule_that_a_file_rounded_is_still_linear(digits, seed):
    exact = molecule(np.pi, seed)
    hessian = hessian_at(exact, np.pi)
    modes = normal_modes(hessian, MASSES, np.round(exact, digits))
    assert len(modes) == 4
    assert modes.wavenumber[:2] == pytest.approx([bend_of_linear()] * 2, rel=0.01)


@pytest.mark.parametrize("off", [0.03, 0.1, 0.2])
def test_a_linear_molecule_that_is_bent_keeps_both_bends(off):
    positions = molecule(np.pi - off)
    modes = normal_modes(hessian_at(positions, np.pi), MASSES, positions)
    assert len(modes) == 4
    assert modes.wavenumber[:2] == pytest.approx([bend_of_linear()] * 2, rel=0.2)


@pytest.mark.parametrize("off", [0.1, 0.2, 0.5, 1.3])
def test_a_molecule_that_is_bent_at_its_minimum_turns_about_three_axes(off):
    positions = molecule(np.pi - off)
    modes = normal_modes(hessian_at(positions, np.pi - off), MASSES, positions)
    assert len(modes) == 3
    assert modes.wavenumber[0] > 100.0
    assert np.abs(modes.rigid).max() < 30.0  # differences of energies


def test_a_checkpoint_of_another_point_is_refused(tmp_path):
    """Relaxed or not, or relaxed less than what is asked for now."""
    atoms = toy.structure()
    atoms.positions[1] += 0.05
    atoms.calc = toy.Potential()

    def hessian(name, relax):
        return finite_difference_hessian(
            atoms, relax=relax, checkpoint=tmp_path / name, potential="toy"
        )

    hessian("given", None)
    with pytest.raises(InputError, match=r"structure as given, expected .* relaxed to 0\.001"):
        hessian("given", 1e-3)
    loose = hessian("loose", 0.3)
    for relax, words in ((None, "relaxed to 0.3 eV/Å, expected .* as given"), (1e-4, "to 0.0001")):
        with pytest.raises(InputError, match=words):
            hessian("loose", relax)
    np.testing.assert_array_equal(hessian("loose", 0.3).matrix, loose.matrix)
    np.testing.assert_array_equal(hessian("loose", 0.5).matrix, loose.matrix)
