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
from aptnn_md.models.angular import (
    components_by_parity,
    degree_of_component,
    n_components,
    n_even_components,
)
from aptnn_md.models.chunks import atoms_of_block, atoms_of_table
from aptnn_md.models.coupling import Coupling, CouplingOfProducts, coupling_paths
from aptnn_md.models.densities import ACEConfig, AtomicDensities, atomic_densities
from aptnn_md.models.layers import ChannelMixing, Gate, Readout
from aptnn_md.models.messages import grouped, summed_over_neighbours
from aptnn_md.models.pair_tables import PairTables


class ACENetwork(nn.Module):
    """Equivariant network for tensors of atoms; see the module's docstring.

    ``network(network.geometry(graph))`` gives (n_atoms, target_irreps.dim), in the graph's order.

    Parameters
    ----------
    config : its shape
    readout : what is made of the features of an atom, called like
        :class:`~aptnn_md.models.layers.Readout`; None: the irreps of the target
    """

    density_mean: Tensor
    density_scale: Tensor
    component: Tensor
    degree: Tensor

    def __init__(self, config: ACEConfig, readout: nn.Module | None = None) -> None:
        super().__init__()
        self.config = config
        n_elements, channels, lmax = len(config.elements), config.n_channels, config.lmax
        n_density = n_elements * config.n_radial
        copies = config.multiplicity
        self.register_buffer("density_mean", torch.zeros(n_elements, n_density))
        self.register_buffer("density_scale", torch.ones(n_elements, lmax + 1))
        component = components_by_parity(lmax)
        self.register_buffer("component", component, persistent=False)
        self.register_buffer("degree", degree_of_component(lmax)[component], persistent=False)

        def mixing(
            channels_in: int, channels_out: int = channels, top: int = lmax
        ) -> ChannelMixing:
            return ChannelMixing(n_elements, channels_in, channels_out, top, by_parity=True)

        self.mix_a, self.mix_b = mixing(n_density), mixing(n_density)
        self.couple_pair = Coupling(n_elements, channels, copies, (lmax, lmax, lmax))
        self.mix_pair = mixing(channels * copies)
        self.couple_triple = Coupling(n_elements, channels, copies, (lmax, lmax, lmax))
        self.mix_density = mixing(channels * (1 + 2 * copies))
        self.gate_density = Gate(n_elements, channels, lmax, by_parity=True)

        top = config.message_lmax
        self.mix_sent = mixing(channels, config.message_channels, top)
        self.radial_weight = nn.Parameter(
            torch.randn((top + 1) * config.message_channels, config.message_radial)
            / math.sqrt(config.message_radial)
        )
        self.couple_message = CouplingOfProducts(
            n_elements, config.message_channels, config.message_multiplicity, (top, top, lmax)
        )
        self.mix_message = mixing(config.message_channels * config.message_multiplicity)
        self.couple_product = Coupling(n_elements, channels, copies, (lmax, lmax, lmax))
        self.mix_features = mixing(channels * (2 + copies))
        self.gate_features = Gate(n_elements, channels, lmax, by_parity=False)
        self.readout = readout or Readout(n_elements, channels, lmax, config.target_irreps)

    @staticmethod
    def least_weights(config: ACEConfig) -> int:
        """How many numbers a network of a configuration has at least, known before it is made."""
        n_elements, channels, lmax = len(config.elements), config.n_channels, config.lmax
        copies, own = config.multiplicity, config.message_channels
        top, combined = config.message_lmax, config.message_channels * config.message_multiplicity
        density = n_elements * config.n_radial
        into_channels = 2 * density + channels * (copies + 1 + 2 * copies + 2 + copies) + combined
        mixing = (lmax + 1) * channels * into_channels + (top + 1) * own * channels
        coupling = 3 * channels * copies * len(coupling_paths(lmax, lmax, lmax))
        coupling += combined * len(coupling_paths(top, top, lmax))
        return n_elements * (mixing + coupling) + (top + 1) * own * config.message_radial

    def geometry(self, graph: Graph) -> AtomicDensities:
        """Density and neighbour tables of a graph whose elements are all in the configuration."""
        return atomic_densities(graph, self.config, self.density_mean)

    def geometry_of_tables(self, tables: PairTables) -> AtomicDensities:
        """The same of tables on the network's device, whose atoms are sorted by element."""
        return tables.densities(self.density_mean.dtype)

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
        sent = self._sent(features, [element for element, _ in blocks])
        out = torch.cat(
            [
                self._output(x, sent, geometry, e, atoms)
                for x, (e, atoms) in zip(features, blocks, strict=True)
            ]
        )
        return torch.empty_like(out).index_copy(0, geometry.order, out)

    def _blocks(self, geometry: AtomicDensities) -> Iterator[tuple[int, slice]]:
        """Atoms of one element that are processed together."""
        size = atoms_of_block(geometry.density.device)
        if torch.is_grad_enabled():
            size = max(1, len(geometry.order))
        for element in range(len(self.config.elements)):
            block = geometry.atoms_of(element)
            for first in range(block.start, block.stop, size):
                yield element, slice(first, min(first + size, block.stop))

    def _density_features(self, density: Tensor, element: int) -> Tensor:
        """(n_atoms, n_density, m) -> (n_channels, m, n_atoms): body orders 2 to 4."""
        scale = self.density_scale[element][self.degree]
        planes = density.permute(2, 1, 0).contiguous().index_select(0, self.component)
        scalars = planes[:1] - self.density_mean[element][:, None]
        x = (torch.cat([scalars, planes[1:]]) * scale[:, None, None]).transpose(0, 1)
        a, b = self.mix_a(x, element), self.mix_b(x, element)
        pair = self.couple_pair(a, b, element)
        triple = self.couple_triple(self.mix_pair(pair, element), a, element)
        return self.gate_density(self.mix_density([a, pair, triple], element), element)

    def _sent(self, features: Sequence[Tensor], elements: Sequence[int]) -> Tensor:
        """What every atom sends, see :func:`~aptnn_md.models.messages.grouped`."""
        sent = torch.cat(
            [
                self.mix_sent(self._low(x), element)
                for x, element in zip(features, elements, strict=True)
            ],
            dim=2,
        )
        return grouped(sent)

    def _low(self, x: Tensor) -> Tensor:
        """Components up to the message's lmax, ordered by parity."""
        top, lmax = self.config.message_lmax, self.config.lmax
        n_even, n_odd = n_even_components(top), n_components(top) - n_even_components(top)
        first_odd = n_even_components(lmax)
        if first_odd == n_even:
            return x[:, : n_even + n_odd]
        return torch.cat([x[:, :n_even], x[:, first_odd : first_odd + n_odd]], dim=1)

    def _output(
        self, features: Tensor, sent: Tensor, geometry: AtomicDensities, element: int, atoms: slice
    ) -> Tensor:
        received = self._aggregate(sent, geometry, atoms)
        message = self.mix_message(self.couple_message(received, element), element)
        product = self.couple_product(message, features, element)
        mixed = self.mix_features([features, message, product], element)
        return self.readout(self.gate_features(mixed, element), element)

    def _aggregate(self, sent: Tensor, geometry: AtomicDensities, atoms: slice) -> Tensor:
        """T[k, m1 m2, i] summed over the neighbours of each atom."""
        # a liquid has about 36 neighbours within the message cutoff: keeps T of order one
        weight = self.radial_weight / 6.0
        step = atoms_of_table(sent.device)
        summed = [
            summed_over_neighbours(
                weight,
                geometry.message_radial[:, rows],
                geometry.message_harmonics[:, rows],
                geometry.message_neighbours[rows],
                sent,
            )
            for rows in (
                slice(first, min(first + step, atoms.stop))
                for first in range(atoms.start, atoms.stop, step)
            )
        ]
        return (summed[0] if len(summed) == 1 else torch.cat(summed, dim=1)).transpose(1, 2)
