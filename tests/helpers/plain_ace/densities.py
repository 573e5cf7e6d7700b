"""What the ``ace`` network sees of a structure: atomic densities and tables of neighbours.

The density of an atom is A[i, (z, n), lm] = Σ_j B_n(r_ij) Y_lm(r̂_ij) over its neighbours j of
element z. It holds no weight, so training computes it once per frame.

After the atomic cluster expansion (Drautz, Phys. Rev. B 99, 014104 (2019)).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from aptnn_md.atoms.neighbours import Graph
from aptnn_md.models.angular import n_components
from aptnn_md.models.densities import ACEConfig
from helpers.plain_ace.angular import spherical_harmonics
from helpers.plain_ace.radial import bessel_basis

BLOCK_SIZE = 512
"""Atoms whose edges are processed at a time."""


@dataclass(frozen=True)
class AtomicDensities:
    """All that the network reads of a graph: density and neighbours of each atom, no weights.

    Atoms are sorted by element. Neighbour tables are padded with zeros to ``p`` entries, the
    largest number of neighbours of any atom.

    Attributes
    ----------
    order : (n_atoms,): position in the graph of each sorted atom
    element_bounds : first sorted atom of each element, and n_atoms
    density : (n_atoms, n_elements * n_radial, m)
    message_radial : (n_atoms, n, p): radial functions of the neighbours inside the message cutoff
    message_harmonics : (n_atoms, m, p): their spherical harmonics
    message_neighbours : (n_atoms, p): their sorted indices
    """

    order: Tensor
    element_bounds: tuple[int, ...]
    density: Tensor
    message_radial: Tensor
    message_harmonics: Tensor
    message_neighbours: Tensor

    def atoms_of(self, element: int) -> slice:
        """Sorted atoms of an element, by its number in the configuration."""
        return slice(self.element_bounds[element], self.element_bounds[element + 1])


def atomic_densities(graph: Graph, config: ACEConfig, like: Tensor) -> AtomicDensities:
    """Density and neighbour tables of a graph whose elements are all in the configuration.

    Device and precision are those of ``like``.
    """
    elements = torch.tensor(config.elements)
    species = torch.searchsorted(elements, torch.from_numpy(graph.atomic_numbers))
    order = torch.argsort(species, stable=True)
    rank = torch.empty_like(order)
    rank[order] = torch.arange(len(order))
    counts = torch.bincount(species, minlength=len(elements))
    species, rank = species.to(like.device), rank.to(like.device)
    edges = _Edges(
        centres=torch.from_numpy(graph.centres).to(like.device),
        neighbours=torch.from_numpy(graph.neighbours).to(like.device),
        vectors=torch.from_numpy(graph.edge_vectors).to(like.device, like.dtype),
    )
    n_atoms, n_near = len(order), edges.largest_count(config.message_cutoff, len(order))
    top = n_components(config.message_lmax)
    densities = AtomicDensities(
        order=order.to(like.device),
        element_bounds=(0, *torch.cumsum(counts, 0).tolist()),
        density=like.new_empty(n_atoms, len(elements) * config.n_radial, n_components(config.lmax)),
        message_radial=like.new_empty(n_atoms, config.message_radial, n_near),
        message_harmonics=like.new_empty(n_atoms, top, n_near),
        message_neighbours=order.new_empty((n_atoms, n_near), device=like.device),
    )
    for atoms in edges.blocks(n_atoms):
        _fill(config, densities, edges.of(atoms), atoms, species, rank)
    return densities


def _fill(
    config: ACEConfig,
    densities: AtomicDensities,
    edges: _Edges,
    atoms: slice,
    species: Tensor,
    rank: Tensor,
) -> None:
    """Density and neighbour tables of a block of atoms, in the graph's order."""
    n_elements = len(config.elements)
    n_atoms, rows = atoms.stop - atoms.start, rank[atoms]
    distances = edges.vectors.norm(dim=1)
    harmonics = spherical_harmonics(config.lmax, edges.vectors)
    groups = edges.centres * n_elements + species[edges.neighbours]
    table = _PaddedTable(groups, n_atoms * n_elements)
    basis = bessel_basis(distances, config.cutoff, config.n_radial)
    number = torch.arange(1, config.n_radial + 1, dtype=basis.dtype, device=basis.device)
    radial = table.fill(basis * number**-config.radial_decay)
    density = torch.bmm(radial.transpose(1, 2), table.fill(harmonics))
    densities.density[rows] = density.view(n_atoms, *densities.density.shape[1:])

    near = distances < config.message_cutoff
    width = densities.message_neighbours.shape[1]
    table = _PaddedTable(edges.centres[near], n_atoms, width)
    basis = bessel_basis(distances[near], config.message_cutoff, config.message_radial)
    densities.message_radial[rows] = table.fill(basis).transpose(1, 2)
    low = harmonics[near, : densities.message_harmonics.shape[1]]
    densities.message_harmonics[rows] = table.fill(low).transpose(1, 2)
    densities.message_neighbours[rows] = table.fill(rank[edges.neighbours[near]])


@dataclass(frozen=True)
class _Edges:
    """Edges in ascending order of their centres: (n_edges,), (n_edges,), (n_edges, 3)."""

    centres: Tensor
    neighbours: Tensor
    vectors: Tensor

    def largest_count(self, cutoff: float, n_atoms: int) -> int:
        """Largest number of neighbours within a cutoff of any atom."""
        near = self.centres[self.vectors.norm(dim=1) < cutoff]
        return int(torch.bincount(near, minlength=n_atoms).max()) if len(near) else 0

    @staticmethod
    def blocks(n_atoms: int) -> Iterator[slice]:
        """Atoms whose edges are processed together."""
        for first in range(0, n_atoms, BLOCK_SIZE):
            yield slice(first, min(first + BLOCK_SIZE, n_atoms))

    def of(self, atoms: slice) -> _Edges:
        """Edges of a block of atoms; centres are counted from its first atom."""
        ends = torch.tensor([atoms.start, atoms.stop], device=self.centres.device)
        first, last = torch.searchsorted(self.centres, ends).tolist()
        return _Edges(
            self.centres[first:last] - atoms.start,
            self.neighbours[first:last],
            self.vectors[first:last],
        )


class _PaddedTable:
    """Collects rows by group into a table of ``width`` places per group.

    Without a width the table is as wide as the largest group.
    """

    def __init__(self, groups: Tensor, n_groups: int, width: int | None = None) -> None:
        counts = torch.bincount(groups, minlength=n_groups)
        if width is None:
            width = int(counts.max()) if len(groups) else 0
        self.width, self.n_groups = width, n_groups
        self.order = torch.argsort(groups, stable=True)
        ordered = groups[self.order]
        starts = torch.cumsum(counts, 0) - counts
        within = torch.arange(len(groups), device=groups.device) - starts[ordered]
        self.slots = ordered * self.width + within

    def fill(self, rows: Tensor) -> Tensor:
        """(n_rows, ...) -> (n_groups, width, ...), zero where a group has no row."""
        table = rows.new_zeros(self.n_groups * self.width, *rows.shape[1:])
        table.index_copy_(0, self.slots, rows[self.order])
        return table.view(self.n_groups, self.width, *rows.shape[1:])
