"""Which index of a tensor is the dipole's: published sets disagree, and a transposed APT looks
like any other.

Turning an isolated molecule turns its dipole, Σᵢ Pᵢ (ω × rᵢ) = ω × M (the rotational sum rule of
:mod:`aptnn_md.labels.checks`), and only one of the two orders obeys it. Where the dipole M is not
known, or has another unit or origin, the six of its nine equations that need no dipole decide.
Crystals have no such rule.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from ase import Atoms

from aptnn_md.arrays import FloatArray
from aptnn_md.errors import InputError
from aptnn_md.labels.checks import LIMITS, scale
from aptnn_md.tensors import fitting_dipole, rotational_sum

DIPOLE_FIRST, DISPLACEMENT_FIRST = "dipole-first", "displacement-first"
ORDERS = (DIPOLE_FIRST, DISPLACEMENT_FIRST)
"""Row = dipole, column = displacement, as everywhere in this package; and the other way round."""

_DECISIVE = 5.0
"""How many times larger the residue of the wrong order must be."""

_NOISE = 1e-4
"""e Å: residues below say nothing."""


@dataclass(frozen=True)
class Ordered:
    """APTs with their dipole index first, and how that was found.

    Attributes
    ----------
    apts : for each frame (n_atoms, 3, 3), e
    note : a sentence for the log; empty where there was nothing to decide
    """

    apts: list[FloatArray]
    note: str


def check_order(order: str | None) -> None:
    """Raise an :class:`InputError` for what is no order."""
    if order is not None and order not in ORDERS:
        raise InputError("options", "--index-order", repr(order), " or ".join(ORDERS))


def turned(apts: Sequence[FloatArray], order: str) -> list[FloatArray]:
    """APTs of an order with their dipole index first."""
    return [apt.transpose(0, 2, 1) if order == DISPLACEMENT_FIRST else apt for apt in apts]


def settle_order(
    where: object,
    name: str,
    frames: Sequence[tuple[Atoms, FloatArray, FloatArray | None]],
    order: str | None,
) -> Ordered:
    """Put the dipole's index first, in all frames of a file alike.

    Parameters
    ----------
    where : the file
    name : of the array in it
    frames : structure, APTs as they stand in the file, and dipole (3,), e Å, or None
    order : one of :data:`ORDERS` if the user says it

    Raises
    ------
    InputError
        The rule says that it is the other one.
    """
    apts = [apt for _, apt, _ in frames]
    if order is not None:
        by_rule = detected_order(frames)
        if by_rule not in (None, order):
            raise InputError(
                where,
                f"{name}: order of the indices",
                f"{by_rule} by the rotational sum rule",
                f"{order}, as the options say: leave --index-order and --transpose out",
            )
        return Ordered(turned(apts, order), f"{where}: {name} is {order}, as --index-order says")
    if all(_symmetric(apt) for apt in apts):
        return Ordered(apts, f"{where}: {name} is symmetric: its indices have no order")
    found = detected_order(frames)
    if found is None:
        note = (
            f"{where}: {name}: nothing tells the order of its indices (that needs isolated "
            f"molecules with labels on every atom); taken as {DIPOLE_FIRST}, row = dipole. "
            f"If it is the other one: --index-order {DISPLACEMENT_FIRST}"
        )
        return Ordered(apts, "" if name == "apt" else note)
    done = "turned" if found == DISPLACEMENT_FIRST else "kept as it is"
    note = f"{where}: {name} is {found} by the rotational sum rule: {done}"
    quiet = name == "apt" and found == DIPOLE_FIRST
    return Ordered(turned(apts, found), "" if quiet else note)


def detected_order(
    frames: Sequence[tuple[Atoms, FloatArray, FloatArray | None]],
) -> str | None:
    """The order that the rotational sum rule demands, or None where it does not tell.

    Parameters
    ----------
    frames : as for :func:`settle_order`
    """
    usable = [frame for frame in frames if not any(frame[0].pbc) and np.isfinite(frame[1]).all()]
    with_dipole = [frame for frame in usable if frame[2] is not None]
    return _decided(with_dipole) or _decided([(atoms, apt, None) for atoms, apt, _ in usable])


def _decided(frames: Sequence[tuple[Atoms, FloatArray, FloatArray | None]]) -> str | None:
    """The order of the smaller residue, if it is small and the other one is much larger."""
    if not frames:
        return None
    residues = np.array([[_residue(frame, order) for order in ORDERS] for frame in frames])
    allowed = np.median([scale("rotational_sum", len(atoms)) for atoms, _, _ in frames])
    # frames that are wrong in themselves must not hide what the others say
    typical = np.median(residues, axis=0)
    best = int(typical.argmin())
    small = typical[best] <= LIMITS["rotational_sum"] * allowed
    if small and typical[1 - best] > max(_DECISIVE * typical[best], _NOISE):
        return ORDERS[best]
    return None


def _residue(frame: tuple[Atoms, FloatArray, FloatArray | None], order: str) -> float:
    atoms, stored, dipole = frame
    (apt,) = turned([stored], order)
    if dipole is None:
        dipole = fitting_dipole(apt, atoms.positions)
    return float(np.abs(rotational_sum(apt, atoms.positions, dipole)).max())


def _symmetric(apt: FloatArray) -> bool:
    return bool(np.nanmax(np.abs(apt - apt.transpose(0, 2, 1)), initial=0.0) < 1e-6)
