"""Repulsive walls at distances outside the training data of a potential."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from ase.data import atomic_numbers

from aptnn_md.arrays import FloatArray, IntArray
from aptnn_md.atoms.neighbours import Graph


@dataclass(frozen=True)
class Walls:
    """Repulsion that keeps atoms out of distances that a network was never trained on.

    There a network may well be attractive. For each pair of elements the energy is
    k (r₀ - r)³ for r < r₀, and exactly zero beyond.

    Attributes
    ----------
    distance : (n_elements, n_elements), r₀ in Å; zero: no wall
    strength : (n_elements, n_elements), k in eV/Å³
    """

    distance: FloatArray
    strength: FloatArray

    @classmethod
    def from_list(cls, walls: Sequence[Mapping[str, Any]], elements: Sequence[int]) -> Walls:
        """From ``{"elements": ["O", "H"], "below": r₀, "strength": k}`` for each pair."""
        distance = np.zeros((len(elements), len(elements)))
        strength = np.zeros_like(distance)
        for wall in walls:
            first, second = (elements.index(atomic_numbers[name]) for name in wall["elements"])
            for pair in ((first, second), (second, first)):
                distance[pair], strength[pair] = wall["below"], wall["strength"]
        return cls(distance, strength)

    def of(self, graph: Graph, species: IntArray) -> tuple[FloatArray, FloatArray]:
        """Energies (n_edges,) and their gradients with respect to the edge vectors (n_edges, 3).

        Every pair has two edges; each has half of its energy.
        """
        pair = species[graph.centres], species[graph.neighbours]
        length = np.linalg.norm(graph.edge_vectors, axis=1)
        inside = np.maximum(self.distance[pair] - length, 0.0)
        strength = 0.5 * self.strength[pair]
        slope = np.where(inside > 0.0, -3.0 * strength * inside**2 / np.fmax(length, 1e-12), 0.0)
        return strength * inside**3, slope[:, None] * graph.edge_vectors
