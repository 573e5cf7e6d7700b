import numpy as np
import pytest
from ase import Atoms
from ase.neighborlist import neighbor_list

pytest.importorskip("torch")

from helpers.systems import triclinic

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
