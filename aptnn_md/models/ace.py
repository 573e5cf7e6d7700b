"""The ``ace`` network: atomic densities, their products, one round of messages.

1. Density A[i, (z, n), lm] = Σ_j B_n(r_ij) Y_lm(r̂_ij) over neighbours j of element z.
2. Features: linear combinations a, b of A; products a⊗b and (a⊗b)⊗a, so body order 4; mixed, gated.
3. Messages T[i, k, m1, m2] = Σ_j R_kl1(r_ij) Y_m1(r̂_ij) h[j, k, m2], summed over the neighbours
   first and coupled by Clebsch–Gordan coefficients after that: once an atom, not once an edge.
4. Readout into the irreps of the target.

Atoms are sorted by element, so that every weight meets its atoms as one block, and worked on in
chunks that stay in the processor's cache. A has no trainable parts: training computes it once a
frame (:meth:`ACENetwork.geometry`).

After the atomic cluster expansion (Drautz, Phys. Rev. B 99, 014104 (2019)) and MACE
(Batatia et al., NeurIPS 2022).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from aptnn_md.e3nn_compat import o3
from aptnn_md.graph import Graph
from aptnn_md.models.layers import (
    ChannelMixing,
    Coupling,
    Gate,
    Readout,
    degree_of_component,
    n_components,
    outer,
)
from aptnn_md.models.radial import bessel_basis

# atoms whose products of features stay in a processor's cache; more of them on other devices
CHUNK_SIZE = {"cpu": 64}
LARGE_CHUNK_SIZE = 4096
# atoms whose edges are worked on at a time
BLOCK_SIZE = 512


@dataclass(frozen=True)
class ACEConfig:
    """Shape of an :class:`ACENetwork`.

    Attributes
    ----------
    elements : atomic numbers, ascending
    target_irreps : what comes out for each atom, in e3nn's notation
    cutoff, n_radial : Å and number of radial functions of the density
    n_channels, lmax : channels of the features and their largest l
    multiplicity : combinations of coupling paths made of each channel
    message_cutoff, message_radial, message_channels, message_lmax, message_multiplicity : the same
        for the messages
    input_scale : size of the density that enters the network, see :meth:`ACENetwork.fit_scales`
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


class ACENetwork(nn.Module):
    """Equivariant network for tensors of atoms; see the module's docstring.

    ``network(network.geometry(graph))`` gives (n_atoms, target_irreps.dim), in the graph's order.
    """

    density_mean: Tensor
    density_scale: Tensor
    degree: Tensor
    message_degree: Tensor

    def __init__(self, config: ACEConfig) -> None:
        super().__init__()
        self.config = config
        n_elements, channels, lmax = len(config.elements), config.n_channels, config.lmax
        n_density = n_elements * config.n_radial
        copies = config.multiplicity
        self.register_buffer("density_mean", torch.zeros(n_elements, n_density))
        self.register_buffer("density_scale", torch.ones(n_elements, lmax + 1))
        self.register_buffer("degree", degree_of_component(lmax), persistent=False)

        def mixing(
            channels_in: int, channels_out: int = channels, top: int = lmax
        ) -> ChannelMixing:
            return ChannelMixing(n_elements, channels_in, channels_out, top)

        self.mix_a, self.mix_b = mixing(n_density), mixing(n_density)
        self.couple_pair = Coupling(n_elements, channels, copies, (lmax, lmax, lmax))
        self.mix_pair = mixing(channels * copies)
        self.couple_triple = Coupling(n_elements, channels, copies, (lmax, lmax, lmax))
        self.mix_density = mixing(channels * (1 + 2 * copies))
        self.gate_density = Gate(n_elements, channels, lmax)

        top = config.message_lmax
        self.mix_sent = mixing(channels, config.message_channels, top)
        self.radial_weight = nn.Parameter(
            torch.randn((top + 1) * config.message_channels, config.message_radial)
            / math.sqrt(config.message_radial)
        )
        self.register_buffer("message_degree", degree_of_component(top), persistent=False)
        self.couple_message = Coupling(
            n_elements, config.message_channels, config.message_multiplicity, (top, top, lmax)
        )
        self.mix_message = mixing(config.message_channels * config.message_multiplicity)
        self.couple_product = Coupling(n_elements, channels, copies, (lmax, lmax, lmax))
        self.mix_features = mixing(channels * (2 + copies))
        self.gate_features = Gate(n_elements, channels, lmax)
        self.readout = Readout(n_elements, channels, lmax, config.target_irreps)

    # ------------------------------------------------------------------ geometry

    def geometry(self, graph: Graph) -> Geometry:
        """Density and neighbour tables of a graph whose elements are all in the configuration."""
        config, like = self.config, self.density_mean
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
            density=like.new_empty(
                n_atoms, len(elements) * config.n_radial, n_components(config.lmax)
            ),
            message_radial=like.new_empty(n_atoms, config.message_radial, n_near),
            message_harmonics=like.new_empty(n_atoms, top, n_near),
            message_neighbours=order.new_empty((n_atoms, n_near), device=like.device),
        )
        for atoms in edges.blocks(n_atoms):
            self._fill(geometry, edges.of(atoms), atoms, species, rank)
        return geometry

    def _fill(
        self, geometry: Geometry, edges: _Edges, atoms: slice, species: Tensor, rank: Tensor
    ) -> None:
        """Density and neighbour tables of a block of atoms, in the graph's order."""
        config, n_elements = self.config, len(self.config.elements)
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

    def fit_scales(self, geometries: Sequence[Geometry]) -> None:
        """Centre the scalars of the density and scale each l, for each central element.

        The largest standard deviation of any direction of a density is ``config.input_scale``
        afterwards. The smaller it is, the smaller products start beside what is linear in the
        density, and the smoother the functions that training finds first.
        """
        for element in range(len(self.config.elements)):
            density = torch.cat([g.density[_block(g, element)] for g in geometries]).double()
            if not len(density):
                continue
            mean = density[:, :, 0].mean(0)
            # what does not vary in the data, by symmetry or for want of atoms, is not blown up
            smallest = max(0.05 * float(density[:, :, 0].square().mean().sqrt()), 0.05)
            density[:, :, 0] -= mean
            self.density_mean[element] = mean
            for degree in range(self.config.lmax + 1):
                part = density[:, :, degree**2 : (degree + 1) ** 2].transpose(1, 2).flatten(0, 1)
                largest = torch.linalg.eigvalsh(part.T @ part / len(part)).max()
                size = max(float(largest.sqrt()), smallest)
                self.density_scale[element, degree] = self.config.input_scale / size

    # ------------------------------------------------------------------ evaluation

    def forward(self, geometry: Geometry) -> Tensor:
        blocks = list(self._blocks(geometry))
        features = [self._density_features(geometry.density[atoms], e) for e, atoms in blocks]
        top = n_components(self.config.message_lmax)
        sent = torch.cat(
            [self.mix_sent(x[:, :top], e) for x, (e, _) in zip(features, blocks, strict=True)],
            dim=2,
        )
        sent = sent.permute(2, 0, 1).contiguous()
        out = torch.cat(
            [
                self._output(x, sent, geometry, e, atoms)
                for x, (e, atoms) in zip(features, blocks, strict=True)
            ]
        )
        return torch.empty_like(out).index_copy(0, geometry.order, out)

    def _blocks(self, geometry: Geometry) -> Iterator[tuple[int, slice]]:
        """Atoms of one element that are worked on together."""
        size = CHUNK_SIZE.get(geometry.density.device.type, LARGE_CHUNK_SIZE)
        if torch.is_grad_enabled():
            size = max(1, len(geometry.order))
        for element in range(len(self.config.elements)):
            block = _block(geometry, element)
            for first in range(block.start, block.stop, size):
                yield element, slice(first, min(first + size, block.stop))

    def _density_features(self, density: Tensor, element: int) -> Tensor:
        """(n_atoms, n_density, m) -> (n_channels, m, n_atoms): body orders 2 to 4."""
        scale = self.density_scale[element][self.degree]
        x = density.permute(1, 2, 0) * scale[:, None]
        x[:, 0] -= (self.density_mean[element] * scale[0])[:, None]
        a, b = self.mix_a(x, element), self.mix_b(x, element)
        pair = self.couple_pair(outer(a, b), element)
        triple = self.couple_triple(outer(self.mix_pair(pair, element), a), element)
        mixed = self.mix_density(torch.cat([a, pair, triple]), element)
        return self.gate_density(mixed, element)

    def _output(
        self, features: Tensor, sent: Tensor, geometry: Geometry, element: int, atoms: slice
    ) -> Tensor:
        message = self.mix_message(
            self.couple_message(self._aggregate(sent, geometry, atoms), element), element
        )
        product = self.couple_product(outer(message, features), element)
        mixed = self.mix_features(torch.cat([features, message, product]), element)
        return self.readout(self.gate_features(mixed, element), element)

    def _aggregate(self, sent: Tensor, geometry: Geometry, atoms: slice) -> Tensor:
        """T[k, m1 m2, i] summed over the neighbours of each atom."""
        config = self.config
        radial = self.radial_weight @ geometry.message_radial[atoms]
        n_atoms, _, n_padded = radial.shape
        radial = radial.view(n_atoms, config.message_channels, config.message_lmax + 1, n_padded)
        edges = radial[:, :, self.message_degree] * geometry.message_harmonics[atoms].unsqueeze(1)
        received = sent[geometry.message_neighbours[atoms]]
        # about 36 neighbours inside the message cutoff in a liquid: keeps T of order one
        summed = torch.einsum("nkap,npkb->nkab", edges, received).flatten(2)
        return summed.permute(1, 2, 0).contiguous() / 6.0


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


def _block(geometry: Geometry, element: int) -> slice:
    return slice(geometry.element_bounds[element], geometry.element_bounds[element + 1])
