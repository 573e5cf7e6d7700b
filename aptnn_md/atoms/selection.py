"""Atoms by index, by element, or by their distance to others."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from ase import Atoms
from ase.data import atomic_numbers
from numpy.typing import NDArray

from aptnn_md.atoms.molecules import molecules
from aptnn_md.atoms.snapshot import Snapshot, nearest_images
from aptnn_md.errors import InputError

EXPECTED = "index:0-2,7, element:O,Na, or within:RADIUS:index:... or within:RADIUS:element:..."
"""What :func:`select_atoms` understands."""


def is_selection(text: str) -> bool:
    """Whether ``text`` starts like a selection."""
    return text.partition(":")[0] in ("index", "element", "within") and ":" in text


def select_atoms(text: str, atoms: Atoms) -> NDArray[np.bool_]:
    """Which atoms are selected, (n_atoms,).

    Parameters
    ----------
    text : ``index:0-2,7``: atoms by number, counted from 0, ranges with both ends;
        ``element:O,Na``: by symbol; ``within:3.5:index:0``: every molecule with an atom within
        3.5 Å of the atoms of the second selection, and these themselves
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
    for item in rest.split(","):
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
    for symbol in rest.split(","):
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
