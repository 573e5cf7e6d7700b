"""The two large sums of a MACE layer, made in pieces that stay in a core's cache.

Both are written with their gradients: a few atoms are taken at a time, so nothing of the size of
all neighbours × channels × components is ever in memory, and what the gradient needs is made anew
in the backward pass. (Second derivatives are not available.)
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from aptnn_md.arrays import IntArray
from aptnn_md.graph import Graph

ATOMS_AT_A_TIME = 48


@dataclass(frozen=True)
class Pairs:
    """Neighbour pairs, each once, and for each atom a row of its neighbours padded to one length.

    Attributes
    ----------
    vectors : (n_pairs, 3), Å, from ``first`` to ``second``
    first, second : (n_pairs,), atoms
    slot_pair, slot_atom : (n_atoms * n_slots,): pair and neighbouring atom in each slot
    slot_sign : (n_atoms * n_slots,): +1 where the pair's vector points at the atom that owns the
        slot, -1 where it points away from it, 0 in empty slots
    """

    vectors: Tensor
    first: Tensor
    second: Tensor
    slot_pair: Tensor
    slot_atom: Tensor
    slot_sign: Tensor

    @classmethod
    def from_graph(cls, graph: Graph, dtype: torch.dtype, device: torch.device) -> Pairs:
        """Take the pairs of a neighbour list that has them from both sides."""
        i, j, vectors = graph.centres, graph.neighbours, graph.edge_vectors
        # an atom and its own image: of two opposite vectors keep the one that points "up"
        x, y, z = vectors.T
        upwards = (x > 0) | ((x == 0) & ((y > 0) | ((y == 0) & (z > 0))))
        once = (i < j) | ((i == j) & upwards)
        i, j, vectors = i[once], j[once], vectors[once]
        owner, other = np.concatenate([j, i]), np.concatenate([i, j])
        order, place, n_slots = _slots(owner, graph.n_atoms)
        slot_pair = np.zeros(graph.n_atoms * n_slots, dtype=np.int64)
        slot_atom, slot_sign = np.zeros_like(slot_pair), np.zeros_like(slot_pair)
        slot_pair[place] = order % max(len(i), 1)
        slot_atom[place] = other[order]
        slot_sign[place] = np.where(order < len(i), 1, -1)
        return cls(
            torch.as_tensor(vectors, dtype=dtype, device=device),
            *(torch.as_tensor(a, device=device) for a in (i, j, slot_pair, slot_atom)),
            torch.as_tensor(slot_sign, dtype=dtype, device=device),
        )


def _slots(owner: IntArray, n_atoms: int) -> tuple[IntArray, IntArray, int]:
    """Sort by owner; the place of each in rows of ``n_slots``; ``n_slots``."""
    counts = np.bincount(owner, minlength=n_atoms)
    n_slots = int(counts.max(initial=0))
    order = np.argsort(owner, kind="stable")
    start = np.cumsum(counts) - counts
    column = np.arange(len(owner)) - np.repeat(start, counts)
    return order, owner[order] * n_slots + column, n_slots


def _pieces(n_atoms: int) -> Iterator[tuple[int, int]]:
    for a in range(0, n_atoms, ATOMS_AT_A_TIME):
        yield a, min(a + ATOMS_AT_A_TIME, n_atoms)


class SumOverNeighbours(torch.autograd.Function):
    """``S[i, p, m₁, c, (l₂m₂)] = Σ_j Y_m₂(ij) R_pc(ij) h_c,m₁(j)`` before any coupling.

    Arguments of ``apply``
    ----------------------
    inner : (n_pairs, n_hidden), last hidden layer of the radial network
    features : (n_atoms, (l₁ m₁), n_channels), of the neighbours
    harmonics : (n_pairs, (l₂ m₂))
    last : (n_hidden, n_paths * n_channels), R = inner @ last; paths sorted by l₁
    pairs : who is whose neighbour
    n_paths : number of paths for each l₁

    Returns
    -------
    (n_atoms, (p, m₁, c), (l₂ m₂)), p by l₁ and m₁ inside it
    """

    @staticmethod
    def forward(
        ctx: Any,
        inner: Tensor,
        features: Tensor,
        harmonics: Tensor,
        last: Tensor,
        pairs: Pairs,
        n_paths: list[int],
    ) -> Tensor:
        """Sum in pieces."""
        ctx.save_for_backward(inner, features, harmonics, last)
        ctx.pairs, ctx.n_paths = pairs, n_paths
        tensors = (inner, features, harmonics, last)
        n_rows = sum(n * (2 * l + 1) for l, n in enumerate(n_paths)) * features.shape[2]
        result = inner.new_empty(len(features), n_rows, harmonics.shape[1])
        parity = _parity(harmonics.shape[1], harmonics)
        for a, b in _pieces(len(features)):
            piece = _Piece(tensors, pairs, n_paths, a, b, parity)
            torch.bmm(piece.product.flatten(1, 2), piece.y, out=result[a:b])
        return result

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        """Gradients for inner, features and harmonics."""
        inner, features, harmonics, last = ctx.saved_tensors
        d_inner, d_features = torch.zeros_like(inner), torch.zeros_like(features).flatten(1)
        d_harmonics = torch.zeros_like(harmonics)
        parity = _parity(harmonics.shape[1], harmonics)
        for a, b in _pieces(len(features)):
            piece = _Piece(ctx.saved_tensors, ctx.pairs, ctx.n_paths, a, b, parity)
            part = gradient[a:b].contiguous()
            d_y = torch.bmm(piece.product.flatten(1, 2).transpose(1, 2), part)
            d_harmonics.index_add_(0, piece.slot_pair, d_y.flatten(0, 1) * piece.sign)
            d_product = torch.bmm(part, piece.y.transpose(1, 2)).reshape(piece.product.shape)
            d_w, d_h = piece.factors_gradient(d_product)
            d_inner.index_add_(0, piece.slot_pair, (d_w.transpose(1, 2) @ last.T).flatten(0, 1))
            if ctx.needs_input_grad[1]:
                d_features.index_add_(0, piece.slot_atom, d_h.transpose(1, 2).flatten(0, 1))
        return d_inner, d_features.reshape(features.shape), d_harmonics, None, None, None


def _parity(n_components: int, like: Tensor) -> Tensor:
    """1 for each component of odd degree, 0 for the others."""
    degrees = torch.arange(n_components).sqrt().floor()
    return (degrees % 2).to(like)


class _Piece:
    """Neighbour slots of atoms a to b: harmonics y, factors w and h, and w·h for every row."""

    def __init__(
        self,
        tensors: tuple[Tensor, ...],
        pairs: Pairs,
        n_paths: list[int],
        a: int,
        b: int,
        parity: Tensor,
    ) -> None:
        inner, features, harmonics, last = tensors
        n_slots = len(pairs.slot_pair) // len(features)
        n, n_channels = b - a, features.shape[2]
        self.n_paths = n_paths
        rows = slice(a * n_slots, b * n_slots)
        self.slot_pair, self.slot_atom = pairs.slot_pair[rows], pairs.slot_atom[rows]
        sign = pairs.slot_sign[rows, None]
        self.sign = torch.where(parity > 0, sign, sign.abs())
        self.y = (harmonics.index_select(0, self.slot_pair) * self.sign).reshape(n, n_slots, -1)
        hidden = inner.index_select(0, self.slot_pair).reshape(n, n_slots, -1)
        self.w = torch.bmm(last.T.expand(n, -1, -1), hidden.transpose(1, 2)).reshape(
            n, -1, n_channels * n_slots
        )
        h = features.flatten(1).index_select(0, self.slot_atom).reshape(n, n_slots, -1)
        self.h = h.transpose(1, 2).reshape(n, -1, n_channels * n_slots)
        self.product = inner.new_empty(
            n, sum(k * (2 * l + 1) for l, k in enumerate(self.n_paths)), n_channels * n_slots
        )
        for row, p, m in self._rows():
            torch.mul(self.w[:, p], self.h[:, m], out=self.product[:, row])
        self.product = self.product.reshape(n, -1, n_channels, n_slots)

    def _rows(self) -> Iterator[tuple[int, int, int]]:
        row = path = 0
        for l, n in enumerate(self.n_paths):
            for p in range(path, path + n):
                for m in range(l**2, (l + 1) ** 2):
                    yield row, p, m
                    row += 1
            path += n

    def factors_gradient(self, d_product: Tensor) -> tuple[Tensor, Tensor]:
        d_product = d_product.flatten(2)
        d_w, d_h = torch.zeros_like(self.w), torch.zeros_like(self.h)
        for row, p, m in self._rows():
            d_w[:, p].addcmul_(d_product[:, row], self.h[:, m])
            d_h[:, m].addcmul_(d_product[:, row], self.w[:, p])
        shape = (len(d_w), -1, self.product.shape[3])
        return d_w.reshape(shape), d_h.reshape(shape)


class Polynomials(torch.autograd.Function):
    """Values of polynomials in the components of each channel.

    Arguments of ``apply``
    ----------------------
    x : (n_variables, n_channels, n_atoms)
    coefficients : (n_channels, n_outputs, n_monomials); monomials in the order of
        :func:`monomials`
    degree : highest degree

    Returns
    -------
    (n_channels, n_outputs, n_atoms)
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, coefficients: Tensor, degree: int) -> Tensor:
        """Evaluate in pieces."""
        ctx.save_for_backward(x, coefficients)
        ctx.degree = degree
        result = x.new_empty(*coefficients.shape[:2], x.shape[2])
        for a, b in _pieces(x.shape[2]):
            values = _evaluate_monomials(x[:, :, a:b].contiguous(), degree)
            result[:, :, a:b] = torch.bmm(coefficients, values.transpose(0, 1))
        return result

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        """Gradient for x."""
        x, coefficients = ctx.saved_tensors
        blocks = _blocks(len(x), ctx.degree)
        d_x = torch.empty_like(x)
        for a, b in _pieces(x.shape[2]):
            part = x[:, :, a:b].contiguous()
            values = _evaluate_monomials(part, ctx.degree)
            d_values = (
                torch.bmm(coefficients.transpose(1, 2), gradient[:, :, a:b])
                .transpose(0, 1)
                .contiguous()
            )
            d_part = torch.zeros_like(part)
            for i, lower, target in reversed(blocks):
                d_part[i] += (values[lower] * d_values[target]).sum(0)
                d_values[lower].addcmul_(d_values[target], part[i : i + 1])
            d_x[:, :, a:b] = d_part + d_values[: len(x)]
        return d_x, None, None


def monomials(n_variables: int, degree: int) -> list[list[tuple[int, ...]]]:
    """All monomials by degree from 1, e.g. (0, 0, 3) for x₀²x₃, each degree in lexical order."""
    return [
        list(itertools.combinations_with_replacement(range(n_variables), d))
        for d in range(1, degree + 1)
    ]


@functools.cache
def _blocks(n_variables: int, degree: int) -> list[tuple[int, slice, slice]]:
    """(i, lower, target): the monomials ``target`` are x_i times the monomials ``lower``.

    In lexical order those of degree d + 1 that begin with i are x_i times those of degree d that
    begin with i or later, and both stand together.
    """
    blocks, begin = [], 0
    for lower in monomials(n_variables, degree)[:-1]:
        end = target = begin + len(lower)
        for i in range(n_variables):
            first = begin + next(n for n, m in enumerate(lower) if m[0] >= i)
            blocks.append((i, slice(first, end), slice(target, target + end - first)))
            target += end - first
        begin = end
    return blocks


def _evaluate_monomials(x: Tensor, degree: int) -> Tensor:
    """(n_variables, ...) -> (n_monomials, ...)."""
    blocks = _blocks(len(x), degree)
    values = x.new_empty(blocks[-1][2].stop if blocks else len(x), *x.shape[1:])
    values[: len(x)] = x
    for i, lower, target in blocks:
        torch.mul(values[lower], x[i : i + 1], out=values[target])
    return values
