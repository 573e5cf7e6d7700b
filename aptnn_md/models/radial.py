"""Radial functions: a Bessel basis that vanishes smoothly at the cutoff."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from aptnn_md.models.duals import clamp, sine_and_cosine


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
    return torch.stack(bessel_functions(distances, cutoff, n_functions), dim=-1)


def bessel_functions(distances: Tensor, cutoff: float, n_functions: int) -> list[Tensor]:
    """The functions of :func:`bessel_basis`, each of the shape of ``distances``.

    sin(n π x) follows from the two before it, by Chebyshev's recurrence.
    """
    # the smallest distance keeps the quotient finite where a neighbour sits on its centre
    x = clamp(distances * (1.0 / cutoff), low=1e-7)
    angle = math.pi * x
    sine, cosine = sine_and_cosine(angle)
    wave = sine * polynomial_cutoff(x) * (math.sqrt(2.0) / x)
    twice_cosine = 2.0 * cosine
    functions = [wave]
    if n_functions > 1:
        functions.append(twice_cosine * wave)
    while len(functions) < n_functions:
        functions.append(twice_cosine * functions[-1] - functions[-2])
    return functions


def polynomial_cutoff(x: Tensor) -> Tensor:
    """1 at x = 0; 0 with its first two derivatives for x >= 1 (ibid., Eq. 8 with p = 6)."""
    # the polynomial is exactly zero at 1, and so are its derivatives
    x = clamp(x, high=1.0)
    squared = x * x
    return 1.0 + squared * squared * squared * (-28.0 + x * (48.0 - 21.0 * x))
