"""Binary trajectories through MDAnalysis: DCD, XTC, TRR, H5MD and Amber's netCDF.

They hold no elements, so a structure gives them. Velocities, where there are any, are Å/ps for
MDAnalysis whatever the program's unit was. Times are those of the file, but not of DCD, in which
programs write them in different units. Of a cell MDAnalysis has lengths and angles; its orientation
is the usual one (a along x, b in the plane of x and y) or that of the structure, in whichever of
them the atoms are farther apart, or nearer to where they are in the structure.
"""

from __future__ import annotations

import importlib.util
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.cell import Cell

from aptnn_md.arrays import FloatArray, IntArray
from aptnn_md.atoms.neighbours import neighbour_pairs
from aptnn_md.engines.trajectory.frames import Frame
from aptnn_md.errors import InputError, RunError
from aptnn_md.progress import log

SUFFIXES = (".dcd", ".xtc", ".trr", ".h5md", ".h5", ".nc", ".ncdf")
"""Of files that MDAnalysis reads for us."""

_WITHOUT_TIMES = (".dcd",)
_COARSE = 0.25  # of the time between frames
_CLOSE, _CLEARLY = 4.0, 0.01  # Å, and relative


def is_installed() -> bool:
    """Whether MDAnalysis is there."""
    return importlib.util.find_spec("MDAnalysis") is not None


class MDAnalysisFile:
    """A binary trajectory; see :class:`aptnn_md.engines.trajectory.frames.FrameFile`.

    Parameters
    ----------
    path : file
    structure : its atoms, and the cell

    Raises
    ------
    InputError
        It cannot be read, or has another number of atoms.
    RunError
        MDAnalysis is not installed.
    """

    bead: int | None = None
    quantity = ""
    template: Atoms | None = None

    def __init__(self, path: Path, structure: Atoms) -> None:
        if not is_installed():
            raise RunError(
                f'{path}: MDAnalysis reads such files: pip install "aptnn_md[trajectory]"'
            )
        self.path, n_atoms = path, len(structure)
        self._reader = _reader(path, n_atoms)
        self.n_frames = int(self._reader.n_frames)
        if int(self._reader.n_atoms) != n_atoms:
            expected = f"{n_atoms}, as in the structure"
            raise InputError(path, "atoms", self._reader.n_atoms, expected)
        self.steps: IntArray | None
        self.times: FloatArray | None
        self.steps, self.times = self._steps_and_times()
        has_velocities = bool(self._reader.ts.has_velocities)
        self.note = "of the file, as MDAnalysis reads them" if has_velocities else ""
        self._turn: FloatArray = np.eye(3)
        self._turn = _turn(structure, self.read(0))
        if not np.allclose(self._turn, np.eye(3)):
            log.info("%s: cells are oriented as that of the structure", path)

    def read(self, frame: int) -> Frame:
        """A frame."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                now = self._reader[frame]
            except (OSError, EOFError, ValueError, RuntimeError) as error:
                where = f"{self.path}, frame {frame}"
                raise InputError(where, "frame", error, "one that can be read") from error
        positions = np.array(now.positions, dtype=np.float64)
        velocities = None
        if now.has_velocities:
            velocities = np.array(now.velocities, dtype=np.float64) * 1e-3
        for name, vectors in (("positions", positions), ("velocities", velocities)):
            if vectors is not None and not np.isfinite(vectors).all():
                where = f"{self.path}, frame {frame}"
                raise InputError(where, name, "values that are not finite", "finite numbers")
        cell = None
        if now.dimensions is not None and np.all(now.dimensions[:3] > 0.0):
            cell = np.array(now.triclinic_dimensions, dtype=np.float64) @ self._turn
        periodic = cell is not None
        return Frame(positions, velocities, cell, (periodic, periodic, periodic))

    def close(self) -> None:
        """Close the file; it is opened again for the next frame."""
        self._reader.close()

    def _steps_and_times(self) -> tuple[IntArray | None, FloatArray | None]:
        """Of all frames, as far as the file has them."""
        if self.path.suffix.lower() in _WITHOUT_TIMES:
            return None, None
        steps, times, known = [], [], True
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            for now in self._reader:
                steps.append(now.data.get("step"))
                times.append(1e3 * float(now.time))
        known = not any("dt" in str(each.message) for each in caught)
        whole = None
        if all(step is not None for step in steps):
            whole = np.array(steps, dtype=np.int64)
            whole = whole if len(np.unique(whole)) > 1 else None
        known = known and len(set(times)) > 1
        return whole, self._told(np.array(times)) if known else None

    def _told(self, times: FloatArray) -> FloatArray | None:
        """Times, fs; None where they were rounded to single precision of picoseconds, and that is
        too coarse at the end of a long run."""
        apart = float(times[-1] - times[0]) / (len(times) - 1)
        coarse = 1e3 * float(np.spacing(np.float32(1e-3 * np.abs(times).max())))
        if coarse < _COARSE * apart:
            return times
        log.warning(
            "%s: times are known to %.2g fs only, and not used: --timestep, and --stride where the "
            "file has no steps",
            *(self.path, coarse),
        )
        return None


def _turn(structure: Atoms, first: Frame) -> FloatArray:
    """What rotates the usual orientation of the cell into that of the frames."""
    if first.cell is None or structure.cell.rank < 3:
        return np.eye(3)
    usual = Cell.fromcellpar(structure.cell.cellpar())
    turn: FloatArray = np.linalg.solve(usual.array, structure.cell.array)
    here, there = Cell(first.cell).cellpar(), structure.cell.cellpar()
    alike = np.allclose(here[:3], there[:3], rtol=0.1) and np.allclose(here[3:], there[3:], atol=5)
    if np.allclose(turn, np.eye(3), atol=1e-3):
        return np.eye(3)
    if not alike:
        log.warning(
            "%s has a cell in another orientation than the usual one (a along x, b in the plane of "
            "x and y), which is taken for the trajectory, whose cell has other lengths or angles",
            structure.get_chemical_formula(),
        )
        return np.eye(3)
    of_structure, of_usual = (
        _closest(Frame(first.positions, None, cell, first.pbc).atoms(structure))
        for cell in (first.cell @ turn, first.cell)
    )
    if abs(of_structure - of_usual) > _CLEARLY * of_usual:
        return turn if of_structure > of_usual else np.eye(3)
    # nothing is near a boundary
    from_structure, from_usual = (
        float(np.square(first.positions - structure.positions @ rotation).sum())
        for rotation in (np.eye(3), turn.T)
    )
    return turn if from_structure <= from_usual else np.eye(3)


def _closest(atoms: Atoms) -> float:
    """Distance of the two atoms that are closest to each other, Å."""
    _, _, vectors = neighbour_pairs(atoms, _CLOSE)
    return float(np.linalg.norm(vectors, axis=1).min(initial=_CLOSE))


def _reader(path: Path, n_atoms: int) -> Any:
    from MDAnalysis.coordinates.core import get_reader_for

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            kind = "H5MD" if path.suffix in (".h5", ".h5md") else None
            return get_reader_for(str(path), format=kind)(str(path), n_atoms=n_atoms)
    except Exception as error:  # MDAnalysis raises whatever its readers run into
        message = " ".join(str(error).split())[:200]
        expected = "a trajectory that MDAnalysis can read"
        raise InputError(path, "file", f"{type(error).__name__}: {message}", expected) from error
