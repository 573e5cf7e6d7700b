"""Bonds that are kept, broken and made, in open space and through periodic boundaries."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule

from aptnn_md.learning.bonds import BROKEN, MADE, BondGraph


def test_bonds_of_ethanol():
    graph = BondGraph.of(molecule("CH3CH2OH"))
    assert len(graph.first) == 8
    assert (graph.first < graph.second).all()


@pytest.mark.parametrize(("stretch", "kept"), [(1.0, True), (1.5, True), (1.7, False)])
def test_stretched_bond(stretch, kept):
    """The hydroxyl hydrogen of ethanol, by a factor of the sum of covalent radii (0.97 Å)."""
    atoms = molecule("CH3CH2OH")
    graph = BondGraph.of(atoms)
    numbers = atoms.numbers
    oxygen = int(np.flatnonzero(numbers == 8)[0])
    hydrogen = int(
        np.flatnonzero((numbers == 1) & (atoms.get_distances(oxygen, range(9)) < 1.1))[0]
    )
    moved = atoms.positions.copy()
    direction = moved[hydrogen] - moved[oxygen]
    moved[hydrogen] = moved[oxygen] + direction / np.linalg.norm(direction) * 0.97 * stretch
    assert graph.intact(moved) is kept
    assert (stretch < BROKEN) is kept


@pytest.mark.parametrize(("distance", "kept"), [(1.3, True), (0.99, False)])
def test_new_bond(distance, kept):
    """A proton comes to a second water while it stays with its own: bonds of both are there."""
    first = Atoms("OHH", [[0, 0, 0], [0.96, 0, 0], [-0.24, 0.93, 0]])
    second = Atoms("OHH", [[0, 0, 0], [0.5, 0.8, 0.2], [0.5, -0.8, 0.2]])
    pair = first + second
    graph = BondGraph.of(pair_at(pair, 1.9))
    assert len(graph.first) == 4
    assert graph.intact(pair_at(pair, distance).positions) is kept
    assert (distance > MADE * 0.97) is kept


def pair_at(pair: Atoms, distance: float) -> Atoms:
    """The second oxygen at this distance from the first hydrogen, in line with its bond."""
    moved = pair.copy()
    moved.positions[3:] += moved.positions[1] + [distance, 0, 0] - moved.positions[3]
    return moved


def test_through_the_boundaries_of_a_triclinic_cell():
    cell = np.array([[5.1, 0.3, -0.4], [1.7, 4.6, 0.2], [-0.6, 1.1, 4.9]])
    atoms = Atoms("OHH", [[0, 0, 0], [0.96, 0, 0], [-0.24, 0.93, 0]], cell=cell, pbc=True)
    graph = BondGraph.of(atoms)
    wrapped = atoms.positions + np.array([[0, 0, 0], [1, -1, 0], [0, 2, -3]]) @ cell
    assert graph.intact(wrapped)
    wrapped[1] += [0.8, 0.0, 0.0]
    assert not graph.intact(wrapped)


def test_positions_without_meaning():
    atoms = molecule("H2O")
    graph = BondGraph.of(atoms)
    assert not graph.intact(np.full((3, 3), np.nan))
    together = atoms.positions.copy()
    together[1] = together[2]
    assert not graph.intact(together)


def test_ions_are_bonded_to_nothing():
    atoms = Atoms("NaOHH", [[2.3, 0, 0], [0, 0, 0], [-0.6, 0.75, 0], [-0.6, -0.75, 0]])
    graph = BondGraph.of(atoms)
    assert len(graph.first) == 2
    closer = atoms.positions.copy()
    closer[0, 0] = 1.7
    assert graph.intact(closer)
