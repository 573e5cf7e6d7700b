"""What the ``ace`` network sees of a structure: atomic densities and tables of neighbours.

The density of an atom is A[i, (z, n), lm] = Σ_j B_n(r_ij) Y_lm(r̂_ij) over its neighbours j of
element z. It holds no weight, so training computes it once per frame.

After the atomic cluster expansion (Drautz, Phys. Rev. B 99, 014104 (2019)).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import torch
from torch import Tensor

from aptnn_md.atoms.neighbours import Graph
from aptnn_md.errors import InputError
from aptnn_md.models.angular import harmonics_of
from aptnn_md.models.chunks import atoms_of_table
from aptnn_md.models.duals import clamp, elementwise, in_forward_mode, inverse_root
from aptnn_md.models.irreps import Irreps
from aptnn_md.models.radial import bessel_functions
from aptnn_md.settings import Range, check_settings

MESSAGE_CUTOFF = 4.5
"""Å, unless it is given."""

Count = Annotated[int, Range(at_least=1, at_most=4096)]
Degree = Annotated[int, Range(at_least=0, at_most=8)]
Length = Annotated[float, Range(more_than=0.0, at_most=100.0)]


@dataclass(frozen=True)
class ACEConfig:
    """Shape of an :class:`aptnn_md.models.ace.ACENetwork`.

    Attributes
    ----------
    elements : atomic numbers, ascending
    target_irreps : output for each atom, e.g. ``"1x0e+1x1e+1x2e"``
    cutoff, n_radial : Å and number of radial functions of the density
    n_channels, lmax : channels of the features and their largest l
    multiplicity : combinations of coupling paths formed for each channel
    message_cutoff, message_radial, message_channels, message_lmax, message_multiplicity : the same
        for the messages; a cutoff of 0 means 4.5 Å, or ``cutoff`` if that is shorter
    input_scale : size of the density that enters the network, see
        :meth:`aptnn_md.models.ace.ACENetwork.fit_scales`
    radial_decay : the n-th radial function is scaled by n^-radial_decay, so that slowly varying
        functions of the distance are learned first, which generalises better
    """

    elements: tuple[int, ...]
    target_irreps: str
    cutoff: Length = 6.0
    n_radial: Count = 8
    n_channels: Count = 48
    lmax: Degree = 3
    multiplicity: Count = 2
    message_cutoff: Annotated[float, Range(at_least=0.0, at_most=100.0)] = 0.0
    message_radial: Count = 8
    message_channels: Count = 16
    message_lmax: Degree = 2
    message_multiplicity: Count = 3
    input_scale: Annotated[float, Range(more_than=0.0)] = 0.1
    radial_decay: float = 0.5

    def __post_init__(self) -> None:
        where = "network ace"
        check_settings(self, where)
        needed = Irreps.parse(self.target_irreps).lmax
        if self.lmax < needed:
            expected = f"at least {needed} for {self.target_irreps}"
            raise InputError(where, "lmax", self.lmax, expected)
        if self.message_lmax > self.lmax:
            raise InputError(where, "message_lmax", self.message_lmax, f"at most lmax, {self.lmax}")
        if not self.message_cutoff:
            shorter = min(MESSAGE_CUTOFF, self.cutoff)
            object.__setattr__(self, "message_cutoff", shorter)


@dataclass(frozen=True)
class AtomicDensities:
    """All that the network reads of a graph: density and neighbours of each atom, no weights.

    Atoms are sorted by element. Tables of neighbours are as wide as the largest number of
    neighbours of any atom, p; the places of the others hold zeros.

    Attributes
    ----------
    order : (n_atoms,): position in the graph of each sorted atom
    element_bounds : first sorted atom of each element, and n_atoms
    density : (n_atoms, n_elements * n_radial, m)
    message_radial : (n, n_atoms, p): radial functions of the neighbours inside the message cutoff
    message_harmonics : (m, n_atoms, p): their spherical harmonics
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

    Device and precision are those of ``like``. Edge vectors that are a tensor of torch can be
    differentiated.
    """
    edges = _Edges.of(graph, config, like)
    near = torch.nonzero(edges.vectors.detach().square().sum(dim=0) < config.message_cutoff**2)
    near_table = edges.table(near.squeeze(1))
    tables = [
        edges.table(torch.nonzero(edges.neighbour_species == element).squeeze(1))
        for element in range(len(config.elements))
    ]
    widths = [table.shape[1] for table in tables]
    every_table = torch.cat(tables, dim=1)
    # in the place that is no edge's: a neighbour beyond all cutoffs, where everything is smooth
    longest = max(config.cutoff, config.message_cutoff)
    beyond = edges.vectors.new_tensor([[2.0 * longest], [0.0], [0.0]])
    vectors = torch.cat([edges.vectors, beyond], dim=1)
    parts = []
    step = atoms_of_table(like.device)
    for first in range(0, max(1, len(edges.order)), step):
        rows = slice(first, first + step)
        density = density_of_table(config, _taken(vectors, every_table[rows]), widths)
        parts.append((density, *message_of_table(config, _taken(vectors, near_table[rows]))))
    densities, radial, harmonics = (list(part) for part in zip(*parts, strict=True))
    return AtomicDensities(
        order=edges.order,
        element_bounds=edges.bounds,
        density=joined(densities, 0),
        message_radial=joined(radial, 1),
        message_harmonics=joined(harmonics, 1),
        # an atom that is there, whose part in messages is zero
        message_neighbours=torch.cat([edges.neighbours, edges.neighbours.new_zeros(1)])[near_table],
    )


@dataclass(frozen=True)
class _Edges:
    """Edges of a graph, in ascending order of their centres, on the network's device.

    Attributes
    ----------
    order, bounds : see :class:`AtomicDensities`
    centres, neighbours : (n_edges,), sorted indices of atoms
    neighbour_species : (n_edges,), index of each neighbour's element
    vectors : (3, n_edges)
    """

    order: Tensor
    bounds: tuple[int, ...]
    rank: Tensor
    centres: Tensor
    neighbours: Tensor
    neighbour_species: Tensor
    vectors: Tensor

    @classmethod
    def of(cls, graph: Graph, config: ACEConfig, like: Tensor) -> _Edges:
        species = np.searchsorted(config.elements, graph.atomic_numbers)
        order = np.argsort(species, kind="stable")
        rank = np.empty_like(order)
        rank[order] = np.arange(len(order))
        bounds = np.searchsorted(species[order], np.arange(len(config.elements) + 1))
        to_device = torch.from_numpy(np.stack([order, rank, species])).to(like.device)
        neighbours = torch.from_numpy(graph.neighbours).to(like.device)
        vectors = torch.as_tensor(graph.edge_vectors).T.to(
            like.device, like.dtype, memory_format=torch.contiguous_format
        )
        return cls(
            order=to_device[0],
            bounds=tuple(bounds.tolist()),
            rank=to_device[1],
            centres=torch.from_numpy(graph.centres).to(like.device),
            neighbours=to_device[1].index_select(0, neighbours),
            neighbour_species=to_device[2].index_select(0, neighbours),
            vectors=vectors.contiguous(),
        )

    def table(self, chosen: Tensor) -> Tensor:
        """(n_atoms, width): chosen edges by sorted centre; n_edges where there is none."""
        n_atoms, n_edges = len(self.order), len(self.centres)
        centres = self.centres.index_select(0, chosen)
        counts = torch.bincount(centres, minlength=n_atoms)
        width = int(counts.max()) if len(counts) else 0
        # where each centre's row begins, less the number of its first edge
        starts = self.rank * width - (torch.cumsum(counts, 0) - counts)
        places = starts.index_select(0, centres)
        places += torch.arange(len(centres), device=places.device)
        table = chosen.new_full((n_atoms * width,), n_edges)
        table.index_copy_(0, places, chosen)
        return table.view(n_atoms, width)


def _taken(vectors: Tensor, table: Tensor) -> Tensor:
    """(3, n_rows, width): vectors (3, n_edges) of the edges in a table."""
    return vectors.index_select(1, table.flatten()).unflatten(1, table.shape)


def _directions(vectors: Tensor) -> tuple[Tensor, Tensor]:
    """Distances (…) and unit vectors (3, …) of vectors (3, …); zero where they vanish."""
    x, y, z = vectors
    squared = x * x + y * y + z * z
    # a square root has no derivative at zero
    inverse = inverse_root(clamp(squared, low=1e-20))
    return squared * inverse, vectors * inverse


def density_of_table(config: ACEConfig, vectors: Tensor, widths: Sequence[int]) -> Tensor:
    """(n_atoms, n_elements n_radial, m): density of neighbours at vectors (3, n_atoms, p).

    Neighbours of one element stand after those of the other, in ``widths`` places.
    """
    radial, harmonics = _functions(config.cutoff, config.n_radial, config.lmax, vectors)
    density = [
        torch.bmm(functions.transpose(0, 1), components.permute(1, 2, 0))
        for functions, components in zip(
            radial.split(list(widths), dim=2), harmonics.split(list(widths), dim=2), strict=True
        )
    ]
    number = torch.arange(1, config.n_radial + 1, dtype=radial.dtype, device=radial.device)
    scale = (number**-config.radial_decay).repeat(len(widths)).unsqueeze(1)
    return torch.cat(density, dim=1) * scale


def message_of_table(config: ACEConfig, vectors: Tensor) -> tuple[Tensor, Tensor]:
    """(n, n_atoms, p) radial functions and (m, n_atoms, p) harmonics of near neighbours."""
    return _functions(config.message_cutoff, config.message_radial, config.message_lmax, vectors)


def _functions(cutoff: float, n_radial: int, lmax: int, vectors: Tensor) -> tuple[Tensor, Tensor]:
    """Radial functions (n, …) and harmonics (m, …) of vectors (3, …)."""

    def functions(vectors: Tensor) -> tuple[Tensor, Tensor]:
        distances, directions = _directions(vectors)
        radial = bessel_functions(distances, cutoff, n_radial)
        return torch.stack(radial), torch.stack(harmonics_of(lmax, *directions))

    if in_forward_mode():
        radial, harmonics = elementwise(functions, vectors)
        return radial, harmonics
    return functions(vectors)


def joined(parts: list[Tensor], dim: int) -> Tensor:
    """Parts one after the other; a single one as it is."""
    return parts[0] if len(parts) == 1 else torch.cat(parts, dim)
