"""Fingerprints of structures that do not change when atoms are exchanged or everything is turned.

For each pair of elements, the distances between their atoms as a histogram of Gaussians: its values
are sums over all pairs of atoms, so the order of equal atoms does not matter, and distances do not
know how the structure is turned or where it is. They weigh near pairs more, as forces do.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from ase import Atoms

from aptnn_md.arrays import FloatArray
from aptnn_md.atoms.neighbours import neighbour_pairs

CUTOFF = 6.0
"""Å, beyond which pairs are not seen; their weight falls to zero there."""

SPACING = 0.15
"""Å, between the centres of the Gaussians, and their width at the inflexion."""


def fingerprints(structures: Sequence[Atoms]) -> FloatArray:
    """(n_structures, n) fingerprints; equal numbers of the same column mean the same."""
    elements = sorted({int(z) for atoms in structures for z in atoms.numbers})
    index = {z: n for n, z in enumerate(elements)}
    centres = np.arange(0.5, CUTOFF, SPACING)
    return np.stack([_fingerprint(atoms, index, centres) for atoms in structures])


def distances_to_nearest(points: FloatArray, others: FloatArray) -> FloatArray:
    """(n,) distance of each point (n, k) to the nearest of the others (m, k); inf where m is 0."""
    if not len(others):
        return np.full(len(points), np.inf)
    squares = (points**2).sum(1)[:, None] + (others**2).sum(1) - 2.0 * points @ others.T
    return np.asarray(np.sqrt(np.maximum(squares.min(axis=1), 0.0)))


def _fingerprint(atoms: Atoms, index: dict[int, int], centres: FloatArray) -> FloatArray:
    centre, neighbour, vectors = neighbour_pairs(atoms, CUTOFF)
    distance = np.linalg.norm(vectors, axis=1)
    kind = np.array([index[int(z)] for z in atoms.numbers], dtype=np.int64)
    n_elements = len(index)
    first = np.minimum(kind[centre], kind[neighbour])
    second = np.maximum(kind[centre], kind[neighbour])
    weight = 0.5 * (1.0 + np.cos(np.pi * distance / CUTOFF)) / np.maximum(distance, SPACING)
    lines = np.exp(-0.5 * ((distance[:, None] - centres) / SPACING) ** 2) * weight[:, None]
    sums = np.zeros((n_elements * n_elements, len(centres)))
    np.add.at(sums, first * n_elements + second, lines)
    # per atom, so that systems of different sizes are comparable
    return sums.ravel() / len(atoms)
