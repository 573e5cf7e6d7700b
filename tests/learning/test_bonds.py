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


def ammonium_beside_water_and_methane() -> Atoms:
    """H₃N-H⁺ with the fourth hydrogen (1) towards an oxygen (5) 2.7 Å away, and CH₄ (8) apart."""
    ammonium = molecule("CH4")
    ammonium.symbols[0] = "N"
    ammonium.positions *= 1.03 / 1.09
    along = ammonium.positions[1] / np.linalg.norm(ammonium.positions[1])
    across = np.cross(along, [0.3, -0.5, 0.8])
    across /= np.linalg.norm(across)
    oxygen = 2.7 * along
    legs = [oxygen + 0.6 * along + sign * 0.75 * across for sign in (1, -1)]
    methane = molecule("CH4")
    methane.positions += [0.0, 0.0, -5.0]
    return ammonium + Atoms("OHH", [oxygen, *legs]) + methane


def with_proton(atoms: Atoms, place: float) -> Atoms:
    """The proton between N and O at this distance from N, Å."""
    moved = atoms.copy()
    moved.positions[1] = moved.positions[5] / np.linalg.norm(moved.positions[5]) * place
    return moved


@pytest.mark.parametrize("place", [1.03, 1.35, 1.5, 1.72])
def test_protons_that_may_move(place):
    """N-H of 1.72 Å is broken, and O-H of 0.98 Å is new, unless protons may move."""
    start = ammonium_beside_water_and_methane()
    moved = with_proton(start, place).positions
    assert BondGraph.of(start, moving_protons=True).intact(moved)
    assert BondGraph.of(start).intact(moved) is (place < 1.6)


def test_only_protons_may_move_and_only_to_what_holds_them():
    start = ammonium_beside_water_and_methane()
    graph = BondGraph.of(start, moving_protons=True)
    assert np.flatnonzero(graph.protons).tolist() == [1, 2, 3, 4, 6, 7]
    lost = start.copy()
    lost.positions[2] += 2.0 * (lost.positions[2] - lost.positions[0])
    assert not graph.intact(lost.positions)
    of_carbon = start.copy()
    of_carbon.positions[9] += 0.8 * (of_carbon.positions[9] - of_carbon.positions[8])
    assert not graph.intact(of_carbon.positions)
    # a hydride that comes to the nitrogen with its carbon is a new bond
    to_nitrogen = start.copy()
    to_nitrogen.positions[8:] += start.positions[0] - start.positions[9] + [0.0, 0.0, -1.0]
    assert not graph.intact(to_nitrogen.positions)
    heavy = start.copy()
    heavy.positions[5:8] -= 1.3 * start.positions[5] / np.linalg.norm(start.positions[5])
    assert not graph.intact(heavy.positions)


def test_a_proton_that_is_shared_from_the_beginning():
    """Bonded to both oxygens of H₅O₂⁺ it may go to either, and from none of them away."""
    atoms = Atoms(
        "OHHOHHH",
        [
            *([-1.2, 0, 0], [-1.7, 0.8, 0.1], [-1.7, -0.8, 0.1]),
            *([1.2, 0, 0], [1.7, 0.1, 0.8], [1.7, 0.1, -0.8], [0, 0, 0]),
        ],
    )
    strict, lenient = BondGraph.of(atoms), BondGraph.of(atoms, moving_protons=True)
    assert len(strict.first) == len(lenient.first) == 6
    apart = atoms.copy()
    apart.positions[[3, 4, 5, 6], 0] += 0.5
    apart.positions[6, 0] = 0.7
    assert not strict.intact(apart.positions)
    assert lenient.intact(apart.positions)


def test_a_proton_through_the_boundaries_of_a_triclinic_cell():
    start = ammonium_beside_water_and_methane()
    start.set_cell([[9.1, 0.3, -0.4], [2.7, 8.6, 0.2], [-1.6, 2.1, 12.9]])
    start.pbc = True
    moved = with_proton(start, 1.72)
    moved.positions[5:8] += np.array([1, -1, 2]) @ start.cell.array
    assert BondGraph.of(start, moving_protons=True).intact(moved.positions)
    assert not BondGraph.of(start).intact(moved.positions)


def test_protons_may_move_where_dynamics_moved_them():
    start = ammonium_beside_water_and_methane()
    still = [with_proton(start, place) for place in (1.0, 1.1, 1.4)]
    broken = start.copy()
    broken.positions[9] += 0.8 * (broken.positions[9] - broken.positions[8])
    assert not BondGraph.from_dynamics(start, []).moving_protons
    assert not BondGraph.from_dynamics(start, [*still, broken]).moving_protons
    assert BondGraph.from_dynamics(start, [*still, with_proton(start, 1.73)]).moving_protons
