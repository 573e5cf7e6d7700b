"""What a training learns from: tensors of atoms, labels of frames, or both.

A total dipole is a label of a frame, not of its atoms, so it is no
:class:`~aptnn_md.targets.Target`: the network ``dipole`` that learns it gives APTs, the derivative
of the dipole. In ``--target dipole``, ``apt`` or ``dipole+apt`` it stands beside targets. So does
the polarizability of a frame, which the network ``polarizability`` learns, and of which PGTs are
the derivative: ``--target polarizability``, ``pgt`` or ``polarizability+pgt``.
"""

from __future__ import annotations

from aptnn_md.errors import InputError
from aptnn_md.structure_labels import DIPOLE, POLARIZABILITY
from aptnn_md.targets import APT, PGT, TARGETS, Target, targets_of

DIPOLE_UNIT = "e Å"
"""Of total dipoles."""

POLARIZABILITY_UNIT = "Å³"
"""Of polarizabilities."""

OF_FRAMES: dict[str, Target] = {DIPOLE: APT, POLARIZABILITY: PGT}
"""Label of a frame, which is also the name of the network that learns it -> its derivative."""

_UNITS = {DIPOLE: DIPOLE_UNIT, POLARIZABILITY: POLARIZABILITY_UNIT}


def learns(target: str, label: str) -> bool:
    """Whether a label is among those of ``"dipole"``, ``"dipole+apt"``, ..."""
    return label in target.split("+")


def tensors_of(target: str) -> str:
    """What a network that learns from these labels gives: ``"apt"`` of ``"dipole"``."""
    names = target.split("+")
    of_frames = [OF_FRAMES[name].name for name in names if name in OF_FRAMES]
    return "+".join([name for name in names if name not in OF_FRAMES] or of_frames)


def check_learned(target: str, network: str, where: object) -> None:
    """Refuse labels that there are not, or that a network cannot learn from.

    Raises
    ------
    InputError
        Unknown names, or labels of frames for another network than the one that learns them.
    """
    names = target.split("+")
    for label, derivative in OF_FRAMES.items():
        if label in names and network != label:
            expected = (
                f"--network {label}, which alone learns from {_PLURALS[label]}, or "
                f"--target {derivative.name}"
            )
            raise InputError(where, "target", f"{target} for the network {network}", expected)
        if names.count(label) > 1:
            raise InputError(where, "target", target, f"{label} once")
    of_atoms = [name for name in names if name not in OF_FRAMES]
    if of_atoms:
        targets_of(of_atoms, where)


_PLURALS = {DIPOLE: "total dipoles", POLARIZABILITY: "polarizabilities"}


def unit_of(label: str) -> str:
    """Unit of a target or of a label of frames."""
    return _UNITS[label] if label in _UNITS else TARGETS[label].unit
