import numpy as np
import pytest
from ase import Atoms
from ase.neighborlist import neighbor_list

pytest.importorskip("torch")

from helpers.systems import triclinic

from aptnn_md.atoms import neighbours as module
from aptnn_md.atoms.neighbours import build_graph, neighbour_pairs
from aptnn_md.errors import InputError

PBC = [(1, 1, 1), (0, 0, 0), (1, 1, 0), (0, 1, 0), (1, 0, 1)]


def edges(i, j, vectors):
    return sorted(map(tuple, np.round(np.column_stack([i, j, vectors]), 6) + 0.0))


@pytest.mark.parametrize("pbc", PBC)
@pytest.mark.parametrize("size", [2.0, 5.0, 9.0])
def test_pairs_are_those_of_ase_in_any_cell(pbc, size):
    random = np.random.default_rng(int(size))
    cell = size * (np.diag([1.0, 1.2, 0.9]) + 0.25 * random.normal(size=(3, 3)))
    # positions reach far outside the cell
    atoms = Atoms("H7", positions=size * random.normal(size=(7, 3)), cell=cell, pbc=pbc)
    expected = edges(*neighbor_list("ijD", atoms, 4.3))
    # a direction that is not periodic needs no cell vector
    for axis in range(3):
        if not pbc[axis]:
            atoms.cell[axis] = 0.0
    found = edges(*neighbour_pairs(atoms, 4.3))
    assert len(found) == len(expected)
    assert np.allclose(found, expected, atol=2e-6)


def test_an_atom_sees_its_own_images():
    atoms = Atoms("H", cell=[2.0, 3.0, 10.0], pbc=True)
    i, j, vectors = neighbour_pairs(atoms, 3.5)
    lengths = np.sort(np.linalg.norm(vectors, axis=1))
    assert not i.any()
    assert not j.any()
    # +-(2,0), +-(0,3), and no (2,3), which is 3.6 Å long
    assert np.allclose(lengths, [2.0, 2.0, 3.0, 3.0])


def test_centres_are_sorted_and_batches_do_not_mix():
    first, second = triclinic(0), triclinic(1, n_atoms=11)
    graph = build_graph([first, second], 4.0)
    assert (np.diff(graph.centres) >= 0).all()
    assert graph.structure_sizes == (17, 11)
    single = [build_graph(atoms, 4.0) for atoms in (first, second)]
    assert len(graph.centres) == sum(len(g.centres) for g in single)
    assert ((graph.centres < 17) == (graph.neighbours < 17)).all()
    assert np.array_equal(graph.edge_vectors[: len(single[0].centres)], single[0].edge_vectors)


def test_empty_structures_have_no_edges():
    assert len(build_graph(Atoms(), 4.0).centres) == 0
    assert len(build_graph(Atoms("H"), 4.0).centres) == 0


def test_bad_structures_are_named():
    atoms = triclinic()
    atoms.positions[3, 1] = np.nan
    with pytest.raises(InputError, match=r"positions: found .*nan.* at atom 3"):
        build_graph(atoms, 4.0)
    with pytest.raises(InputError, match="cell vector for every periodic direction"):
        build_graph(Atoms("H2", positions=[[0, 0, 0], [0, 0, 1]], pbc=True), 4.0)
    with pytest.raises(InputError, match="not in one plane"):
        build_graph(Atoms("H", cell=[[1, 0, 0], [0, 1, 0], [1, 1, 0]], pbc=True), 4.0)


@pytest.mark.parametrize("pbc", PBC)
@pytest.mark.parametrize("size", [2.0, 5.0, 9.0])
def test_the_tree_finds_the_same_pairs(pbc, size):
    random = np.random.default_rng(int(size) + 10)
    cell = size * (np.diag([1.0, 1.2, 0.9]) + 0.25 * random.normal(size=(3, 3)))
    atoms = Atoms("H7", positions=size * random.normal(size=(7, 3)), cell=cell, pbc=pbc)
    expected = edges(*neighbor_list("ijD", atoms, 4.3))
    i, j, vectors = module._pairs_by_tree(atoms, module._full_cell(atoms, 4.3), 4.3)
    assert (np.diff(i) >= 0).all()
    found = edges(i, j, vectors)
    assert len(found) == len(expected)
    assert np.allclose(found, expected, atol=2e-6)


@pytest.mark.parametrize("n_atoms", [1, 2, 7, module.FEW_ATOMS, module.FEW_ATOMS + 1])
def test_small_and_large_molecules_have_the_pairs_of_ase(n_atoms):
    atoms = Atoms(
        f"H{n_atoms}", np.random.default_rng(n_atoms).normal(scale=3.0, size=(n_atoms, 3))
    )
    expected = edges(*neighbor_list("ijD", atoms, 4.3))
    i, j, vectors = neighbour_pairs(atoms, 4.3)
    assert (np.diff(i) >= 0).all()
    assert all(array.flags.c_contiguous for array in (i, j, vectors))
    found = edges(i, j, vectors)
    assert len(found) == len(expected)
    assert np.allclose(found, expected, atol=1e-9)


@pytest.mark.parametrize(
    ("cell", "pbc"),
    [
        (None, False),
        ([8.0, 8.0, 0.0], (1, 1, 0)),
        ([0.0, 0.0, 8.0], (0, 0, 1)),
        ([8.0, 8.0, 1e6], True),
        ([1e6, 1e6, 1e6], True),
    ],
)
@pytest.mark.parametrize("distance", [3e2, 1e5, 1e6])
def test_empty_space_costs_nothing(cell, pbc, distance):
    """A fragment that has flown away, in any direction; slabs, wires, cells that are huge.

    A grid of cells takes minutes here, or divides by zero and ends the process.
    """
    molecule = np.array([[0.0, 0, 0], [0.96, 0.1, 0], [-0.3, 0.9, 0.2]])
    for direction in ([0.2, -0.4, 1.0], [1.0, 1.0, 1.0]):
        away = molecule + distance * np.array(direction)
        atoms = Atoms("OH2OH2", positions=np.vstack([molecule, away]), cell=cell, pbc=pbc)
        i, j, vectors = neighbour_pairs(atoms, 4.0)
        lengths = np.linalg.norm(vectors, axis=1)
        inside = np.linalg.norm(molecule[:, None] - molecule, axis=2)
        near = (i < 3) & (j < 3) & (lengths < 2.0)
        assert np.allclose(np.sort(lengths[near]), np.sort(inside[inside > 0]), atol=1e-8)
        assert ((i < 3) == (j < 3)).all() or np.any(pbc)


def test_oblique_cells_have_the_pairs_of_their_reduced_cell():
    atoms = triclinic(3)
    expected = edges(*neighbour_pairs(atoms, 4.0))
    oblique = atoms.copy()
    cell = atoms.cell.array.copy()
    cell[2] += 400.0 * cell[0] - 31.0 * cell[1]
    oblique.set_cell(cell)
    found = edges(*neighbour_pairs(oblique, 4.0))
    assert len(found) == len(expected)
    assert np.allclose(np.array(found)[:, :2], np.array(expected)[:, :2])
    lengths = [np.sort(np.linalg.norm(np.array(e)[:, 2:], axis=1)) for e in (found, expected)]
    assert np.allclose(*lengths, atol=1e-5)


def test_structures_that_cannot_be_are_refused():
    for cell in ([0.02] * 3, [9.0, 9.0, 0.05], [[5, 0, 0], [0, 5, 0], [5, 5, 1e-7]]):
        with pytest.raises(InputError, match=r"Å away from it|not in one plane"):
            build_graph(Atoms("H", cell=cell, pbc=True), 4.0)
    with pytest.raises(InputError, match="for an atom"):
        build_graph(Atoms("H200", positions=np.zeros((200, 3)), cell=[3, 3, 3], pbc=True), 4.0)
    heap = Atoms(f"H{10**5}", positions=np.random.default_rng(0).normal(size=(10**5, 3)))
    with pytest.raises(InputError, match=r"atoms: found .* of them in a cube"):
        build_graph(heap, 4.0)
    with pytest.raises(InputError, match="finite numbers below 1e"):
        build_graph(Atoms("H2", positions=[[0, 0, 0], [0, 0, 1e12]]), 4.0)


def test_a_long_thin_cell_is_not_flat():
    assert len(neighbour_pairs(Atoms("H", cell=[1e8, 1.0, 1.0], pbc=True), 1.1)[0]) == 4
