"""Shape of the network of :mod:`aptnn_md.models.dipole`, and what it reads of a graph."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Annotated, Any

import numpy as np
import torch
from ase.data import atomic_numbers
from torch import Tensor

from aptnn_md.arrays import FloatArray
from aptnn_md.atoms.neighbours import Graph
from aptnn_md.errors import InputError
from aptnn_md.models.ace import ACENetwork
from aptnn_md.models.cartesian import cartesian_basis
from aptnn_md.models.densities import ACEConfig, AtomicDensities
from aptnn_md.models.pair_tables import PairTables
from aptnn_md.settings import Range
from aptnn_md.targets import APT


@dataclass(frozen=True)
class DipoleConfig(ACEConfig):
    """Shape of a :class:`DipoleNetwork`: that of its ``ace`` body, and of the flows.

    Attributes
    ----------
    atomic_dipoles : whether atoms have dipoles, or charges only
    flow_channels : terms of F_ij
    formal_charges : symbol -> charge, e, that each atom of an element brings along; others 0
    """

    atomic_dipoles: bool = True
    flow_channels: Annotated[int, Range(at_least=1, at_most=4096)] = 16
    formal_charges: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__post_init__()
        where = "network dipole"
        irreps, _ = cartesian_basis(APT.index_symmetry)
        if self.target_irreps != str(irreps):
            found, expected = self.target_irreps, f"{irreps}, those of APTs: --target dipole or apt"
            raise InputError(where, "target_irreps", found, expected)
        if self.atomic_dipoles and self.lmax < 1:
            expected = "at least 1, or atomic_dipoles = false"
            raise InputError(where, "lmax", self.lmax, expected)
        for symbol in self.formal_charges:
            if atomic_numbers.get(symbol) not in self.elements:
                expected = "elements of the training frames"
                raise InputError(where, "formal_charges", symbol, expected)

    @property
    def body(self) -> ACEConfig:
        """Shape of the ``ace`` network that describes the atoms."""
        return ACEConfig(**{f.name: getattr(self, f.name) for f in fields(ACEConfig)})


@dataclass(frozen=True)
class DipoleGeometry:
    """A graph as the network reads it; no weight is in it.

    Attributes
    ----------
    pairs : graph or tables; densities are made of it at each evaluation, as derivatives go through
        them
    species, structures : (n_atoms,): index of the element, and number of the structure
    charges : (n_structures,): Q, e
    centres, neighbours : (n_edges,)
    edge_vectors : (n_edges, 3), Å
    order : (n_atoms,): where each atom stands in the structures; None: at the same place
    """

    pairs: Graph | PairTables
    species: Tensor
    structures: Tensor
    charges: Tensor
    centres: Tensor
    neighbours: Tensor
    edge_vectors: Tensor
    order: Tensor | None = None

    def from_structures(self, of_atoms: FloatArray) -> Tensor:
        """(n_atoms, ...) in the structures' order -> in that of the geometry, double precision."""
        values = torch.from_numpy(np.asarray(of_atoms, dtype=np.float64)).to(self.species.device)
        return values if self.order is None else values.index_select(0, self.order)

    def to_structures(self, of_atoms: Tensor) -> Tensor:
        """(n_atoms, ...) in the geometry's order -> in that of the structures."""
        if self.order is None:
            return of_atoms
        return torch.empty_like(of_atoms).index_copy(0, self.order, of_atoms)

    def densities(self, body: ACENetwork, edge_vectors: Tensor) -> AtomicDensities:
        """What the body reads, with these edge vectors (n_edges, 3) in place of its own."""
        if isinstance(self.pairs, PairTables):
            table = edge_vectors.T.contiguous().unflatten(1, (len(self.species), -1))
            return self.pairs.densities(edge_vectors.dtype, table)
        graph: Any = self.pairs  # in which a tensor may take the place of the array
        return body.geometry(replace(graph, edge_vectors=edge_vectors))

    def change_along_edges(self, change: Tensor) -> Tensor:
        """Of a quantity of the atoms, (n_atoms, ...): neighbour's less centre's, (n_edges, ...)."""
        return change.index_select(0, self.neighbours) - change.index_select(0, self.centres)

    def sum_of_structures(self, of_atoms: Tensor) -> Tensor:
        """(n_atoms, ...) -> (n_structures, ...)."""
        sums = of_atoms.new_zeros(len(self.charges), *of_atoms.shape[1:])
        return sums.index_add(0, self.structures, of_atoms)


def edges_of(graph: Graph, elements: Sequence[int], like: Tensor) -> DipoleGeometry:
    """Edges of a graph whose elements are all among those given; a charge not given is 0.

    Device and precision are those of ``like``.
    """
    sizes = torch.tensor(graph.structure_sizes, dtype=torch.int64)
    charges = graph.charges or (0.0,) * len(sizes)
    species = torch.searchsorted(torch.tensor(elements), torch.from_numpy(graph.atomic_numbers))
    return DipoleGeometry(
        pairs=graph,
        species=species.to(like.device),
        structures=torch.repeat_interleave(torch.arange(len(sizes)), sizes).to(like.device),
        charges=torch.tensor(charges).to(like),
        centres=torch.from_numpy(graph.centres).to(like.device),
        neighbours=torch.from_numpy(graph.neighbours).to(like.device),
        edge_vectors=torch.as_tensor(graph.edge_vectors).to(like.device, like.dtype),
    )
