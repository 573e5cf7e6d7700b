"""The labelled file: structures with their labels, and the checks of each.

A labelled frame is extxyz that other programs can read: apart from ``energy`` and ``forces``,
which mean the same everywhere, no property carries one of ASE's standard names, because readers of
training sets (NequIP's, for one) take every standard property for a field of their own. The dipole
is therefore called :data:`DIPOLE`.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from ase import Atoms
from ase.calculators.calculator import all_properties
from ase.calculators.singlepoint import SinglePointCalculator

from aptnn_md.arrays import AnyArray
from aptnn_md.labels.checks import figures, places, verdict
from aptnn_md.labels.frame_labels import Labels
from aptnn_md.labels.points import PointFailure
from aptnn_md.structures import charge_of
from aptnn_md.targets import TARGETS

DIPOLE = "REF_dipole"
"""Key of a labelled frame's dipole, e Å, in ``atoms.info``."""

REPLACED = {"forces", *(target.ase_name for target in TARGETS.values())}
"""Per-atom arrays under ASE's standard names that the labels replace."""


@dataclass(frozen=True)
class FrameToLabel:
    """A structure and which of its atoms get labels.

    Parameters
    ----------
    atoms : the structure; what else it carries is written, too
    chosen : (n_atoms,) of bool
    charge : e
    name : what messages call it, e.g. ``"water.extxyz, frame 3"``
    """

    atoms: Atoms
    chosen: AnyArray
    charge: float = 0.0
    name: str = ""


@dataclass(frozen=True)
class Summary:
    """What a job gave.

    Attributes
    ----------
    n_labelled : frames with labels
    failures : number of a frame -> why it has none
    largest : name of a check -> its largest figure among the labelled frames
    names : number of a frame that failed -> its :attr:`FrameToLabel.name`
    """

    n_labelled: int
    failures: Mapping[int, str]
    largest: Mapping[str, float]
    names: Mapping[int, str] = field(default_factory=dict)


def check_and_format(
    frames: Sequence[FrameToLabel],
    found: Iterable[Labels | PointFailure],
    properties: tuple[str, ...],
    limits: Mapping[str, float],
    about: Mapping[str, object],
) -> tuple[Summary, str]:
    """Check labels and make the text of the labelled file.

    Parameters
    ----------
    frames : structures
    found : labels of each, or why there are none
    properties : names of the targets
    limits : of the checks
    about : what is written with each frame
    """
    import ase.io  # not for the processes that calculate

    text = io.StringIO()
    failures: dict[int, str] = {}
    largest: dict[str, float] = {}
    for number, (frame, labels) in enumerate(zip(frames, found, strict=True)):
        if isinstance(labels, PointFailure):
            values, reason = {}, str(labels)
        else:
            values = figures(labels, frame.atoms, frame.charge)
            where = places(labels, frame.atoms, frame.charge)
            reason = verdict(values, limits, len(frame.atoms), where)
        if reason or isinstance(labels, PointFailure):
            failures[number] = reason
            labels = Labels()
        else:
            for name, value in values.items():
                largest[name] = max(value, largest.get(name, 0.0))
        written = _labelled_atoms(frame, labels, properties)
        written.info.update(about)
        written.info["label_status"] = "failed" if reason else "ok"
        if reason:
            written.info["label_reason"] = reason.replace('"', "'")
        written.info.update({f"label_{name}": value for name, value in values.items()})
        ase.io.write(text, written, format="extxyz")
    names = {number: frames[number].name for number in failures if frames[number].name}
    return Summary(len(frames) - len(failures), failures, largest, names), text.getvalue()


def _labelled_atoms(frame: FrameToLabel, labels: Labels, properties: tuple[str, ...]) -> Atoms:
    """The frame with its labels; NaN on atoms without."""
    atoms: Atoms = frame.atoms.copy()
    old = [key for key in atoms.info if key.startswith("label_") or key in all_properties]
    for name in old:
        del atoms.info[name]
    for name in REPLACED & set(atoms.arrays):
        del atoms.arrays[name]
    for name in properties:
        tensors = labels.tensors.get(name)
        columns = np.full((len(atoms), TARGETS[name].n_columns), np.nan)
        if tensors is not None:
            columns[frame.chosen] = tensors.reshape(len(atoms), -1)[frame.chosen]
        atoms.arrays[name] = columns
    if frame.charge or charge_of(atoms) is not None:
        # the second one is where MACE's trainer looks
        atoms.info.update(charge=frame.charge, total_charge=frame.charge)
    if labels.polarizability is not None:
        symmetric = 0.5 * (labels.polarizability + labels.polarizability.T)
        atoms.info["polarizability"] = symmetric.ravel()  # nine numbers: any reader takes them
    if labels.dipole is not None:
        atoms.info[DIPOLE] = labels.dipole
    values = {"energy": labels.energy, "forces": labels.forces}
    known = {name: value for name, value in values.items() if value is not None}
    if known:
        atoms.calc = SinglePointCalculator(atoms, **known)
    return atoms
