"""Whether a structure can be: finite positions, a cell that is one, room for its atoms."""

from __future__ import annotations

import functools

import numpy as np
from ase import Atoms
from ase.geometry import complete_cell, minkowski_reduce
from scipy.spatial import cKDTree

from aptnn_md.errors import InputError

LARGEST_LENGTH = 1e9
"""Å: beyond it double precision no longer resolves a bond."""

SHORTEST_DISTANCE = 0.4
"""Å: half the bond of H₂, and nearer than any two nuclei or images of one come."""

SMALLEST_VOLUME = 0.3
"""Å³ for an atom: hydrogen at 500 GPa has 1.1."""


def check_structure(atoms: Atoms) -> None:
    """Refuse a structure that no neighbour list exists for, or that cannot be.

    Raises
    ------
    InputError
        Positions or cell vectors that are not finite, or larger than :data:`LARGEST_LENGTH`; a
        periodic direction without a cell vector, or vectors in one plane; images of an atom closer
        to it than :data:`SHORTEST_DISTANCE`; less than :data:`SMALLEST_VOLUME` for an atom.
    """
    name = atoms.get_chemical_formula()
    size = np.abs(atoms.positions)
    bad = np.flatnonzero(~(size < LARGEST_LENGTH).all(axis=1))
    if len(bad):
        expected = f"finite numbers below {LARGEST_LENGTH:g} Å"
        found = f"{atoms.positions[bad[0]]} at atom {bad[0]}"
        raise InputError(name, "positions", found, expected)
    cell = atoms.cell.array
    if not (np.abs(cell) < LARGEST_LENGTH).all():
        expected = f"finite numbers below {LARGEST_LENGTH:g} Å"
        raise InputError(name, "cell", cell.tolist(), expected)
    if np.any(atoms.pbc):
        _check_cell(name, len(atoms), cell.tobytes(), tuple(bool(p) for p in atoms.pbc))


def check_distances(atoms: Atoms) -> None:
    """Refuse atoms that are nearer to each other than nuclei come; images are not looked at.

    Raises
    ------
    InputError
        A pair is nearer than :data:`SHORTEST_DISTANCE`.
    """
    # of atoms in one place a list of all pairs would fill the memory
    tree = cKDTree(atoms.positions)
    distances, nearest = tree.query(atoms.positions, k=2, distance_upper_bound=SHORTEST_DISTANCE)
    close = np.flatnonzero(np.isfinite(distances[:, 1]))
    if len(close):
        atom, distance = close[0], distances[close[0], 1]
        other = next(k for k in nearest[atom] if k != atom)
        first, second = sorted((atom, other))
        found = f"{distance:.3g} Å between atoms {first} and {second}"
        expected = f"at least {SHORTEST_DISTANCE} Å: positions in Å, each atom once"
        raise InputError(atoms.get_chemical_formula(), "positions", found, expected)


@functools.lru_cache(maxsize=64)
def _check_cell(name: str, n_atoms: int, cell_bytes: bytes, pbc: tuple[bool, bool, bool]) -> None:
    """The cell's part of :func:`check_structure`; a run asks about the same cell at every step."""
    periodic = np.array(pbc)
    cell = np.frombuffer(cell_bytes).reshape(3, 3)
    vectors = cell[periodic]
    found = f"pbc {periodic.tolist()} with cell {cell.tolist()}"
    lengths = np.linalg.norm(vectors, axis=1)
    # of unit vectors, so that a long, thin cell is no flat one
    flat = lengths.min() == 0.0 or np.linalg.matrix_rank(vectors / lengths[:, None], 1e-12) < len(
        vectors
    )
    if flat:
        expected = "a cell vector for every periodic direction, not in one plane"
        raise InputError(name, "cell", found, expected)
    full = cell.copy()
    full[~periodic] = 0.0
    try:
        reduced = np.array(minkowski_reduce(complete_cell(full), pbc)[0])[periodic]
    except (OverflowError, RuntimeError) as error:  # of ASE: vectors 10¹⁸ times as long as others
        expected = "cell vectors of comparable lengths"
        raise InputError(name, "cell", found, expected) from error
    shortest = float(np.linalg.norm(reduced, axis=1).min())
    if shortest < SHORTEST_DISTANCE:
        expected = f"images of an atom at least {SHORTEST_DISTANCE} Å away from it"
        raise InputError(name, "cell", f"{found}, where they are {shortest:.3g} Å away", expected)
    if periodic.all() and n_atoms:
        volume = abs(float(np.linalg.det(reduced))) / n_atoms
        if volume < SMALLEST_VOLUME:
            expected = f"at least {SMALLEST_VOLUME} Å³ for an atom"
            raise InputError(name, "cell", f"{found}, {volume:.3g} Å³ for an atom", expected)
