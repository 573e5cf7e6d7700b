"""Trajectories in whatever other format ASE reads.

ASE's own ``.traj`` is read frame by frame; other formats are read at once, which takes memory for
all of their frames.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from ase import Atoms, units
from ase.io.trajectory import TrajectoryReader

from aptnn_md.arrays import FloatArray, IntArray
from aptnn_md.engines.trajectory.frames import Frame
from aptnn_md.errors import InputError
from aptnn_md.ipi_xyz import bead_of, parse_comment, step_of
from aptnn_md.progress import log
from aptnn_md.structure_columns import take_over
from aptnn_md.structure_files import read_structure, read_structures
from aptnn_md.structures import charge_of

_MANY = 2**27


class AseFile:
    """A file of ASE's; see :class:`aptnn_md.engines.trajectory.frames.FrameFile`.

    Raises
    ------
    InputError
        ASE cannot read it.
    """

    bead: int | None = None
    quantity = ""
    steps: IntArray | None = None
    times: FloatArray | None = None

    def __init__(self, path: Path) -> None:
        self.path = path
        self.template = read_structure(path)
        self._frames = self._opened()
        self.n_frames = len(self._frames)
        self.note = "of the file, as ASE reads them" if self.template.has("momenta") else ""
        if path.suffix.lower() == ".pdb":
            self._take_titles()

    def read(self, frame: int) -> Frame:
        """A frame."""
        if not self._frames:
            self._frames = self._opened()
        atoms = self._frames[frame]
        where = f"{self.path}, frame {frame}"
        if not np.array_equal(atoms.numbers, self.template.numbers):
            expected = "the elements of the last frame in the same order"
            raise InputError(where, "elements", "others", expected)
        if not atoms.has("momenta"):
            take_over(where, atoms)
        velocities = None
        if atoms.has("momenta"):
            velocities = atoms.get_momenta() / self.template.get_masses()[:, None] * units.fs
        x, y, z = (bool(p) for p in atoms.pbc)
        cell = atoms.cell.array.copy() if any(atoms.pbc) else None
        return Frame(atoms.positions.copy(), velocities, cell, (x, y, z), charge_of(atoms))

    def _take_titles(self) -> None:
        """Steps, bead and quantity that i-PI writes into the titles of PDB files.

        Raises
        ------
        InputError
            Positions or cells in another unit than Å, which the format is in.
        """
        with self.path.open(encoding="utf-8", errors="replace") as file:
            titles = [line for line in file if line.startswith("TITLE")]
        steps = [step for title in titles if (step := step_of(title)) is not None]
        said = [comment for title in titles if (comment := parse_comment(title)) is not None]
        if not len(said) == len(steps) == self.n_frames:
            return
        units_said = {unit for comment in said for unit in (comment.unit, comment.cell_unit)}
        if others := units_said - {"", "angstrom", "ase"}:
            expected = "angstrom, which PDB files are in; or i-PI's xyz format"
            raise InputError(self.path, "unit of i-PI", ", ".join(sorted(others)), expected)
        self.steps = np.array(steps, dtype=np.int64)
        self.bead, self.quantity = bead_of(titles[0]), said[0].quantity

    def _opened(self) -> Sequence[Atoms]:
        if self.path.suffix != ".traj":
            if self.path.stat().st_size > _MANY:
                log.warning("%s: all frames are read at once, as ASE does this format", self.path)
            return read_structures(self.path)
        try:
            return TrajectoryReader(str(self.path))  # type: ignore[return-value]
        except Exception as error:  # ASE raises whatever its parsing runs into
            raise InputError(self.path, "file", error, "a trajectory of ASE") from error

    def close(self) -> None:
        """Close the file."""
        if isinstance(self._frames, TrajectoryReader):
            self._frames.close()  # type: ignore[no-untyped-call]
            self._frames = []
