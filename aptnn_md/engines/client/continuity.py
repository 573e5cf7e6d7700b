"""Whether a geometry can be the step after another one, and how far its atoms moved.

Increments are right only if no step is missing and positions change by motion alone. What can be
seen to be otherwise is refused here: a cell that changes or turns (constant pressure,
``<ffrotations>``), and steps that are too long; a jump of atoms that are fast enough to have made
it is warned of (:class:`Pace`). Positions that the server folds into the cell are unfolded.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from aptnn_md.arrays import FloatArray
from aptnn_md.engines.client.bead_order import Step
from aptnn_md.engines.client.dipole_change import nearest_image
from aptnn_md.engines.client.trail import StepGeometry
from aptnn_md.errors import RunError
from aptnn_md.progress import log

LARGEST_STEP = 1.0
"""Å: an atom that moves farther in a step did not move by its velocity."""

_CELL_TOLERANCE = 1e-6
"""Å: vectors of the same cell agree to this."""

_GAP = 0.6
"""By how much the centroids' displacements may change from one step to the next, relative; a
missing step doubles them."""

_UNLIKE = 0.5
"""Largest difference between the parts of one step in how much their displacements change, relative
to the displacements; where one part is a step ahead it is about 0.9 for up to 32 beads and 0.5 fs.
"""

_SAME = 1e-2
"""Beads that moved by less than this, relative to the step before, have not moved."""


_JUMP = 5.0
"""Times the longest displacement before, that nothing but a jump makes."""

_KNOWN = 3
"""Steps before it: from rest the second is three times the first."""


class Pace:
    """How far atoms move in a step; warns of one step that is much longer than all before.

    Where positions were set anew, as after an optimisation through the same client, the increment
    of the dipole is no motion. But velocities may be drawn anew, too, and then it is.
    """

    def __init__(self) -> None:
        self._farthest, self._n_steps = 0.0, 0

    def look_at(self, where: str, moved: FloatArray) -> None:
        """Compare the displacements of a step, (n_beads, n_atoms, 3), Å, with those before."""
        now = float(np.linalg.norm(moved.mean(axis=0), axis=-1).max())
        if self._n_steps >= _KNOWN and now > _JUMP * self._farthest:
            log.warning(
                "%s: an atom moved %.2g Å, in all steps before at most %.2g Å: where positions "
                "were set anew (by an optimisation, or a new start), this frame is no motion, and "
                "what follows is another trajectory, which needs another stream",
                *(where, now, self._farthest),
            )
        self._farthest, self._n_steps = max(now, self._farthest), self._n_steps + 1


def displacements(path: Path, last: StepGeometry, step: Step) -> FloatArray:
    """Displacements (n_beads, n_atoms, 3), Å, from the last geometry to the next step.

    Parameters
    ----------
    path : of the stream, for messages
    last : geometry of the step before
    step : the next one

    Raises
    ------
    RunError
        They cannot be those of one step.
    """
    where = f"{path}: step {last.step + 1}"
    if np.abs(last.cell - step.cell).max() > _CELL_TOLERANCE:
        raise RunError(
            f"{where}: the cell changed; increments of the dipole would contain its strain "
            "(constant pressure) or its rotation (ffrotations): aptnn-md ipi streams such runs"
        )
    moved = nearest_image(step.positions - last.positions, step.cell)
    longest = float(np.linalg.norm(moved, axis=-1).max())
    if longest > LARGEST_STEP:
        raise RunError(
            f"{where}: an atom moved {longest:.2f} Å, more than {LARGEST_STEP} Å: steps are "
            "missing or beads are mixed up"
        )
    return moved


def follows(known: Sequence[StepGeometry], step: Step, masses: FloatArray) -> bool:
    """Whether a geometry can be the one after the last that is known.

    Parameters
    ----------
    known : the last geometry, after the one before it where that is known
    step : beads of which may be of another step: some may have come to clients that were killed
        before the server went back, and some to other clients
    masses : (n_atoms,), amu
    """
    if np.abs(known[-1].cell - step.cell).max() > _CELL_TOLERANCE:
        return False
    now = nearest_image(step.positions - known[-1].positions, step.cell)
    if np.linalg.norm(now, axis=-1).max() > LARGEST_STEP:
        return False
    if len(known) < 2:
        return True
    before = nearest_image(known[1].positions - known[0].positions, step.cell)
    return _is_one_step(now, before) and _are_alike(step.parts(), now, before, masses)


def _is_one_step(now: FloatArray, before: FloatArray) -> bool:
    """Whether the centroid of beads (n, n_atoms, 3) moved as far now as in the step before.

    Its velocity hardly changes in a step; a missing one would double its displacement.
    """
    now, before = now.mean(axis=0), before.mean(axis=0)
    return bool(np.linalg.norm(now - before) < _GAP * np.linalg.norm(before))


def _are_alike(
    parts: Sequence[Sequence[int]], now: FloatArray, before: FloatArray, masses: FloatArray
) -> bool:
    """Whether the beads of all parts moved by the same number of steps.

    The mean of a part is not the centroid but moves with the ring polymer's own modes: with 32
    beads and 0.5 fs a bead moves in another direction after a step. But their displacements change
    alike in all parts.
    """
    if len(parts) == 1:
        return True
    weights = np.sqrt(masses)[:, None]  # all atoms alike at one temperature
    scale = np.sqrt(np.mean((weights * before) ** 2))
    now, before = weights * now / scale, weights * before / scale
    changes = []
    for part in parts:
        # where they were at the last step, or at the one before it
        if min(np.abs(moved[part]).max() for moved in (now, now + before)) < _SAME:
            return False
        changes.append(np.sqrt(np.mean((now[part] - before[part]) ** 2)))
    return bool(max(changes) - min(changes) < _UNLIKE)
