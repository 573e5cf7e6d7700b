"""Sums over neighbours of what they send, T[i, k, m1, m2] = Σ_j R_kl1(r_ij) Y_m1(r̂_ij) h[j, k, m2].

Two channels at a time are summed by one matrix product for each atom: products with both channels
on both sides, half of which are not wanted, take less time than twice as many smaller ones.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.autograd import forward_ad

from aptnn_md.models.angular import components_of
from aptnn_md.models.chunks import channels_at_once
from aptnn_md.models.duals import in_forward_mode, linear, with_tangent


def grouped(sent: Tensor) -> Tensor:
    """What atoms send, as :func:`summed_over_neighbours` takes it.

    (n_channels, m2, n_atoms) -> (n_groups, n_atoms, channels of a group m2)
    """
    size = 1 if len(sent) % 2 else 2
    return sent.unflatten(0, (-1, size)).permute(0, 3, 1, 2).flatten(2).contiguous()


def summed_over_neighbours(
    weight: Tensor, radial: Tensor, harmonics: Tensor, neighbours: Tensor, sent: Tensor
) -> Tensor:
    """T, of some atoms.

    Parameters
    ----------
    weight : (n_channels l, n): R as combinations of radial functions
    radial : (n, n_atoms, p)
    harmonics : (m1, n_atoms, p)
    neighbours : (n_atoms, p)
    sent : (n_groups, all atoms, channels of a group m2), see :func:`grouped`

    Returns
    -------
    (n_channels, n_atoms, m1 m2)
    """
    n_degrees = math.isqrt(len(harmonics))
    size = len(weight) // (len(sent) * n_degrees)
    weights = weight.view(len(sent), size * n_degrees, -1)
    # of small systems many groups: several together are copied
    n_products = 8 * size * len(harmonics) * neighbours.shape[1]
    step = channels_at_once(len(sent), n_products, len(neighbours), sent)
    if in_forward_mode():
        return _summed_with_tangents(weights, radial, harmonics, neighbours, sent)
    if step == 1 and torch.is_inference_mode_enabled():
        return _summed_in_place(weights, radial, harmonics, neighbours, sent)
    parts = [slice(first, first + step) for first in range(0, len(sent), step)]
    summed = [_summed(weights[p], radial, harmonics, neighbours, sent[p]) for p in parts]
    return summed[0] if len(summed) == 1 else torch.cat(summed)


def _summed(
    weights: Tensor, radial: Tensor, harmonics: Tensor, neighbours: Tensor, sent: Tensor
) -> Tensor:
    """T of some groups of channels, with weights (n_groups, size of a group l, n)."""
    n_degrees = math.isqrt(len(harmonics))
    functions = (weights.flatten(0, 1) @ radial.flatten(1)).unflatten(1, neighbours.shape)
    functions = functions.unflatten(0, (len(sent), -1, n_degrees))
    products = [
        functions[:, :, degree, None] * harmonics[part]
        for degree, part in enumerate(components_of(range(n_degrees)))
    ]
    edges = torch.cat(products, dim=2).flatten(1, 2)
    rows = neighbours.flatten()
    received = sent[0].index_select(0, rows)[None] if len(sent) == 1 else sent[:, rows]
    received = received.unflatten(1, neighbours.shape)
    every = torch.matmul(edges.permute(0, 2, 1, 3), received)
    every = every.unflatten(3, (functions.shape[1], -1)).unflatten(2, (-1, len(harmonics)))
    own = torch.diagonal(every, dim1=2, dim2=4)
    return own.permute(0, 4, 1, 2, 3).flatten(3).flatten(0, 1)


def _summed_in_place(
    weights: Tensor, radial: Tensor, harmonics: Tensor, neighbours: Tensor, sent: Tensor
) -> Tensor:
    """As :func:`_summed`, one group after the other in the same memory."""
    (n_atoms, width), (m1, m2) = neighbours.shape, (len(harmonics), sent.shape[2])
    n_degrees = math.isqrt(m1)
    size = weights.shape[1] // n_degrees
    functions = sent.new_empty(weights.shape[1], n_atoms * width)
    edges = sent.new_empty(size, m1, n_atoms, width)
    received = sent.new_empty(n_atoms * width, m2)
    every = sent.new_empty(n_atoms, size * m1, m2)
    out = sent.new_empty(len(sent), size, n_atoms, m1, m2 // size)
    # views of this memory
    by_degree = functions.view(size, n_degrees, 1, n_atoms, width).unbind(1)
    factors = [
        (of_degree, harmonics[part], edges[:, part])
        for of_degree, part in zip(by_degree, components_of(range(n_degrees)), strict=True)
    ]
    left, right = edges.flatten(0, 1).transpose(0, 1), received.view(n_atoms, width, m2)
    own = torch.diagonal(every.view(n_atoms, size, m1, size, -1), dim1=1, dim2=3)
    own = own.permute(3, 0, 1, 2)
    basis, rows = radial.flatten(1), neighbours.flatten()
    for weight, from_atoms, target in zip(weights, sent, out, strict=True):
        torch.mm(weight, basis, out=functions)
        for of_degree, components, products in factors:
            torch.mul(of_degree, components, out=products)
        torch.index_select(from_atoms, 0, rows, out=received)
        torch.bmm(left, right, out=every)
        target.copy_(own)
    return out.flatten(3).flatten(0, 1)


def _summed_with_tangents(
    weights: Tensor, radial: Tensor, harmonics: Tensor, neighbours: Tensor, sent: Tensor
) -> Tensor:
    """As :func:`_summed`, in forward mode: values and tangents, one group after the other."""
    (n_atoms, width), n_groups = neighbours.shape, len(sent)
    n_degrees = math.isqrt(len(harmonics))
    size, indices = weights.shape[1] // n_degrees, neighbours.flatten()
    functions = linear(lambda x: weights.flatten(0, 1) @ x, radial.flatten(1))
    functions = functions.view(n_groups, size, n_degrees, n_atoms, width)
    pairs = [with_tangent(x) for x in (functions, harmonics, sent)]
    (functions, d_functions), (harmonics, d_harmonics), (sent, d_sent) = pairs
    m = len(harmonics)
    edges, d_edges = (harmonics.new_empty(size, m, n_atoms, width) for _ in range(2))
    received, d_received = (sent.new_empty(n_atoms * width, sent.shape[2]) for _ in range(2))
    every = sent.new_empty(n_atoms, size * m, sent.shape[2])
    own = torch.diagonal(every.view(n_atoms, size, m, size, -1), dim1=1, dim2=3)
    own = own.permute(3, 0, 1, 2)
    out, d_out = (sent.new_empty(n_groups, *own.shape) for _ in range(2))
    left, d_left = (x.flatten(0, 1).transpose(0, 1) for x in (edges, d_edges))
    right, d_right = (x.view(n_atoms, width, -1) for x in (received, d_received))
    for group in range(n_groups):
        for degree, part in enumerate(components_of(range(n_degrees))):
            radial, d_radial = (
                functions[group, :, degree, None],
                d_functions[group, :, degree, None],
            )
            torch.mul(radial, harmonics[part], out=edges[:, part])
            torch.mul(d_radial, harmonics[part], out=d_edges[:, part])
            d_edges[:, part].addcmul_(radial, d_harmonics[part])
        torch.index_select(sent[group], 0, indices, out=received)
        torch.index_select(d_sent[group], 0, indices, out=d_received)
        torch.bmm(left, right, out=every)
        out[group] = own
        torch.bmm(d_left, right, out=every)
        every.baddbmm_(left, d_right)
        d_out[group] = own
    return forward_ad.make_dual(*(x.flatten(3).flatten(0, 1) for x in (out, d_out)))
