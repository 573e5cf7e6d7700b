"""Lists with a skin against lists that are made anew."""

from __future__ import annotations

import copy
import pickle
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import numpy as np
import pytest
from ase import Atoms
from helpers.systems import random_checkpoint, triclinic

from aptnn_md.atoms.neighbours import Graph, build_graph
from aptnn_md.errors import InputError
from aptnn_md.models import neighbour_lists as module
from aptnn_md.models.neighbour_lists import SKIN, NeighbourLists
from aptnn_md.prediction.predictor import Predictor

CUTOFF = 4.3


def edges(graph: Graph) -> list[tuple[float, ...]]:
    columns = np.column_stack([graph.centres, graph.neighbours, graph.edge_vectors])
    return sorted(map(tuple, np.round(columns, 7) + 0.0))


def assert_same(found: Graph, expected: Graph) -> None:
    assert edges(found) == edges(expected)
    assert (np.diff(found.centres) >= 0).all()
    assert found.structure_sizes == expected.structure_sizes
    assert np.array_equal(found.atomic_numbers, expected.atomic_numbers)


def assert_bits(found: Graph, expected: Graph) -> None:
    for name in ("centres", "neighbours", "edge_vectors", "atomic_numbers"):
        assert np.array_equal(getattr(found, name), getattr(expected, name)), name


@pytest.fixture
def searches(monkeypatch):
    """Cutoffs for which pairs were searched."""
    made: list[float] = []
    search = module.neighbour_pairs

    def counted(atoms, cutoff):
        made.append(cutoff)
        return search(atoms, cutoff)

    monkeypatch.setattr(module, "neighbour_pairs", counted)
    return made


@pytest.mark.parametrize("pbc", [(1, 1, 1), (0, 0, 0), (1, 0, 1), (0, 1, 0)])
@pytest.mark.parametrize("size", [2.5, 6.0, 11.0])
def test_a_walk_sees_the_pairs_of_every_step(pbc, size, searches):
    random = np.random.default_rng(int(size))
    atoms = triclinic(n_atoms=7, size=size) if size > 3 else triclinic(n_atoms=3, size=size)
    atoms.pbc = pbc
    atoms.positions += [0.0, 20.0, -7.0]  # far outside the cell
    lists = NeighbourLists(CUTOFF)
    for _ in range(40):
        graph = lists.graph([atoms])
        assert_same(graph, build_graph(atoms, CUTOFF))
        assert_bits(graph, NeighbourLists(CUTOFF).graph([atoms]))
        atoms.positions += 0.02 * random.normal(size=(len(atoms), 3))
    own = [cutoff for cutoff in searches if cutoff == pytest.approx(CUTOFF + SKIN)]
    assert 2 <= len(own) < 15


def test_pairs_that_come_within_the_cutoff_are_there(searches):
    """Two atoms approach in steps smaller than the skin."""
    lists = NeighbourLists(3.0)
    distances = np.arange(4.2, 2.0, -0.03)
    for distance in distances:
        graph = lists.graph([Atoms("H2", positions=[[0, 0, 0], [0, 0, distance]])])
        assert len(graph.centres) == (2 if distance < 3.0 else 0)
    assert len(searches) < len(distances) / 3


def other_cell(atoms):
    atoms.set_cell(atoms.cell.array * 1.001, scale_atoms=False)


def other_number(atoms):
    del atoms[3]


def other_pbc(atoms):
    atoms.pbc = (True, False, True)


def other_species(atoms):
    atoms.numbers = atoms.numbers[::-1].copy()


def wrapped(atoms):
    atoms.wrap()


def swapped(atoms):
    atoms.positions[[0, 5]] = atoms.positions[[5, 0]]


@pytest.mark.parametrize(
    "change", [other_cell, other_number, other_pbc, other_species, wrapped, swapped]
)
def test_changes_of_the_system_are_seen(change):
    atoms = triclinic(n_atoms=9)
    atoms.positions += atoms.cell.array[0] * 0.4
    lists = NeighbourLists(CUTOFF)
    for _ in range(3):
        lists.graph([atoms])
        atoms.positions += 0.001
    change(atoms)
    graph = lists.graph([atoms])
    assert_same(graph, build_graph(atoms, CUTOFF))
    assert_bits(graph, NeighbourLists(CUTOFF).graph([atoms]))


def test_tensors_depend_on_the_structure_alone():
    """Bit by bit: a run that is resumed has another list than one that goes on."""
    predictor = Predictor(random_checkpoint())
    atoms = triclinic() * (2, 1, 1)
    random = np.random.default_rng(0)
    for _ in range(12):
        atoms.positions += 0.03 * random.normal(size=(len(atoms), 3))
        fresh = Predictor(random_checkpoint())
        assert np.array_equal(predictor(atoms), fresh(atoms))


def test_structures_of_a_call_have_lists_of_their_own(searches):
    lists = NeighbourLists(CUTOFF)
    beads = [triclinic(seed=k, n_atoms=7 + k) for k in range(3)]
    for step in range(6):
        graph = lists.graph(beads[:2])
        assert_same(graph, build_graph(beads[:2], CUTOFF))
        assert_same(lists.graph(beads[2:], first=2), build_graph(beads[2:], CUTOFF))
        for bead in beads:
            bead.positions += 0.003 * (-1) ** step
    assert len(searches) <= 2 * len(beads)


def test_structures_far_from_each_other_get_no_skin(searches):
    lists = NeighbourLists(CUTOFF)
    for seed in range(4):
        lists.graph([triclinic(seed=seed)])
    assert max(searches) < CUTOFF + 1e-3


def test_cells_that_change_at_every_step_get_no_skin(searches):
    lists, atoms = NeighbourLists(CUTOFF), triclinic()
    for _ in range(4):
        lists.graph([atoms])
        other_cell(atoms)
    assert max(searches) < CUTOFF + 1e-3


def test_large_structures_are_not_kept(monkeypatch, searches):
    monkeypatch.setattr(module, "LARGEST_KEPT", 100)
    lists, atoms = NeighbourLists(CUTOFF), triclinic()
    for _ in range(3):
        assert_same(lists.graph([atoms]), build_graph(atoms, CUTOFF))
    assert len(searches) == 3


@pytest.mark.thorough
def test_threads_have_lists_of_their_own():
    predictor = Predictor(random_checkpoint())
    walks = [[triclinic(seed=k) for _ in range(10)] for k in range(4)]
    for walk in walks:
        for before, after in pairwise(walk):
            after.positions = before.positions + 0.01
    expected = [[Predictor(random_checkpoint())(atoms) for atoms in walk] for walk in walks]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda walk: [predictor(atoms) for atoms in walk], walks))
    for mine, theirs in zip(found, expected, strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(mine, theirs, strict=True))


def test_copies_begin_without_lists():
    lists, atoms = NeighbourLists(CUTOFF), triclinic()
    graph = lists.graph([atoms])
    for twin in (copy.deepcopy(lists), pickle.loads(pickle.dumps(lists))):
        assert twin.cutoff == CUTOFF
        assert_bits(twin.graph([atoms]), graph)


def test_positions_that_are_none_are_refused_at_any_step():
    lists, atoms = NeighbourLists(CUTOFF), triclinic()
    for _ in range(3):
        lists.graph([atoms])
    atoms.positions[4, 1] = np.nan
    with pytest.raises(InputError, match="positions"):
        lists.graph([atoms])
    atoms.positions[4, 1] = 0.0
    assert_same(lists.graph([atoms]), build_graph(atoms, CUTOFF))


def test_no_atoms_and_no_pairs():
    lists = NeighbourLists(CUTOFF)
    for _ in range(3):
        graph = lists.graph([Atoms(), Atoms("H"), Atoms()])
        assert graph.edge_vectors.shape == (0, 3)
        assert graph.structure_sizes == (0, 1, 0)
        assert len(graph.centres) == len(graph.neighbours) == 0


def test_thin_and_empty_cells_take_the_other_search():
    """Where the pairs are found without a grid of cells."""
    lists = NeighbourLists(CUTOFF)
    atoms = Atoms("H3", positions=[[0, 0, 0], [0, 0, 1], [90, 0, 0]], cell=[1e5] * 3, pbc=True)
    oblique = Atoms("OH", positions=[[0, 0, 0], [1, 0, 0]], cell=[[9, 0, 0], [40, 5, 0], [0, 3, 8]])
    oblique.pbc = True
    for system in (atoms, oblique):
        for _ in range(3):
            assert_same(lists.graph([system]), build_graph(system, CUTOFF))
            system.positions[1] += 0.01
