"""What a training learns from: tensors of atoms, total dipoles of frames, or both.

A total dipole is a label of a frame, not of its atoms, so it is no
:class:`~aptnn_md.targets.Target`: the network ``dipole`` that learns it gives APTs, the derivative
of the dipole. In ``--target dipole``, ``apt`` or ``dipole+apt`` it stands beside targets.
"""

from __future__ import annotations

from aptnn_md.errors import InputError
from aptnn_md.structure_labels import DIPOLE
from aptnn_md.targets import APT, TARGETS, targets_of

DIPOLE_UNIT = "e Å"
"""Of total dipoles."""


def learns_dipoles(target: str) -> bool:
    """Whether total dipoles are among the labels of ``"dipole"``, ``"dipole+apt"``, ..."""
    return DIPOLE in target.split("+")


def tensors_of(target: str) -> str:
    """What a network that learns from these labels gives: ``"apt"`` of ``"dipole"``."""
    names = [name for name in target.split("+") if name != DIPOLE]
    return "+".join(names or [APT.name])


def check_learned(target: str, network: str, where: object) -> None:
    """Refuse labels that there are not, or that a network cannot learn from.

    Raises
    ------
    InputError
        Unknown names, or total dipoles for another network than ``dipole``.
    """
    names = target.split("+")
    if DIPOLE in names and network != "dipole":
        expected = "--network dipole, which alone learns from total dipoles, or --target apt"
        raise InputError(where, "target", f"{target} for the network {network}", expected)
    if names.count(DIPOLE) > 1:
        raise InputError(where, "target", target, f"{DIPOLE} once")
    if names != [DIPOLE]:
        targets_of([name for name in names if name != DIPOLE], where)


def unit_of(label: str) -> str:
    """Unit of a target or of total dipoles."""
    return DIPOLE_UNIT if label == DIPOLE else TARGETS[label].unit
