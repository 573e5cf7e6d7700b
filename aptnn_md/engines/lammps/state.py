"""What LAMMPS says of its atoms: positions, velocities and cell of one step, masses, fixes."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ase.data import chemical_symbols

from aptnn_md.arrays import AnyArray, FloatArray, IntArray
from aptnn_md.engines.lammps.ranks import Ranks
from aptnn_md.engines.lammps.units import UnitStyle
from aptnn_md.errors import RunError

CELL_QUANTITIES = ("xlo", "xhi", "ylo", "yhi", "zlo", "zhi", "xy", "xz", "yz")
"""Keywords of LAMMPS's thermodynamic output from which :func:`cell_matrix` is made."""

_PER_ATOM, _ARRAY = 1, 2
_GLOBAL, _VECTOR = 0, 1
_INFO_FIX = re.compile(r"^Fix\[\s*\d+\]:\s*(\S+?),\s*style = (\S+?),\s*group = (\S+)")
_INFO_GROUP = re.compile(r"^Group\[\s*(\d+)\]:\s*(\S+)")


@dataclass(frozen=True)
class LammpsState:
    """The atoms at one step, in the order of their ids.

    Attributes
    ----------
    step : LAMMPS's count
    positions : (n_atoms, 3), Å, unfolded by the image flags
    velocities : (n_atoms, 3), Å/fs, at the time of the positions
    cell : (3, 3), Å, rows are lattice vectors, in the frame of LAMMPS: the first one along x, the
        second in the plane of x and y
    temperature : K, of LAMMPS's ``thermo_temp``; None where it was not evaluated
    """

    step: int
    positions: FloatArray
    velocities: FloatArray
    cell: FloatArray
    temperature: float | None = None


@dataclass(frozen=True)
class FixInfo:
    """A fix of the script: its id, style and the bit of its group."""

    id: str
    style: str
    group_bit: int


def cell_matrix(quantities: Sequence[float]) -> FloatArray:
    """Lattice vectors in rows from the values of :data:`CELL_QUANTITIES`."""
    xlo, xhi, ylo, yhi, zlo, zhi, xy, xz, yz = quantities
    return np.array([[xhi - xlo, 0.0, 0.0], [xy, yhi - ylo, 0.0], [xz, yz, zhi - zlo]])


class LammpsAtoms:
    """Reads the atoms of an instance of LAMMPS, those of all ranks on rank 0.

    Parameters
    ----------
    lmp : with a box
    units : of its script
    ranks : that share the atoms
    """

    def __init__(self, lmp: Any, units: UnitStyle, ranks: Ranks) -> None:
        self.lmp, self.units, self.ranks = lmp, units, ranks

    @property
    def n_types(self) -> int:
        """Number of atom types."""
        return int(self.lmp.extract_setting("ntypes"))

    @property
    def timestep(self) -> float:
        """Time step now, fs."""
        return float(self.lmp.extract_global("dt")) * self.units.time

    @property
    def periodic(self) -> tuple[bool, bool, bool]:
        """In which directions the box is periodic."""
        x, y, z = self.lmp.extract_box()[5]
        return bool(x), bool(y), bool(z)

    @property
    def changes_cell(self) -> bool:
        """Whether a fix changes the box; known when a run has begun."""
        return bool(self.lmp.extract_box()[6])

    def cell(self) -> FloatArray:
        """Lattice vectors now, (3, 3), Å."""
        low, high, xy, yz, xz = self.lmp.extract_box()[:5]
        pairs = [bound for axis in range(3) for bound in (low[axis], high[axis])]
        return cell_matrix((*pairs, xy, xz, yz)) * self.units.length

    def type_masses(self) -> FloatArray:
        """Mass of each type, (n_types,), amu; 0 where atoms have masses of their own."""
        pointer = self.lmp.extract_atom("mass")
        if not pointer:
            return np.zeros(self.n_types)
        masses = np.array(pointer[1 : self.n_types + 1], dtype=np.float64)
        return masses * self.units.mass

    def labels(self) -> dict[int, str]:
        """Type -> label, for labels that are chemical symbols."""
        found = {}
        self.lmp.set_show_error(False)
        try:
            for symbol in chemical_symbols[1:]:
                if int(self.lmp.eval(f"is_typelabel(atom,{symbol})")):
                    found[int(self.lmp.eval(f"label2type(atom,{symbol})"))] = symbol
        except Exception:
            # LAMMPS's way to say that there is no label map
            return {}
        finally:
            self.lmp.set_show_error(True)
        return found

    def types_and_masses(self) -> tuple[IntArray, FloatArray] | None:
        """Type and mass (amu) of each atom; None on ranks other than the first."""
        n = self._n_local
        types = self._local("type", n)
        own = self.lmp.extract_atom("rmass")
        masses = (
            np.array(own[:n], dtype=np.float64) * self.units.mass
            if own
            else self.type_masses()[types - 1]
        )
        rows = self._gathered(np.column_stack([types, masses]))
        return None if rows is None else (rows[:, 0].astype(np.int64), rows[:, 1])

    def group_bits(self) -> IntArray | None:
        """For each atom the bits of the groups that it is in; None on other ranks."""
        rows = self._gathered(self._local("mask", self._n_local)[:, None].astype(np.float64))
        return None if rows is None else rows[:, 0].astype(np.int64)

    def present(self, step: int, temperature: float | None = None) -> LammpsState | None:
        """The state now, between steps; None on other ranks."""
        n = self._n_local
        positions = self._vectors("x", n) + self._images(n) @ (self.cell() / self.units.length)
        rows = self._gathered(np.hstack([positions, self._vectors("v", n)]))
        return self._state(step, rows, self.cell(), temperature)

    def stored(self, step: int, store: str, averages: str) -> LammpsState | None:
        """The state that two fixes stored at the end of ``step``; None on other ranks.

        Parameters
        ----------
        step : at which
        store : id of a fix ``store/state`` of xu, yu, zu, vx, vy, vz
        averages : id of a fix ``ave/time`` of :data:`CELL_QUANTITIES` and a temperature
        """
        n = self._n_local
        pointer = self.lmp.extract_fix(store, _PER_ATOM, _ARRAY)
        rows = self._gathered(_table(pointer, n, 6))
        values = self.averages(averages)
        cell = cell_matrix(values[:9]) * self.units.length
        return self._state(step, rows, cell, values[9])

    def averages(self, fix: str) -> list[float]:
        """Values of a fix ``ave/time`` of :data:`CELL_QUANTITIES` and a temperature."""
        n = len(CELL_QUANTITIES) + 1
        return [float(self.lmp.extract_fix(fix, _GLOBAL, _VECTOR, k)) for k in range(n)]

    def fixes(self) -> list[FixInfo]:
        """The fixes of the script, by what LAMMPS's command ``info`` says; on every rank."""
        text = ""
        with tempfile.TemporaryDirectory() as directory:
            path = Path(directory, "info")
            # only rank 0 writes
            self.lmp.command(f'info fixes groups out overwrite "{self.ranks.agreed(str(path))}"')
            if self.ranks.is_first:
                text = path.read_text()
            text = self.ranks.agreed(text)
        lines = text.splitlines()
        groups = {m.group(2): int(m.group(1)) for line in lines if (m := _INFO_GROUP.match(line))}
        found = [m.groups() for line in lines if (m := _INFO_FIX.match(line))]
        return [FixInfo(id_, style, 1 << groups[group]) for id_, style, group in found]

    # ------------------------------------------------------------------ arrays of this rank

    @property
    def _n_local(self) -> int:
        return int(self.lmp.extract_setting("nlocal"))

    def _local(self, name: str, n: int) -> AnyArray:
        pointer = self.lmp.extract_atom(name)
        return np.array(pointer[:n], dtype=np.int64) if n else np.zeros(0, dtype=np.int64)

    def _vectors(self, name: str, n: int) -> FloatArray:
        return _table(self.lmp.extract_atom(name), n, 3)

    def _images(self, n: int) -> FloatArray:
        setting = self.lmp.extract_setting
        flags = self._local("image", n)
        bits, mask, most = setting("IMGBITS"), setting("IMGMASK"), setting("IMGMAX")
        shifts = np.array([0, bits, 2 * bits])
        images: FloatArray = ((flags[:, None] >> shifts) & mask).astype(np.float64) - most
        return images

    def _gathered(self, rows: FloatArray) -> FloatArray | None:
        """Rows of all atoms in the order of their ids, on rank 0."""
        parts = self.ranks.gather((self._local("id", len(rows)), rows))
        if not parts:
            return None
        ids = np.concatenate([part[0] for part in parts])
        order = np.argsort(ids)
        if len(ids) and (ids[order][0] < 1 or (np.diff(ids[order]) < 1).any()):
            raise RunError("LAMMPS: atoms without ids of their own (atom_modify id no)")
        gathered: FloatArray = np.concatenate([part[1] for part in parts])[order]
        return gathered

    def _state(
        self, step: int, rows: FloatArray | None, cell: FloatArray, temperature: float | None = None
    ) -> LammpsState | None:
        if rows is None:
            return None
        positions, velocities = rows[:, :3] * self.units.length, rows[:, 3:] * self.units.velocity
        return LammpsState(step, positions, velocities, cell, temperature)


def _table(pointer: Any, n_rows: int, n_columns: int) -> FloatArray:
    """A copy of LAMMPS's array of vectors, which lie one after the other in memory."""
    if n_rows == 0:
        return np.zeros((0, n_columns))
    table: FloatArray = np.array(np.ctypeslib.as_array(pointer[0], shape=(n_rows, n_columns)))
    return table
