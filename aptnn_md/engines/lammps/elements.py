"""Which element an atom type of LAMMPS is.

LAMMPS knows types and masses. Elements are taken, in this order, from the option ``--elements``,
from a label map whose labels are symbols, from ``pair_coeff * * FILE O H`` (potentials that are
fitted to elements name them last), and from the masses, where a mass belongs to one element beyond
doubt. What contradicts is refused.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from ase.data import atomic_masses_iupac2016, atomic_numbers, chemical_symbols

from aptnn_md.arrays import FloatArray, IntArray
from aptnn_md.errors import InputError

_ISOTOPES = {2.014: 1, 3.016: 1, 13.003: 6, 15.000: 7, 17.999: 8}
"""Masses (amu) of isotopes that are simulated under their own mass -> atomic number."""

_STABLE = (*range(1, 43), *range(44, 61), *range(62, 84), 90, 92)
"""Atomic numbers of elements that have a standard mass."""

_CLOSE = 0.012
"""amu, between a mass and the one that a script has for it: CH₂ as one atom is 0.02 off N."""

OPTION = "--elements O H ..., the symbol of each atom type"


def elements_of_types(
    masses: FloatArray,
    given: Sequence[str] = (),
    labels: Mapping[int, str] | None = None,
    pair_coeff: Sequence[str] = (),
) -> IntArray:
    """Atomic number of each type, (n_types,).

    Parameters
    ----------
    masses : (n_types,), amu; 0 where a type has none
    given : symbols by the user
    labels : type, counted from 1 -> label, where there is a label map
    pair_coeff : words of a ``pair_coeff`` command of all types, after the two stars

    Raises
    ------
    InputError
        A type whose element is not clear, or sources that disagree.
    """
    n_types = len(masses)
    if given:
        return _numbers(list(given), n_types, "--elements")
    of_masses = [element_of_mass(mass) for mass in masses]
    symbols = _symbols_of(labels or {}, n_types) or _last_symbols(pair_coeff, n_types)
    found = of_masses
    if symbols:
        found = list(_numbers(symbols, n_types, "script"))
        _check_against_masses(found, of_masses, masses)
    for n, (number, mass) in enumerate(zip(found, of_masses, strict=True)):
        if number is None and mass is None:
            text = f"no element of mass {masses[n]:g} amu beyond doubt"
            raise InputError("LAMMPS script", f"atom type {n + 1}", text, OPTION)
    return np.array(found, dtype=np.int64)


def element_of_mass(mass: float) -> int | None:
    """Atomic number of the only element that has this mass, amu; None: none, or several.

    A mass counts as that of an element within 0.012 amu, or as its rounded value (12, 35.5).
    """
    close = []
    for number in _STABLE:
        off = abs(mass - float(atomic_masses_iupac2016[number]))
        rounded = any(
            mass == round(mass, digits) and off <= 0.5 * 10.0**-digits + 1e-9
            for digits in (0, 1, 2)
        )
        if off <= _CLOSE or rounded:
            close.append(number)
    if not close:
        close = [z for isotope, z in _ISOTOPES.items() if abs(mass - isotope) <= 0.015]
    return close[0] if len(close) == 1 else None


def _symbols_of(labels: Mapping[int, str], n_types: int) -> list[str]:
    """Labels that are symbols, if all are."""
    names = [labels.get(n + 1, "") for n in range(n_types)]
    return names if all(name in atomic_numbers for name in names) else []


def _last_symbols(words: Sequence[str], n_types: int) -> list[str]:
    """The last words of ``pair_coeff * * ...`` if they are a symbol for each type."""
    last = list(words[-n_types:])
    good = len(words) > n_types and all(word in atomic_numbers for word in last)
    return last if good else []


def _numbers(symbols: Sequence[str], n_types: int, where: str) -> IntArray:
    known = [symbol for symbol in symbols if atomic_numbers.get(symbol, 0) > 0]
    if len(known) != len(symbols):
        unknown = next(symbol for symbol in symbols if symbol not in known)
        raise InputError("LAMMPS", where, repr(unknown), "chemical symbols")
    if len(symbols) != n_types:
        raise InputError("LAMMPS", where, f"{len(symbols)} symbols", f"{n_types}: {OPTION}")
    return np.array([atomic_numbers[symbol] for symbol in symbols], dtype=np.int64)


def _check_against_masses(
    numbers: Sequence[int | None], of_masses: Sequence[int | None], masses: FloatArray
) -> None:
    for n, (number, other) in enumerate(zip(numbers, of_masses, strict=True)):
        if number is not None and other is not None and number != other:
            found = f"{chemical_symbols[number]} by name, {chemical_symbols[other]} by its mass "
            found += f"of {masses[n]:g} amu"
            raise InputError("LAMMPS script", f"atom type {n + 1}", found, OPTION)
