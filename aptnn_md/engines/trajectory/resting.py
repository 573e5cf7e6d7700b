"""Atoms that a program held where they are, found in the trajectory."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from aptnn_md.arrays import FloatArray, IntArray
from aptnn_md.atoms.snapshot import nearest_images
from aptnn_md.engines.trajectory.joined import Joined
from aptnn_md.errors import RunError

FEWEST_LOOKED_AT = 10
"""Frames that tell what never moves."""

_SAMPLES = 20
_FEW = 10  # frames that tell whether the centre of mass rests
_AT_REST = 0.03  # momentum of the whole over the root of the sum of squares of the atoms'
_VISIBLE = 0.02  # Å that an atom would have moved


@dataclass(frozen=True, eq=False)
class Resting:
    """Atoms that never move, as far as was looked.

    Attributes
    ----------
    atoms : their numbers
    places : (..., n, 3) where they are, Å
    """

    atoms: IntArray
    places: FloatArray

    def check(self, where: str, positions: FloatArray) -> None:
        """Refuse positions (..., n_atoms, 3) at which one of them has moved.

        Raises
        ------
        RunError
            One has.
        """
        moved = (positions[..., self.atoms, :] != self.places).any(axis=-1)
        if moved.any():
            atom = self.atoms[np.flatnonzero(moved.reshape(-1, len(self.atoms)).any(axis=0))[0]]
            raise RunError(
                f"{where}: atom {atom} moves, though it is at the same place in the other frames "
                "that were looked at: the frames of this part need a stream of their own (--frames)"
            )


def resting_atoms(frames: Joined, spacing: float) -> Resting:
    """Those of :func:`at_rest`, and where they are."""
    atoms = at_rest(frames, spacing)
    return Resting(atoms, frames.read(0).positions[..., atoms, :])


def centre_rests(frames: Joined, masses: FloatArray) -> bool:
    """Whether the centre of mass rests, as nearly all programs make it: then what a net charge adds
    to the f-sum by moving as a whole is not there.

    Parameters
    ----------
    masses : (n_atoms,)
    """
    some = [frames.read(k) for k in range(min(len(frames), _FEW))]
    motions = [frame.velocities for frame in some if frame.velocities is not None]
    if len(motions) < len(some):
        motions = [
            nearest_images(b.positions - a.positions, a.cell, a.pbc) for a, b in pairwise(some)
        ]
    momenta = [masses[:, None] * np.asarray(m).reshape(-1, len(masses), 3).mean(0) for m in motions]
    whole = sum(float((p.sum(axis=0) ** 2).sum()) for p in momenta)
    single = sum(float((p**2).sum()) for p in momenta)
    return len(masses) > 1 and bool(momenta) and whole < _AT_REST**2 * single


def looked_at(n_frames: int) -> IntArray:
    """Numbers of frames that tell what never moves: some in a row, and some of all."""
    spread = np.linspace(0, n_frames - 1, _SAMPLES).astype(int)
    return np.unique([*range(min(n_frames, _SAMPLES)), *spread])


def at_rest(frames: Joined, spacing: float) -> IntArray:
    """Atoms that are at the same place in all of many frames, while others move.

    A trajectory does not say what its program held fixed, but the positions do. An atom that has
    velocities counts only if they would have moved it visibly: rounded positions of a few frames
    may be the same of one that moves.

    Parameters
    ----------
    spacing : between frames, fs
    """
    n, some = len(frames), looked_at(len(frames))
    if len(some) < FEWEST_LOOKED_AT:
        return np.zeros(0, dtype=np.int64)
    first = frames.read(0)
    still = np.ones(first.positions.shape[-2], dtype=bool)
    velocities = []
    for k in some:
        frame = frames.read(int(k))
        same = (frame.positions == first.positions).all(axis=-1)
        still &= same.reshape(-1, len(still)).all(axis=0)
        if not still.any():
            break
        if frame.velocities is not None:
            velocities.append(frame.velocities)
    if velocities and still.any():
        speed = np.linalg.norm(np.mean(velocities, axis=0), axis=-1).reshape(-1, len(still))
        expected = speed.min(axis=0) * spacing * (n - 1)
        never = ~np.any(velocities, axis=(0, -1)).reshape(-1, len(still)).any(axis=0)
        still &= (expected > _VISIBLE) | never
    return np.flatnonzero(still) if not still.all() else np.zeros(0, dtype=np.int64)
