"""Products of features and their Clebsch–Gordan coupling, where ``ace`` spends its time.

All products of the components of two features are formed for a few channels at a time, so that they
stay in the processor's cache, and coupled by one matrix product for each channel. For a backward
pass they are formed again instead of being kept.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from aptnn_md.models.angular import (
    components_by_parity,
    n_components,
    n_even_components,
    wigner_3j,
)
from aptnn_md.models.chunks import channels_at_once
from aptnn_md.models.duals import bilinear, in_forward_mode, linear
from aptnn_md.models.kept_matrices import KeptMatrices

NEven = tuple[int, int, int]
"""How many even components x, y and the output have."""


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
    """Clebsch–Gordan coupling of two features, channel by channel, to several new channels.

    Each of the ``multiplicity`` outputs of a channel is a weighted sum of all paths (l1, l2, l3)
    of natural parity, with its own weights for each element. Components are ordered by parity
    (:func:`~aptnn_md.models.angular.components_by_parity`): even ones come of two even or two odd
    ones, odd ones of an even and an odd one, so half of all matrix elements are zero and left out.

    (n_channels, m1, n_atoms), (n_channels, m2, n_atoms)
    -> (n_channels * multiplicity, m3, n_atoms)
    """

    table_even: Tensor
    table_odd: Tensor

    def __init__(
        self, n_elements: int, n_channels: int, multiplicity: int, lmaxs: tuple[int, int, int]
    ) -> None:
        super().__init__()
        paths, table = clebsch_gordan_table(lmaxs)
        self.weight = nn.Parameter(torch.randn(n_elements, n_channels, multiplicity, len(paths)))
        self.multiplicity = multiplicity
        first, second, out = (n_even_components(lmax) for lmax in lmaxs)
        self.n_even: NEven = (first, second, out)
        x_even, x_odd = _by_parity(torch.arange(table.shape[2]), self.n_even[0], 0)
        y_even, y_odd = _by_parity(torch.arange(table.shape[3]), self.n_even[1], 0)
        to_even, to_odd = _by_parity(table, self.n_even[2], 1)
        for name, part, pairs in (
            ("table_even", to_even, ((x_even, y_even), (x_odd, y_odd))),
            ("table_odd", to_odd, ((x_even, y_odd), (x_odd, y_even))),
        ):
            blocks = [part[:, :, m1][:, :, :, m2].flatten(2) for m1, m2 in pairs]
            self.register_buffer(name, torch.cat(blocks, dim=2), persistent=False)

    def _derived(self, element: int) -> tuple[Tensor, ...]:
        """(n_channels, multiplicity m3, products) for even and for odd components m3."""
        weight = self.weight[element]
        return _weighted(weight, self.table_even), _weighted(weight, self.table_odd)

    def forward(self, x: Tensor, y: Tensor, element: int) -> Tensor:
        out = coupled(x, y, self.matrices(element), self.n_even, self.multiplicity)
        return out.flatten(0, 1)


class CouplingOfProducts(KeptMatrices):
    """As :class:`Coupling`, of products that are there already, with all components m1 m2.

    Their components m1 are ordered by l, m2 and m3 by parity.

    (n_channels, m1 m2, n_atoms) -> (n_channels * multiplicity, m3, n_atoms)
    """

    table: Tensor

    def __init__(
        self, n_elements: int, n_channels: int, multiplicity: int, lmaxs: tuple[int, int, int]
    ) -> None:
        super().__init__()
        paths, table = clebsch_gordan_table(lmaxs)
        self.weight = nn.Parameter(torch.randn(n_elements, n_channels, multiplicity, len(paths)))
        self.multiplicity = multiplicity
        by_degree = table[:, :, torch.argsort(components_by_parity(lmaxs[0]))]
        self.register_buffer("table", by_degree.flatten(2), persistent=False)

    def _derived(self, element: int) -> tuple[Tensor, ...]:
        return (_weighted(self.weight[element], self.table),)

    def forward(self, products: Tensor, element: int) -> Tensor:
        matrices = self.matrices(element)[0]
        if in_forward_mode():
            out = linear(lambda x: torch.bmm(matrices, x), products)
        else:
            out = torch.bmm(matrices, products)
        return out.view(-1, self.table.shape[1], products.shape[2])


def _weighted(weight: Tensor, table: Tensor) -> Tensor:
    """(n_channels, multiplicity m3, products): tables of all paths, weighted for each channel."""
    n_channels, multiplicity, _ = weight.shape
    matrices = weight.flatten(0, 1) @ table.flatten(1)
    return matrices.view(n_channels, multiplicity * table.shape[1], table.shape[2])


def _by_parity(x: Tensor, n_even: int, dim: int) -> tuple[Tensor, Tensor]:
    """Even and odd components."""
    return x.narrow(dim, 0, n_even), x.narrow(dim, n_even, x.shape[dim] - n_even)


def clebsch_gordan_table(
    lmaxs: tuple[int, int, int],
) -> tuple[list[tuple[int, int, int]], Tensor]:
    """Paths, and the coefficients (n_paths, m3, m1, m2) of each, in float64.

    Components are ordered by parity, and normalised so that unit variances give unit variance.
    """
    paths = coupling_paths(*lmaxs)
    n_paths_to = [sum(l3 == degree for _, _, l3 in paths) for degree in range(lmaxs[2] + 1)]
    sizes = [n_components(lmax) for lmax in lmaxs]
    table = torch.zeros(len(paths), *sizes, dtype=torch.float64)
    for row, degrees in enumerate(paths):
        block = wigner_3j(*degrees) * math.sqrt(2 * degrees[2] + 1)
        m1, m2, m3 = (slice(degree**2, (degree + 1) ** 2) for degree in degrees)
        table[row, m1, m2, m3] = block / math.sqrt(n_paths_to[degrees[2]])
    for dim, lmax in enumerate(lmaxs, start=1):
        table = table.index_select(dim, components_by_parity(lmax))
    return paths, table.permute(0, 3, 1, 2)


def coupled(
    x: Tensor, y: Tensor, matrices: Sequence[Tensor], n_even: NEven, multiplicity: int
) -> Tensor:
    """Products of the components of each channel, times a matrix for each channel and parity.

    It can be differentiated any number of times, in reverse and in forward mode.

    Parameters
    ----------
    x, y : (n_channels, m1, n_atoms), (n_channels, m2, n_atoms), components ordered by parity
    matrices : (n_channels, multiplicity m3, products) for even and for odd components m3; of the
        products those with even components of x come first

    Returns
    -------
    (n_channels, multiplicity, m3, n_atoms)
    """
    even, odd = matrices
    if in_forward_mode():
        return bilinear(
            lambda terms: _coupled_in_place(terms, matrices, n_even, multiplicity), x, y
        )
    if torch.is_inference_mode_enabled():
        return _coupled_in_place([(x, y)], matrices, n_even, multiplicity)
    out: Tensor = _Coupled.apply(x, y, even, odd, n_even)  # type: ignore[no-untyped-call]
    to_even, to_odd = _by_parity(out, multiplicity * n_even[2], 1)
    shape = (multiplicity, -1)
    return torch.cat([to_even.unflatten(1, shape), to_odd.unflatten(1, shape)], dim=2)


def _coupled_in_place(
    terms: Sequence[tuple[Tensor, Tensor]],
    matrices: Sequence[Tensor],
    n_even: NEven,
    multiplicity: int,
) -> Tensor:
    """As :func:`coupled`, the sum over several pairs x, y of one shape.

    Products are overwritten, so that no memory is asked for.
    """
    x, y = terms[0]
    n_channels, n_atoms = len(x), x.shape[2]
    n_rows = [matrix.shape[1] // multiplicity for matrix in matrices]
    # in the order in which channels are mixed
    out = x.new_empty(sum(n_rows), n_channels, multiplicity, n_atoms).permute(1, 2, 0, 3)
    step = channels_at_once(n_channels, x.shape[1] * y.shape[1], n_atoms, x)
    room = x.new_empty(step * max(matrix.shape[2] for matrix in matrices) * n_atoms)
    of_terms = zip(*(_pairs(*term, n_even) for term in terms), strict=True)
    parities = zip(matrices, of_terms, out.split(n_rows, dim=2), strict=True)
    for matrix, pairs_of_terms, target in parities:
        products = room[: step * matrix.shape[2] * n_atoms].view(step, -1, n_atoms)
        sizes = [(left.shape[1], right.shape[1]) for left, right in pairs_of_terms[0]]
        places = [
            place.unflatten(1, size)
            for place, size in zip(products.split([m * n for m, n in sizes], 1), sizes, strict=True)
        ]
        sides = [
            (left.unsqueeze(2).split(step), right.unsqueeze(1).split(step), place)
            for pairs in pairs_of_terms
            for (left, right), place in zip(pairs, places, strict=True)
        ]
        first, others = sides[: len(places)], sides[len(places) :]
        coupled_part = x.new_empty(step, matrix.shape[1], n_atoms)
        by_copy = coupled_part.unflatten(1, (multiplicity, -1))
        for k, (part, into) in enumerate(zip(matrix.split(step), target.split(step), strict=True)):
            for left, right, place in first:
                torch.mul(left[k], right[k], out=place)
            for left, right, place in others:
                place.addcmul_(left[k], right[k])
            torch.bmm(part, products, out=coupled_part)
            into.copy_(by_copy)
    return out


def outer(x: Tensor, y: Tensor) -> Tensor:
    """All products of the components of each channel: (…, m1, n), (…, m2, n) -> (…, m1 m2, n)."""
    return (x.unsqueeze(2) * y.unsqueeze(1)).flatten(1, 2)


def _pairs(x: Tensor, y: Tensor, n_even: NEven) -> tuple[tuple[tuple[Tensor, Tensor], ...], ...]:
    """What is multiplied with what for the even and for the odd components of the output."""
    x_even, x_odd = _by_parity(x, n_even[0], 1)
    y_even, y_odd = _by_parity(y, n_even[1], 1)
    return ((x_even, y_even), (x_odd, y_odd)), ((x_even, y_odd), (x_odd, y_even))


def _parts(x: Tensor, y: Tensor) -> list[slice]:
    """Channels that are treated together."""
    step = channels_at_once(len(x), x.shape[1] * y.shape[1], x.shape[2], x)
    return [slice(first, min(first + step, len(x))) for first in range(0, len(x), step)]


class _Coupled(torch.autograd.Function):
    """What :func:`coupled` does as one step of automatic differentiation, which keeps no products.

    (n_channels, rows, n_atoms), the rows of even components first.
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, y: Tensor, even: Tensor, odd: Tensor, n_even: NEven) -> Tensor:
        return torch.cat(
            [
                torch.cat(
                    [
                        torch.bmm(matrix[part], torch.cat([outer(*pair) for pair in pairs], dim=1))
                        for matrix, pairs in zip(
                            (even, odd), _pairs(x[part], y[part], n_even), strict=True
                        )
                    ],
                    dim=1,
                )
                for part in _parts(x, y)
            ]
        )

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        *tensors, ctx.n_even = inputs
        ctx.save_for_backward(*tensors)
        ctx.save_for_forward(*tensors)
        ctx.set_materialize_grads(False)

    @staticmethod
    def backward(ctx: Any, grad: Tensor | None) -> tuple[Tensor | None, ...]:
        if grad is None:
            return (None,) * 5
        tensors, wanted = ctx.saved_tensors, ctx.needs_input_grad[:4]
        parts = [
            _gradients([tensor[part] for tensor in tensors], grad[part], ctx.n_even, wanted)
            for part in _parts(*tensors[:2])
        ]
        gradients = [
            torch.cat([part[k] for part in parts]) if wanted[k] else None for k in range(4)
        ]
        return (*gradients, None)

    @staticmethod
    def jvp(ctx: Any, *changes: Tensor | None) -> Tensor:
        x, y, even, odd = ctx.saved_tensors
        dx, dy, d_even, d_odd, _ = changes
        terms = []
        if dx is not None:
            terms.append(_Coupled.apply(dx, y, even, odd, ctx.n_even))  # type: ignore[no-untyped-call]
        if dy is not None:
            terms.append(_Coupled.apply(x, dy, even, odd, ctx.n_even))  # type: ignore[no-untyped-call]
        if d_even is not None or d_odd is not None:
            d_even = torch.zeros_like(even) if d_even is None else d_even
            d_odd = torch.zeros_like(odd) if d_odd is None else d_odd
            terms.append(_Coupled.apply(x, y, d_even, d_odd, ctx.n_even))  # type: ignore[no-untyped-call]
        return sum(terms[1:], terms[0])


def _gradients(
    tensors: Sequence[Tensor], grad: Tensor, n_even: NEven, wanted: Sequence[bool]
) -> list[Tensor]:
    """Gradients of some channels with respect to x, y and both matrices; empty if not wanted."""
    x, y, *matrices = tensors
    none = x.new_zeros(())
    to_matrices = []
    # of even and odd components of x and of y
    to_x: list[list[Tensor]] = [[], []]
    to_y: list[list[Tensor]] = [[], []]
    grads = grad.split([matrix.shape[1] for matrix in matrices], dim=1)
    for odd, pairs in enumerate(_pairs(x, y, n_even)):
        if wanted[2 + odd]:
            products = torch.cat([outer(*pair) for pair in pairs], dim=1)
            to_matrices.append(torch.bmm(grads[odd], products.transpose(1, 2)))
        else:
            to_matrices.append(none)
        if not (wanted[0] or wanted[1]):
            continue
        to_products = torch.bmm(matrices[odd].transpose(1, 2), grads[odd])
        sizes = [left.shape[1] * right.shape[1] for left, right in pairs]
        for side, (left, right) in enumerate(pairs):
            own = to_products.split(sizes, dim=1)[side]
            own = own.unflatten(1, (left.shape[1], right.shape[1]))
            to_x[side].append((own * right.unsqueeze(1)).sum(dim=2))
            to_y[(side + odd) % 2].append((own * left.unsqueeze(2)).sum(dim=1))
    return [
        torch.cat([sum(part[1:], part[0]) for part in to_x], dim=1) if wanted[0] else none,
        torch.cat([sum(part[1:], part[0]) for part in to_y], dim=1) if wanted[1] else none,
        *to_matrices,
    ]
