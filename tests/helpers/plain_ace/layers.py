"""Equivariant operations on channels of spherical tensors.

Features are tensors of shape (n_channels, (lmax + 1)², n_atoms): the middle axis, called m below,
holds the components of l = 0 … lmax one after the other, each of natural parity (-1)^l. In this
order products of components are long vector operations, coupling them is one matrix product per
channel and mixing channels one matrix product per l, without copies in between. Every layer has
its own weights for every element and is called with the atoms of one element at a time, so that
weights are never gathered per atom.

Clebsch–Gordan tables are made in double precision: cast a network with ``.to(dtype)`` before use.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from aptnn_md.models.angular import degree_of_component, n_components, wigner_3j
from aptnn_md.models.coupling import outer
from aptnn_md.models.irreps import Irrep, Irreps
from aptnn_md.models.kept_matrices import KeptMatrices


class ChannelMixing(nn.Module):
    """Linear map between channels, with one matrix per element and per l.

    (channels_in, m, n_atoms) -> (channels_out, m, n_atoms)
    """

    def __init__(self, n_elements: int, channels_in: int, channels_out: int, lmax: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(
            torch.randn(n_elements, lmax + 1, channels_out, channels_in) / math.sqrt(channels_in)
        )

    def forward(self, x: Tensor, element: int) -> Tensor:
        mixed = [
            weight @ x[:, degree**2 : (degree + 1) ** 2].flatten(1)
            for degree, weight in enumerate(self.weight[element])
        ]
        return torch.cat(mixed, dim=1).unflatten(1, (-1, x.shape[2]))


def coupling_paths(
    lmax_1: int, lmax_2: int, lmax_out: int, natural: bool = True
) -> list[tuple[int, int, int]]:
    """All (l1, l2, l3) that couple to natural parity (or only to unnatural parity)."""
    return [
        (l1, l2, l3)
        for l3 in range(lmax_out + 1)
        for l1 in range(lmax_1 + 1)
        for l2 in range(lmax_2 + 1)
        if abs(l1 - l2) <= l3 <= l1 + l2 and ((l1 + l2 + l3) % 2 == 0) == natural
    ]


class Coupling(KeptMatrices):
    """Clebsch–Gordan coupling of pairs (m1, m2) of each channel to several new channels.

    Each of the ``multiplicity`` outputs of a channel is a weighted sum of all paths (l1, l2, l3)
    of natural parity, with its own weights for each element.

    (n_channels, m1 m2, n_atoms) -> (n_channels * multiplicity, m3, n_atoms)
    """

    clebsch_gordan: Tensor

    def __init__(
        self, n_elements: int, n_channels: int, multiplicity: int, lmaxs: tuple[int, int, int]
    ) -> None:
        super().__init__()
        paths = coupling_paths(*lmaxs)
        n_paths_to = [sum(l3 == degree for _, _, l3 in paths) for degree in range(lmaxs[2] + 1)]
        sizes = [n_components(lmax) for lmax in lmaxs]
        table = torch.zeros(len(paths), *sizes, dtype=torch.float64)
        for row, (l1, l2, l3) in enumerate(paths):
            # component normalisation: unit variance in, unit variance out
            block = wigner_3j(l1, l2, l3) * math.sqrt(2 * l3 + 1)
            table[
                row,
                l1**2 : (l1 + 1) ** 2,
                l2**2 : (l2 + 1) ** 2,
                l3**2 : (l3 + 1) ** 2,
            ] = block / math.sqrt(n_paths_to[l3])
        self.register_buffer("clebsch_gordan", table.flatten(1, 2).flatten(1), persistent=False)
        self.weight = nn.Parameter(torch.randn(n_elements, n_channels, multiplicity, len(paths)))
        self.multiplicity = multiplicity
        self.n_out = n_components(lmaxs[2])

    def _derived(self, element: int) -> tuple[Tensor, ...]:
        """(n_channels, multiplicity m3, m1 m2): the weighted Clebsch–Gordan matrices."""
        weight = self.weight[element]
        summed = (weight.flatten(0, 1) @ self.clebsch_gordan).unflatten(1, (-1, self.n_out))
        rows = self.multiplicity * self.n_out
        return (summed.transpose(1, 2).reshape(len(weight), rows, -1),)

    def forward(self, pairs: Tensor, element: int) -> Tensor:
        coupled = torch.bmm(self.matrices(element)[0], pairs)
        return coupled.view(-1, self.n_out, pairs.shape[2])


class Gate(nn.Module):
    """Multiply each channel and l by a function of the atom's scalars.

    (n_channels, m, n_atoms) -> the same shape
    """

    degree: Tensor

    def __init__(self, n_elements: int, n_channels: int, lmax: int, width: int = 64) -> None:
        super().__init__()
        self.mlp = ElementMLP(n_elements, n_channels, width, n_channels * (lmax + 1))
        self.register_buffer("degree", degree_of_component(lmax), persistent=False)

    def forward(self, x: Tensor, element: int) -> Tensor:
        gates = self.mlp(x[:, 0].T, element).T.unflatten(0, (len(x), -1))
        return x * gates[:, self.degree]


class ElementMLP(nn.Module):
    """One hidden layer, (n_atoms, n_in) -> (n_atoms, n_out), with biases for each element."""

    def __init__(self, n_elements: int, n_in: int, width: int, n_out: int) -> None:
        super().__init__()
        self.first = nn.Linear(n_in, width, bias=False)
        self.shift = nn.Parameter(torch.randn(n_elements, width))
        self.second = nn.Linear(width, n_out)

    def forward(self, x: Tensor, element: int) -> Tensor:
        hidden: Tensor = nn.functional.silu(self.first(x) + self.shift[element])
        out: Tensor = self.second(hidden)
        return out


class Readout(nn.Module):
    """Features of an atom -> the irreps of a target.

    Scalars come from a small MLP; l > 0 of natural parity (-1)^l from a linear map; unnatural
    parity, which the features lack, from products of two linear maps, e.g. 1e from 1o⊗1o, 2e⊗2e,
    3o⊗3o.

    (n_channels, m, n_atoms) -> (n_atoms, irreps.dim)
    """

    def __init__(self, n_elements: int, n_channels: int, lmax: int, irreps: str) -> None:
        super().__init__()
        self.irreps = Irreps.parse(irreps)
        if self.irreps.lmax > lmax:
            raise ValueError(f"target {irreps} needs lmax >= {self.irreps.lmax}, not {lmax}")
        self.heads = nn.ModuleList(
            _head(n_elements, n_channels, lmax, irrep) for irrep in self.irreps
        )

    def forward(self, x: Tensor, element: int) -> Tensor:
        return torch.cat([head(x, element) for head in self.heads], dim=-1)


def _head(n_elements: int, n_channels: int, lmax: int, irrep: Irrep) -> nn.Module:
    if not irrep.natural:
        return _ProductHead(n_elements, n_channels, lmax, irrep.degree)
    if irrep.degree == 0:
        return _ScalarHead(n_elements, n_channels)
    return _LinearHead(n_elements, n_channels, irrep.degree)


class _ScalarHead(nn.Module):
    def __init__(self, n_elements: int, n_channels: int) -> None:
        super().__init__()
        self.mlp = ElementMLP(n_elements, n_channels, 64, 1)

    def forward(self, x: Tensor, element: int) -> Tensor:
        return self.mlp(x[:, 0].T, element)


class _LinearHead(nn.Module):
    def __init__(self, n_elements: int, n_channels: int, degree: int) -> None:
        super().__init__()
        self.degree = degree
        self.weight = nn.Parameter(torch.randn(n_elements, n_channels) / math.sqrt(n_channels))

    def forward(self, x: Tensor, element: int) -> Tensor:
        part = x[:, self.degree**2 : (self.degree + 1) ** 2]
        return (self.weight[element] @ part.flatten(1)).unflatten(0, (-1, x.shape[2])).T


class _ProductHead(nn.Module):
    N_CHANNELS = 16

    def __init__(self, n_elements: int, n_channels: int, lmax: int, degree: int) -> None:
        super().__init__()
        self.mix_a = ChannelMixing(n_elements, n_channels, self.N_CHANNELS, lmax)
        self.mix_b = ChannelMixing(n_elements, n_channels, self.N_CHANNELS, lmax)
        self.paths = [
            p for p in coupling_paths(lmax, lmax, degree, natural=False) if p[2] == degree
        ]
        for l1, l2, _ in self.paths:
            block = wigner_3j(l1, l2, degree) * math.sqrt(2 * degree + 1)
            self.register_buffer(f"couple_{l1}_{l2}", block, persistent=False)
        n_products = len(self.paths) * self.N_CHANNELS
        self.weight = nn.Parameter(
            torch.randn(n_elements, len(self.paths), self.N_CHANNELS) / math.sqrt(n_products)
        )

    def forward(self, x: Tensor, element: int) -> Tensor:
        a, b = self.mix_a(x, element), self.mix_b(x, element)
        out = x.new_zeros(())
        for path, (l1, l2, _) in enumerate(self.paths):
            left = a[:, l1**2 : (l1 + 1) ** 2] * self.weight[element, path][:, None, None]
            # summed over channels first: little is left to couple
            pairs = outer(left, b[:, l2**2 : (l2 + 1) ** 2]).sum(dim=0)
            table: Tensor = getattr(self, f"couple_{l1}_{l2}")
            out = out + pairs.T @ table.flatten(0, 1)
        return out
