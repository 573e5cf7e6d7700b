"""Radial functions: a Bessel basis that vanishes smoothly at the cutoff."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def bessel_basis(distances: Tensor, cutoff: float, n_functions: int) -> Tensor:
    """sqrt(2/r_c) sin(n π r / r_c) / r times the cutoff function, for n = 1 … n_functions.

    Parameters
    ----------
    distances : (n_edges,), Å
    cutoff : r_c, Å

    Returns
    -------
    (n_edges, n_functions), of order one, with two continuous derivatives at r_c

    Source: Gasteiger, Groß, Günnemann, ICLR 2020, Eqs. 7 and 8.
    """
    order = torch.arange(1, n_functions + 1, dtype=distances.dtype, device=distances.device)
    x = (distances / cutoff).unsqueeze(-1)
    # sinc is finite where a neighbour sits on top of the centre; π n sinc(n x) = sin(n π x) / x
    waves = math.sqrt(2.0) * math.pi * order * torch.sinc(order * x)
    return waves * polynomial_cutoff(x)


def polynomial_cutoff(x: Tensor, order: int = 6) -> Tensor:
    """1 at x = 0, and 0 with its first two derivatives at x = 1 and beyond (ibid., Eq. 8)."""
    p = float(order)
    inner = (
        1.0
        - 0.5 * (p + 1.0) * (p + 2.0) * x**order
        + p * (p + 2.0) * x ** (order + 1)
        - 0.5 * p * (p + 1.0) * x ** (order + 2)
    )
    return torch.where(x < 1.0, inner, torch.zeros_like(inner))
