"""What frames say about themselves, as far as labels need it."""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np
from ase import Atoms

from aptnn_md.errors import InputError

CHARGE_KEYS = ("charge", "totalcharge", "netcharge", "systemcharge", "totcharge")
"""Entries of ``atoms.info`` that are the charge of the structure, whatever their case and
underscores."""


def charge_of(atoms: Atoms, default: float | None = None) -> float | None:
    """Charge of a structure, e, from what the structure itself says.

    Parameters
    ----------
    atoms : the structure
    default : what is returned where it does not say

    Raises
    ------
    InputError
        Entries that disagree, or a charge that is no finite number.
    """
    found: dict[str, float] = {}
    for key, value in atoms.info.items():
        if re.sub("[^a-z]", "", str(key).lower()) in CHARGE_KEYS:
            found[str(key)] = _number(atoms, str(key), value)
    if not found:
        return default
    (first, charge), *others = found.items()
    for key, value in others:
        if abs(value - charge) > 1e-6:
            raise InputError(
                atoms.get_chemical_formula(),
                "charge",
                f"{first}={charge:g} and {key}={value:g}",
                "one charge: correct or remove one of the two",
            )
    return charge


def _number(atoms: Atoms, key: str, value: Any) -> float:
    try:
        number = float(np.asarray(value, dtype=np.float64).reshape(()))
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        raise InputError(atoms.get_chemical_formula(), key, repr(value), "a finite number, e")
    return number
