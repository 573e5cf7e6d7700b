"""The ``ace`` network: atomic densities, their products, one round of messages.

1. Densities of neighbours around each atom, A[i, (z, n), lm] (:mod:`aptnn_md.models.densities`).
2. Features: linear combinations a, b of A; products a⊗b and (a⊗b)⊗a, so body order 4; mixed, gated.
3. Messages T[i, k, m1, m2] = Σ_j R_kl1(r_ij) Y_m1(r̂_ij) h[j, k, m2], summed over the neighbours
   first and then coupled by Clebsch–Gordan coefficients: once per atom, not once per edge.
4. Readout into the irreps of the target.

Atoms are sorted by element, so that each element's weights are applied to one block of atoms, and
processed in chunks that stay in the processor's cache.

After the atomic cluster expansion (Drautz, Phys. Rev. B 99, 014104 (2019)) and MACE
(Batatia et al., NeurIPS 2022).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from aptnn_md.atoms.neighbours import Graph
from aptnn_md.models.angular import degree_of_component, n_components
from aptnn_md.models.coupling import outer
from aptnn_md.models.densities import ACEConfig
from helpers.plain_ace.densities import AtomicDensities, atomic_densities
from helpers.plain_ace.layers import (
    ChannelMixing,
    Coupling,
    Gate,
    Readout,
)

# atoms whose products of features fit into a processor's cache; other devices take more at once
CHUNK_SIZE = {"cpu": 64}
LARGE_CHUNK_SIZE = 4096


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

    def geometry(self, graph: Graph) -> AtomicDensities:
        """Density and neighbour tables of a graph whose elements are all in the configuration."""
        return atomic_densities(graph, self.config, self.density_mean)

    def fit_scales(self, geometries: Sequence[AtomicDensities]) -> None:
        """Centre the scalars of the density and scale each l, for each central element.

        Afterwards the largest standard deviation of a density along any direction is
        ``config.input_scale``. The smaller it is, the smaller the products are at first compared
        with the terms linear in the density, and the smoother the functions that training finds
        first.
        """
        for element in range(len(self.config.elements)):
            density = torch.cat([g.density[g.atoms_of(element)] for g in geometries]).double()
            if not len(density):
                continue
            mean = density[:, :, 0].mean(0)
            # components that do not vary in the data, by symmetry or for lack of atoms, are not
            # magnified
            smallest = max(0.05 * float(density[:, :, 0].square().mean().sqrt()), 0.05)
            density[:, :, 0] -= mean
            self.density_mean[element] = mean
            for degree in range(self.config.lmax + 1):
                part = density[:, :, degree**2 : (degree + 1) ** 2].transpose(1, 2).flatten(0, 1)
                largest = torch.linalg.eigvalsh(part.T @ part / len(part)).max()
                size = max(float(largest.sqrt()), smallest)
                self.density_scale[element, degree] = self.config.input_scale / size

    # ------------------------------------------------------------------ evaluation

    def forward(self, geometry: AtomicDensities) -> Tensor:
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

    def _blocks(self, geometry: AtomicDensities) -> Iterator[tuple[int, slice]]:
        """Atoms of one element that are processed together."""
        size = CHUNK_SIZE.get(geometry.density.device.type, LARGE_CHUNK_SIZE)
        if torch.is_grad_enabled():
            size = max(1, len(geometry.order))
        for element in range(len(self.config.elements)):
            block = geometry.atoms_of(element)
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
        self, features: Tensor, sent: Tensor, geometry: AtomicDensities, element: int, atoms: slice
    ) -> Tensor:
        message = self.mix_message(
            self.couple_message(self._aggregate(sent, geometry, atoms), element), element
        )
        product = self.couple_product(outer(message, features), element)
        mixed = self.mix_features(torch.cat([features, message, product]), element)
        return self.readout(self.gate_features(mixed, element), element)

    def _aggregate(self, sent: Tensor, geometry: AtomicDensities, atoms: slice) -> Tensor:
        """T[k, m1 m2, i] summed over the neighbours of each atom."""
        config = self.config
        radial = self.radial_weight @ geometry.message_radial[atoms]
        n_atoms, _, n_padded = radial.shape
        radial = radial.view(n_atoms, config.message_channels, config.message_lmax + 1, n_padded)
        edges = radial[:, :, self.message_degree] * geometry.message_harmonics[atoms].unsqueeze(1)
        received = sent[geometry.message_neighbours[atoms]]
        # a liquid has about 36 neighbours within the message cutoff: keeps T of order one
        summed = torch.einsum("nkap,npkb->nkab", edges, received).flatten(2)
        return summed.permute(1, 2, 0).contiguous() / 6.0
