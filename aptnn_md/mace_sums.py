"""The two large sums of a MACE layer, made in pieces that stay in a core's cache.

Both are written with their gradients: a few atoms are taken at a time, so nothing of the size of
all neighbours × channels × components is ever in memory, and what the gradient needs is made anew
in the backward pass. Second derivatives are not available.
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
            vectors=torch.as_tensor(vectors, dtype=dtype, device=device),
            first=torch.as_tensor(i, device=device),
            second=torch.as_tensor(j, device=device),
            slot_pair=torch.as_tensor(slot_pair, device=device),
            slot_atom=torch.as_tensor(slot_atom, device=device),
            slot_sign=torch.as_tensor(slot_sign, dtype=dtype, device=device),
        )


def _slots(owner: IntArray, n_atoms: int) -> tuple[IntArray, IntArray, int]:
    """Sort by owner; the place of each in rows of ``n_slots``; ``n_slots``."""
    counts = np.bincount(owner, minlength=n_atoms)
    n_slots = int(counts.max(initial=0))
    order = np.argsort(owner, kind="stable")
    start = np.cumsum(counts) - counts
    column = np.arange(len(owner)) - np.repeat(start, counts)
    return order, owner[order] * n_slots + column, n_slots


def sum_over_neighbours(
    inner: Tensor,
    features: Tensor,
    harmonics: Tensor,
    last: Tensor,
    pairs: Pairs,
    n_paths: list[int],
) -> Tensor:
    """``S[i, p, m₁, c, (l₂ m₂)] = Σ_j Y_m₂(ij) R_pc(ij) h_c,m₁(j)``, before any coupling.

    Y are the harmonics of the vector from neighbour j to atom i.

    Parameters
    ----------
    inner : (n_pairs, n_hidden), last hidden layer of the radial network
    features : (n_atoms, (l₁ m₁), n_channels), h of the neighbours
    harmonics : (n_pairs, (l₂ m₂)), of the pair vectors
    last : (n_hidden, n_paths * n_channels), R = inner @ last; paths sorted by l₁
    pairs : who is whose neighbour
    n_paths : number of paths for each l₁

    Returns
    -------
    (n_atoms, (p, m₁, c), (l₂ m₂)), p by l₁ and m₁ inside it
    """
    result: Tensor = _SumOverNeighbours.apply(inner, features, harmonics, last, pairs, n_paths)  # type: ignore[no-untyped-call]
    return result


class _SumOverNeighbours(torch.autograd.Function):
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
        ctx.save_for_backward(inner, features, harmonics, last)
        ctx.pairs, ctx.n_paths = pairs, n_paths
        tensors = (inner, features, harmonics, last)
        n_rows = len(list(_rows(n_paths))) * features.shape[2]
        result = inner.new_empty(len(features), n_rows, harmonics.shape[1])
        for a, b in _pieces(len(features)):
            piece = _Piece(tensors, pairs, n_paths, a, b)
            torch.bmm(piece.product, piece.y, out=result[a:b])
        return result

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        inner, features, harmonics, last = ctx.saved_tensors
        d_inner, d_harmonics = torch.zeros_like(inner), torch.zeros_like(harmonics)
        d_features = torch.zeros_like(features).flatten(1)
        for a, b in _pieces(len(features)):
            piece = _Piece(ctx.saved_tensors, ctx.pairs, ctx.n_paths, a, b)
            part = gradient[a:b].contiguous()
            d_y = torch.bmm(piece.product.transpose(1, 2), part)
            d_harmonics.index_add_(0, piece.slot_pair, d_y.flatten(0, 1) * piece.sign)
            d_w, d_h = piece.factor_gradients(torch.bmm(part, piece.y.transpose(1, 2)))
            d_inner.index_add_(0, piece.slot_pair, (d_w.transpose(1, 2) @ last.T).flatten(0, 1))
            if ctx.needs_input_grad[1]:
                d_features.index_add_(0, piece.slot_atom, d_h.transpose(1, 2).flatten(0, 1))
        return d_inner, d_features.reshape(features.shape), d_harmonics, None, None, None


class _Piece:
    """Atoms a to b: harmonics y (atoms, slots, (l₂ m₂)) and products w·h (atoms, rows, slots)."""

    def __init__(
        self, tensors: tuple[Tensor, ...], pairs: Pairs, n_paths: list[int], a: int, b: int
    ) -> None:
        inner, features, harmonics, last = tensors
        n, n_slots = b - a, len(pairs.slot_pair) // len(features)
        self.n_channels, self.n_slots = features.shape[2], n_slots
        slots = slice(a * n_slots, b * n_slots)
        self.slot_pair, self.slot_atom = pairs.slot_pair[slots], pairs.slot_atom[slots]
        sign = pairs.slot_sign[slots, None]
        # harmonics of odd degree change sign with the direction; empty slots count nothing
        self.sign = torch.where(_odd(harmonics), sign, sign.abs())
        y = harmonics.index_select(0, self.slot_pair) * self.sign
        self.y = y.reshape(n, n_slots, y.shape[1])
        hidden = inner.index_select(0, self.slot_pair).reshape(n, n_slots, inner.shape[1])
        width = self.n_channels * n_slots
        w = torch.bmm(last.T.expand(n, -1, -1), hidden.transpose(1, 2))
        self.w = w.reshape(n, sum(n_paths), width)
        h = features.flatten(1).index_select(0, self.slot_atom)
        h = h.reshape(n, n_slots, features.shape[1] * features.shape[2])
        self.h = h.transpose(1, 2).reshape(n, features.shape[1], width)
        self.rows = list(_rows(n_paths))
        product = inner.new_empty(n, len(self.rows), width)
        for row, (path, m1) in enumerate(self.rows):
            torch.mul(self.w[:, path], self.h[:, m1], out=product[:, row])
        self.product = product.reshape(n, len(self.rows) * features.shape[2], n_slots)

    def factor_gradients(self, d_product: Tensor) -> tuple[Tensor, Tensor]:
        """Gradients for w and h, (atoms, (path or (l₁ m₁), channel), slots)."""
        d_product = d_product.reshape(len(self.w), len(self.rows), self.w.shape[2])
        d_w, d_h = torch.zeros_like(self.w), torch.zeros_like(self.h)
        for row, (path, m1) in enumerate(self.rows):
            d_w[:, path].addcmul_(d_product[:, row], self.h[:, m1])
            d_h[:, m1].addcmul_(d_product[:, row], self.w[:, path])
        return self._by_channel(d_w), self._by_channel(d_h)

    def _by_channel(self, factor: Tensor) -> Tensor:
        n, rows, _ = factor.shape
        return factor.reshape(n, rows * self.n_channels, self.n_slots)


def _rows(n_paths: list[int]) -> Iterator[tuple[int, int]]:
    """(path, (l₁ m₁)) of each row of the sum."""
    first = 0
    for l1, n in enumerate(n_paths):
        yield from itertools.product(range(first, first + n), range(l1**2, (l1 + 1) ** 2))
        first += n


def _odd(harmonics: Tensor) -> Tensor:
    """True for the components of odd degree."""
    degrees = [ell for ell in range(harmonics.shape[1]) for _ in range(2 * ell + 1)]
    return torch.tensor(degrees[: harmonics.shape[1]], device=harmonics.device) % 2 == 1


def _pieces(n_atoms: int) -> Iterator[tuple[int, int]]:
    for a in range(0, n_atoms, ATOMS_AT_A_TIME):
        yield a, min(a + ATOMS_AT_A_TIME, n_atoms)


def polynomials(x: Tensor, coefficients: Tensor, degree: int) -> Tensor:
    """Values of polynomials in the components of each channel.

    Parameters
    ----------
    x : (n_variables, n_channels, n_atoms)
    coefficients : (n_channels, n_outputs, n_monomials), in the order of :func:`monomials`
    degree : highest degree

    Returns
    -------
    (n_channels, n_outputs, n_atoms)
    """
    result: Tensor = _Polynomials.apply(x, coefficients, degree)  # type: ignore[no-untyped-call]
    return result


class _Polynomials(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, coefficients: Tensor, degree: int) -> Tensor:
        ctx.save_for_backward(x, coefficients)
        ctx.degree = degree
        result = x.new_empty(*coefficients.shape[:2], x.shape[2])
        for a, b in _pieces(x.shape[2]):
            values = _evaluate(x[:, :, a:b].contiguous(), degree)
            result[:, :, a:b] = torch.bmm(coefficients, values.transpose(0, 1))
        return result

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, coefficients = ctx.saved_tensors
        transposed = coefficients.transpose(1, 2)
        d_x = torch.empty_like(x)
        for a, b in _pieces(x.shape[2]):
            part = x[:, :, a:b].contiguous()
            values = _evaluate(part, ctx.degree)
            d_values = torch.bmm(transposed, gradient[:, :, a:b]).transpose(0, 1).contiguous()
            d_part = torch.zeros_like(part)
            for i, lower, higher in reversed(_recursion(len(x), ctx.degree)):
                d_part[i] += (values[lower] * d_values[higher]).sum(0)
                d_values[lower].addcmul_(d_values[higher], part[i : i + 1])
            d_x[:, :, a:b] = d_part + d_values[: len(x)]
        return d_x, None, None


def monomials(n_variables: int, degree: int) -> list[list[tuple[int, ...]]]:
    """All monomials by degree from 1, e.g. (0, 0, 3) for x₀²x₃, each degree in lexical order."""
    return [
        list(itertools.combinations_with_replacement(range(n_variables), d))
        for d in range(1, degree + 1)
    ]


@functools.cache
def _recursion(n_variables: int, degree: int) -> list[tuple[int, slice, slice]]:
    """(i, lower, higher): the monomials ``higher`` are x_i times the monomials ``lower``.

    In lexical order those of degree d + 1 that begin with i are x_i times those of degree d that
    begin with i or later, and both stand together.
    """
    steps, begin = [], 0
    for lower in monomials(n_variables, degree)[:-1]:
        end = target = begin + len(lower)
        for i in range(n_variables):
            first = begin + next(n for n, monomial in enumerate(lower) if monomial[0] >= i)
            steps.append((i, slice(first, end), slice(target, target + end - first)))
            target += end - first
        begin = end
    return steps


def _evaluate(x: Tensor, degree: int) -> Tensor:
    """(n_variables, ...) -> (n_monomials, ...)."""
    steps = _recursion(len(x), degree)
    values = x.new_empty(steps[-1][2].stop if steps else len(x), *x.shape[1:])
    values[: len(x)] = x
    for i, lower, higher in steps:
        torch.mul(values[lower], x[i : i + 1], out=values[higher])
    return values
