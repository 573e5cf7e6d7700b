"""LAMMPS's unit styles, and the conversion of lengths, times and masses.

Velocities are converted as lengths over times, since LAMMPS moves atoms by its velocity times its
time step in every style, whatever its manual calls the unit of velocities.
"""

from __future__ import annotations

from dataclasses import dataclass

from scipy import constants as _si

from aptnn_md.errors import InputError

_BOHR = _si.physical_constants["Bohr radius"][0] * 1e10


@dataclass(frozen=True)
class UnitStyle:
    """Units of a style of LAMMPS in ours.

    Attributes
    ----------
    length : Å
    time : fs
    mass : amu
    """

    length: float
    time: float
    mass: float

    @property
    def velocity(self) -> float:
        """Å/fs."""
        return self.length / self.time


_KILOGRAM = 1.0 / _si.atomic_mass

UNIT_STYLES = {
    "real": UnitStyle(1.0, 1.0, 1.0),
    "metal": UnitStyle(1.0, 1e3, 1.0),
    "si": UnitStyle(1e10, 1e15, _KILOGRAM),
    "cgs": UnitStyle(1e8, 1e15, 1e-3 * _KILOGRAM),
    "electron": UnitStyle(_BOHR, 1.0, 1.0),
    "micro": UnitStyle(1e4, 1e9, 1e-15 * _KILOGRAM),
    "nano": UnitStyle(10.0, 1e6, 1e-21 * _KILOGRAM),
}
"""Style -> its units (LAMMPS's manual, command ``units``); ``lj`` has none of its own."""


def unit_style(name: str) -> UnitStyle:
    """Units of a style.

    Raises
    ------
    InputError
        ``lj``, whose lengths, times and masses are those of a substance that the script does not
        name, or a style that is not known.
    """
    if name not in UNIT_STYLES:
        found = f"{name}, without lengths in Å and times in fs" if name == "lj" else name
        raise InputError("LAMMPS", "units", found, f"one of {', '.join(UNIT_STYLES)}")
    return UNIT_STYLES[name]
