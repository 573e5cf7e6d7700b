"""Dipoles that CP2K prints: the file or output of ``&MOMENTS``, and ``&DIPOLE`` of force fields.

Of periodic systems they are Berry phases, defined up to e times a lattice vector. ``&MOMENTS``
prints the cell next to each. ``&DIPOLE`` of force fields has the one at the top of the output, with
three decimals, jumps by half of its vectors, too, and has the other sign (CP2K 2023.1, compared
with Σ q r), which no spectrum shows. The derivative that it prints is not Σ q v, so it is not read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from aptnn_md.arrays import FloatArray
from aptnn_md.atomic_units import DEBYE
from aptnn_md.engines.trajectory.raw_series import RawSeries
from aptnn_md.errors import InputError
from aptnn_md.structure_checks import LARGEST_LENGTH

_MOMENT = re.compile(r"\s*Dipole moment \[Debye\]")
_COMPONENTS = re.compile(r"\s*X=\s*(?P<x>\S+)\s*Y=\s*(?P<y>\S+)\s*Z=\s*(?P<z>\S+)")
_LATTICE = re.compile(r"\s*\[(?P<axis>[XYZ])\]\s*=?\s*\[(?P<row>[^\]]*)\]")
_FORCE_FIELD = re.compile(r"\s*MM_DIPOLE\|\s*Moment \[a\.u\.\]\s+(?P<row>[-+.\dEe\s]+)$")
_CELL = re.compile(r"\s*CELL\|\s*Vector (?P<name>[abc]) \[angstrom\][^:]*:\s*(?P<row>[-+.\d\s]+)")
_SIGNS = ("Dipole moment [", "MM_DIPOLE|", "Reference Point [", "CP2K|")


def is_cp2k(path: Path, head: str) -> bool:
    """Whether a file is CP2K's."""
    return any(sign in head for sign in _SIGNS)


def read_cp2k(path: Path) -> RawSeries:
    """Dipoles.

    Raises
    ------
    InputError
        There are none, those of &MOMENTS and of force fields together, or only some with a cell.
    """
    found = _Found(path)
    with path.open(encoding="utf-8", errors="replace") as file:
        for number, line in enumerate(file, start=1):
            found.take(number, line, file)
    if not found.lines:
        expected = "&MOMENTS in DFT/PRINT, or &DIPOLE in MM/PRINT"
        raise InputError(path, "dipoles", "none", expected)
    if len(found.units) > 1:
        raise InputError(path, "dipoles", "of &MOMENTS and of force fields", "one kind")
    (unit,) = found.units
    lines, values = np.array(found.lines), np.array(found.dipoles)
    return RawSeries(
        str(path), values, lines, unit, cells=found.lattices(), berry_phase=found.branches
    )


@dataclass
class _Found:
    """What was found so far."""

    path: Path
    lines: list[int] = field(default_factory=list)
    dipoles: list[FloatArray] = field(default_factory=list)
    units: set[str] = field(default_factory=set)
    branches: float = 0.0
    cells: list[FloatArray | None] = field(default_factory=list)
    periodic: bool = False
    lattice: dict[str, FloatArray] = field(default_factory=dict)
    cell: dict[str, FloatArray] = field(default_factory=dict)

    def take(self, number: int, line: str, following: Iterator[str]) -> None:
        """A line; those after a title are read, too."""
        if "Dipole vectors are based on the periodic" in line:
            self.periodic, self.lattice = True, {}
        elif "Dipole type" in line:
            self.periodic = "periodic (Berry phase)" in line and "non" not in line
        elif (row := _LATTICE.match(line)) is not None:
            self.lattice[row["axis"]] = self._numbers(number, row["row"])
        elif (vector := _CELL.match(line)) is not None:
            self.cell[vector["name"]] = self._numbers(number, vector["row"])
        elif _MOMENT.match(line) is not None:
            self._moment(number + 1, next(following, ""))
        elif (mm := _FORCE_FIELD.match(line)) is not None:
            self._add(number, "au", mm["row"])
            if self.periodic:
                # an arc tangent without quadrants, so also half a vector apart
                self.branches = 0.5
            self.cells.append(self._cell() if self.periodic else None)

    def lattices(self) -> FloatArray | None:
        """Cells of the Berry phases, (n, 3, 3), Å; None for moments of finite systems."""
        known = [cell for cell in self.cells if cell is not None]
        if known and len(known) < len(self.cells):
            k = [cell is None for cell in self.cells].index(True)
            where = f"{self.path}, line {self.lines[k]}"
            raise InputError(where, "cell", "none", "that of the Berry phase, as for other frames")
        return np.array(known) if known else None

    def _moment(self, number: int, line: str) -> None:
        found = _COMPONENTS.match(line)
        if found is None:
            return  # torn, the last one of a run that was killed
        self._add(number, "debye", " ".join(found[axis] for axis in "xyz"))
        if self.periodic:
            self.branches = 1.0
        self.cells.append(self._lattice(number) if self.periodic else None)
        self.periodic = False

    def _add(self, number: int, unit: str, text: str) -> None:
        self.lines.append(number)
        self.dipoles.append(self._numbers(number, text))
        self.units.add(unit)

    def _lattice(self, number: int) -> FloatArray:
        if len(self.lattice) != 3:
            where = f"{self.path}, line {number}"
            raise InputError(where, "cell matrix", "none", "that of the Berry phase")
        # columns are the lattice vectors times e, in Debye
        return np.array([self.lattice[axis] for axis in "XYZ"]).T * DEBYE

    def _cell(self) -> FloatArray | None:
        """That of the top of the output; None where the output has none."""
        if len(self.cell) != 3:
            return None
        return np.array([self.cell[name] for name in "abc"])

    def _numbers(self, number: int, text: str) -> FloatArray:
        try:
            row = np.array([float(word) for word in text.split()[:3]])
        except ValueError:
            row = np.zeros(0)
        if len(row) != 3 or not (np.abs(row) < LARGEST_LENGTH).all():
            where = f"{self.path}, line {number}"
            raise InputError(where, "vector", repr(text), "three finite numbers")
        return row
