"""Real spherical harmonics and the Wigner 3j symbols that couple them, in closed form.

Conventions are those of e3nn, in which models have been trained: the 2l + 1 components of degree l
are ordered m = -l … l with y as the polar axis, so that l = 1 is (x, y, z); harmonics have
"component" normalisation, Σ_m Y_lm² = 2l + 1, and no Condon–Shortley phase; Σ of a symbol's squares
is 1. Nothing here depends on e3nn or on its version.

Sources: Racah, Phys. Rev. 62, 438 (1942), Eq. 16, for Clebsch–Gordan coefficients; Press et al.,
Numerical Recipes, 3rd ed., section 6.7, for the recurrence of the associated Legendre functions.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from functools import cache
from itertools import accumulate

import numpy as np
import torch
from torch import Tensor

from aptnn_md.arrays import FloatArray


def n_components(lmax: int) -> int:
    """Components of l = 0 … lmax together."""
    return (lmax + 1) ** 2


def degree_of_component(lmax: int) -> Tensor:
    """((lmax + 1)²,): the l that each component belongs to."""
    return torch.cat([torch.full((2 * degree + 1,), degree) for degree in range(lmax + 1)])


def degrees_by_parity(lmax: int) -> list[int]:
    """l = 0 … lmax, the even ones first."""
    return [*range(0, lmax + 1, 2), *range(1, lmax + 1, 2)]


def components_of(degrees: Sequence[int]) -> list[slice]:
    """Components of each l, where those of several stand one after the other."""
    ends = list(accumulate(2 * degree + 1 for degree in degrees))
    return [slice(end - 2 * degree - 1, end) for degree, end in zip(degrees, ends, strict=True)]


def components_by_parity(lmax: int) -> Tensor:
    """((lmax + 1)²,): where each component stands in the order of l, those of even l first."""
    parts = [torch.arange(degree**2, (degree + 1) ** 2) for degree in degrees_by_parity(lmax)]
    return torch.cat(parts)


def n_even_components(lmax: int) -> int:
    """Components of even l together."""
    return sum(2 * degree + 1 for degree in range(0, lmax + 1, 2))


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
    return torch.stack(harmonics_of(lmax, *directions), dim=1)


def harmonics_of(lmax: int, x: Tensor, y: Tensor, z: Tensor) -> list[Tensor]:
    """Components of the harmonics for l = 0 … lmax, each of the shape of ``x``.

    Parameters
    ----------
    x, y, z : components of unit vectors, of any shape; where all are 0, harmonics of l > 0 are 0
    """
    if lmax > 3:
        return _by_recurrence(lmax, x, y, z)
    components = [torch.ones_like(x)]
    if lmax >= 1:
        root = math.sqrt(3.0)
        components += [root * x, root * y, root * z]
    if lmax >= 2:
        components += _quadratic(x, y, z)
    if lmax >= 3:
        components += _cubic(x, y, z, components[4], components[8])
    return components


def _quadratic(x: Tensor, y: Tensor, z: Tensor) -> list[Tensor]:
    """Harmonics of l = 2; homogeneous, so that they vanish with the vector."""
    root = math.sqrt(15.0)
    wide = z * z + x * x
    return [
        (root * x) * z,
        (root * x) * y,
        math.sqrt(5.0) * (y * y - 0.5 * wide),
        (root * y) * z,
        (0.5 * root) * (z * z - x * x),
    ]


def _cubic(x: Tensor, y: Tensor, z: Tensor, first: Tensor, last: Tensor) -> list[Tensor]:
    """Harmonics of l = 3; ``first`` and ``last`` are those of l = 2, products of x and z."""
    outer, inner = math.sqrt(7.0 / 6.0), math.sqrt(7.0)
    wide, squared = z * z + x * x, y * y
    ring = math.sqrt(21.0 / 8.0) * (4.0 * squared - wide)
    return [
        outer * (first * z + last * x),
        inner * (first * y),
        ring * x,
        (0.5 * inner) * y * (2.0 * squared - 3.0 * wide),
        ring * z,
        inner * (last * y),
        outer * (last * z - first * x),
    ]


def _by_recurrence(lmax: int, x: Tensor, y: Tensor, z: Tensor) -> list[Tensor]:
    azimuthal_y, polar, azimuthal_x = x, y, z
    # sin^m(θ) cos(mφ) and sin^m(θ) sin(mφ)
    cosines, sines = [torch.ones_like(polar), azimuthal_x], [torch.zeros_like(polar), azimuthal_y]
    for _ in range(1, lmax):
        cosine, sine = cosines[-1], sines[-1]
        cosines.append(cosine * azimuthal_x - sine * azimuthal_y)
        sines.append(sine * azimuthal_x + cosine * azimuthal_y)
    legendre = _legendre(lmax, polar, x * x + y * y + z * z)
    components = []
    for degree in range(lmax + 1):
        components += [legendre[degree, m] * sines[m] for m in range(degree, 0, -1)]
        components += [legendre[degree, m] * cosines[m] for m in range(degree + 1)]
    return components


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


def wigner_3j(l1: int, l2: int, l3: int) -> Tensor:
    """Wigner's 3j symbol (2 l1 + 1, 2 l2 + 1, 2 l3 + 1) of real harmonics, in float64.

    Its sign is free for each triple of degrees, and trained weights depend on it. Where the sum of
    the degrees is even, the symbol has the sign of ∫ Y_l1 Y_l2 Y_l3; where it is odd, that integral
    vanishes, the first component that is not zero is positive when the degrees ascend, and an odd
    permutation of the degrees changes the sign. These are the signs of e3nn 0.4.4; later versions
    differ where the sum is odd.

    Raises
    ------
    ValueError
        Degrees that do not couple.
    """
    return torch.from_numpy(_wigner_3j(l1, l2, l3).copy())


@cache
def _wigner_3j(l1: int, l2: int, l3: int) -> FloatArray:
    degrees = (l1, l2, l3)
    if not abs(l1 - l2) <= l3 <= l1 + l2:
        raise ValueError(f"degrees {degrees} do not couple")
    order = sorted(range(3), key=lambda k: degrees[k])
    if order != [0, 1, 2]:
        ascending = _wigner_3j(*(degrees[k] for k in order))
        odd = order in ([0, 2, 1], [1, 0, 2], [2, 1, 0])
        sign = -1.0 if odd and sum(degrees) % 2 else 1.0
        return sign * np.transpose(ascending, np.argsort(order))
    symbol = np.einsum(
        "au,bv,cw,uvw->abc",
        *(_real_in_complex(degree) for degree in degrees),
        _complex_3j(*degrees),
    )
    if sum(degrees) % 2 == 0:
        # the integral is this symbol times (l1 l2 l3; 0 0 0), whose sign is that of the next line
        return symbol.real * (-1) ** (sum(degrees) // 2)
    first = symbol.imag.flat[np.flatnonzero(np.abs(symbol.imag) > 1e-9)[0]]
    return symbol.imag * np.sign(first)


def _real_in_complex(degree: int) -> np.ndarray[tuple[int, ...], np.dtype[np.complex128]]:
    """(2l + 1, 2l + 1): real harmonics (rows) as combinations of complex ones, m = -l … l."""
    matrix = np.zeros((2 * degree + 1, 2 * degree + 1), dtype=complex)
    matrix[degree, degree] = 1.0
    for m in range(1, degree + 1):
        phase = (-1) ** m
        matrix[degree + m, [degree - m, degree + m]] = np.array([1, phase]) / math.sqrt(2.0)
        matrix[degree - m, [degree - m, degree + m]] = np.array([1j, -1j * phase]) / math.sqrt(2.0)
    return matrix


def _complex_3j(l1: int, l2: int, l3: int) -> FloatArray:
    """Wigner's 3j symbols (l1 l2 l3; m1 m2 m3) of complex harmonics, by Racah's formula."""
    symbols = np.zeros((2 * l1 + 1, 2 * l2 + 1, 2 * l3 + 1))
    for m1 in range(-l1, l1 + 1):
        for m2 in range(max(-l2, -l3 - m1), min(l2, l3 - m1) + 1):
            symbols[l1 + m1, l2 + m2, l3 - m1 - m2] = _racah((l1, l2, l3), (m1, m2, -m1 - m2))
    return symbols


def _racah(degrees: tuple[int, int, int], orders: tuple[int, int, int]) -> float:
    """One 3j symbol: exact up to a square root of a fraction."""
    (l1, l2, l3), (m1, m2, m3) = degrees, orders
    factorial = math.factorial
    triangle = Fraction(
        factorial(l1 + l2 - l3) * factorial(l1 - l2 + l3) * factorial(-l1 + l2 + l3),
        factorial(l1 + l2 + l3 + 1),
    )
    size = triangle * math.prod(
        factorial(degree + m) * factorial(degree - m)
        for degree, m in zip(degrees, orders, strict=True)
    )
    total = Fraction(0)
    for k in range(max(0, l2 - l3 - m1, l1 - l3 + m2), min(l1 + l2 - l3, l1 - m1, l2 + m2) + 1):
        total += Fraction(
            (-1) ** k,
            factorial(k)
            * factorial(l1 + l2 - l3 - k)
            * factorial(l1 - m1 - k)
            * factorial(l2 + m2 - k)
            * factorial(l3 - l2 + m1 + k)
            * factorial(l3 - l1 - m2 + k),
        )
    return (-1) ** (l1 - l2 - m3) * float(total) * math.sqrt(size)
