"""Frames of a run on which a committee disagrees, kept to be labelled."""

from __future__ import annotations

import io
import os
from pathlib import Path

import ase.io
import numpy as np
from ase import Atoms

from aptnn_md.errors import InputError
from aptnn_md.files import write_output
from aptnn_md.settings import Positive, fitting
from aptnn_md.stream.layout import StreamFrame

DEVIATION = "extrapolation"
"""Array of a frame, and entry of a kept structure: the largest disagreement about an atom, e
(:func:`aptnn_md.tensors.largest_deviation`)."""


class UncertainFrames:
    """Keeps structures above a limit, one file each, named by run and step.

    Where a run resumes from before such a step, the same file is written again.

    Parameters
    ----------
    directory : of the files ``RUN-STEP.extxyz``
    above : least deviation, e, for a structure to be kept

    Raises
    ------
    InputError
        A limit that is not positive, or a directory that cannot be made.
    """

    def __init__(self, directory: str | os.PathLike[str], above: float) -> None:
        self.directory = Path(directory)
        self.above: float = fitting(above, Positive, "frames to keep", "above")
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            expected = "a writable place"
            raise InputError(directory, "directory", error.strerror or error, expected) from error

    def look_at(self, atoms: Atoms, step: int, run: str, frame: StreamFrame) -> None:
        """Keep a structure if its frame says so.

        Parameters
        ----------
        atoms : the structure
        step : of the run
        run : its name
        frame : of the stream, with the deviation
        """
        deviation = float(np.asarray(frame.arrays[DEVIATION]))
        if deviation <= self.above:
            return
        kept = Atoms(atoms.numbers, atoms.positions, cell=atoms.cell, pbc=atoms.pbc)
        if atoms.has("masses"):
            kept.set_masses(atoms.get_masses())
        kept.info = {**atoms.info, "step": step, DEVIATION: deviation}
        text = io.StringIO()
        ase.io.write(text, kept, format="extxyz")
        write_output(self.directory / f"{run}-{step:09d}.extxyz", text.getvalue().encode())
