"""Neighbour lists: which atoms see which, in any cell.

Vesin finds the pairs; this module gives it what ASE knows (mixed periodicity, missing cell
vectors, several structures in one batch) and checks the structure first.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from ase import Atoms

from aptnn_md.arrays import AnyArray, FloatArray, IntArray
from aptnn_md.structures import check_structure


@dataclass(frozen=True)
class Graph:
    """One or several structures and their neighbour pairs within a cutoff.

    Attributes
    ----------
    atomic_numbers : (n_atoms,), of all structures one behind the other
    centres : (n_edges,), ascending: the atom that sees
    neighbours : (n_edges,): the atom that is seen, possibly a periodic image of the centre itself
    edge_vectors : (n_edges, 3), Å, from centre to neighbour
    structure_sizes : atoms of each structure, their sum is n_atoms
    """

    atomic_numbers: IntArray
    centres: IntArray
    neighbours: IntArray
    edge_vectors: FloatArray
    structure_sizes: tuple[int, ...]

    @property
    def n_atoms(self) -> int:
        """Atoms of all structures."""
        return len(self.atomic_numbers)


def build_graph(structures: Atoms | Sequence[Atoms], cutoff: float) -> Graph:
    """Neighbour pairs closer than ``cutoff`` (Å) in each structure.

    Every pair is listed from both sides, and an atom sees its own periodic images. Atoms may lie
    outside the cell. Directions that are not periodic need no cell vector.

    Raises
    ------
    InputError
        Positions that are not finite, or a periodic direction without a cell vector.
    """
    frames = [structures] if isinstance(structures, Atoms) else list(structures)
    centres, neighbours, vectors = [], [], []
    first_atom = 0
    for atoms in frames:
        i, j, edge_vectors = neighbour_pairs(atoms, cutoff)
        centres.append(i + first_atom if first_atom else i)
        neighbours.append(j + first_atom if first_atom else j)
        vectors.append(edge_vectors)
        first_atom += len(atoms)
    return Graph(
        atomic_numbers=_joined([np.asarray(a.numbers, dtype=np.int64) for a in frames], (0,)),
        centres=_joined(centres, (0,)),
        neighbours=_joined(neighbours, (0,)),
        edge_vectors=_joined(vectors, (0, 3)),
        structure_sizes=tuple(len(a) for a in frames),
    )


def batches(structures: Sequence[Atoms], n_atoms: int) -> Iterator[list[Atoms]]:
    """Structures in order, joined until a batch has at least ``n_atoms`` atoms."""
    batch: list[Atoms] = []
    for atoms in structures:
        batch.append(atoms)
        if sum(len(a) for a in batch) >= n_atoms:
            yield batch
            batch = []
    if batch:
        yield batch


def neighbour_pairs(atoms: Atoms, cutoff: float) -> tuple[IntArray, IntArray, FloatArray]:
    """Centres (ascending), neighbours and edge vectors (Å) of one structure."""
    check_structure(atoms)
    if len(atoms) == 0:
        return np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros((0, 3))
    from vesin import NeighborList  # imports torch where it is installed, which takes seconds

    periodic = np.asarray(atoms.pbc, dtype=bool)
    i, j, vectors = NeighborList(cutoff=cutoff, full_list=True, sorted=True).compute(
        points=atoms.positions,
        box=_full_cell(atoms, cutoff),
        periodic=bool(periodic[0]) if periodic.all() or not periodic.any() else periodic,
        quantities="ijD",
    )
    # vesin counts in unsigned integers
    return i.view(np.int64), j.view(np.int64), vectors


def _full_cell(atoms: Atoms, cutoff: float) -> FloatArray:
    """The cell, with vectors normal to the others where the structure is not periodic.

    A new vector is as long as the structure is wide plus twice the cutoff, so that the box is
    never flat; as the direction is not periodic, its length changes no pair.
    """
    cell: FloatArray = np.array(atoms.cell.array, dtype=np.float64)
    periodic = np.asarray(atoms.pbc, dtype=bool)
    if periodic.all():
        return cell
    cell[~periodic] = 0.0
    directions = _orthogonal_complement(cell[periodic])
    for row, direction in zip(np.flatnonzero(~periodic), directions, strict=True):
        extent = float(np.ptp(atoms.positions @ direction))
        cell[row] = direction * (extent + 2.0 * cutoff + 1.0)
    return cell


def _orthogonal_complement(vectors: FloatArray) -> FloatArray:
    """Unit vectors (3 - n, 3) normal to n independent ones (n, 3) and to each other."""
    basis: FloatArray = np.linalg.svd(np.vstack([vectors, np.zeros((1, 3))]))[2]
    return basis[len(vectors) :]


def _joined(parts: list[AnyArray], empty_shape: tuple[int, ...]) -> AnyArray:
    if len(parts) == 1:
        return parts[0]
    return np.concatenate(parts) if parts else np.zeros(empty_shape)
