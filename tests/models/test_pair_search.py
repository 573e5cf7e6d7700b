"""Pairs found by torch against those of vesin and SciPy's k-d tree."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from ase import Atoms
from helpers.systems import triclinic

from aptnn_md.atoms.neighbours import build_graph
from aptnn_md.models import pair_search
from aptnn_md.models.pair_search import Boxes, images_within, pairs_of_images


def edges(centres, neighbours, vectors):
    columns = np.column_stack([centres, neighbours, vectors])
    return sorted(map(tuple, np.round(columns, 7) + 0.0))


def found(structures, cutoff, device):
    """Pairs of several structures together, as :func:`edges` has them."""
    positions = torch.from_numpy(np.concatenate([a.positions for a in structures])).to(device)
    sizes = torch.tensor([len(a) for a in structures])
    owners = torch.repeat_interleave(torch.arange(len(sizes)), sizes).to(device)
    cells = np.array([a.cell.array * np.array(a.pbc)[:, None] for a in structures])
    images = images_within(positions, owners, Boxes.of(structures), cutoff)
    points = images.positions(positions, torch.from_numpy(cells).to(device), owners)
    pairs = pairs_of_images(points, owners[images.atoms], len(positions), cutoff)
    assert bool((pairs.centres.diff() >= 0).all())
    vectors = points[pairs.images] - points[pairs.centres]
    assert torch.allclose(vectors.square().sum(dim=1), pairs.squares)
    return edges(*(x.cpu() for x in (pairs.centres, images.atoms[pairs.images], vectors)))


def expected(structures, cutoff):
    graph = build_graph(structures, cutoff)
    return edges(graph.centres, graph.neighbours, graph.edge_vectors)


@pytest.mark.parametrize("pbc", [(1, 1, 1), (0, 0, 0), (1, 0, 1), (0, 1, 0)])
@pytest.mark.parametrize("size", [2.5, 6.0, 11.0])
@pytest.mark.parametrize("cutoff", [4.3, 9.0])
def test_any_cell_and_any_periodic_directions(device, pbc, size, cutoff):
    atoms = triclinic(n_atoms=3 if size < 3 else 17, size=size)
    atoms.pbc = pbc
    atoms.positions += [0.0, 20.0, -7.0]  # far outside the cell
    pairs = found([atoms], cutoff, device)
    assert pairs
    assert pairs == expected([atoms], cutoff)


def test_oblique_cells(device):
    atoms = triclinic(n_atoms=9)
    atoms.set_cell(np.array([[1, 0, 0], [7, 1, 0], [-3, 5, 1]]) @ atoms.cell.array)
    assert found([atoms], 5.0, device) == expected([atoms], 5.0)


def test_structures_do_not_see_each_other(device):
    slab = triclinic(seed=2, n_atoms=11, size=4.5)
    slab.pbc = (True, True, False)
    structures = [triclinic(), slab, Atoms(), Atoms("OH", positions=[[0, 0, 0], [0, 0, 1.0]])]
    assert found(structures, 4.0, device) == expected(structures, 4.0)


def test_empty_space_costs_nothing(device):
    """Fragments 10⁸ Å apart: a grid of all cubes between them has 10²⁶."""
    atoms = Atoms("O3H", positions=np.zeros((4, 3)))
    atoms.positions[:2] += [[1e8, -1e8, 1e8], [1e8, -1e8, 1e8 + 1.5]]
    atoms.positions[3, 0] = 0.7
    pairs = found([atoms], 2.0, device)
    assert [pair[:2] for pair in pairs] == [(0, 1), (1, 0), (2, 3), (3, 2)]
    assert pairs == expected([atoms], 2.0)


def test_pairs_are_found_in_parts(device, monkeypatch):
    monkeypatch.setattr(pair_search, "MANY_IMAGES", 100)
    monkeypatch.setattr(pair_search, "CANDIDATES", {torch.device(device).type: 50})
    slab = triclinic(1, n_atoms=5)
    slab.pbc = (True, False, True)
    structures = [triclinic(), slab]
    assert found(structures, 5.0, device) == expected(structures, 5.0)


def test_a_crystal_of_many_cubes(device):
    from ase.build import bulk

    crystal = bulk("NaCl", "rocksalt", a=5.64, cubic=True) * (4, 3, 5)
    crystal.rattle(0.2, seed=1)
    assert found([crystal], 6.5, device) == expected([crystal], 6.5)
