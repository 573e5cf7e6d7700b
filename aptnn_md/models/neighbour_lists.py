"""Neighbour lists that outlive a step: pairs within the cutoff and a skin are found once.

As long as no atom has moved by half the skin since, the pairs within the cutoff are among those
that were found. They are listed by centre, neighbour and image, so that what comes out depends on
the structure alone, bit by bit, and not on the steps before.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from ase import Atoms
from torch import Tensor

from aptnn_md.arrays import FloatArray
from aptnn_md.atoms.neighbours import Graph, neighbour_pairs

SKIN = 0.5
"""Å. A list of liquid water at 300 K serves about 10 fs."""

NO_SKIN = 1e-6
"""Å, of a list that is used once: pairs at the cutoff are sorted out in one place."""

LARGEST_KEPT = 4_000_000
"""Pairs that are kept between calls, together 160 MB."""


@dataclass(frozen=True)
class _Pairs:
    """Pairs of one structure within the cutoff and a skin.

    Attributes
    ----------
    positions, cell, pbc : of the structure they were found in
    skin : Å
    centres, neighbours : (n_pairs,), in order
    shifts : (3, n_pairs), Å: what the positions of an image differ by from its atom's
    """

    positions: FloatArray
    cell: FloatArray
    pbc: tuple[bool, ...]
    skin: float
    centres: Tensor
    neighbours: Tensor
    shifts: Tensor

    @classmethod
    def of(cls, atoms: Atoms, cutoff: float, skin: float) -> _Pairs:
        """Find the pairs.

        Raises
        ------
        InputError
            See :func:`aptnn_md.atoms.neighbours.neighbour_pairs`.
        """
        i, j, vectors = neighbour_pairs(atoms, cutoff + skin)
        cell: FloatArray = np.array(atoms.cell.array, dtype=np.float64)
        cell[~np.asarray(atoms.pbc, dtype=bool)] = 0.0
        positions = np.array(atoms.positions, dtype=np.float64)
        between = vectors - (positions[j] - positions[i])
        images = np.rint(between @ np.linalg.pinv(cell)).astype(np.int64)
        first = images.min(axis=0, initial=0)
        n_images = images.max(axis=0, initial=0) - first + 1
        image = np.ravel_multi_index(tuple((images - first).T), tuple(n_images))
        order = np.argsort((i * len(atoms) + j) * n_images.prod() + image, kind="stable")
        return cls(
            positions=positions,
            cell=np.array(atoms.cell.array),
            pbc=tuple(atoms.pbc.tolist()),
            skin=skin,
            centres=torch.from_numpy(i[order]),
            neighbours=torch.from_numpy(j[order]),
            shifts=torch.from_numpy(np.ascontiguousarray((images[order] @ cell).T)),
        )

    def same_system(self, atoms: Atoms) -> bool:
        """Whether a structure has as many atoms in the same cell."""
        return (
            len(atoms) == len(self.positions)
            and self.pbc == tuple(atoms.pbc.tolist())
            and np.array_equal(atoms.cell.array, self.cell)
        )

    def displacement(self, atoms: Atoms) -> float:
        """Largest displacement of an atom of the same system, Å; NaN if a position is none."""
        moved = atoms.positions - self.positions
        return float(np.sqrt(np.einsum("ij,ij->i", moved, moved).max(initial=0.0)))

    def within(self, positions: FloatArray, cutoff: float) -> tuple[Tensor, Tensor, Tensor]:
        """Centres, neighbours and vectors (3, n_edges) of the pairs within a cutoff."""
        points = torch.from_numpy(np.ascontiguousarray(positions.T))
        vectors = points.index_select(1, self.neighbours)
        vectors -= points.index_select(1, self.centres)
        vectors += self.shifts
        x, y, z = vectors
        near = torch.nonzero(x * x + y * y + z * z < cutoff * cutoff).squeeze(1)
        return (
            self.centres.index_select(0, near),
            self.neighbours.index_select(0, near),
            vectors.index_select(1, near),
        )


class NeighbourLists:
    """Graphs of structures that may be later steps of those of the call before.

    The k-th structure is compared with the k-th of the call before. Each thread has its own lists.

    Parameters
    ----------
    cutoff : Å
    """

    def __init__(self, cutoff: float) -> None:
        self.cutoff = cutoff
        self._own = threading.local()

    def __reduce__(self) -> tuple[type[NeighbourLists], tuple[float]]:
        # copies, and those in other processes, begin without lists
        return NeighbourLists, (self.cutoff,)

    def graph(self, structures: Sequence[Atoms], first: int = 0) -> Graph:
        """As :func:`aptnn_md.atoms.neighbours.build_graph`, with pairs in an order of its own.

        Parameters
        ----------
        structures : joined into one graph
        first : number of the first of them among all structures of a call

        Raises
        ------
        InputError
            See :func:`aptnn_md.atoms.neighbours.neighbour_pairs`.
        """
        numbers, centres, neighbours, vectors = [], [], [], []
        n_atoms = 0
        for k, atoms in enumerate(structures):
            pairs = self._pairs(atoms, first + k)
            i, j, between = pairs.within(atoms.positions, self.cutoff)
            numbers.append(np.asarray(atoms.numbers, dtype=np.int64))
            centres.append(i + n_atoms if n_atoms else i)
            neighbours.append(j + n_atoms if n_atoms else j)
            vectors.append(between)
            n_atoms += len(atoms)
        return Graph(
            atomic_numbers=numbers[0] if len(numbers) == 1 else np.concatenate(numbers),
            centres=_joined(centres).numpy(),
            neighbours=_joined(neighbours).numpy(),
            edge_vectors=_joined(vectors).T.numpy(),
            structure_sizes=tuple(len(atoms) for atoms in structures),
        )

    def _pairs(self, atoms: Atoms, number: int) -> _Pairs:
        """Pairs of a structure, by a kept list if one holds."""
        kept: dict[int, _Pairs] = self._own.__dict__.setdefault("kept", {})
        last = kept.get(number)
        skin = NO_SKIN
        if last is not None and last.same_system(atoms):
            moved = last.displacement(atoms)
            if moved < 0.5 * last.skin:
                return last
            # a step of dynamics: the next will be as near
            if moved < 0.5 * SKIN or last.skin == SKIN:
                skin = SKIN
        pairs = _Pairs.of(atoms, self.cutoff, skin)
        others = sum(len(each.centres) for key, each in kept.items() if key != number)
        if others + len(pairs.centres) <= LARGEST_KEPT:
            kept[number] = pairs
        else:
            kept.pop(number, None)
        return pairs


def _joined(parts: list[Tensor]) -> Tensor:
    return parts[0] if len(parts) == 1 else torch.cat(parts, dim=-1)
