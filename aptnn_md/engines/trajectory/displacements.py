"""How far atoms moved from one frame to the next, without jumps by lattice vectors.

In a cell that changes, the strain of the cell takes atoms along; their own motion is that of their
scaled coordinates, Δr = h̄ Δs with the mean cell h̄ of the two frames, as the peculiar velocity of
constant-pressure dynamics is h ṡ.
"""

from __future__ import annotations

import numpy as np

from aptnn_md.arrays import FloatArray
from aptnn_md.atoms.snapshot import nearest_images, shortest_vector
from aptnn_md.engines.trajectory.frames import Frame
from aptnn_md.errors import RunError

LARGEST_STEP = 1.0
"""Å: an atom that moves farther from frame to frame is not followed well enough for increments."""

SAFE = 0.25
"""Of the shortest lattice vector: a displacement up to this is clearly the nearest image."""

_LARGEST_STRAIN = 0.05


def displacement(before: Frame, now: Frame, where: str) -> FloatArray:
    """Displacements of the shape of the positions, Å.

    Parameters
    ----------
    before, now : frames one after the other
    where : names the later one in messages

    Raises
    ------
    RunError
        The cell changed by more than a few per cent, or an atom moved so far that its image is not
        clear, or that steps must be missing.
    """
    moved = now.positions - before.positions
    if now.cell is not None and before.cell is not None and any(now.pbc):
        moved = _in_cell(before, now, before.cell, now.cell, where)
    longest = float(np.linalg.norm(moved, axis=-1).max(initial=0.0))
    if longest > LARGEST_STEP:
        raise RunError(
            f"{where}: an atom moved {longest:.2f} Å since the frame before, more than "
            f"{LARGEST_STEP} Å: frames are missing or too far apart for increments of the dipole; "
            "with velocities in the file they may be"
        )
    return moved


def _in_cell(before: Frame, now: Frame, old: FloatArray, new: FloatArray, where: str) -> FloatArray:
    pbc = now.pbc
    if np.array_equal(old, new):
        moved = nearest_images(now.positions - before.positions, new, pbc)
    else:
        strain = np.abs(new - old).max() / np.abs(new).max()
        if strain > _LARGEST_STRAIN or np.linalg.matrix_rank(new) < 3:
            raise RunError(
                f"{where}: the cell changed by {100 * strain:.1f} % since the frame before: it was "
                "flipped or turned, or frames are missing; increments of the dipole need a cell "
                "that changes little by little"
            )
        mean = 0.5 * (old + new)
        scaled = now.positions @ np.linalg.inv(new) - before.positions @ np.linalg.inv(old)
        moved = nearest_images(scaled @ mean, mean, pbc)
    shortest = shortest_vector(new, pbc)
    longest = float(np.linalg.norm(moved, axis=-1).max(initial=0.0))
    if longest > SAFE * shortest:
        raise RunError(
            f"{where}: an atom moved {longest:.2f} Å since the frame before in a cell of "
            f"{shortest:.2f} Å: which image it is is not clear; frames closer to each other are "
            "needed"
        )
    return moved
