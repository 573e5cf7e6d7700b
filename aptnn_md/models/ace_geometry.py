"""What the ``ace`` network sees of a structure: atomic densities and tables of neighbours.

The density of an atom is A[i, (z, n), lm] = Σ_j B_n(r_ij) Y_lm(r̂_ij) over its neighbours j of
element z. No weight is in it, so training computes it once a frame.

After the atomic cluster expansion (Drautz, Phys. Rev. B 99, 014104 (2019)).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from aptnn_md.atoms.neighbours import Graph
from aptnn_md.models.e3nn_compat import o3
from aptnn_md.models.layers import n_components
from aptnn_md.models.radial import bessel_basis

BLOCK_SIZE = 512
"""Atoms whose edges are worked on at a time."""


@dataclass(frozen=True)
class ACEConfig:
    """Shape of an :class:`aptnn_md.models.ace.ACENetwork`.

    Attributes
    ----------
    elements : atomic numbers, ascending
    target_irreps : what comes out for each atom, in e3nn's notation
    cutoff, n_radial : Å and number of radial functions of the density
    n_channels, lmax : channels of the features and their largest l
    multiplicity : combinations of coupling paths made of each channel
    message_cutoff, message_radial, message_channels, message_lmax, message_multiplicity : the same
        for the messages
    input_scale : size of the density that enters the network, see
        :meth:`aptnn_md.models.ace.ACENetwork.fit_scales`
    radial_decay : the n-th radial function is scaled by n^-radial_decay, so that slowly varying
        functions of the distance are learned first, which generalises better
    """

    elements: tuple[int, ...]
    target_irreps: str
    cutoff: float = 6.0
    n_radial: int = 8
    n_channels: int = 48
    lmax: int = 3
    multiplicity: int = 2
    message_cutoff: float = 4.5
    message_radial: int = 8
    message_channels: int = 16
    message_lmax: int = 2
    message_multiplicity: int = 3
    input_scale: float = 0.1
    radial_decay: float = 0.5


@dataclass(frozen=True)
class Geometry:
    """What the network needs to know of a graph; no weight is in it.

    Atoms are sorted by element. Neighbours are padded with zeros to the largest number of any
    atom, ``p`` below.

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


def make_geometry(graph: Graph, config: ACEConfig, like: Tensor) -> Geometry:
    """Density and neighbour tables of a graph whose elements are all in the configuration.

    ``like`` says on which device and in which precision.
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
    geometry = Geometry(
        order=order.to(like.device),
        element_bounds=(0, *torch.cumsum(counts, 0).tolist()),
        density=like.new_empty(n_atoms, len(elements) * config.n_radial, n_components(config.lmax)),
        message_radial=like.new_empty(n_atoms, config.message_radial, n_near),
        message_harmonics=like.new_empty(n_atoms, top, n_near),
        message_neighbours=order.new_empty((n_atoms, n_near), device=like.device),
    )
    for atoms in edges.blocks(n_atoms):
        _fill(config, geometry, edges.of(atoms), atoms, species, rank)
    return geometry


def _fill(
    config: ACEConfig,
    geometry: Geometry,
    edges: _Edges,
    atoms: slice,
    species: Tensor,
    rank: Tensor,
) -> None:
    """Density and neighbour tables of a block of atoms, in the graph's order."""
    n_elements = len(config.elements)
    n_atoms, rows = atoms.stop - atoms.start, rank[atoms]
    distances = edges.vectors.norm(dim=1)
    harmonics = o3.spherical_harmonics(
        list(range(config.lmax + 1)), edges.vectors, normalize=True, normalization="component"
    )
    groups = edges.centres * n_elements + species[edges.neighbours]
    table = _PaddedTable(groups, n_atoms * n_elements)
    basis = bessel_basis(distances, config.cutoff, config.n_radial)
    number = torch.arange(1, config.n_radial + 1, dtype=basis.dtype, device=basis.device)
    radial = table.fill(basis * number**-config.radial_decay)
    density = torch.bmm(radial.transpose(1, 2), table.fill(harmonics))
    geometry.density[rows] = density.view(n_atoms, *geometry.density.shape[1:])

    near = distances < config.message_cutoff
    width = geometry.message_neighbours.shape[1]
    table = _PaddedTable(edges.centres[near], n_atoms, width)
    basis = bessel_basis(distances[near], config.message_cutoff, config.message_radial)
    geometry.message_radial[rows] = table.fill(basis).transpose(1, 2)
    low = harmonics[near, : geometry.message_harmonics.shape[1]]
    geometry.message_harmonics[rows] = table.fill(low).transpose(1, 2)
    geometry.message_neighbours[rows] = table.fill(rank[edges.neighbours[near]])


@dataclass(frozen=True)
class _Edges:
    """Edges in ascending order of their centres: (n_edges,), (n_edges,), (n_edges, 3)."""

    centres: Tensor
    neighbours: Tensor
    vectors: Tensor

    def largest_count(self, cutoff: float, n_atoms: int) -> int:
        """Neighbours within a cutoff of the atom that has most."""
        near = self.centres[self.vectors.norm(dim=1) < cutoff]
        return int(torch.bincount(near, minlength=n_atoms).max()) if len(near) else 0

    @staticmethod
    def blocks(n_atoms: int) -> Iterator[slice]:
        """Atoms whose edges are worked on together."""
        for first in range(0, n_atoms, BLOCK_SIZE):
            yield slice(first, min(first + BLOCK_SIZE, n_atoms))

    def of(self, atoms: slice) -> _Edges:
        """Edges of a block of atoms; centres are counted from its first."""
        ends = torch.tensor([atoms.start, atoms.stop], device=self.centres.device)
        first, last = torch.searchsorted(self.centres, ends).tolist()
        return _Edges(
            self.centres[first:last] - atoms.start,
            self.neighbours[first:last],
            self.vectors[first:last],
        )


class _PaddedTable:
    """Places rows that belong to groups into a table of ``width`` columns.

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
