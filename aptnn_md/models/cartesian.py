"""Cartesian tensors as irreps: which there are, and the change of basis."""

from __future__ import annotations

import math
import string
from functools import cache

import torch
from torch import Tensor

from aptnn_md.models.angular import wigner_3j
from aptnn_md.models.irreps import Irrep, Irreps


@cache
def cartesian_basis(index_symmetry: str) -> tuple[Irreps, Tensor]:
    """Irreps of Cartesian tensors, and the orthonormal change of basis (irreps.dim, 3, 3, ...).

    The indices are coupled one after the other by Wigner's 3j symbols, and of the tensors that this
    gives those with the symmetry are taken, in ascending order of their degrees. Of a PGT's two
    vectors, the first is the gradient of the trace. Model files rely on signs and order.

    Parameters
    ----------
    index_symmetry : indices, each a vector's, and what they are equal to in another order, e.g.
        ``"ij"``, ``"ijk=jik"`` or ``"ij=-ji"``

    Raises
    ------
    ValueError
        A symmetry that mixes different ways to couple the indices in their order.
    """
    indices, *equal = index_symmetry.split("=")
    parity = (-1) ** len(indices)
    terms, blocks = [], []
    for degree, tensors in sorted(_coupled_vectors(len(indices)).items()):
        inside = [tensor for tensor in tensors if _is_symmetric(tensor, indices, equal)]
        if inside:
            terms.append((len(inside), Irrep(degree, parity)))
        blocks += inside
    return Irreps(tuple(terms)), torch.cat(blocks)


def _is_symmetric(tensor: Tensor, indices: str, equal: list[str]) -> bool:
    """Whether a coupled tensor (2l + 1, 3, 3, ...) has a symmetry: as a whole, or not at all."""
    for other in equal:
        sign = -1.0 if other.startswith("-") else 1.0
        permuted = sign * _permuted(tensor, indices, other.lstrip("-"))
        overlap = float((tensor * permuted).sum() / tensor.square().sum())
        if abs(abs(overlap) - 1.0) > 1e-9:
            symmetry = "=".join([indices, *equal])
            raise ValueError(f"{symmetry} is no symmetry of indices coupled in this order")
        if overlap < 0.0:
            return False
    return True


def _permuted(tensor: Tensor, indices: str, other: str) -> Tensor:
    component = next(letter for letter in string.ascii_letters if letter not in indices)
    return torch.einsum(f"{component}{other}->{component}{indices}", tensor)


def _coupled_vectors(n: int) -> dict[int, list[Tensor]]:
    """All ways to couple n vectors one after the other: l -> tensors (2l + 1, 3, 3, ...)."""
    coupled = {1: [torch.eye(3, dtype=torch.float64)]}
    for _ in range(n - 1):
        longer: dict[int, list[Tensor]] = {}
        for degree, tensors in sorted(coupled.items()):
            for total in range(abs(degree - 1), degree + 2):
                symbol = wigner_3j(degree, 1, total) * math.sqrt(2 * total + 1)
                longer.setdefault(total, []).extend(
                    torch.einsum("m...,mcn->n...c", tensor, symbol) for tensor in tensors
                )
        coupled = longer
    return coupled
