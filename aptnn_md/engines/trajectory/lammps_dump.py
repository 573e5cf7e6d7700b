"""LAMMPS' text dumps: ``dump custom`` and ``dump atom``.

Atoms are put in the order of their ids. Positions may be plain, unwrapped or scaled (``x xu xs
xsu``), the cell any (orthogonal, triclinic, general triclinic) and variable. Units are those of
``ITEM: UNITS`` (``dump_modify units yes``), or given.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import numpy as np
from ase import Atoms
from ase.data import atomic_masses, atomic_numbers

from aptnn_md.arrays import FloatArray, IntArray
from aptnn_md.atomic_units import BOHR
from aptnn_md.engines.trajectory.frames import Frame
from aptnn_md.engines.trajectory.text_index import FrameIndex, Head, whole_number
from aptnn_md.errors import InputError
from aptnn_md.structure_checks import LARGEST_LENGTH


@dataclass(frozen=True)
class LammpsUnits:
    """Length, Å, velocity, Å/fs, and time, fs, of one of LAMMPS' systems of units."""

    length: float
    velocity: float
    time: float


LAMMPS_UNITS: Mapping[str, LammpsUnits] = {
    "real": LammpsUnits(1.0, 1.0, 1.0),
    "metal": LammpsUnits(1.0, 1e-3, 1e3),
    "si": LammpsUnits(1e10, 1e-5, 1e15),
    "cgs": LammpsUnits(1e8, 1e-7, 1e15),
    "electron": LammpsUnits(BOHR, BOHR / 1.03275, 1.0),
    "nano": LammpsUnits(10.0, 1e-5, 1e6),
}
"""Names as in the command ``units``. LAMMPS counts ``electron``'s velocities in Bohr per 1.03275
fs."""


def unit_system_of(path: Path, given: str | None, said: str = "") -> LammpsUnits:
    """The system of units of a file of LAMMPS.

    Parameters
    ----------
    given : by the user
    said : by the file

    Raises
    ------
    InputError
        Neither says it, both differ, or there is no such system.
    """
    if given and said and given != said:
        raise InputError(path, "units", said, f"{given}, as given with --lammps-units")
    name = given or said
    if name not in LAMMPS_UNITS:
        expected = f"--lammps-units, one of {', '.join(LAMMPS_UNITS)} (real: Å and fs)"
        raise InputError(path, "units", name or "none in the file", expected)
    return LAMMPS_UNITS[name]


_POSITIONS = (("x", "y", "z"), ("xu", "yu", "zu"), ("xs", "ys", "zs"), ("xsu", "ysu", "zsu"))
_VELOCITIES = ("vx", "vy", "vz")
_MASS_TOLERANCE = 0.3


@dataclass
class _Head:
    """What stands before the atoms of a frame."""

    step: int = 0
    time: float | None = None
    n_atoms: int = 0
    box: tuple[str, ...] = ()
    pbc: tuple[bool, bool, bool] = (True, True, True)
    columns: tuple[str, ...] = ()
    rows: list[list[float]] = field(default_factory=list)


class LammpsDump:
    """A dump; see :class:`aptnn_md.engines.trajectory.frames.FrameFile`.

    Parameters
    ----------
    path : file
    unit_system : a name in :data:`LAMMPS_UNITS`; None: the dump must say it
    elements : of the types 1, 2, ...; empty: by the column ``element`` or ``mass``

    Raises
    ------
    InputError
        It cannot be read, has no units, or changes its number of atoms.
    """

    bead: int | None = None
    quantity = ""

    def __init__(
        self, path: Path, unit_system: str | None = None, elements: Sequence[str] = ()
    ) -> None:
        self.path, self.note = path, ""
        self._elements = tuple(elements)
        self._said_units = ""
        self._n_atoms = 0
        self._index = FrameIndex(path, self._skim)
        if not len(self._index):
            raise InputError(path, "frames", "none", "at least one")
        self.n_frames = len(self._index)
        self.steps = self._index.steps
        self._units = unit_system_of(path, unit_system, self._said_units)
        self._name = unit_system or self._said_units
        times = self._index.times
        self.times: FloatArray | None = None if times is None else times * self._units.time
        first, words = self._split(0)
        self._order = self._ids(0, first, words)
        self.template = self._template(first, words)
        if set(_VELOCITIES) <= set(first.columns):
            self.note = f"columns vx, vy, vz in LAMMPS' units {self._name}"

    def read(self, frame: int) -> Frame:
        """A frame."""
        head, words = self._split(frame)
        order = self._ids(frame, head, words)
        if not np.array_equal(order[1], self._order[1]):
            expected = "the ids of the first frame"
            raise InputError(f"{self.path}, frame {frame}", "ids", "others", expected)
        rows = [words[k] for k in order[0]]
        origin, cell = _cell(head)
        cell, origin = cell * self._units.length, origin * self._units.length
        positions = self._positions(frame, head, rows, origin, cell)
        velocities = None
        if set(_VELOCITIES) <= set(head.columns):
            velocities = self._vectors(frame, head, rows, _VELOCITIES) * self._units.velocity
        return Frame(positions, velocities, cell, head.pbc)

    def close(self) -> None:
        """Close the file."""
        self._index.close()

    def _skim(self, file: IO[bytes], frame: int) -> Head | None:
        """The head of a frame; its number of lines is that of the atoms."""
        where = f"{self.path}, frame {frame}"
        step = time = None
        n_atoms = 0
        while line := file.readline():
            text = line.decode("utf-8", errors="replace").strip()
            if text == "ITEM: TIMESTEP":
                step = _whole(where, file)
            elif text == "ITEM: UNITS":
                self._said_units = file.readline().decode().strip()
            elif text == "ITEM: TIME":
                time = _number(where, file)
            elif text == "ITEM: NUMBER OF ATOMS":
                n_atoms = _whole(where, file) or 0
            elif text.startswith("ITEM: BOX BOUNDS"):
                for _ in range(3):
                    file.readline()
            elif text.startswith("ITEM: ATOMS"):
                self._n_atoms = self._n_atoms or n_atoms
                if n_atoms != self._n_atoms:
                    expected = f"{self._n_atoms}, as in the first frame"
                    raise InputError(where, "atoms", n_atoms, expected)
                if step is None:
                    raise InputError(where, "ITEM: TIMESTEP", "nothing", "a step")
                return n_atoms, step, time
            elif text and not text.startswith("ITEM:"):
                raise InputError(where, "line", repr(text[:40]), "ITEM: of a LAMMPS dump")
        return None

    def _split(self, frame: int) -> tuple[_Head, list[list[str]]]:
        """Head of a frame, and the words of its atoms."""
        lines = iter(self._index.text(frame).splitlines())
        head = _Head()
        for line in lines:
            if line.startswith("ITEM: NUMBER"):
                head.n_atoms = int(next(lines))
            elif line.startswith("ITEM: BOX BOUNDS"):
                words = line.split()[3:]
                sides = [word for word in words if len(word) == 2 and set(word) <= set("pfsm")]
                if len(sides) == 3:
                    x, y, z = (side == "pp" for side in sides)
                    head.pbc = (x, y, z)
                head.box = tuple(word for word in words if word not in sides)
                head.rows = [self._bounds(frame, next(lines, "")) for _ in range(3)]
                if len({len(row) for row in head.rows}) > 1:
                    where = f"{self.path}, frame {frame}"
                    raise InputError(where, "BOX BOUNDS", head.rows, "as many numbers in each line")
            elif line.startswith("ITEM: ATOMS"):
                head.columns = tuple(line.split()[2:])
                break
            elif line.startswith("ITEM:"):
                next(lines)
        words_of_atoms = [line.split() for line in lines]
        for k, row in enumerate(words_of_atoms):
            if len(row) != len(head.columns):
                where = f"{self.path}, frame {frame}, atom line {k}"
                raise InputError(where, "columns", len(row), len(head.columns))
        return head, words_of_atoms

    def _bounds(self, frame: int, line: str) -> list[float]:
        try:
            row = [float(word) for word in line.split()]
        except ValueError:
            row = []
        if len(row) not in (2, 3, 4) or not (np.abs(row) < LARGEST_LENGTH).all():
            where = f"{self.path}, frame {frame}"
            raise InputError(where, "BOX BOUNDS", repr(line[:60]), "two to four numbers")
        return row

    def _ids(self, frame: int, head: _Head, words: list[list[str]]) -> tuple[IntArray, IntArray]:
        """Order of the lines by id, and the ids in order."""
        if "id" not in head.columns:
            where = f"{self.path}, frame {frame}"
            raise InputError(where, "columns", " ".join(head.columns), "id among them")
        at = head.columns.index("id")
        try:
            ids = np.array([int(row[at]) for row in words], dtype=np.int64)
        except (ValueError, OverflowError) as error:
            where = f"{self.path}, frame {frame}"
            raise InputError(where, "id", error, "whole numbers") from error
        order = np.argsort(ids, kind="stable")
        return order, ids[order]

    def _template(self, head: _Head, words: list[list[str]]) -> Atoms | None:
        """Elements and masses; None where the dump has only types."""
        rows = [words[k] for k in self._order[0]]
        masses = None
        if "mass" in head.columns:
            at = head.columns.index("mass")
            masses = self._masses([row[at] for row in rows])
        if "element" in head.columns:
            at = head.columns.index("element")
            numbers = [self._number_of(row[at]) for row in rows]
        elif self._elements and "type" in head.columns:
            at = head.columns.index("type")
            numbers = [self._number_of(self._of_type(row[at])) for row in rows]
        elif masses is not None:
            numbers = [_by_mass(self.path, mass) for mass in masses]
        else:
            return None
        return Atoms(numbers=numbers, positions=np.zeros((len(numbers), 3)), masses=masses)

    def _masses(self, words: list[str]) -> FloatArray:
        try:
            masses = np.array([float(word) for word in words])
        except ValueError as error:
            raise InputError(self.path, "mass", error, "numbers") from error
        if not (np.isfinite(masses) & (masses > 0.0)).all():
            raise InputError(self.path, "mass", masses.min(), "positive numbers")
        return masses

    def _of_type(self, word: str) -> str:
        number = int(word) if word.isdecimal() else 0
        if not 1 <= number <= len(self._elements):
            found = f"{len(self._elements)} elements, type {number}"
            raise InputError(self.path, "--elements", found, "one for each type")
        return self._elements[number - 1]

    def _number_of(self, symbol: str) -> int:
        if symbol not in atomic_numbers:
            expected = "symbols of elements (dump_modify element, --elements)"
            raise InputError(self.path, "element", repr(symbol), expected)
        return int(atomic_numbers[symbol])

    def _positions(
        self,
        frame: int,
        head: _Head,
        rows: list[list[str]],
        origin: FloatArray,
        cell: FloatArray,
    ) -> FloatArray:
        for names in (_POSITIONS[1], _POSITIONS[3], _POSITIONS[0], _POSITIONS[2]):
            if set(names) <= set(head.columns):
                vectors = self._vectors(frame, head, rows, names)
                if "s" in names[0]:
                    return vectors @ cell + origin
                return vectors * self._units.length
        expected = "x y z, xu yu zu, xs ys zs or xsu ysu zsu"
        raise InputError(self.path, "columns", " ".join(head.columns), expected)

    def _vectors(
        self, frame: int, head: _Head, rows: list[list[str]], names: Sequence[str]
    ) -> FloatArray:
        places = [head.columns.index(name) for name in names]
        where = f"{self.path}, frame {frame}"
        try:
            vectors = np.array([[float(row[k]) for k in places] for row in rows])
        except ValueError as error:
            raise InputError(where, ", ".join(names), error, "numbers") from error
        bad = np.flatnonzero(~np.isfinite(vectors).all(axis=1))
        if len(bad):
            who = f"atom of id {self._order[1][bad[0]]}"
            raise InputError(f"{where}, {who}", ", ".join(names), vectors[bad[0]], "finite numbers")
        return vectors


def _cell(head: _Head) -> tuple[FloatArray, FloatArray]:
    """Origin, and cell in rows, in LAMMPS' unit of length."""
    rows = head.rows
    if "abc" in head.box or "origin" in head.box:
        # general triclinic: vectors a, b, c, and a coordinate of the origin in each line
        return np.array([row[3] for row in rows]), np.array([row[:3] for row in rows])
    low, high = np.array([row[:2] for row in rows]).T
    xy = xz = yz = 0.0
    if len(rows[0]) > 2:
        xy, xz, yz = (row[2] for row in rows)
        # the bounds are those of the box around the tilted cell
        low = low - [min(0.0, xy, xz, xy + xz), min(0.0, yz), 0.0]
        high = high - [max(0.0, xy, xz, xy + xz), max(0.0, yz), 0.0]
    x, y, z = high - low
    return low, np.array([[x, 0.0, 0.0], [xy, y, 0.0], [xz, yz, z]])


def _by_mass(path: Path, mass: float) -> int:
    number = int(np.abs(np.nan_to_num(atomic_masses, nan=1e9) - mass).argmin())
    if abs(float(atomic_masses[number]) - mass) > _MASS_TOLERANCE:
        expected = "that of an element; isotopes by the column element, or --elements"
        raise InputError(path, "mass", f"{mass:g}", expected)
    return number


def _whole(where: str, file: IO[bytes]) -> int | None:
    text = file.readline().decode("utf-8", errors="replace").strip()
    try:
        return whole_number(text)
    except ValueError:
        if not text:
            return None
        raise InputError(where, "number", repr(text[:40]), "a whole number") from None


def _number(where: str, file: IO[bytes]) -> float:
    text = file.readline().decode("utf-8", errors="replace").strip()
    try:
        return float(text)
    except ValueError:
        raise InputError(where, "ITEM: TIME", repr(text[:40]), "a number") from None
