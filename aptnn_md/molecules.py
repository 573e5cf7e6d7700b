"""Molecules of a structure: which atoms belong together, and where they are as a whole.

Molecules are the connected parts of the graph of bonds, through the periodic boundaries too.
"""

from __future__ import annotations

import functools
import itertools
from dataclasses import dataclass

import numpy as np
from ase import Atoms
from ase.data import covalent_radii
from ase.geometry import complete_cell, minkowski_reduce
from numpy.typing import ArrayLike
from scipy.sparse import coo_matrix, csr_matrix
from scipy.sparse.csgraph import breadth_first_order, connected_components

from aptnn_md.arrays import FloatArray, IntArray
from aptnn_md.errors import InputError
from aptnn_md.graph import neighbour_pairs

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
class Frame:
    """Where the atoms are at one time.

    Parameters
    ----------
    positions : (..., n_atoms, 3), Å; leading axes, such as beads, as for the velocities
    cell : (3, 3), Å, rows are lattice vectors; None: no cell
    pbc : in which directions the structure is periodic

    Raises
    ------
    InputError
        Shapes that are no positions and no cell, or a periodic direction without a cell.
    """

    positions: FloatArray
    cell: FloatArray | None = None
    pbc: tuple[bool, bool, bool] = (False, False, False)

    def __post_init__(self) -> None:
        # copies: the frame stays what it is while the simulation goes on
        positions = np.array(self.positions, dtype=np.float64)
        if positions.ndim < 2 or positions.shape[-1] != 3:
            raise InputError("frame", "positions", f"shape {positions.shape}", "(..., n_atoms, 3)")
        cell = None if self.cell is None else np.array(self.cell, dtype=np.float64)
        pbc = np.broadcast_to(np.asarray(self.pbc, dtype=bool), 3)
        if cell is None and pbc.any():
            raise InputError("frame", "cell", "None", f"lattice vectors for pbc {pbc.tolist()}")
        if cell is not None and cell.shape != (3, 3):
            raise InputError("frame", "cell", f"shape {cell.shape}", "(3, 3)")
        object.__setattr__(self, "positions", positions)
        object.__setattr__(self, "cell", cell)
        object.__setattr__(self, "pbc", tuple(bool(p) for p in pbc))

    @classmethod
    def of(cls, atoms: Atoms) -> Frame:
        """Positions and cell of ``atoms``."""
        return cls(atoms.positions, atoms.cell.array, tuple(atoms.pbc))

    @property
    def n_atoms(self) -> int:
        """Number of atoms."""
        return int(self.positions.shape[-2])

    def centroid(self) -> Frame:
        """Mean over all leading axes (beads), each bead at its image nearest to the first one."""
        if self.positions.ndim == 2:
            return self
        beads = self.positions.reshape(-1, self.n_atoms, 3)
        shifts = nearest_images(beads - beads[0], self.cell, self.pbc)
        return Frame(beads[0] + shifts.mean(axis=0), self.cell, self.pbc)

    def atoms(self, numbers: ArrayLike) -> Atoms:
        """The frame as a structure of these atomic numbers; without leading axes."""
        return Atoms(np.asarray(numbers), self.positions, cell=self.cell, pbc=self.pbc)


def nearest_images(
    vectors: FloatArray, cell: FloatArray | None, pbc: tuple[bool, bool, bool]
) -> FloatArray:
    """The shortest of each vector's periodic images, in any cell.

    Parameters
    ----------
    vectors : (..., 3), Å
    cell : (3, 3), Å
    pbc : periodic directions
    """
    if cell is None or not any(pbc):
        return vectors
    reduced, inverse, safe, shifts = _reduced_cell(cell.tobytes(), tuple(pbc))
    fractions = np.round(vectors @ inverse)
    if not all(pbc):
        fractions[..., ~np.array(pbc)] = 0.0
    nearest: FloatArray = vectors - fractions @ reduced
    # a vector shorter than half the distance of the lattice planes has no shorter image
    far = (nearest**2).sum(axis=-1) >= safe**2
    if far.any():
        images = nearest[far][:, None, :] + shifts
        best = (images**2).sum(axis=-1).argmin(axis=1)
        nearest[far] = images[np.arange(len(images)), best]
    return nearest


@functools.lru_cache(maxsize=8)
def _reduced_cell(
    cell_bytes: bytes, pbc: tuple[bool, bool, bool]
) -> tuple[FloatArray, FloatArray, float, FloatArray]:
    """Compact cell of the same lattice, its inverse, half the least distance of its planes, and
    the lattice vectors around the origin (27 or fewer), among which the shortest image is found.
    """
    periodic = np.array(pbc)
    cell = np.frombuffer(cell_bytes).reshape(3, 3).copy()
    cell[~periodic] = 0.0
    reduced = np.array(minkowski_reduce(complete_cell(cell), pbc)[0])
    inverse = np.linalg.inv(reduced)
    spacing = 1.0 / np.linalg.norm(inverse, axis=0)
    steps = itertools.product(*[(-1, 0, 1) if p else (0,) for p in pbc])
    shifts = np.array(list(steps), dtype=np.float64) @ reduced
    return reduced, inverse, 0.5 * float(spacing[periodic].min()), shifts


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
        single atom, or for a network of bonds that goes on through the periodic boundaries
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
        whole = found.whole(Frame.of(atoms))
        turns = _turns(whole, index)
        endless = np.abs(whole[j] - whole[i] - vectors).max(axis=1, initial=0.0) > 1e-6
        turns[index[i[endless]]] = 0
        return cls(index, parent, found.levels, turns)

    def __len__(self) -> int:
        return len(self.turns)

    def whole(self, frame: Frame) -> FloatArray:
        """Positions (..., n_atoms, 3), Å, of molecules that no boundary cuts.

        Each atom is at the image nearest to its parent in the tree of bonds, so a molecule may
        be longer than the cell.
        """
        positions = frame.positions
        if not any(frame.pbc):
            return positions
        bonds_to_parent = nearest_images(
            positions - positions[..., self.parent, :], frame.cell, frame.pbc
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


def _turns(whole: FloatArray, index: IntArray) -> IntArray:
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
