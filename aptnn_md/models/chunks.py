"""How much is computed at a time: what fits into a processor's cache, or fills another device.

The sizes were chosen by timing ``water-apt`` on 3 to 12,288 atoms (AMD EPYC, 1 MiB of second-level
cache a core): products of features took the same time from 0.5 to 2 MiB, and 1.5 times as long when
they left the cache. Those of other devices by timing 98,304 atoms on an NVIDIA H100: blocks of 4096
atoms took twice as long as of 16,384, products of 32 MiB 1.7 times as long as of 128 to 512.
"""

from __future__ import annotations

import functools

import torch

PRODUCTS = {"cpu": 2**20}
"""Bytes of products of features that exist at a time; other devices: :data:`MANY_PRODUCTS`."""

MANY_PRODUCTS = 2**29

PART_OF_MEMORY = 1 / 64
"""Of a device, that products of features take at most."""

BLOCK = {"cpu": 512}
"""Atoms of one element whose features are computed together; others: :data:`LARGE_BLOCK`."""

LARGE_BLOCK = 16384

TABLE = {"cpu": 128}
"""Atoms whose tables of neighbours are filled together; others: :data:`LARGE_TABLE`."""

LARGE_TABLE = 16384

EDGES = {"cpu": 4096}
"""Edges whose flows of charge are computed together where no gradients are kept; others:
:data:`MANY_EDGES`."""

MANY_EDGES = 2**21


def channels_at_once(n_channels: int, n_products: int, n_atoms: int, like: torch.Tensor) -> int:
    """Channels whose products are formed together, a divisor of their number.

    Parameters
    ----------
    n_channels : all there are
    n_products : of one channel and atom
    n_atoms : of a block
    like : a tensor of the same device and precision
    """
    allowed = PRODUCTS.get(like.device.type)
    if allowed is None:
        allowed = min(MANY_PRODUCTS, int(PART_OF_MEMORY * memory_of(like.device)))
    each = max(1, n_products * n_atoms * like.element_size())
    most = max(1, min(n_channels, allowed // each))
    return next(n for n in range(most, 0, -1) if n_channels % n == 0)


def atoms_of_block(device: torch.device) -> int:
    """Largest number of atoms of one element whose features are computed together."""
    return BLOCK.get(device.type, LARGE_BLOCK)


def atoms_of_table(device: torch.device) -> int:
    """Largest number of atoms whose tables of neighbours are filled together."""
    return TABLE.get(device.type, LARGE_TABLE)


def edges_at_once(device: torch.device) -> int:
    """Largest number of edges whose flows of charge are computed together."""
    return EDGES.get(device.type, MANY_EDGES)


@functools.cache
def memory_of(device: torch.device) -> int:
    """Bytes of a device; of one that does not say, as many as are never lacking."""
    if device.type == "cuda":
        return int(torch.cuda.get_device_properties(device).total_memory)
    return 2**62
