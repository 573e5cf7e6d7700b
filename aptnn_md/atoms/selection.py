"""Atoms by index, by element, or by their distance to others; several selections with names.

``within:3.5:index:0`` alone divides atoms into ``selected`` and ``rest``. Names are given by
``NAME=SELECTION``, of several with blanks between: ``solute=index:0-4 shell=within:3.5:index:0-4``.
An atom belongs to the first one that has it, and what none has is ``rest``.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable

import numpy as np
from ase import Atoms
from ase.data import atomic_numbers
from numpy.typing import NDArray

from aptnn_md.arrays import IntArray
from aptnn_md.atoms.molecules import molecules
from aptnn_md.atoms.snapshot import Snapshot, nearest_images
from aptnn_md.errors import InputError

EXPECTED = (
    "index:0-2,7, element:O,Na, or within:RADIUS:index:... or within:RADIUS:element:..., or "
    "several with names, NAME=index:0-2 OTHER=element:O"
)
"""What :func:`assign_atoms` understands."""

REST = "rest"
"""Label of atoms that no selection has."""

_SELECTION = re.compile(r"((?P<name>[^\s=:,;]+)=)?(?P<selection>(index|element|within):.*)")


def is_selection(text: str) -> bool:
    """Whether ``text`` starts like a selection, with or without a name."""
    return _SELECTION.match(text) is not None


def named_selections(text: str) -> dict[str, str]:
    """Label -> selection, from one with or without a name or several with names.

    Raises
    ------
    InputError
        Text that is no selection, a name given twice or that of the rest, or none where several
        need one.
    """
    found: dict[str, str] = {}
    words = text.split()
    for word in words:
        match = _SELECTION.fullmatch(word)
        if match is None:
            raise InputError("groups", "selection", repr(word), EXPECTED)
        name = match["name"] or ("selected" if len(words) == 1 else "")
        if not name or name == REST or name in found:
            expected = f"NAME={match['selection']} with a name of its own other than '{REST}'"
            raise InputError("groups", "selection", repr(word), expected)
        found[name] = match["selection"]
    return found


def assign_atoms(selections: dict[str, str], atoms: Atoms) -> IntArray:
    """Number of the first selection that has an atom, (n_atoms,); of the rest one more than all.

    Parameters
    ----------
    selections : label -> selection for :func:`select_atoms`
    atoms : the structure
    """
    index = np.full(len(atoms), len(selections), dtype=np.int64)
    for number, text in reversed(list(enumerate(selections.values()))):
        index[select_atoms(text, atoms)] = number
    return index


def select_atoms(text: str, atoms: Atoms) -> NDArray[np.bool_]:
    """Which atoms are selected, (n_atoms,).

    Parameters
    ----------
    text : ``index:0-2,7``: atoms by number, counted from 0, ranges with both ends;
        ``element:O,Na``: by symbol (``;`` may stand for a comma); ``within:3.5:index:0``: every
        molecule with an atom within 3.5 Å of the atoms of the second selection, and these
        themselves
    atoms : the structure

    Raises
    ------
    InputError
        Text that is not a selection, or a selection of no atom of this structure.
    """
    kind, _, rest = text.partition(":")
    find: dict[str, Callable[[str, str, Atoms], NDArray[np.bool_]]] = {
        "index": _by_index,
        "element": _by_element,
        "within": _within,
    }
    if kind not in find:
        raise InputError("groups", "selection", repr(text), EXPECTED)
    return find[kind](text, rest, atoms)


def _by_index(text: str, rest: str, atoms: Atoms) -> NDArray[np.bool_]:
    chosen = np.zeros(len(atoms), dtype=bool)
    for item in re.split("[,;]", rest):
        first, _, last = item.partition("-")
        if not (first.isdecimal() and (last or first).isdecimal()):
            raise InputError("groups", "selection", repr(text), "numbers and ranges, index:0-2,7")
        low, high = int(first), int(last or first)
        if not low <= high < len(atoms):
            raise InputError(f"groups {text}", "atoms", item, f"within 0 to {len(atoms) - 1}")
        chosen[low : high + 1] = True
    return chosen


def _by_element(text: str, rest: str, atoms: Atoms) -> NDArray[np.bool_]:
    chosen = np.zeros(len(atoms), dtype=bool)
    for symbol in re.split("[,;]", rest):
        of_element = atoms.numbers == atomic_numbers.get(symbol, -1)
        if not of_element.any():
            there = ", ".join(sorted(set(atoms.get_chemical_symbols())))
            raise InputError(f"groups {text}", "element", repr(symbol), f"one of {there}")
        chosen |= of_element
    return chosen


def _within(text: str, rest: str, atoms: Atoms) -> NDArray[np.bool_]:
    radius_text, _, around_text = rest.partition(":")
    try:
        radius = float(radius_text)
    except ValueError:
        radius = math.nan
    if not (math.isfinite(radius) and radius > 0 and is_selection(around_text)):
        raise InputError("groups", "selection", repr(text), "within:RADIUS:index:0, radius in Å")
    around = select_atoms(around_text, atoms)
    snapshot = Snapshot.of(atoms)
    near = around.copy()
    for centre in np.flatnonzero(around):
        vectors = nearest_images(
            atoms.positions - atoms.positions[centre], snapshot.cell, snapshot.pbc
        )
        near |= (vectors**2).sum(axis=1) <= radius**2
    molecule = molecules(atoms)
    return near | np.isin(molecule, molecule[near & ~around]) | around
