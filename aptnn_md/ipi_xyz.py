"""Comment lines of i-PI's xyz files: what the file holds, its units and the cell.

``# CELL(abcABC): 10 10 10 90 90 90 Step: 0 Bead: 0 positions{angstrom} cell{angstrom}``; cells
also as ``CELL(H): ...`` or ``CELL(GENH): ...`` with nine numbers, vectors in columns.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from ase import Atoms
from ase.geometry import cellpar_to_cell

from aptnn_md.arrays import FloatArray
from aptnn_md.atomic_units import IPI
from aptnn_md.errors import InputError

LENGTHS: Mapping[str, float] = {
    "angstrom": 1.0,
    "ase": 1.0,
    "atomic_unit": IPI.bohr,
    "automatic": IPI.bohr,
    "nanometer": 10.0,
}
"""i-PI's names of units of length, Å."""

_CELL = re.compile(r"\bCELL[\(\[\{](abcABC|GENH|H)[\)\]\}]:((?:\s+[-+\d.eE]+)+)")
_QUANTITY = re.compile(
    r"\b(positions|x_centroid|velocities|v_centroid|momenta|p_centroid|forces|f_centroid)"
    r"(?:\{([^}\s]*)\})?"
)
_STEP, _BEAD = re.compile(r"\bStep:\s*(\d{1,18})\b"), re.compile(r"\bBead:\s*(\d{1,18})\b")
_CELL_UNIT = re.compile(r"\bcell\{([^}\s]*)\}")


@dataclass(frozen=True)
class IpiComment:
    """What a comment line of i-PI says.

    Attributes
    ----------
    quantity : what stands in the columns of the atoms, e.g. ``"positions"``
    unit, cell_unit : i-PI's names; empty where the line does not say
    cell : (3, 3), rows, in ``cell_unit``; None where there is none
    """

    quantity: str
    unit: str
    cell_unit: str
    cell: FloatArray | None


def parse_comment(line: str) -> IpiComment | None:
    """None for a comment that is not i-PI's."""
    found = _CELL.search(line)
    quantity = _QUANTITY.search(line)
    named = quantity is not None and quantity[2] is not None
    if "Properties=" in line or (found is None and not named):
        return None
    cell_unit = _CELL_UNIT.search(line)
    return IpiComment(
        quantity=quantity[1] if quantity is not None else "positions",
        unit=(quantity[2] or "") if quantity is not None else "",
        cell_unit=cell_unit[1] if cell_unit is not None else "",
        cell=None if found is None else _cell(found[1], found[2]),
    )


def step_of(line: str) -> int | None:
    """The step that a comment line of i-PI says; None where it says none."""
    found = _STEP.search(line)
    return None if found is None else int(found[1])


def bead_of(line: str) -> int | None:
    """The bead, counted from 0, that a comment line of i-PI says; None where it says none."""
    found = _BEAD.search(line)
    return None if found is None else int(found[1])


def apply_comment(where: str, atoms: Atoms, comment: IpiComment) -> None:
    """Give ``atoms`` the cell of the comment, and positions and cell in Å.

    Raises
    ------
    InputError
        A file of velocities or forces, or units that are unknown or not given.
    """
    if comment.quantity not in ("positions", "x_centroid"):
        raise InputError(where, "positions", f"{comment.quantity} of i-PI", "a file of positions")
    named = {"positions": comment.unit}
    if comment.cell is not None:
        named["cell"] = comment.cell_unit
    for name, unit in named.items():
        if unit not in LENGTHS:
            found = f"unit {unit}" if unit else "a comment line of i-PI that gives no unit"
            expected = f"{name}{{angstrom}} or {name}{{atomic_unit}} in the comment line"
            raise InputError(where, name, found, expected)
    atoms.positions *= LENGTHS[comment.unit]
    if comment.cell is not None and np.linalg.det(comment.cell) > 0.0:
        atoms.set_cell(comment.cell * LENGTHS[comment.cell_unit])
        atoms.pbc = True


def _cell(form: str, text: str) -> FloatArray | None:
    numbers = np.array(text.split(), dtype=np.float64)
    if form == "abcABC":
        return cellpar_to_cell(numbers[:6]) if len(numbers) >= 6 else None
    return numbers[:9].reshape(3, 3).T if len(numbers) >= 9 else None
