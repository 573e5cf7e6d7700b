"""Single points: what is calculated, and the results."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from ase import Atoms

from aptnn_md.arrays import FloatArray
from aptnn_md.atomic_units import FIELD

_SEAL = "sha256"
RUN_PREFIX = "run-"
"""How names of directories begin in which a program is running a point."""


class PointFailure(Exception):
    """A single point that failed, e.g. an SCF that did not converge; says why.

    Its frame is left out, and the run continues.
    """


@dataclass(frozen=True)
class Point:
    """A single point of a frame.

    Parameters
    ----------
    field : electric field, V/Å
    displacement : atom, direction (0, 1, 2) and how far it is moved, Å; None: no atom is moved
    """

    field: tuple[float, float, float] = (0.0, 0.0, 0.0)
    displacement: tuple[int, int, float] | None = None

    @property
    def name(self) -> str:
        """Text that is a file's name and tells points of a frame apart; fields in atomic units."""
        field = "_".join(f"{component / FIELD + 0.0:.9g}" for component in self.field)
        if self.displacement is None:
            return "zero" if self.is_zero else f"field_{field}"
        atom, direction, step = self.displacement
        moved = f"atom_{atom}_{'xyz'[direction]}_{step:.9g}"
        return moved if not any(self.field) else f"{moved}_field_{field}"

    @property
    def is_zero(self) -> bool:
        """Whether this is the frame as it stands, without a field."""
        return self.displacement is None and not any(self.field)

    def place(self, atoms: Atoms) -> Atoms:
        """The structure of this point."""
        moved: Atoms = atoms.copy()
        if self.displacement is not None:
            atom, direction, step = self.displacement
            moved.positions[atom, direction] += step
        return moved


@dataclass(frozen=True)
class PointResult:
    """What an engine says about a structure in a field.

    Attributes
    ----------
    energy : eV, with the field's part; None if the engine gives none
    forces : (n_atoms, 3), eV/Å, with the field's part; None where the engine has none
    dipole : (3,), e Å, induced part included; in a periodic cell only up to whole lattice vectors
        times e; None where the engine has none
    polarizability : (3, 3), Å³, for engines that give it directly
    """

    energy: float | None = None
    forces: FloatArray | None = None
    dipole: FloatArray | None = None
    polarizability: FloatArray | None = None

    def check(self, n_atoms: int, needed: Sequence[str]) -> None:
        """Raise :class:`PointFailure` unless all of ``needed`` is there and finite."""
        if self.energy is not None and not math.isfinite(self.energy):
            raise PointFailure("energy not finite")
        shapes = {"forces": (n_atoms, 3), "dipole": (3,), "polarizability": (3, 3)}
        for name, shape in shapes.items():
            value = getattr(self, name)
            if value is None:
                if name in needed:
                    raise PointFailure(f"the engine gave no {name}")
            elif value.shape != shape:
                raise PointFailure(f"{name} of shape {value.shape}, expected {shape}")
            elif not np.isfinite(value).all():
                raise PointFailure(f"{name} not finite")

    def to_json(self) -> str:
        """All digits of all numbers."""
        values = {
            name: value if value is None or isinstance(value, float) else value.tolist()
            for name, value in vars(self).items()
        }
        return _sealed("result", values)


def read_point(text: str) -> PointResult | PointFailure:
    """Parse the text of a point's file; those of version 0.1 have no checksum.

    Raises
    ------
    ValueError, KeyError, TypeError
        It is not the text of such a file, or a damaged one.
    """
    content: dict[str, Any] = json.loads(text)
    kind = "failure" if "failure" in content else "result"
    value = content[kind]
    if set(content) - {kind, _SEAL}:
        raise ValueError(f"unknown entries beside {kind}")
    if _SEAL in content and _sealed(kind, value) != text:
        raise ValueError("damaged: the checksum differs")
    if kind == "failure":
        return PointFailure(str(value))
    energy = value.pop("energy")
    arrays = {
        name: None if numbers is None else np.array(numbers, dtype=np.float64)
        for name, numbers in value.items()
    }
    return PointResult(energy=energy, **arrays)


def failure_json(failure: PointFailure) -> str:
    """Text of the file of a point that failed."""
    return _sealed("failure", str(failure))


def _sealed(kind: str, value: Any) -> str:
    """Text of a point's file, with the SHA-256 of what it says."""
    digest = hashlib.sha256(json.dumps({kind: value}).encode()).hexdigest()
    return json.dumps({kind: value, _SEAL: digest})
