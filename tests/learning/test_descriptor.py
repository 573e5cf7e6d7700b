"""Fingerprints of structures: what must not change them, and what must."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule

from aptnn_md.learning.descriptor import distances_to_nearest, fingerprints


def shuffled_and_turned(atoms, seed=0):
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(atoms))
    other = atoms[order]
    turn = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    other.positions = other.positions @ turn + rng.normal(size=3)
    return other


@pytest.mark.parametrize("name", ["CH3CH2OH", "CH3SH", "C6H6"])
def test_neither_order_nor_orientation_matters(name):
    atoms = molecule(name)
    atoms.rattle(0.1, seed=1)
    first, second = fingerprints([atoms, shuffled_and_turned(atoms)])
    assert second == pytest.approx(first, abs=1e-9)
    assert np.abs(first).max() > 0.1


def test_periodic_images_and_the_choice_of_the_cell_do_not_matter():
    rng = np.random.default_rng(2)
    cell = np.array([[7.0, 0.3, -1.0], [1.5, 8.0, 0.2], [-0.4, 1.0, 7.5]])
    atoms = Atoms("O3H6", rng.random((9, 3)) @ cell, cell=cell, pbc=True)
    other = atoms.copy()
    other.positions += rng.integers(-2, 3, size=(9, 3)) @ cell
    sheared = atoms.copy()
    sheared.set_cell(np.array([cell[0], cell[1] + cell[0], cell[2]]))
    twice = atoms.repeat((2, 1, 1))
    prints = fingerprints([atoms, other, sheared, twice])
    for found in prints[1:]:
        assert found == pytest.approx(prints[0], abs=1e-9)


def test_different_structures_differ_by_as_much_as_atoms_moved():
    atoms = molecule("CH3OH")
    moved, more = atoms.copy(), atoms.copy()
    moved.positions[0, 0] += 0.05
    more.positions[0, 0] += 0.3
    here, near, far = fingerprints([atoms, moved, more])
    assert 0.0 < np.linalg.norm(near - here) < 0.5 * np.linalg.norm(far - here)


def test_elements_are_told_apart():
    atoms = molecule("CH3OH")
    other = atoms.copy()
    other.numbers[other.numbers == 8] = 16
    here, there = fingerprints([atoms, other])
    assert np.linalg.norm(there - here) > 0.5 * np.linalg.norm(here)


def test_distances_to_the_nearest():
    points = np.array([[0.0, 0.0], [3.0, 4.0]])
    others = np.array([[0.0, 1.0], [3.0, 0.0]])
    assert distances_to_nearest(points, others) == pytest.approx([1.0, 4.0])
    assert distances_to_nearest(points, others[:0]).tolist() == [np.inf, np.inf]
