"""Whether a geometry can be the step after another one, and how far its atoms went.

Increments are right only if no step is missing and positions change by motion alone. What can be
seen to be otherwise is refused here: a cell that changes or turns (constant pressure,
``<ffrotations>``), and steps that are too long. Positions that the server folds into the cell are
unfolded.
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

LARGEST_STEP = 1.0
"""Å: an atom that moves farther in a step did not move by its velocity."""

_CELL_TOLERANCE = 1e-6
_GAP = 0.6


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
            "(constant pressure) or its turns (ffrotations): aptnn-md ipi streams such runs"
        )
    moved = nearest_image(step.positions - last.positions, step.cell)
    longest = float(np.linalg.norm(moved, axis=-1).max())
    if longest > LARGEST_STEP:
        raise RunError(
            f"{where}: an atom moved {longest:.2f} Å, more than {LARGEST_STEP} Å: steps are "
            "missing or beads are mixed up"
        )
    return moved


def follows(known: Sequence[StepGeometry], step: Step) -> bool:
    """Whether a geometry can be the one after the last that is known.

    Parameters
    ----------
    known : the last geometry, after the one before it where that is known
    step : of which beads may have come to several clients, as some were killed during it
    """
    if np.abs(known[-1].cell - step.cell).max() > _CELL_TOLERANCE:
        return False
    now = nearest_image(step.positions - known[-1].positions, step.cell)
    if np.linalg.norm(now, axis=-1).max() > LARGEST_STEP:
        return False
    if len(known) < 2:
        return True
    before = nearest_image(known[1].positions - known[0].positions, step.cell)
    # the server may have gone back between two clients: the beads of each must have gone one step
    return all(_is_one_step(now[part], before[part]) for part in step.by_client())


def _is_one_step(now: FloatArray, before: FloatArray) -> bool:
    """Whether beads (n, n_atoms, 3) went as far now as in the step before, in the mean.

    The centroid's velocity hardly changes in a step; a missing one would double its way.
    """
    now, before = now.mean(axis=0), before.mean(axis=0)
    return bool(np.linalg.norm(now - before) < _GAP * np.linalg.norm(before))
