"""Molecules of a structure: which atoms belong together, and where they are as a whole.

Molecules are the connected parts of the graph of bonds, through the periodic boundaries too.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from ase import Atoms
from ase.data import covalent_radii
from numpy.typing import ArrayLike
from scipy.sparse import coo_matrix, csr_matrix
from scipy.sparse.csgraph import breadth_first_order, connected_components

from aptnn_md.arrays import FloatArray, IntArray
from aptnn_md.atoms.neighbours import neighbour_pairs
from aptnn_md.atoms.snapshot import Snapshot, nearest_images

BOND_FACTOR = 1.3
"""Two atoms are bonded when closer than this factor times the sum of their covalent radii: O-H up
to 1.26 Å, while hydrogen bonds of liquids are longer than 1.4 Å."""

ION_NUMBERS = (3, 4, 11, 12, 19, 20, 37, 38, 55, 56, 87, 88)
"""Alkali and alkaline-earth metals: ions by themselves, never bonded to their solvation shell,
which their covalent radii would include."""

LINEAR_WIDTH = 0.2
"""A molecule whose atoms lie this close to a line (root mean square, Å) is linear: it turns about
two axes. Thermal bending of CO₂, HCN or C₂H₂ stays below; water has 0.28, HOCl 0.45."""


@dataclass(frozen=True)
class Molecules:
    """The molecules of a structure.

    Attributes
    ----------
    index : (n_atoms,), molecule of each atom, counted from 0 in the order of their first atoms
    parent : (n_atoms,), the atom at the other end of a bond, so that a molecule's atoms are a tree;
        the first atom of a molecule is its own
    levels : atoms that are 1, 2, ... bonds away from the first one
    turns : (n_molecules,), axes that the molecule can turn about: 3; 2 for a linear one; 0 for a
        single atom, or for a network of bonds that extends through the periodic boundaries
    """

    index: IntArray
    parent: IntArray
    levels: tuple[IntArray, ...]
    turns: IntArray

    @classmethod
    def of(cls, atoms: Atoms) -> Molecules:
        """Molecules by :data:`BOND_FACTOR`.

        Any cell will do: triclinic, periodic in some directions, smaller than a molecule, none.
        """
        n_atoms = len(atoms)
        i, j, vectors = bonds(atoms)
        index = _connected(n_atoms, i, j)
        first = np.unique(index, return_index=True)[1]
        parent = _tree(n_atoms, i, j, first)
        found = cls(index, parent, _levels(parent), np.zeros(len(first), dtype=np.int64))
        whole = found.whole(Snapshot.of(atoms))
        turns = axes_of_rotation(whole, index)
        endless = np.abs(whole[j] - whole[i] - vectors).max(axis=1, initial=0.0) > 1e-6
        turns[index[i[endless]]] = 0
        return cls(index, parent, found.levels, turns)

    def __len__(self) -> int:
        return len(self.turns)

    def whole(self, snapshot: Snapshot) -> FloatArray:
        """Positions (..., n_atoms, 3), Å, of molecules that no boundary cuts.

        Each atom is at the image nearest to its parent in the tree of bonds, so a molecule may
        be longer than the cell.
        """
        positions = snapshot.positions
        if not any(snapshot.pbc):
            return positions
        bonds_to_parent = nearest_images(
            positions - positions[..., self.parent, :], snapshot.cell, snapshot.pbc
        )
        whole = positions.copy()
        for atoms in self.levels:
            whole[..., atoms, :] = (
                whole[..., self.parent[atoms], :] + bonds_to_parent[..., atoms, :]
            )
        return whole

    def formulas(self, numbers: ArrayLike) -> list[str]:
        """Formula of each molecule (Hill order) for atoms of these atomic numbers."""
        if len(self) == 0:
            return []
        by_molecule = np.split(
            np.asarray(numbers)[np.argsort(self.index, kind="stable")],
            np.cumsum(np.bincount(self.index))[:-1],
        )
        known: dict[tuple[int, ...], str] = {}
        formulas = []
        for part in by_molecule:
            key = tuple(sorted(part.tolist()))
            if key not in known:
                known[key] = str(Atoms(key).get_chemical_formula("hill"))
            formulas.append(known[key])
        return formulas


def molecules(atoms: Atoms) -> IntArray:
    """Molecule of each atom (n_atoms,), counted from 0 in the order of their first atoms."""
    i, j, _ = bonds(atoms)
    return _connected(len(atoms), i, j)


def bonds(atoms: Atoms) -> tuple[IntArray, IntArray, FloatArray]:
    """Bonded atoms and the vectors between them, Å; every bond is listed from both sides."""
    radii = np.where(np.isin(atoms.numbers, ION_NUMBERS), 0.0, covalent_radii[atoms.numbers])
    cutoff = 2.0 * BOND_FACTOR * float(radii.max(initial=0.0))
    if cutoff == 0.0:
        return np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros((0, 3))
    i, j, vectors = neighbour_pairs(atoms, cutoff)
    bonded = np.linalg.norm(vectors, axis=1) < BOND_FACTOR * (radii[i] + radii[j])
    bonded &= (radii[i] > 0.0) & (radii[j] > 0.0)
    return i[bonded], j[bonded], vectors[bonded]


def _connected(n_atoms: int, i: IntArray, j: IntArray) -> IntArray:
    """Number of the connected part of each atom, in the order of their first atoms."""
    graph = coo_matrix((np.ones(len(i)), (i, j)), shape=(n_atoms, n_atoms))
    _, part = connected_components(graph, directed=False)
    _, first, inverse = np.unique(part, return_index=True, return_inverse=True)
    rank = np.empty(len(first), dtype=np.int64)
    rank[np.argsort(first)] = np.arange(len(first))
    return np.asarray(rank[inverse], dtype=np.int64)


def _tree(n_atoms: int, i: IntArray, j: IntArray, first: IntArray) -> IntArray:
    """Parent of each atom in the trees of fewest bonds that begin at the atoms ``first``."""
    # one search for all: from an additional node that is bonded to the first atoms
    root = np.full(len(first), n_atoms)
    rows, columns = np.concatenate([i, root]), np.concatenate([j, first])
    shape = (n_atoms + 1, n_atoms + 1)
    graph = csr_matrix((np.ones(len(rows)), (rows, columns)), shape=shape)
    parent: IntArray = breadth_first_order(graph, n_atoms)[1][:n_atoms].astype(np.int64)
    parent[first] = first
    return parent


def _levels(parent: IntArray) -> tuple[IntArray, ...]:
    """Atoms by their distance from the root of the tree, without the roots."""
    levels = []
    level = np.flatnonzero(parent == np.arange(len(parent)))
    left = np.flatnonzero(parent != np.arange(len(parent)))
    while len(left):
        is_child = np.isin(parent[left], level)
        level, left = left[is_child], left[~is_child]
        levels.append(level)
    return tuple(levels)


def axes_of_rotation(whole: FloatArray, index: IntArray) -> IntArray:
    """Axes that each molecule of these positions (n_atoms, 3) can turn about."""
    size = np.bincount(index)
    n_molecules = len(size)
    member = csr_matrix(
        (np.ones(len(index)), (index, np.arange(len(index)))), shape=(n_molecules, len(index))
    )
    relative = whole - ((member @ whole) / size[:, None])[index]
    products = (relative[:, :, None] * relative[:, None, :]).reshape(-1, 9)
    scatter = ((member @ products) / size[:, None]).reshape(n_molecules, 3, 3)
    width = np.sqrt(np.maximum(np.linalg.eigvalsh(scatter)[:, :2].sum(axis=1), 0.0))
    turns: IntArray = np.where(width < LINEAR_WIDTH, 2, 3).astype(np.int64)
    turns[size == 1] = 0
    return turns
