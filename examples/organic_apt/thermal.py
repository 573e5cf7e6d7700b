"""Thermal motion of a few atoms: Langevin dynamics, and whether the result is a molecule."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from ase import Atoms, units
from numpy.typing import NDArray

Array = NDArray[np.float64]

STEP, FRICTION = 1.0, 0.03
"""fs and 1/fs."""


def langevin(
    positions: Array,
    masses: Array,
    forces: Callable[[Array], Array],
    temperature: float,
    n_steps: int,
    random: np.random.Generator,
) -> Array:
    """Positions after so many steps from random velocities, by the splitting BAOAB."""
    velocities = _velocities(masses, temperature, random)
    kept = math.exp(-FRICTION * STEP)
    kick = (0.5 * STEP * units.fs**2 / masses)[:, None]
    force = forces(positions)
    for _ in range(n_steps):
        velocities = velocities + kick * force
        positions = positions + 0.5 * STEP * velocities
        noise = _velocities(masses, temperature, random)
        velocities = kept * velocities + math.sqrt(1.0 - kept**2) * noise
        positions = positions + 0.5 * STEP * velocities
        force = forces(positions)
        velocities = velocities + kick * force
    return positions


def _velocities(masses: Array, temperature: float, random: np.random.Generator) -> Array:
    """Å/fs."""
    spread = np.sqrt(units.kB * temperature / masses) * units.fs
    return random.normal(size=(len(masses), 3)) * spread[:, None]


def is_sound(atoms: Atoms) -> bool:
    """Whether no atoms lie on each other, and none is far from all others."""
    if not np.isfinite(atoms.positions).all():
        return False
    if len(atoms) < 2:
        return True
    distances = atoms.get_all_distances()
    np.fill_diagonal(distances, np.inf)
    nearest = distances.min(axis=1)
    return bool(nearest.min() > 0.65 and nearest.max() < 3.0)
