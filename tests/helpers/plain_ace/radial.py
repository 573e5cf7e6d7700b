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
    # the smallest distance keeps the quotient finite where a neighbour sits on its centre
    x = (distances / cutoff).clamp(min=1e-7).unsqueeze(-1)
    waves = torch.sin(math.pi * x * order) * (math.sqrt(2.0) / x)
    return waves * polynomial_cutoff(x)


def polynomial_cutoff(x: Tensor) -> Tensor:
    """1 at x = 0; 0 with its first two derivatives for x >= 1 (ibid., Eq. 8 with p = 6)."""
    cube = x * x * x
    inner = 1.0 + cube * cube * (-28.0 + 48.0 * x - 21.0 * x * x)
    return torch.where(x < 1.0, inner, torch.zeros_like(inner))
