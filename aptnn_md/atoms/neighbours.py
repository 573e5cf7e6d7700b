"""Neighbour lists: which atoms see which, in any cell.

Two libraries find the pairs, of all but small molecules. Vesin's cell list is the faster one, and
right for matter at ordinary density. Its grid covers all space between the atoms, though, so it
fails if that is nearly empty (a fragment that flies away, a molecule in a cell of a million Å) or
if the cell vectors almost lie in a plane. Then SciPy's k-d tree is used, whose cost depends on the
atoms alone. Impossible structures (colliding images, crowded atoms) are refused before either.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from ase import Atoms
from ase.geometry import minkowski_reduce

from aptnn_md.arrays import AnyArray, FloatArray, IntArray
from aptnn_md.errors import InputError
from aptnn_md.structure_checks import SMALLEST_VOLUME, check_structure

FEW_ATOMS = 48
"""Of a molecule whose pairs are all compared, which takes less time than a library's list."""

LARGEST_HEAP = 2000
"""Atoms in a cube of the cutoff that are always allowed, as all their pairs fit into memory."""

LARGEST_GRID = 5e4
"""Cells of vesin's grid; above 1e5 it makes them larger, which is slow, or divides by zero."""

CELLS_OF_ANY, CELLS_PER_ATOM = 100, 8
"""Cells of vesin's grid that are worth their time: it goes through the empty ones, too."""

SMALLEST_HEIGHT = 0.2
"""Of a box, as a fraction of its vector's length, for a grid of cells."""


@dataclass(frozen=True)
class Graph:
    """One or several structures and their neighbour pairs within a cutoff.

    Attributes
    ----------
    atomic_numbers : (n_atoms,), of all structures one after the other
    centres : (n_edges,), ascending: the atom that sees
    neighbours : (n_edges,): the atom that is seen, possibly a periodic image of the centre itself
    edge_vectors : (n_edges, 3), Å, from centre to neighbour
    structure_sizes : atoms of each structure, their sum is n_atoms
    charges : total charge of each structure, e; empty where nobody gave them
    """

    atomic_numbers: IntArray
    centres: IntArray
    neighbours: IntArray
    edge_vectors: FloatArray
    structure_sizes: tuple[int, ...]
    charges: tuple[float, ...] = ()

    @property
    def n_atoms(self) -> int:
        """Atoms of all structures."""
        return len(self.atomic_numbers)


def build_graph(
    structures: Atoms | Sequence[Atoms], cutoff: float, charges: Sequence[float] = ()
) -> Graph:
    """Neighbour pairs closer than ``cutoff`` (Å) in each structure.

    Every pair is listed from both sides, and an atom sees its own periodic images. Atoms may lie
    outside the cell. Directions that are not periodic need no cell vector. ``charges`` of the
    structures, e, are handed on as they are.

    Raises
    ------
    InputError
        Positions that are not finite, or a periodic direction without a cell vector.
    """
    frames = [structures] if isinstance(structures, Atoms) else list(structures)
    graph = join_graphs([_graph(atoms, cutoff) for atoms in frames])
    return replace(graph, charges=tuple(map(float, charges))) if charges else graph


def _graph(atoms: Atoms, cutoff: float) -> Graph:
    numbers = np.asarray(atoms.numbers, dtype=np.int64)
    return Graph(numbers, *neighbour_pairs(atoms, cutoff), (len(atoms),))


def join_graphs(graphs: Sequence[Graph]) -> Graph:
    """One graph of all structures of several, which do not see each other.

    A single graph is given back as it is.
    """
    if len(graphs) == 1:
        return graphs[0]
    if not graphs:
        none = np.zeros(0, dtype=np.int64)
        return Graph(none, none, none, np.zeros((0, 3)), ())
    first_atoms = np.cumsum([0, *(graph.n_atoms for graph in graphs)])
    shifts = np.repeat(first_atoms[:-1], [len(graph.centres) for graph in graphs])
    return Graph(
        atomic_numbers=np.concatenate([graph.atomic_numbers for graph in graphs]),
        centres=np.concatenate([graph.centres for graph in graphs]) + shifts,
        neighbours=np.concatenate([graph.neighbours for graph in graphs]) + shifts,
        edge_vectors=np.concatenate([graph.edge_vectors for graph in graphs]),
        structure_sizes=tuple(size for graph in graphs for size in graph.structure_sizes),
        charges=tuple(charge for graph in graphs for charge in graph.charges),
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
    """Centres (ascending), neighbours and edge vectors (Å) of one structure.

    Raises
    ------
    InputError
        See :func:`aptnn_md.structure_checks.check_structure`; or crowded atoms, with more
        neighbours than any matter has.
    """
    check_structure(atoms)
    if len(atoms) == 0:
        return np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros((0, 3))
    if len(atoms) <= FEW_ATOMS and not atoms.pbc.any():
        return _pairs_of_few(atoms.positions, cutoff)
    box = _full_cell(atoms, cutoff)
    check_crowding(atoms, cutoff)
    if _is_compact(box, cutoff, len(atoms)):
        return _pairs_by_cells(atoms, box, cutoff)
    return _pairs_by_tree(atoms, box, cutoff)


def _pairs_of_few(positions: FloatArray, cutoff: float) -> tuple[IntArray, IntArray, FloatArray]:
    vectors = positions[None] - positions[:, None]
    near = np.einsum("ijx,ijx->ij", vectors, vectors) < cutoff**2
    np.fill_diagonal(near, False)
    pairs = np.flatnonzero(near)
    i, j = np.divmod(pairs, len(positions))
    return i, j, vectors.reshape(-1, 3)[pairs]


def _pairs_by_cells(
    atoms: Atoms, box: FloatArray, cutoff: float
) -> tuple[IntArray, IntArray, FloatArray]:
    from vesin import NeighborList  # imports torch where it is installed, which takes seconds

    periodic = np.asarray(atoms.pbc, dtype=bool)
    i, j, vectors = NeighborList(cutoff=cutoff, full_list=True, sorted=True).compute(
        points=atoms.positions,
        box=box,
        periodic=bool(periodic[0]) if periodic.all() or not periodic.any() else periodic,
        quantities="ijD",
    )
    # vesin counts in unsigned integers
    return i.view(np.int64), j.view(np.int64), vectors


def _pairs_by_tree(
    atoms: Atoms, box: FloatArray, cutoff: float
) -> tuple[IntArray, IntArray, FloatArray]:
    from scipy.spatial import KDTree

    periodic = np.asarray(atoms.pbc, dtype=bool)
    box = np.array(minkowski_reduce(box, periodic)[0])
    fractions = atoms.positions @ np.linalg.inv(box)
    fractions[:, periodic] -= np.floor(fractions[:, periodic])
    inside = fractions @ box
    original, images = _with_images(fractions, box, periodic, cutoff)
    found = KDTree(inside).sparse_distance_matrix(KDTree(images), cutoff, output_type="ndarray")
    i, image = found["i"].astype(np.int64), found["j"].astype(np.int64)
    # the first images are the atoms themselves, in order
    kept = (i != image) & (found["v"] < cutoff)
    i, image = i[kept], image[kept]
    order = np.lexsort((image, i))
    i, image = i[order], image[order]
    return i, original[image], images[image] - inside[i]


def _with_images(
    fractions: FloatArray, box: FloatArray, periodic: AnyArray, cutoff: float
) -> tuple[IntArray, FloatArray]:
    """Atoms inside the box, followed by their images outside it within the cutoff.

    Returns
    -------
    (n_images,), the atom that each is an image of, and (n_images, 3), positions, Å
    """
    original, shifted = np.arange(len(fractions)), fractions
    margins = cutoff / _heights(box)
    for axis in np.flatnonzero(periodic):
        margin = margins[axis]
        n_images = int(np.ceil(margin))
        parts = [(original, shifted)]
        for shift in [*range(-n_images, 0), *range(1, n_images + 1)]:
            moved = shifted.copy()
            moved[:, axis] += shift
            near = (moved[:, axis] > -margin) & (moved[:, axis] < 1.0 + margin)
            parts.append((original[near], moved[near]))
        original = np.concatenate([part for part, _ in parts])
        shifted = np.concatenate([part for _, part in parts])
    return original, shifted @ box


def check_crowding(atoms: Atoms, cutoff: float) -> None:
    """Refuse crowded atoms, whose pairs would fill the memory.

    Raises
    ------
    InputError
        It names the place.
    """
    if len(atoms) < LARGEST_HEAP:
        return
    cubes = np.floor(atoms.positions / cutoff).astype(np.int64)
    _, first, counts = np.unique(cubes, axis=0, return_index=True, return_counts=True)
    most = counts.argmax()
    allowed = max(LARGEST_HEAP, cutoff**3 / SMALLEST_VOLUME)
    if counts[most] > allowed:
        found = f"{counts[most]} of them in a cube of {cutoff} Å around atom {first[most]}"
        expected = f"at most {allowed:.0f}"
        raise InputError(atoms.get_chemical_formula(), "atoms", found, expected)


def _heights(box: FloatArray) -> FloatArray:
    """Distances of opposite faces of a box, (3,), Å."""
    heights: FloatArray = 1.0 / np.linalg.norm(np.linalg.inv(box), axis=0)
    return heights


def _is_compact(box: FloatArray, cutoff: float, n_atoms: int) -> bool:
    """Whether a grid of cells suits a box: not too many cells, and none very oblique."""
    heights = _heights(box)
    n_cells = float(np.prod(np.maximum(np.floor(heights / cutoff), 1.0)))
    oblique = heights < SMALLEST_HEIGHT * np.linalg.norm(box, axis=1)
    largest = min(LARGEST_GRID, CELLS_OF_ANY + CELLS_PER_ATOM * n_atoms)
    return n_cells <= largest and not oblique.any()


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
