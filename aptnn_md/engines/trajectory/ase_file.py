"""Trajectories in whatever other format ASE reads.

ASE's own ``.traj`` is read frame by frame; other formats are read at once, which takes memory for
all of their frames.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from ase import Atoms, units
from ase.io.trajectory import TrajectoryReader

from aptnn_md.arrays import FloatArray, IntArray
from aptnn_md.engines.trajectory.frames import Frame
from aptnn_md.errors import InputError
from aptnn_md.progress import log
from aptnn_md.structure_columns import take_over
from aptnn_md.structure_files import read_structure, read_structures
from aptnn_md.structures import charge_of

_MANY = 2**27
_STEP, _BEAD = re.compile(r"\bStep:\s*(\d+)"), re.compile(r"\bBead:\s*(\d+)")
_UNIT = re.compile(r"\b(?:positions|x_centroid|cell)\{([^}\s]*)\}")


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
        """Steps and bead that i-PI writes into the titles of PDB files.

        Raises
        ------
        InputError
            Positions or cells in another unit than Å, which the format is in.
        """
        with self.path.open(encoding="utf-8", errors="replace") as file:
            titles = [line for line in file if line.startswith("TITLE")]
        steps = [found for title in titles if (found := _STEP.search(title))]
        if len(steps) != self.n_frames:
            return
        others = {unit for title in titles for unit in _UNIT.findall(title)} - {"angstrom", "ase"}
        if others:
            expected = "angstrom, which PDB files are in; or i-PI's xyz format"
            raise InputError(self.path, "unit of i-PI", ", ".join(sorted(others)), expected)
        self.steps = np.array([int(found[1]) for found in steps], dtype=np.int64)
        bead = _BEAD.search(titles[0])
        self.bead = None if bead is None else int(bead[1])

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
