"""Frames that carry labels under a name, in whatever ASE reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from ase import Atoms

from aptnn_md.arrays import FloatArray
from aptnn_md.errors import InputError
from aptnn_md.labels.checks import LIMITS, scale
from aptnn_md.labels.importers.formats import read_frames
from aptnn_md.labels.importers.index_order import settle_order
from aptnn_md.labels.importers.named_labels import NAMES, find_dipole, find_label
from aptnn_md.labels.importers.options import ImportOptions, ReadLabels, labels_of
from aptnn_md.targets import APT, PGT, TARGETS, Target
from aptnn_md.tensors import fitting_dipole, rotational_sum

USUAL = ("born_charge", "bec", "REF_apt", *TARGETS)
"""Some names by which labels are found, for messages."""


def read_named(path: Path, options: ImportOptions) -> ReadLabels:
    """Labels of all targets from the frames of a file; frames without are left out.

    Raises
    ------
    InputError
        No label at all, or one of another shape or order than the options say.
    """
    frames = read_frames(path)
    notes: list[str] = []
    tensors: list[dict[str, FloatArray]] = [{} for _ in frames]
    used: set[str] = set()
    for target in TARGETS.values():
        names, found, note = _of_target(path, frames, target, options)
        used |= names
        notes += [note] if note else []
        for number, array in found.items():
            tensors[number][target.name] = array
    if not used:
        present = sorted({name for atoms in frames for name in _names(atoms)})
        raise InputError(
            path,
            APT.ase_name,
            f"none (there are: {', '.join(present) or 'no properties'})",
            f"it, one of the names {', '.join(USUAL)}, or --key {APT.name}=NAME",
        )
    read = []
    for number, (atoms, of_frame) in enumerate(zip(frames, tensors, strict=True)):
        where = f"{path}, frame {number}"
        if not of_frame:
            notes.append(f"{where}: no labels; left out")
            continue
        dipole, note = _fitting(where, atoms, of_frame)
        notes += [note] if note else []
        bare, labels = labels_of(atoms, of_frame, options, dipole)
        for name in used:  # the labelled file has them in this package's order, and only so
            bare.arrays.pop(name, None)
            bare.info.pop(name, None)
        read.append((bare, labels))
    return ReadLabels(read, tuple(notes))


def _of_target(
    path: Path, frames: Sequence[Atoms], target: Target, options: ImportOptions
) -> tuple[set[str], dict[int, FloatArray], str]:
    """Names of a target in the file, number of a frame -> its tensors, and a note."""
    key = options.keys.get(target.name)
    if key is None and target.name not in NAMES:
        return set(), {}, ""
    found = {}
    for number, atoms in enumerate(frames):
        label = find_label(f"{path}, frame {number}", atoms, target, key)
        if label is not None:
            found[number] = label
    names = {name for name, _ in found.values()}
    stored = {number: tensors for number, (_, tensors) in found.items()}
    if not stored:
        return names, stored, ""
    shown = ", ".join(sorted(names))
    if target is APT:
        known = [(frames[k], array, find_dipole(frames[k])) for k, array in stored.items()]
        settled = settle_order(path, shown, known, options.index_order)
        return names, dict(zip(stored, settled.apts, strict=True)), settled.note
    if target is PGT and _displacement_is_first(path, list(stored.values())):
        note = f"{path}: {shown} is symmetric in its last two indices: displacement first; turned"
        return names, {k: np.moveaxis(array, 1, -1) for k, array in stored.items()}, note
    return names, stored, ""


def _displacement_is_first(where: object, pgts: Sequence[FloatArray]) -> bool:
    """Whether gradients of a symmetric tensor have their displacement in front."""
    size = first = last = 0.0
    for pgt in pgts:
        size += float(np.nansum(pgt**2))
        first += float(np.nansum((pgt - np.swapaxes(pgt, 1, 2)) ** 2))
        last += float(np.nansum((pgt - np.swapaxes(pgt, 2, 3)) ** 2))
    if min(first, last) > 0.01 * size:
        found, expected = "symmetric in no two indices", "∂a_αβ/∂r_γ, row-major [α, β, γ]"
        raise InputError(where, PGT.name, found, expected)
    return last < 0.01 * first


def _fitting(
    where: str, atoms: Atoms, tensors: Mapping[str, FloatArray]
) -> tuple[FloatArray | None, str]:
    """The frame's dipole if it is that of its APTs, and a note if it is not."""
    dipole, apt = find_dipole(atoms), tensors.get(APT.name)
    if dipole is None or apt is None or any(atoms.pbc) or not np.isfinite(apt).all():
        return dipole, ""
    limit = LIMITS["rotational_sum"] * scale("rotational_sum", len(atoms))
    given, best = (
        float(np.abs(rotational_sum(apt, atoms.positions, moment)).max())
        for moment in (dipole, fitting_dipole(apt, atoms.positions))
    )
    if best <= limit < given:
        return None, f"{where}: the dipole is not that of the tensors (unit or origin?); left out"
    return dipole, ""


def _names(atoms: Atoms) -> set[str]:
    results = {} if atoms.calc is None else atoms.calc.results
    return {*atoms.arrays, *results, *map(str, atoms.info)} - {"numbers", "positions"}
