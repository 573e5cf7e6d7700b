"""Labels of the frames of a campaign, by the machinery of ``aptnn-md label``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from ase import Atoms

from aptnn_md.labels.job import LabelJob, run_labels
from aptnn_md.labels.labelled_file import FrameToLabel
from aptnn_md.learning.settings import CampaignSettings
from aptnn_md.structures import charge_of


def label_frames(
    frames: Sequence[Atoms], settings: CampaignSettings, points: Path, out: Path
) -> None:
    """Label structures and write them to ``out``; nothing is done where it is there already.

    Energies and forces come with the labels. A frame that cannot be labelled has none.

    Parameters
    ----------
    frames : with their charges
    settings : engine, targets and executor
    points : directory of single points, shared by all calls, so that none is calculated twice
    out : labelled file

    Raises
    ------
    RunError
        Not a single frame could be labelled.
    """
    if out.exists():
        return
    every = [
        FrameToLabel(atoms, np.ones(len(atoms), dtype=bool), charge_of(atoms, 0.0) or 0.0)
        for atoms in frames
    ]
    out.parent.mkdir(parents=True, exist_ok=True)
    run_labels(
        LabelJob(
            every,
            settings.engine,
            out,
            settings.properties,
            executor=settings.executor,
            jobs=settings.jobs,
            work=points,
        )
    )
