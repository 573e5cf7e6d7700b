"""Jumps of a Berry phase from one branch to another, taken out where that is safe.

The dipole of a periodic cell is defined up to e times a lattice vector. Programs print one of these
values, and which one may change from frame to frame. The change of the dipole itself is small where
frames are close, so of all branches the nearest is the right one, if it is clearly the nearest.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from aptnn_md.arrays import FloatArray
from aptnn_md.atoms.snapshot import nearest_images, shortest_vector
from aptnn_md.errors import InputError

SAFE = 0.25
"""Of the distance of two branches: a change up to this is clearly the nearest one."""

_SAME_CELL = 1e-5
"""Å"""

_NEIGHBOURS = 5
_JUMP_OVER_NEIGHBOURS = 5.0
_JUMP_OVER_MEDIAN = 8.0


def unwrapped(
    dipoles: FloatArray, cells: FloatArray, where: Callable[[int], str]
) -> tuple[FloatArray, int]:
    """Dipoles on one branch.

    Parameters
    ----------
    dipoles : (n, 3), e Å
    cells : (n, 3, 3) or (3, 3), Å, rows
    where : names a frame in messages

    Returns
    -------
    dipoles and the number of jumps that were taken out

    Raises
    ------
    InputError
        A change between two frames that is too large to know the branch, or a cell that changes.
    """
    cell = np.ascontiguousarray(cells if cells.ndim == 2 else cells[0])
    moved = np.abs(np.broadcast_to(cells, (len(dipoles), 3, 3)) - cell).max(axis=(1, 2))
    if moved.max(initial=0.0) > _SAME_CELL:
        frame = int(np.argmax(moved > _SAME_CELL))
        expected = "a constant one; with it branches change, too: give rates, or constant volume"
        raise InputError(where(frame), "cell", f"changed by {moved[frame]:.3g} Å", expected)
    changes = np.diff(dipoles, axis=0)
    nearest = nearest_images(changes, cell, (True, True, True))
    shortest, lengths = shortest_vector(cell), np.linalg.norm(nearest, axis=1)
    far = np.flatnonzero(lengths > SAFE * shortest)
    if len(far):
        frame = int(far[0])
        raise InputError(
            where(frame + 1),
            "dipole",
            f"a change of {lengths[frame]:.3g} e Å in a frame, while branches of the Berry phase "
            f"are {shortest:.3g} e Å apart",
            "frames so close that the branch is known: print dipoles more often, or give rates",
        )
    n_jumps = int((np.abs(nearest - changes) > 1e-6).any(axis=1).sum())
    return np.concatenate([dipoles[:1], dipoles[0] + np.cumsum(nearest, axis=0)]), n_jumps


def check_no_jumps(dipoles: FloatArray, where: Callable[[int], str]) -> None:
    """Refuse a change that is far larger than those around it.

    Raises
    ------
    InputError
        It looks like another branch, another origin, or missing frames.
    """
    changes = np.linalg.norm(np.diff(dipoles, axis=0), axis=1)
    if len(changes) < 2 * _NEIGHBOURS + 1:
        return
    padded = np.pad(changes, _NEIGHBOURS)
    windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * _NEIGHBOURS + 1)
    others = np.delete(windows, _NEIGHBOURS, axis=1).max(axis=1)
    suspicious = (changes > _JUMP_OVER_NEIGHBOURS * others) & (
        changes > _JUMP_OVER_MEDIAN * np.median(changes)
    )
    if suspicious.any():
        frame = int(np.argmax(suspicious))
        raise InputError(
            where(frame + 1),
            "dipole",
            f"a jump of {changes[frame]:.3g} e Å, {changes[frame] / max(others[frame], 1e-300):.3g}"
            " times the changes around it",
            "a continuous dipole; if these are Berry phases --structure FILE --unwrap takes jumps "
            "by e times a lattice vector out",
        )
