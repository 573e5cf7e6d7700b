"""Real spherical harmonics of a list of vectors, by recurrence."""

from __future__ import annotations

import math
from fractions import Fraction

import torch
from torch import Tensor


def spherical_harmonics(lmax: int, vectors: Tensor) -> Tensor:
    """Real spherical harmonics of the directions of vectors, for l = 0 … lmax.

    Parameters
    ----------
    lmax : largest degree
    vectors : (n, 3), of any length; a zero vector has no direction and gives zero for l > 0

    Returns
    -------
    (n, (lmax + 1)²), components in the order of the module's docstring
    """
    directions = torch.nn.functional.normalize(vectors, dim=1).T.contiguous()
    azimuthal_y, polar, azimuthal_x = directions
    # sin^m(θ) cos(mφ) and sin^m(θ) sin(mφ)
    cosines, sines = [torch.ones_like(polar), azimuthal_x], [torch.zeros_like(polar), azimuthal_y]
    for _ in range(1, lmax):
        cosine, sine = cosines[-1], sines[-1]
        cosines.append(cosine * azimuthal_x - sine * azimuthal_y)
        sines.append(sine * azimuthal_x + cosine * azimuthal_y)
    legendre = _legendre(lmax, polar, directions.square().sum(dim=0))
    components = []
    for degree in range(lmax + 1):
        components += [legendre[degree, m] * sines[m] for m in range(degree, 0, -1)]
        components += [legendre[degree, m] * cosines[m] for m in range(degree + 1)]
    return torch.stack(components, dim=1)


def _legendre(lmax: int, polar: Tensor, squared: Tensor) -> dict[tuple[int, int], Tensor | float]:
    """Normalised P_lm(cos θ) / sin^m(θ), polynomials of the polar coordinate, 0 <= m <= l <= lmax.

    ``squared`` is the squared length of the direction: 1, or 0 for a zero vector, where all
    harmonics of l > 0 vanish.
    """
    functions: dict[tuple[int, int], Tensor | float] = {}
    for m in range(lmax + 1):
        functions[m, m] = math.prod(range(1, 2 * m, 2)) * _normalisation(m, m)
        for degree in range(m + 1, lmax + 1):
            here = _normalisation(degree, m) / (degree - m)
            once = here * (2 * degree - 1) / _normalisation(degree - 1, m)
            function = once * functions[degree - 1, m] * polar
            if degree > m + 1:
                twice = here * (degree + m - 1) / _normalisation(degree - 2, m)
                function = function - twice * functions[degree - 2, m] * squared
            functions[degree, m] = function
    return functions


def _normalisation(degree: int, order: int) -> float:
    """Factor that makes Σ_m Y_lm² = 2l + 1."""
    ratio = Fraction(math.factorial(degree - order), math.factorial(degree + order))
    return math.sqrt((2 * degree + 1) * (2 if order else 1) * ratio)
