"""Whether dipoles are in e Å, as everywhere in this package.

ASE means e Å, many programs print debye, and nothing in three numbers says which of them they are.
Two rules do, where they apply:

* Moving everything by t moves the dipole of a charge Q by Q·t.
* Turning an isolated system turns its dipole, so its polar tensors know it
  (:func:`aptnn_md.tensors.fitting_dipole`).

A dipole that is too large by just the factor of debye is refused or left out; where no rule
applies, the log says which unit is taken.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from ase import Atoms

from aptnn_md.arrays import FloatArray
from aptnn_md.atomic_units import DEBYE
from aptnn_md.errors import InputError
from aptnn_md.progress import log
from aptnn_md.tensors import fitting_dipole

_SAME = 0.1
"""Relative difference of two dipoles that are the same; the factor of debye is 4.8."""

_SMALLEST = 0.1
"""e Å, of a dipole by polar tensors of which numerical errors are no large part."""

_SHIFT = np.array([0.3, -0.2, 0.1])
"""Å, by which everything is moved."""


def is_in_debye(found: FloatArray, expected: FloatArray) -> bool:
    """Whether vectors are those that are expected, e Å, written in debye."""
    in_debye = expected / DEBYE
    return bool(np.linalg.norm(found - in_debye) < _SAME * np.linalg.norm(in_debye))


def apts_say_debye(atoms: Atoms, dipole: FloatArray, apt: FloatArray) -> bool | None:
    """Whether a dipole is in debye, by the polar tensors of the same structure.

    Parameters
    ----------
    atoms : the structure, in one piece
    dipole : (3,), about the origin of the coordinates
    apt : (n_atoms, 3, 3), e, the dipole first; NaN where an atom has none

    Returns
    -------
    None where they cannot tell: a periodic structure, an atom without a tensor, no dipole
    """
    if atoms.pbc.any() or not np.isfinite(apt).all():
        return None
    expected = fitting_dipole(apt, atoms.positions)
    return None if np.linalg.norm(expected) < _SMALLEST else is_in_debye(dipole, expected)


def check_labels(
    path: object,
    structures: Sequence[Atoms],
    dipoles: Sequence[FloatArray | None],
    apts: Sequence[FloatArray | None],
) -> None:
    """Refuse dipoles in debye beside polar tensors, and say what is taken where nothing tells.

    Parameters
    ----------
    path : the file, for messages
    structures, dipoles, apts : of its frames; None where a frame has none

    Raises
    ------
    InputError
        Some of the dipoles that can be checked are in debye.
    """
    pairs = zip(structures, dipoles, apts, strict=True)
    known = [(atoms, dipole, apt) for atoms, dipole, apt in pairs if dipole is not None]
    told = [
        verdict
        for atoms, dipole, apt in known
        if apt is not None and (verdict := apts_say_debye(atoms, dipole, apt)) is not None
    ]
    if any(told):
        found = f"debye in {sum(told)} of {len(told)} frames, by their APTs and the rotational sum"
        raise InputError(path, "dipole", f"{found} rule", f"e Å: 1 debye = {DEBYE:.7f} e Å")
    if known and not told:
        log.info("%s: dipoles are taken in e Å; nothing in the file tells their unit", path)


def refuse_debye(where: str, field: str, calculator: object) -> None:
    """Refuse a calculator of mace-torch, whose dipoles are in debye where ASE means e Å.

    Raises
    ------
    InputError
        It is one.
    """
    if type(calculator).__module__.partition(".")[0] == "mace":
        expected = "a calculator with dipoles in e Å; its polar tensors are --model NAME.model"
        raise InputError(where, field, "a dipole network of MACE", expected)


def say_unit(where: str) -> None:
    """Say in the log that dipoles of structures which are not yet known are taken in e Å."""
    log.info("%s: dipoles are taken in e Å; only those of a charge can tell", where)


def check_dipole_of_charge(
    where: str, dipole: Callable[[Atoms], FloatArray], atoms: Atoms, charge: float
) -> None:
    """Refuse a dipole in debye by moving a charged structure, and say what is taken of others.

    Parameters
    ----------
    dipole : structure -> its dipole (3,)
    charge : Q, e

    Raises
    ------
    InputError
        The dipole is in debye.
    """
    if charge == 0.0:
        log.info("%s: dipoles are taken in e Å; those of a neutral structure cannot tell", where)
        return
    moved = atoms.copy()
    moved.positions += _SHIFT
    change, expected = dipole(moved) - dipole(atoms), charge * _SHIFT
    if is_in_debye(change, expected):
        found = f"debye: moved by 1 Å it changes by {abs(charge) / DEBYE:.3f}, not {abs(charge):g}"
        raise InputError(where, "dipole", found, f"e Å: 1 debye = {DEBYE:.7f} e Å")
    if np.linalg.norm(change - expected) > _SAME * np.linalg.norm(expected):
        log.warning(
            "%s: the dipole does not move with the charge of %g e: its origin moves with the "
            "atoms, or it has another charge",
            *(where, charge),
        )
