"""Frames that carry labels under a name, in whatever ASE reads.

Which names, and which order their indices have: :mod:`aptnn_md.structure_labels`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from ase import Atoms

from aptnn_md.arrays import FloatArray
from aptnn_md.dipole_checks import apts_say_debye
from aptnn_md.errors import InputError
from aptnn_md.labels.checks import LIMITS, scale
from aptnn_md.labels.frame_labels import Labels
from aptnn_md.labels.importers.formats import read_frames
from aptnn_md.labels.importers.options import ImportOptions, labels_of
from aptnn_md.progress import log
from aptnn_md.structure_labels import FoundLabels, dipole_of, in_our_order, labels_in
from aptnn_md.targets import APT, PGT, TARGETS, Target
from aptnn_md.tensors import fitting_dipole, rotational_sum

USUAL = ("born_charge", "bec", "REF_apt", *TARGETS)
"""Some names by which labels are found, for messages."""


def read_named(path: Path, options: ImportOptions) -> list[tuple[Atoms, Labels]]:
    """Labels of all targets from the frames of a file; frames without any are left out.

    Raises
    ------
    InputError
        No label at all, or one of another shape or order than the options say.
    """
    frames = read_frames(path)
    tensors: list[dict[str, FloatArray]] = [{} for _ in frames]
    used: set[str] = set()
    for target in TARGETS.values():
        found = _found(path, frames, target, options)
        used |= {labels.name for labels in found if labels is not None}
        ordered = _ordered(path, frames, target, found, options)
        for of_frame, array in zip(tensors, ordered, strict=True):
            if array is not None:
                of_frame[target.name] = array
    if not used:
        raise InputError(
            path,
            APT.ase_name,
            f"none (there are: {_present(frames)})",
            f"it, one of the names {', '.join(USUAL)}, or --key {APT.name}=NAME",
        )
    read = []
    for number, (atoms, of_frame) in enumerate(zip(frames, tensors, strict=True)):
        where = f"{path}, frame {number}"
        if not of_frame:
            log.warning("%s: no labels; it is left out", where)
            continue
        dipole = _fitting_dipole(where, atoms, of_frame)
        bare, labels = labels_of(atoms, of_frame, options, dipole)
        for name in used:  # the labelled file has them in this package's order, and only so
            bare.arrays.pop(name, None)
            bare.info.pop(name, None)
        read.append((bare, labels))
    return read


def _found(
    path: Path, frames: Sequence[Atoms], target: Target, options: ImportOptions
) -> list[FoundLabels | None]:
    """Labels of a target in each frame, in the file's own order of indices."""
    key = options.keys.get(target.name)
    found = [
        labels_in(atoms, target.name, key, f"{path}, frame {number}")
        for number, atoms in enumerate(frames)
    ]
    if key is not None and not any(found):
        message = f"no {key!r} (there are: {_present(frames)})"
        raise InputError(path, f"--key {target.name}", message, "a name of the file")
    return found


def _ordered(
    path: Path,
    frames: Sequence[Atoms],
    target: Target,
    found: Sequence[FoundLabels | None],
    options: ImportOptions,
) -> list[FloatArray | None]:
    """Tensors with their dipole indices first."""
    if target is APT and any(found):
        return in_our_order(path, frames, found, options.transpose)
    stored = [None if labels is None else labels.tensors for labels in found]
    arrays = [array for array in stored if array is not None]
    if target is PGT and arrays and _displacement_is_first(path, arrays):
        log.warning("%s: %s has the displacement first; it is transposed", path, target.name)
        return [None if array is None else np.moveaxis(array, 1, -1) for array in stored]
    return stored


def _displacement_is_first(where: object, pgts: Sequence[FloatArray]) -> bool:
    """Whether gradients of a symmetric tensor have the displacement first."""
    size = first = last = 0.0
    for pgt in pgts:
        size += float(np.nansum(pgt**2))
        first += float(np.nansum((pgt - np.swapaxes(pgt, 1, 2)) ** 2))
        last += float(np.nansum((pgt - np.swapaxes(pgt, 2, 3)) ** 2))
    if min(first, last) > 0.01 * size:
        found, expected = "symmetric in no two indices", "∂a_αβ/∂r_γ, row-major [α, β, γ]"
        raise InputError(where, PGT.name, found, expected)
    return last < 0.01 * first


def _fitting_dipole(
    where: str, atoms: Atoms, tensors: Mapping[str, FloatArray]
) -> FloatArray | None:
    """The frame's dipole if it is that of its APTs; if it is not, a line in the log."""
    dipole, apt = dipole_of(atoms), tensors.get(APT.name)
    if dipole is None or apt is None or any(atoms.pbc) or not np.isfinite(apt).all():
        return dipole
    limit = LIMITS["rotational_sum"] * scale("rotational_sum", len(atoms))
    given, best = (
        float(np.abs(rotational_sum(apt, atoms.positions, moment)).max())
        for moment in (dipole, fitting_dipole(apt, atoms.positions))
    )
    if best <= limit < given:
        debye = apts_say_debye(atoms, dipole, apt)
        why = "it is in debye" if debye else "unit or origin?"
        log.warning("%s: the dipole is not that of the tensors (%s); it is left out", where, why)
        return None
    return dipole


def _present(frames: Sequence[Atoms]) -> str:
    """What the frames carry besides their structure."""
    names: set[str] = set()
    for atoms in frames:
        results = {} if atoms.calc is None else atoms.calc.results
        names |= {*atoms.arrays, *results, *map(str, atoms.info)}
    return ", ".join(sorted(names - {"numbers", "positions"})) or "no properties"
