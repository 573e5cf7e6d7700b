"""Units of dipoles and of their rates in other programs' files."""

from __future__ import annotations

from collections.abc import Mapping

from aptnn_md.atomic_units import BOHR, DEBYE, TIME

DIPOLE_UNITS: Mapping[str, float] = {
    "e-angstrom": 1.0,
    "debye": DEBYE,
    "au": BOHR,
    "e-nm": 10.0,
}
"""Names of units of the dipole, e Å."""

RATE_UNITS: Mapping[str, float] = {
    "e-angstrom/fs": 1.0,
    "e-angstrom/ps": 1e-3,
    "debye/fs": DEBYE,
    "debye/ps": 1e-3 * DEBYE,
    "au": BOHR / TIME,
}
"""Names of units of the dipole's rate, e Å/fs."""

TIME_UNITS: Mapping[str, float] = {
    "fs": 1.0,
    "femtosecond": 1.0,
    "ps": 1e3,
    "picosecond": 1e3,
    "ns": 1e6,
    "au": TIME,
    "atomicunit": TIME,
}
"""As they are written in brackets after a column's name, fs."""

_SPELLINGS = {
    # i-PI knows no unit of charge: what it writes in Å is in e Å
    "e-angstrom": ("ea", "eang", "eangstrom", "eå", "ang", "angstrom", "å"),
    "debye": ("debye", "d"),
    "au": ("au", "atomicunit", "atomicunits", "ebohr", "ea0"),
    "e-nm": ("enm",),
}


def spelled(text: str) -> str:
    """A unit as others write it, without case, blanks and signs: ``e*Å``, ``e·Å`` are ``eå``."""
    dropped = " *·._-^×"
    return "".join(sign for sign in text.casefold() if sign not in dropped).replace("å", "å")


def unit_of(text: str, rates: bool) -> str | None:
    """The name of a unit in :data:`DIPOLE_UNITS` or :data:`RATE_UNITS`; None: no unit of those."""
    base, slash, per = spelled(text).partition("/")
    for name, spellings in _SPELLINGS.items():
        if base in spellings:
            full = f"{name}/{per}" if slash else name
            return full if full in (RATE_UNITS if rates else DIPOLE_UNITS) else None
    return None
