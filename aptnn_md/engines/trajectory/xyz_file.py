"""Trajectories in xyz files: extended xyz (ASE, GPUMD, QUIP, LAMMPS), CP2K's and i-PI's.

Steps and times: CP2K's ``i = 5, time = 2.5`` (fs), i-PI's ``Step: 5``, ``Step=5`` and GPUMD's
``Time=2.5`` (fs). ``Timestep=5`` is that of LAMMPS' ``dump extxyz``, in which all is in LAMMPS'
units, and of OVITO, which keeps them. Velocities: in columns, in the units of
:mod:`aptnn_md.structure_columns`, or in a file of their own.
"""

from __future__ import annotations

import re
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
from ase import Atoms, units

from aptnn_md.arrays import FloatArray
from aptnn_md.atomic_units import VELOCITY
from aptnn_md.engines.trajectory.frames import Frame
from aptnn_md.engines.trajectory.lammps_dump import LammpsUnits, unit_system_of
from aptnn_md.engines.trajectory.text_index import FrameIndex, Head, whole_number
from aptnn_md.errors import InputError
from aptnn_md.ipi_xyz import LENGTHS, IpiComment, parse_comment
from aptnn_md.structure_checks import LARGEST_LENGTH
from aptnn_md.structure_columns import VELOCITY_UNITS
from aptnn_md.structure_files import read_structure
from aptnn_md.structures import is_charge_key

_CP2K = re.compile(r"\bi\s*=\s*(?P<step>\d+),\s*time\s*=\s*(?P<time>[-+.\dEe]+)")
_STEP = re.compile(r"\b(?:Step:|step=|Step=|md_step=)\s*\"?(?P<step>\d+)")
_LAMMPS_STEP = re.compile(r"\bTimestep=\"?(?P<step>\d+)(?![\d.])")
_TIME = re.compile(r"\bTime=\"?(?P<time>[-+.\dEe]+)")
_ENTRY = re.compile(r"(?P<key>[\w-]+)\s*=\s*(?P<value>\"[^\"]*\"|'[^']*'|\S+)")
_LATTICE = re.compile(r"\bLattice=\"(?P<cell>[^\"]+)\"", re.I)
_PBC = re.compile(r"\bpbc=\"(?P<pbc>[^\"]+)\"", re.I)
_PROPERTIES = re.compile(r"\bProperties=\"?(?P<text>[^\s\"]+)", re.I)
_VELOCITIES = ("momenta", "vel", "velo", "velocities", "velocity")
_IPI_VELOCITIES = {
    "": VELOCITY,
    "automatic": VELOCITY,
    "atomic_unit": VELOCITY,
    "m/s": 1e-5,
    "ase": float(units.fs),
    "ang/fs": 1.0,  # which aptnn-md ipi and the plugin add to i-PI's
}


@dataclass(frozen=True)
class _Columns:
    """Columns of the lines of atoms, counted from 0."""

    n: int
    positions: int
    velocities: int | None
    name: str
    species: int = 0


class XyzFile:
    """An xyz file; see :class:`aptnn_md.engines.trajectory.frames.FrameFile`.

    Parameters
    ----------
    path : file
    velocity_unit : of velocities in columns, a name in
        :data:`aptnn_md.structure_columns.VELOCITY_UNITS`; None: by their name or size
    lammps_units : of a file that LAMMPS wrote

    Raises
    ------
    InputError
        It cannot be read, or has no complete frame.
    """

    def __init__(
        self, path: Path, velocity_unit: str | None = None, lammps_units: str | None = None
    ) -> None:
        self.path, self.note = path, ""
        self._n_atoms = 0
        self._index = FrameIndex(path, self._head)
        if not len(self._index):
            raise InputError(path, "frames", "none", "at least one")
        self.n_frames = len(self._index)
        self.steps, self.times = self._index.steps, self._index.times
        first = self._index.text(0)
        self._lammps: LammpsUnits | None = None
        if _LAMMPS_STEP.search(first.splitlines()[1]):
            self._lammps = unit_system_of(path, lammps_units)
            self.times = None if self.times is None else self.times * self._lammps.time
            self._lammps_name = lammps_units
        self._columns = self._found_columns(first.splitlines()[1])
        self.template = self._template(first, velocity_unit)
        self._masses = self.template.get_masses()
        self._species: list[str] = []
        self._factor = self._velocity_factor(first, velocity_unit)
        comment = _parsed(f"{path}, frame 0", first.splitlines()[1])
        self.bead = _bead(first.splitlines()[1])
        self.quantity = "" if comment is None else comment.quantity

    def read(self, frame: int) -> Frame:
        """A frame; of i-PI's files of velocities these are its positions, Å/fs."""
        lines = self._index.text(frame).splitlines()
        comment, where = lines[1], f"{self.path}, frame {frame}"
        numbers = self._numbers(where, lines[2 : 2 + self._n_atoms])
        start = self._columns.positions
        positions = numbers[:, start : start + 3]
        velocities = None
        if self._factor is not None and self._columns.velocities is not None:
            at = self._columns.velocities
            velocities = numbers[:, at : at + 3] * self._factor
            if self._columns.name == "momenta":
                velocities = velocities / self._masses[:, None]
        ipi = _parsed(where, comment)
        if ipi is not None:
            return _ipi_frame(where, positions, velocities, ipi)
        cell, pbc = _cell(where, comment)
        charge = _charge(where, comment)
        if self._lammps is not None:
            positions = positions * self._lammps.length
            cell = None if cell is None else cell * self._lammps.length
        return Frame(positions, velocities, cell, pbc, charge)

    def close(self) -> None:
        """Close the file."""
        self._index.close()

    def _head(self, file: IO[bytes], frame: int) -> Head | None:
        line = file.readline()
        while line and not line.strip():
            line = file.readline()
        words = line.split()
        if not words:
            return None
        if not words[0].isdigit():
            found = repr(words[0].decode(errors="replace")[:40])
            raise InputError(f"{self.path}, frame {frame}", "file", found, "the number of atoms")
        n_atoms = whole_number(words[0])
        self._n_atoms = self._n_atoms or n_atoms
        if n_atoms != self._n_atoms:
            expected = f"{self._n_atoms}, as in the first frame"
            raise InputError(f"{self.path}, frame {frame}", "atoms", n_atoms, expected)
        comment = file.readline().decode("utf-8", errors="replace")
        return n_atoms, *_step_and_time(comment)

    def _found_columns(self, comment: str) -> _Columns:
        found = _PROPERTIES.search(comment)
        if found is None:
            return _Columns(4, 1, None, "")
        parts = found["text"].split(":")
        at, places = 0, dict[str, int]()
        for name, count in zip(parts[::3], parts[2::3], strict=False):
            places[name.lower()] = at
            at += int(count) if count.isdecimal() else 1
        if "pos" not in places:
            raise InputError(self.path, "Properties", found["text"], "pos:R:3 among them")
        name = next((name for name in _VELOCITIES if name in places), "")
        species = places.get("species", places.get("z", 0))
        return _Columns(at, places["pos"], places.get(name), name, species)

    def _template(self, text: str, velocity_unit: str | None) -> Atoms:
        """The first frame as a structure, with masses, charge and constraints."""
        name = self._columns.name
        known = velocity_unit is not None or self._lammps is not None
        if known and name not in ("", "momenta"):
            # what their unit is need not be found out
            text = text.replace(f":{name}:R:3", ":stored_velocities:R:3", 1)
        if self._lammps is not None:
            text = _PBC.sub("", _LATTICE.sub("", text, 1), 1)  # implausible in an unusual unit
        with tempfile.TemporaryDirectory() as directory:
            first = Path(directory) / "first.xyz"
            first.write_text(text, encoding="utf-8")
            where = f"{self.path}, frame 0"
            try:
                return read_structure(first, positions=False, named=where)
            except InputError as error:
                raise InputError(where, error.field, error.found, error.expected) from error

    def _velocity_factor(self, text: str, velocity_unit: str | None) -> float | None:
        """What the columns of velocities (momenta) are multiplied by; None without any."""
        at, name = self._columns.velocities, self._columns.name
        if at is None:
            return None
        if name == "momenta":
            self.note = "momenta in ASE's units"
            return float(units.fs)
        unit = velocity_unit
        if unit is None and self._lammps is not None:
            self.note = f"column {name} in LAMMPS' units {self._lammps_name}"
            return self._lammps.velocity
        if unit is None:
            numbers = self._numbers(f"{self.path}, frame 0", text.splitlines()[2:])
            column = numbers[:, at : at + 3]
            if not column.any() and name not in ("vel", "velo"):
                expected = "--velocity-unit, as atoms at rest in the first frame do not tell it"
                raise InputError(self.path, name, "an unknown unit", expected)
            read = self.template.get_velocities() * units.fs
            size = np.abs(read).max() / np.abs(column).max() if column.any() else 1.0
            unit = min(VELOCITY_UNITS, key=lambda u: abs(np.log(VELOCITY_UNITS[u] / size)))
        self.note = f"column {name} in {unit}"
        return VELOCITY_UNITS[unit]

    def _numbers(self, where: str, lines: list[str]) -> FloatArray:
        """(n_atoms, n_columns); words that are no numbers are NaN."""
        words = [line.split() for line in lines[: self._n_atoms]]
        n = self._columns.n
        short = next((k for k, row in enumerate(words) if len(row) < n), None)
        if short is not None:
            raise InputError(f"{where}, atom {short}", "columns", len(words[short]), f"{n}")
        species = [row[self._columns.species] for row in words]
        self._species = self._species or species
        if species != self._species:
            expected = "the elements of the first frame in the same order"
            raise InputError(where, "species", "others", expected)
        numbers = np.full((len(words), n), np.nan)
        starts = [s for s in (self._columns.positions, self._columns.velocities) if s is not None]
        for start in starts:
            try:
                numbers[:, start : start + 3] = [row[start : start + 3] for row in words]
            except ValueError as error:
                raise InputError(where, "columns", error, "numbers") from error
            if not np.isfinite(numbers[:, start : start + 3]).all():
                bad = int(np.argwhere(~np.isfinite(numbers[:, start : start + 3]))[0][0])
                found = " ".join(words[bad][start : start + 3])
                raise InputError(f"{where}, atom {bad}", "columns", found, "finite numbers")
        return numbers


def _step_and_time(comment: str) -> tuple[int | None, float | None]:
    cp2k = _CP2K.search(comment)
    if cp2k is not None:
        return whole_number(cp2k["step"]), float(cp2k["time"])
    step = _STEP.search(comment) or _LAMMPS_STEP.search(comment)
    time = _TIME.search(comment)
    return (
        None if step is None else whole_number(step["step"]),
        None if time is None else float(time["time"]),
    )


def _parsed(where: str, comment: str) -> IpiComment | None:
    """i-PI's comment.

    Raises
    ------
    InputError
        It has a cell that is none.
    """
    try:
        found = parse_comment(comment)
    except (ValueError, AssertionError) as error:  # ASE asserts that angles are possible
        raise InputError(
            where, "cell", str(error) or repr(comment[:80]), "a possible cell"
        ) from error
    if found is not None and found.cell is None and "CELL" in comment:
        raise InputError(where, "cell", repr(comment[:80]), "six or nine numbers of a cell")
    if found is not None and found.cell is not None and not np.isfinite(found.cell).all():
        raise InputError(where, "cell", repr(comment[:80]), "finite numbers")
    return found


def _bead(comment: str) -> int | None:
    found = re.search(r"\bBead:\s*(\d+)", comment)
    return None if found is None else whole_number(found[1])


def _cell(where: str, comment: str) -> tuple[FloatArray | None, tuple[bool, bool, bool]]:
    lattice = _LATTICE.search(comment)
    if lattice is None:
        return None, (False, False, False)
    try:
        cell = np.array([float(word) for word in lattice["cell"].split()]).reshape(3, 3)
    except ValueError as error:
        raise InputError(where, "Lattice", repr(lattice["cell"]), "nine numbers") from error
    if not (np.abs(cell) < LARGEST_LENGTH).all():
        raise InputError(where, "Lattice", repr(lattice["cell"]), "finite numbers in Å")
    periodic = _PBC.search(comment)
    words = ["T"] * 3 if periodic is None else periodic["pbc"].split()
    x, y, z = (word[:1].upper() in ("T", "1") for word in (words + ["F"] * 3)[:3])
    return cell, (x, y, z)


def _charge(where: str, comment: str) -> float | None:
    """Charge of the structure, e, where the comment line says it."""
    if "charge" not in comment.lower():
        return None
    for entry in _ENTRY.finditer(comment):
        if is_charge_key(entry["key"]):
            value = entry["value"].strip("\"'")
            try:
                return float(value)
            except ValueError as error:
                found, expected = repr(value), "a finite number, e"
                raise InputError(where, entry["key"], found, expected) from error
    return None


def _ipi_frame(
    where: str, positions: FloatArray, velocities: FloatArray | None, comment: IpiComment
) -> Frame:
    known = LENGTHS
    if comment.quantity in ("velocities", "v_centroid"):
        known = _IPI_VELOCITIES
    elif comment.quantity not in ("positions", "x_centroid"):
        expected = "a file of positions, or with --velocity-files one of velocities"
        raise InputError(where, "quantity", comment.quantity, expected)
    if comment.unit not in known:
        found = comment.unit or "a comment line of i-PI that gives no unit"
        expected = f"one of {', '.join(filter(None, known))} in the comment line"
        raise InputError(where, f"unit of {comment.quantity}", found, expected)
    cell, periodic = None, False
    if comment.cell is not None and np.linalg.det(comment.cell) > 0.0:
        if comment.cell_unit not in LENGTHS:
            found = comment.cell_unit or "none"
            raise InputError(where, "unit of the cell", found, "cell{angstrom} in the comment line")
        cell, periodic = comment.cell * LENGTHS[comment.cell_unit], True
    return Frame(positions * known[comment.unit], velocities, cell, (periodic,) * 3)
