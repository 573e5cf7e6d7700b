"""Forward mode: values and their changes together, with less work than PyTorch's own rules.

PyTorch differentiates a product of matrices with respect to both factors, and multiplies by zeros
where one of them, here weights, has no tangent; products of features would be coupled twice. Layers
that know better ask :func:`in_forward_mode`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor
from torch.autograd import forward_ad

_state = threading.local()


@contextmanager
def forward_mode() -> Iterator[None]:
    """Inside, tensors may be dual numbers: a derivative in forward mode, without gradients."""
    with torch.no_grad(), forward_ad.dual_level():
        _state.active = True
        try:
            yield
        finally:
            _state.active = False


def in_forward_mode() -> bool:
    """Whether this thread is inside of :func:`forward_mode`."""
    return getattr(_state, "active", False)


def with_tangent(x: Tensor) -> tuple[Tensor, Tensor]:
    """Value and tangent, zeros where there is none."""
    value, tangent = forward_ad.unpack_dual(x)
    return value, torch.zeros_like(value) if tangent is None else tangent


def linear(function: Callable[..., Tensor], *inputs: Tensor) -> Tensor:
    """A function that is linear in all inputs together, of values and of tangents.

    Whatever else the function reads, weights for one, has no tangent.
    """
    pairs = [forward_ad.unpack_dual(x) for x in inputs]
    value = function(*(pair.primal for pair in pairs))
    if all(pair.tangent is None for pair in pairs):
        return value
    tangents = [
        torch.zeros_like(pair.primal) if pair.tangent is None else pair.tangent for pair in pairs
    ]
    return forward_ad.make_dual(value, function(*tangents))


def bilinear(
    function: Callable[[list[tuple[Tensor, Tensor]]], Tensor], x: Tensor, y: Tensor
) -> Tensor:
    """A function that is linear in x and in y.

    ``function`` takes pairs of x and y, at least one, and gives the sum over them.
    """
    (x, dx), (y, dy) = forward_ad.unpack_dual(x), forward_ad.unpack_dual(y)
    value = function([(x, y)])
    changes = [(a, b) for a, b in ((dx, y), (x, dy)) if a is not None and b is not None]
    return forward_ad.make_dual(value, function(changes)) if changes else value


def elementwise(function: Callable[[Tensor], tuple[Tensor, ...]], x: Tensor) -> tuple[Tensor, ...]:
    """Analytic functions of the elements of x, values and tangents by one complex evaluation.

    f(x + i h dx) = f(x) + i h f'(x) dx + O(h²) with a step h so small that its square is nothing
    (Squire and Trapp, SIAM Rev. 40, 110 (1998)): exact, and a third of the work of long chains of
    PyTorch's own rules. :func:`clamp` stands for torch's, which knows no complex numbers.
    """
    value, tangent = forward_ad.unpack_dual(x)
    if tangent is None:
        return function(value)
    step = torch.finfo(value.dtype).eps / max(float(tangent.abs().max()), 1e-30)
    found = function(torch.complex(value, step * tangent))
    return tuple(forward_ad.make_dual(part.real.contiguous(), part.imag / step) for part in found)


def clamp(x: Tensor, low: float = -torch.inf, high: float = torch.inf) -> Tensor:
    """``x.clamp(low, high)``, of complex numbers as :func:`elementwise` has them.

    By their real parts; outside, the imaginary part is zero, as the derivative is.
    """
    if not x.is_complex():
        return x.clamp(low, high)
    outside = (x.real < low) | (x.real > high)
    return torch.complex(x.real.clamp(low, high), x.imag.masked_fill(outside, 0.0))


def sine_and_cosine(x: Tensor) -> tuple[Tensor, Tensor]:
    """Of real numbers, and of complex ones with parts as small as :func:`elementwise` has."""
    if not x.is_complex():
        return torch.sin(x), torch.cos(x)
    sine, cosine = torch.sin(x.real), torch.cos(x.real)
    return torch.complex(sine, cosine * x.imag), torch.complex(cosine, -sine * x.imag)


def inverse_root(x: Tensor) -> Tensor:
    """1/√x, of the same numbers."""
    if not x.is_complex():
        return x.rsqrt()
    root = x.real.rsqrt()
    return torch.complex(root, -0.5 * root * root * root * x.imag)
