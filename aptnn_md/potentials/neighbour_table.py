"""Pairs of atoms in a table with a row for each atom: sums over neighbours are matrix products."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from aptnn_md.arrays import IntArray
from aptnn_md.atoms.neighbours import Graph


@dataclass(frozen=True)
class NeighbourTable:
    """The pairs of a graph as tables, a row for each atom; atoms are sorted by element.

    Attributes
    ----------
    order, rank : (n_atoms,): position in the graph of each sorted atom, and the inverse
    edges : (n_atoms, p): the edge in each place; n_edges where there is none
    neighbours : (n_atoms, p): sorted index of the atom that is seen
    species : (n_atoms, n_elements), one-hot, of the sorted atoms
    of_element : number of atoms of each element
    """

    order: Tensor
    rank: Tensor
    edges: Tensor
    neighbours: Tensor
    species: Tensor
    of_element: tuple[int, ...]

    @classmethod
    def of(
        cls, graph: Graph, species: IntArray, n_elements: int, dtype: torch.dtype
    ) -> NeighbourTable:
        """Of a graph and the place of each atom's element among those of the network."""
        order = np.argsort(species, kind="stable")
        rank = np.empty_like(order)
        rank[order] = np.arange(len(order))
        counts = np.bincount(graph.centres, minlength=graph.n_atoms)
        width, n_edges = max(1, int(counts.max(initial=0))), len(graph.centres)
        place = np.arange(n_edges) - np.repeat(np.cumsum(counts) - counts, counts)
        edges = np.full((graph.n_atoms, width), n_edges)
        neighbours = np.zeros((graph.n_atoms, width), dtype=np.int64)
        row = rank[graph.centres]
        edges[row, place], neighbours[row, place] = np.arange(n_edges), rank[graph.neighbours]
        return cls(
            torch.from_numpy(order),
            torch.from_numpy(rank),
            torch.from_numpy(edges),
            torch.from_numpy(neighbours),
            torch.eye(n_elements, dtype=dtype)[torch.from_numpy(species[order])],
            tuple(np.bincount(species, minlength=n_elements).tolist()),
        )
