"""The ``ace`` network as plain formulas on a list of edges.

Neither tables nor sorted atoms nor anything kept: sums over edges are ``index_add``, and atoms of
an element are picked by their indices, so that one program holds for any number of atoms and edges.
It computes what :class:`aptnn_md.models.ace.ACENetwork` computes, from the same weights, about half
as fast, and depends on nothing of it but harmonics, radial functions, and the names and shapes of
its weights, which model files hold. It is what is exported to other programs.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from aptnn_md.models.angular import spherical_harmonics, wigner_3j
from aptnn_md.models.densities import ACEConfig
from aptnn_md.models.irreps import Irreps
from aptnn_md.models.radial import bessel_basis

CHANNELS = 8
"""Channels that are coupled at a time, which bounds the memory of products."""


class PlainACE(nn.Module):
    """The network of a configuration with given weights.

    Called with species (n_atoms,), edge_index (2, n_edges) of centres and neighbours and
    edge_vectors (n_edges, 3), Å, from centre to neighbour, it gives (n_atoms, target_irreps.dim).

    Parameters
    ----------
    config : of the network
    weights : its state dictionary; copied
    """

    def __init__(self, config: ACEConfig, weights: dict[str, Tensor]) -> None:
        super().__init__()
        self.config = config
        self.irreps = list(Irreps.parse(config.target_irreps))
        for name, tensor in weights.items():
            self.register_buffer(_flat(name), tensor.detach().clone())
        lmax, top = config.lmax, config.message_lmax
        paths = {(lmax, lmax, lmax), (top, top, lmax)}
        for lmaxs in sorted(paths):
            table = _coupling_table(*lmaxs, weights["radial_weight"])
            self.register_buffer(f"table_{lmaxs[0]}", table)
        for irrep in {irrep for irrep in self.irreps if not irrep.natural}:
            for l1, l2 in _unnatural(lmax, irrep.degree):
                block = wigner_3j(l1, l2, irrep.degree) * math.sqrt(2 * irrep.degree + 1)
                name = f"unnatural_{irrep.degree}_{l1}_{l2}"
                self.register_buffer(name, block.to(weights["radial_weight"]))

    def forward(self, species: Tensor, edge_index: Tensor, edge_vectors: Tensor) -> Tensor:
        config, n_atoms = self.config, species.shape[0]
        centres, neighbours = edge_index[0], edge_index[1]
        distances = edge_vectors.norm(dim=1)
        harmonics = spherical_harmonics(config.lmax, edge_vectors)
        groups = centres * len(config.elements) + species[neighbours]
        density = self._density(distances, harmonics, groups, n_atoms)
        atoms = [torch.nonzero(species == e).squeeze(1) for e in range(len(config.elements))]
        features = [self._density_features(density[rows], e) for e, rows in enumerate(atoms)]
        top = (config.message_lmax + 1) ** 2
        sent = density.new_zeros(n_atoms, config.message_channels, top)
        for element, rows in enumerate(atoms):
            mixed = self._mix("mix_sent", features[element][:, :top], element)
            sent = sent.index_copy(0, rows, mixed.permute(2, 0, 1))
        summed = self._messages(distances, harmonics[:, :top], edge_index, sent)
        out = density.new_zeros(n_atoms, sum(irrep.dim for irrep in self.irreps))
        for element, rows in enumerate(atoms):
            found = self._output(features[element], summed[:, rows], element)
            out = out.index_copy(0, rows, found)
        return out

    # ------------------------------------------------------------------ sums over edges

    def _density(
        self, distances: Tensor, harmonics: Tensor, groups: Tensor, n_atoms: int
    ) -> Tensor:
        """A[i, (z, n), lm] = Σ_j B_n(r_ij) Y_lm(r̂_ij)."""
        config = self.config
        basis = bessel_basis(distances, config.cutoff, config.n_radial)
        order = torch.arange(1, config.n_radial + 1, dtype=basis.dtype, device=basis.device)
        basis = basis * order**-config.radial_decay
        n_elements = len(config.elements)
        total = basis.new_zeros(n_atoms * n_elements, config.n_radial, harmonics.shape[1])
        total = total.index_add(0, groups, basis.unsqueeze(2) * harmonics.unsqueeze(1))
        return total.view(n_atoms, n_elements * config.n_radial, harmonics.shape[1])

    def _messages(
        self, distances: Tensor, harmonics: Tensor, edge_index: Tensor, sent: Tensor
    ) -> Tensor:
        """T[k, i, m1, m2] = Σ_j R_kl1(r_ij) Y_m1(r̂_ij) h[j, k, m2] / 6, channel by channel."""
        config = self.config
        near = torch.nonzero(distances < config.message_cutoff).squeeze(1)
        basis = bessel_basis(distances[near], config.message_cutoff, config.message_radial)
        centres, neighbours = edge_index[0][near], edge_index[1][near]
        radial = basis @ self._of("radial_weight").T
        radial = radial.unflatten(1, (config.message_channels, -1))
        harmonics, degree = harmonics[near], _degrees(config.message_lmax, radial)
        summed = []
        for channel in range(config.message_channels):
            edges = radial[:, channel][:, degree] * harmonics
            received = sent[:, channel][neighbours]
            pairs = edges.unsqueeze(2) * received.unsqueeze(1)
            total = pairs.new_zeros(sent.shape[0], *pairs.shape[1:])
            summed.append(total.index_add(0, centres, pairs) / 6.0)
        return torch.stack(summed)

    # ------------------------------------------------------------------ operations on atoms

    def _density_features(self, density: Tensor, element: int) -> Tensor:
        """(n_atoms, n_density, m) -> (n_channels, m, n_atoms)."""
        lmax = self.config.lmax
        scale = self._of("density_scale")[element][_degrees(lmax, density)]
        scalars = density[:, :, :1] - self._of("density_mean")[element][:, None]
        x = (torch.cat([scalars, density[:, :, 1:]], dim=2) * scale).permute(1, 2, 0)
        a, b = self._mix("mix_a", x, element), self._mix("mix_b", x, element)
        pair = self._couple("couple_pair", a, b, element)
        mixed = self._mix("mix_pair", pair, element)
        triple = self._couple("couple_triple", mixed, a, element)
        mixed = self._mix("mix_density", torch.cat([a, pair, triple]), element)
        return self._gate("gate_density", mixed, element)

    def _output(self, features: Tensor, summed: Tensor, element: int) -> Tensor:
        """Features (n_channels, m, n) and messages (k, n, m1, m2) -> (n, target_irreps.dim)."""
        pairs = summed.flatten(2).transpose(1, 2)
        message = self._coupled("couple_message", pairs, element)
        message = self._mix("mix_message", message, element)
        product = self._couple("couple_product", message, features, element)
        mixed = self._mix("mix_features", torch.cat([features, message, product]), element)
        x = self._gate("gate_features", mixed, element)
        heads = [self._head(k, x, element) for k in range(len(self.irreps))]
        return torch.cat(heads, dim=1)

    def _mix(self, name: str, x: Tensor, element: int) -> Tensor:
        mixed = [
            torch.einsum("oc,cmn->omn", weight, x[:, degree**2 : (degree + 1) ** 2])
            for degree, weight in enumerate(self._of(f"{name}.weight")[element])
        ]
        return torch.cat(mixed, dim=1)

    def _couple(self, name: str, x: Tensor, y: Tensor, element: int) -> Tensor:
        """Products of the components of each channel, coupled; some channels at a time."""
        parts = []
        for first in range(0, len(x), CHANNELS):
            some = slice(first, first + CHANNELS)
            pairs = (x[some].unsqueeze(2) * y[some].unsqueeze(1)).flatten(1, 2)
            parts.append(self._coupled(name, pairs, element, some))
        return torch.cat(parts)

    def _coupled(
        self, name: str, pairs: Tensor, element: int, channels: slice = slice(None)
    ) -> Tensor:
        """(channels, m1 m2, n) -> (channels * multiplicity, m3, n)."""
        weight = self._of(f"{name}.weight")[element, channels]
        lmax = self.config.message_lmax if name == "couple_message" else self.config.lmax
        matrices = torch.einsum("kcp,pqm->kcmq", weight, self.get_buffer(f"table_{lmax}"))
        coupled = torch.bmm(matrices.flatten(1, 2), pairs)
        return coupled.unflatten(1, (weight.shape[1], -1)).flatten(0, 1)

    def _gate(self, name: str, x: Tensor, element: int) -> Tensor:
        gates = self._mlp(f"{name}.mlp", x[:, 0].T, element).T.unflatten(0, (len(x), -1))
        return x * gates[:, _degrees(self.config.lmax, x)]

    def _mlp(self, name: str, x: Tensor, element: int) -> Tensor:
        hidden = x @ self._of(f"{name}.first.weight").T + self._of(f"{name}.shift")[element]
        second, bias = self._of(f"{name}.second.weight"), self._of(f"{name}.second.bias")
        return nn.functional.silu(hidden) @ second.T + bias

    def _head(self, number: int, x: Tensor, element: int) -> Tensor:
        """(n_channels, m, n) -> (n, 2l + 1) of the target's irrep of this number."""
        irrep, name = self.irreps[number], f"readout.heads.{number}"
        if irrep.natural and irrep.degree == 0:
            return self._mlp(f"{name}.mlp", x[:, 0].T, element)
        weight = self._of(f"{name}.weight")[element]
        if irrep.natural:
            own = x[:, irrep.degree**2 : (irrep.degree + 1) ** 2]
            return torch.einsum("k,kmn->nm", weight, own)
        a, b = (self._mix(f"{name}.{which}", x, element) for which in ("mix_a", "mix_b"))
        out = x.new_zeros(())
        for path, (l1, l2) in enumerate(_unnatural(self.config.lmax, irrep.degree)):
            table = self.get_buffer(f"unnatural_{irrep.degree}_{l1}_{l2}")
            left = a[:, l1**2 : (l1 + 1) ** 2] * weight[path][:, None, None]
            right = b[:, l2**2 : (l2 + 1) ** 2]
            pairs = (left.unsqueeze(2) * right.unsqueeze(1)).sum(dim=0)
            out = out + torch.einsum("uvn,uvm->nm", pairs, table)
        return out

    def _of(self, name: str) -> Tensor:
        return self.get_buffer(_flat(name))


def _flat(name: str) -> str:
    """Name of a weight without the dots that buffers cannot have."""
    return f"weight_{name.replace('.', '_')}"


def _degrees(lmax: int, like: Tensor) -> Tensor:
    """((lmax + 1)²,): the l that each component belongs to."""
    degrees = [degree for degree in range(lmax + 1) for _ in range(2 * degree + 1)]
    return torch.tensor(degrees, device=like.device)


def _paths(lmax_1: int, lmax_2: int, lmax_3: int) -> list[tuple[int, int, int]]:
    """(l1, l2, l3) of natural parity, in the order of the weights."""
    return [
        (l1, l2, l3)
        for l3 in range(lmax_3 + 1)
        for l1 in range(lmax_1 + 1)
        for l2 in range(lmax_2 + 1)
        if abs(l1 - l2) <= l3 <= l1 + l2 and (l1 + l2 + l3) % 2 == 0
    ]


def _unnatural(lmax: int, degree: int) -> list[tuple[int, int]]:
    """(l1, l2) that couple to a degree with the parity that features lack."""
    return [
        (l1, l2)
        for l1 in range(lmax + 1)
        for l2 in range(lmax + 1)
        if abs(l1 - l2) <= degree <= l1 + l2 and (l1 + l2 + degree) % 2 == 1
    ]


def _coupling_table(lmax_1: int, lmax_2: int, lmax_3: int, like: Tensor) -> Tensor:
    """(n_paths, m1 m2, m3): Clebsch–Gordan coefficients, unit variance in and out."""
    paths = _paths(lmax_1, lmax_2, lmax_3)
    table = torch.zeros(len(paths), *((l + 1) ** 2 for l in (lmax_1, lmax_2, lmax_3)))  # noqa: E741
    table = table.double()
    for row, (l1, l2, l3) in enumerate(paths):
        n_alike = sum(other == l3 for _, _, other in paths)
        blocks = [slice(degree**2, (degree + 1) ** 2) for degree in (l1, l2, l3)]
        symbol = wigner_3j(l1, l2, l3) * math.sqrt((2 * l3 + 1) / n_alike)
        table[row, blocks[0], blocks[1], blocks[2]] = symbol
    return table.flatten(1, 2).to(like)
