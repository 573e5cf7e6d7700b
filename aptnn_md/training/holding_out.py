"""Frames that are held out of a training: no copies of those that are learned from."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.data import chemical_symbols

from aptnn_md.errors import InputError
from aptnn_md.structures import charge_of


def held_out(structures: Sequence[Atoms], fraction: float, seed: int) -> set[int]:
    """Numbers of the frames that are held out, chosen at random.

    ``fraction`` of them, at least one unless it is zero. Copies of a structure are on one side, as
    a network knows what it was trained on; where there is one structure only, that cannot be. What
    alone has an element is not held out: nothing can be said of elements that were not learned.

    Raises
    ------
    InputError
        Each structure has an element of its own.
    """
    copies: dict[bytes, list[int]] = {}
    for k, atoms in enumerate(structures):
        copies.setdefault(_fingerprint(atoms), []).append(k)
    groups = list(copies.values())
    if len(groups) == 1:
        groups = [[k] for k in groups[0]]
    n_wanted = max(1, round(fraction * len(structures))) if fraction > 0.0 else 0
    if n_wanted >= len(structures):
        return set(range(len(structures)))
    elements = [set(structures[group[0]].numbers.tolist()) for group in groups]
    left = Counter(z for of_group in elements for z in of_group)
    found: set[int] = set()
    for group in np.random.default_rng(seed).permutation(len(groups)):
        if len(found) >= n_wanted:
            break
        if min(left[z] for z in elements[group]) > 1:
            left.subtract(elements[group])
            found.update(groups[group])
    if n_wanted and not found:
        expected = "some that others have; --valid with other frames, or --valid-fraction 0"
        raise InputError("held-out frames", "elements", "one of its own in each frame", expected)
    return found


def refuse_known(
    data: Path, training: Sequence[Atoms], valid: Path, validation: Sequence[Atoms]
) -> None:
    """Refuse frames for validation that are trained on.

    Raises
    ------
    InputError
        Structures of ``validation``, from the file ``valid``, that are in ``training``, too.
    """
    known = {_fingerprint(atoms) for atoms in training}
    n_known = sum(_fingerprint(atoms) in known for atoms in validation)
    if n_known:
        raise InputError(
            valid,
            "frames",
            f"{n_known} of {len(validation)} that are in {data}, too",
            "frames that are not trained on; or none, with --valid-fraction 0",
        )


def refuse_unlearned(
    data: Path, what: str, learned: Collection[int], structures: Sequence[Atoms]
) -> None:
    """Refuse elements of which nothing is learned: what a network says of them means nothing.

    Parameters
    ----------
    data, what : file to train on, and which labels of it
    learned : atomic numbers with labels to train on
    structures : all that are trained on or held out

    Raises
    ------
    InputError
        A frame has such an element.
    """
    numbers = {int(z) for atoms in structures for z in atoms.numbers}
    if missing := sorted(numbers - set(learned)):
        names = ", ".join(chemical_symbols[z] for z in missing)
        expected = "labels of some of them to train on, or frames without these elements"
        raise InputError(data, f"{what} of {names}", "no label to train on", expected)


def _fingerprint(atoms: Atoms) -> bytes:
    """The same for the same structure: elements, charge, and positions and cell to the digits of
    files."""
    digest = hashlib.sha256(np.asarray(atoms.numbers, dtype="<i8").tobytes())
    digest.update(repr(charge_of(atoms, 0.0)).encode())
    for array in (atoms.positions, atoms.cell.array):
        digest.update((np.round(np.asarray(array, dtype="<f8"), 5) + 0.0).tobytes())
    return digest.digest()
