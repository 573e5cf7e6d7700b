"""Equivariant operations on channels of spherical tensors.

Features are tensors of shape (n_channels, (lmax + 1)², n_atoms): the middle axis, called m below,
holds the components of l = 0 … lmax one after the other, each of natural parity (-1)^l. In this
order products of components are long vector operations, coupling them is one matrix product per
channel and mixing channels one matrix product per component, without copies in between. Every
layer has its own weights for every element and is called with the atoms of one element at a time,
so that weights are never gathered per atom.

Without gradients, ``eval()`` lets layers keep the matrices that they derive from their weights
(:class:`~aptnn_md.models.kept_matrices.KeptMatrices`).

Clebsch–Gordan tables are made in double precision: cast a network with ``.to(dtype)`` before use.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from aptnn_md.models.angular import (
    components_of,
    degrees_by_parity,
    wigner_3j,
)
from aptnn_md.models.coupling import coupling_paths, outer
from aptnn_md.models.duals import bilinear, in_forward_mode, linear
from aptnn_md.models.irreps import Irrep, Irreps
from aptnn_md.models.kept_matrices import KeptMatrices

FEW_ATOMS = 16
"""Of an element: fewer are mixed by one matrix for each l instead of one for each component."""


class ChannelMixing(KeptMatrices):
    """Linear map between channels, with one matrix per element and per l.

    (channels_in, m, n_atoms) -> (channels_out, m, n_atoms); several inputs are taken for one whose
    channels stand one after the other. Components are ordered by l, or by parity.
    """

    degree: Tensor

    def __init__(
        self,
        n_elements: int,
        channels_in: int,
        channels_out: int,
        lmax: int,
        by_parity: bool = False,
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(
            torch.randn(n_elements, lmax + 1, channels_out, channels_in) / math.sqrt(channels_in)
        )
        self.degrees = degrees_by_parity(lmax) if by_parity else list(range(lmax + 1))
        self.parts = components_of(self.degrees)
        sizes = torch.tensor([2 * degree + 1 for degree in self.degrees])
        degree = torch.tensor(self.degrees).repeat_interleave(sizes)
        self.register_buffer("degree", degree, persistent=False)

    def _derived(self, element: int) -> tuple[Tensor, ...]:
        """(m, channels_out, channels_in): the matrix of each component."""
        return (self.weight[element].index_select(0, self.degree),)

    def forward(self, x: Tensor | Sequence[Tensor], element: int) -> Tensor:
        inputs = [x] if isinstance(x, Tensor) else x
        if in_forward_mode():
            return linear(lambda *parts: self._mixed(parts, element), *inputs)
        return self._mixed(inputs, element)

    def _mixed(self, inputs: Sequence[Tensor], element: int) -> Tensor:
        if inputs[0].shape[2] < FEW_ATOMS:
            return self._of_few_atoms(inputs, element)
        matrices = self.matrices(element)[0].split([len(part) for part in inputs], dim=2)
        mixed = torch.bmm(matrices[0], inputs[0].transpose(0, 1))
        for matrix, part in zip(matrices[1:], inputs[1:], strict=True):
            mixed.baddbmm_(matrix, part.transpose(0, 1))
        return mixed.transpose(0, 1)

    def _of_few_atoms(self, inputs: Sequence[Tensor], element: int) -> Tensor:
        """The same with one matrix for each l, where reading matrices takes the time."""
        x = inputs[0] if len(inputs) == 1 else torch.cat(list(inputs))
        weights = [self.weight[element, degree] for degree in self.degrees]
        mixed = [
            weight @ x[:, part].flatten(1) for weight, part in zip(weights, self.parts, strict=True)
        ]
        return torch.cat(mixed, dim=1).unflatten(1, (-1, x.shape[2]))


class Gate(nn.Module):
    """Multiply each channel and l by a function of the atom's scalars.

    Components come ordered by parity, and leave so or ordered by l.

    (n_channels, m, n_atoms) -> the same shape
    """

    def __init__(
        self, n_elements: int, n_channels: int, lmax: int, *, by_parity: bool, width: int = 64
    ) -> None:
        super().__init__()
        self.mlp = ElementMLP(n_elements, n_channels, width, n_channels * (lmax + 1))
        degrees = degrees_by_parity(lmax)
        parts = list(zip(degrees, components_of(degrees), strict=True))
        self.parts = parts if by_parity else sorted(parts, key=lambda part: part[0])

    def forward(self, x: Tensor, element: int) -> Tensor:
        gates = self.mlp(x[:, 0], element).unflatten(0, (len(x), -1)).transpose(0, 1)
        x = x.transpose(0, 1)
        if in_forward_mode():
            return bilinear(self._gated_in_place, x, gates).transpose(0, 1)
        if torch.is_inference_mode_enabled():
            return self._gated_in_place([(x, gates)]).transpose(0, 1)
        gated = [x[part] * gates[degree] for degree, part in self.parts]
        return torch.cat(gated).transpose(0, 1)

    def _gated_in_place(self, terms: Sequence[tuple[Tensor, Tensor]]) -> Tensor:
        """(m, n_channels, n_atoms): the sum over several features and gates."""
        (x, gates), *others = terms
        out = x.new_empty(x.shape)
        targets = out.split([part.stop - part.start for _, part in self.parts])
        for (degree, part), target in zip(self.parts, targets, strict=True):
            torch.mul(x[part], gates[degree], out=target)
            for other, other_gates in others:
                target.addcmul_(other[part], other_gates[degree])
        return out


class ElementMLP(nn.Module):
    """One hidden layer, (n_in, n_atoms) -> (n_out, n_atoms), with biases for each element."""

    def __init__(self, n_elements: int, n_in: int, width: int, n_out: int) -> None:
        super().__init__()
        self.first = nn.Linear(n_in, width, bias=False)
        self.shift = nn.Parameter(torch.randn(n_elements, width))
        self.second = nn.Linear(width, n_out)

    def forward(self, x: Tensor, element: int) -> Tensor:
        first, second = self.first, self.second
        if in_forward_mode():
            hidden = linear(lambda x: first.weight @ x, x) + self.shift[element][:, None]
            hidden = nn.functional.silu(hidden)
            return linear(lambda x: second.weight @ x, hidden) + second.bias[:, None]
        hidden = nn.functional.silu(torch.addmm(self.shift[element][:, None], first.weight, x))
        return torch.addmm(second.bias[:, None], second.weight, hidden)


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
        return self.mlp(x[:, 0], element).T


class _LinearHead(nn.Module):
    def __init__(self, n_elements: int, n_channels: int, degree: int) -> None:
        super().__init__()
        self.degree = degree
        self.weight = nn.Parameter(torch.randn(n_elements, n_channels) / math.sqrt(n_channels))

    def forward(self, x: Tensor, element: int) -> Tensor:
        part = x[:, self.degree**2 : (self.degree + 1) ** 2]
        return torch.matmul(self.weight[element], part.transpose(0, 1)).T


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
