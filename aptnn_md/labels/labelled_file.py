"""The labelled file: structures with their labels, and the checks of each."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator

from aptnn_md.arrays import AnyArray
from aptnn_md.labels.checks import figures, verdict
from aptnn_md.labels.points import PointFailure
from aptnn_md.labels.schemes import Labels

COLUMNS = {"apt": 9, "pgt": 27}
"""Per-atom arrays of the labelled file and their columns, row-major."""


@dataclass(frozen=True)
class FrameToLabel:
    """A structure and which of its atoms get labels.

    Parameters
    ----------
    atoms : the structure; what else it carries is written on
    chosen : (n_atoms,) of bool
    charge : e
    """

    atoms: Atoms
    chosen: AnyArray
    charge: float = 0.0


@dataclass(frozen=True)
class Summary:
    """What a job gave.

    Attributes
    ----------
    n_labelled : frames with labels
    failures : number of a frame -> why it has none
    largest : name of a check -> its largest figure among the labelled frames
    """

    n_labelled: int
    failures: Mapping[int, str]
    largest: Mapping[str, float]


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
    properties : of ``"apt"``, ``"pgt"``
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
            reason = verdict(values, limits)
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
    return Summary(len(frames) - len(failures), failures, largest), text.getvalue()


def _labelled_atoms(frame: FrameToLabel, labels: Labels, properties: tuple[str, ...]) -> Atoms:
    """The frame with its labels; NaN on atoms without."""
    atoms: Atoms = frame.atoms.copy()
    for name in [key for key in atoms.info if key.startswith("label_")]:
        del atoms.info[name]
    for name in properties:
        tensors = getattr(labels, name)
        columns = np.full((len(atoms), COLUMNS[name]), np.nan)
        if tensors is not None:
            columns[frame.chosen] = tensors.reshape(len(atoms), -1)[frame.chosen]
        atoms.arrays[name] = columns
    if frame.charge:
        atoms.info["charge"] = frame.charge
    if labels.polarizability is not None:
        symmetric = 0.5 * (labels.polarizability + labels.polarizability.T)
        atoms.info["polarizability"] = symmetric.ravel()  # nine numbers: any reader takes them
    values = {"energy": labels.energy, "forces": labels.forces, "dipole": labels.dipole}
    known = {name: value for name, value in values.items() if value is not None}
    if known:
        atoms.calc = SinglePointCalculator(atoms, **known)
    return atoms
