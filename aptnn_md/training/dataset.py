"""Labelled frames: structures and the reference tensors of their atoms."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
from ase import Atoms

from aptnn_md.arrays import AnyArray, FloatArray
from aptnn_md.errors import InputError
from aptnn_md.structure_files import read_structures
from aptnn_md.structure_labels import FoundLabels, in_our_order, labels_in
from aptnn_md.targets import TARGETS


@dataclass(frozen=True)
class LabelledFrame:
    """A structure and its reference tensors.

    Attributes
    ----------
    atoms : the structure
    labels : target -> (n_atoms, 3, 3) for APTs, e, ``[i, dipole, displacement]``; (n_atoms, 3, 3,
        3) for PGTs, Å², ``[i, dipole, dipole, displacement]``; NaN where an atom has no label
    """

    atoms: Atoms
    labels: Mapping[str, FloatArray]

    @property
    def tensors(self) -> FloatArray:
        """Labels of the first target."""
        return next(iter(self.labels.values()))

    @property
    def labelled(self) -> AnyArray:
        """(n_atoms,) of bool: whether the atom has a label of the first target."""
        return self.has_label(next(iter(self.labels)))

    @property
    def any_label(self) -> bool:
        """Whether any atom has a label of any target; frames whose labels failed have none."""
        return any(self.has_label(target).any() for target in self.labels)

    def has_label(self, target: str) -> AnyArray:
        """(n_atoms,) of bool: whether the atom has a label of this target."""
        tensors = self.labels[target]
        flat = tensors.reshape(len(tensors), int(np.prod(tensors.shape[1:])))
        return cast(AnyArray, np.isfinite(flat).all(axis=1))


def read_labelled(
    path: str | Path,
    target: str = "apt",
    keys: Mapping[str, str] | None = None,
    transpose: bool | None = None,
) -> list[LabelledFrame]:
    """Frames with labels from an extxyz file, or another that ASE reads.

    Labels are per-atom arrays, row-major, of 9 columns for APTs and 27 for PGTs, named as in
    :mod:`aptnn_md.structure_labels`; NaN marks atoms without a label. Of several targets,
    ``"apt+pgt"``, a frame may lack some; then it has NaN there.

    Parameters
    ----------
    path : the file
    target : name of a target, or several joined by ``+``
    keys : target -> name of its array, where it has another name
    transpose : whether APTs are stored with the displacement first; None: found out if possible,
        else not (:func:`aptnn_md.structure_labels.in_our_order`)

    Raises
    ------
    InputError
        No such file, no such array in a frame, a wrong shape, infinite labels, frames with APTs in
        different orders of indices, or not a single finite label.
    """
    targets = target.split("+")
    structures = read_structures(path)
    found = {name: _found(path, structures, name, (keys or {}).get(name)) for name in targets}
    for number, atoms in enumerate(structures):
        if all(labels[number] is None for labels in found.values()):
            raise _no_labels(f"{path}, frame {number}", atoms, targets, keys or {})
    tensors = {
        name: in_our_order(path, structures, labels, transpose)
        if name == "apt"
        else [None if x is None else x.tensors for x in labels]
        for name, labels in found.items()
    }
    frames = []
    for number, atoms in enumerate(structures):
        where = f"{path}, frame {number}"
        labels = {t: _labels(where, atoms, t, tensors[t][number]) for t in targets}
        frames.append(LabelledFrame(atoms, labels))
    for name in targets:
        if not any(frame.has_label(name).any() for frame in frames):
            raise InputError(path, name, "NaN on every atom", "at least one labelled atom")
    return frames


def _found(
    path: str | Path, structures: Sequence[Atoms], target: str, key: str | None
) -> list[FoundLabels | None]:
    return [
        labels_in(atoms, target, key, f"{path}, frame {number}")
        for number, atoms in enumerate(structures)
    ]


def _no_labels(
    where: str, atoms: Atoms, targets: Sequence[str], keys: Mapping[str, str]
) -> InputError:
    present = ", ".join(sorted(set(atoms.arrays) - {"numbers", "positions"})) or "none"
    columns = " or ".join(f"{TARGETS[name].n_columns}" for name in targets)
    return InputError(
        where,
        " or ".join(keys.get(name, name) for name in targets),
        f"no such array (arrays: {present})",
        f"{columns} columns an atom, or --key {targets[0]}=NAME with the name of the array",
    )


def _labels(where: str, atoms: Atoms, target: str, tensors: FloatArray | None) -> FloatArray:
    """(n_atoms, 3, 3, ...), NaN if there are none."""
    if tensors is None:
        return np.full((len(atoms), *TARGETS[target].shape), np.nan)
    if np.isinf(tensors).any():
        expected = "finite numbers, or NaN for atoms without a label"
        raise InputError(where, target, "an infinite number", expected)
    if target == "pgt" and not _symmetric(tensors):
        raise InputError(
            where,
            target,
            "not symmetric in the first two indices",
            "∂a_αβ/∂r_γ, row-major [α, β, γ]: the displacement is the last index",
        )
    return tensors


def _symmetric(pgt: FloatArray) -> bool:
    """Whether the labels keep a_αβ = a_βα to the noise that labels may have."""
    residue = pgt - np.swapaxes(pgt, 1, 2)
    finite = np.isfinite(residue)
    return bool(np.sum(residue[finite] ** 2) <= 0.1**2 * np.sum(pgt[finite] ** 2))


def elements_of(frames: Sequence[LabelledFrame]) -> tuple[int, ...]:
    """Atomic numbers that occur, ascending."""
    return tuple(sorted({int(z) for frame in frames for z in frame.atoms.numbers}))


def split(
    frames: Sequence[LabelledFrame], fraction: float, seed: int
) -> tuple[list[LabelledFrame], list[LabelledFrame]]:
    """Training and validation frames, chosen at random.

    ``fraction`` of them, at least one unless it is zero, are for validation.
    """
    n_valid = max(1, round(fraction * len(frames))) if fraction > 0.0 else 0
    order = np.random.default_rng(seed).permutation(len(frames))
    held_out = set(order[:n_valid].tolist())
    training = [frame for k, frame in enumerate(frames) if k not in held_out]
    return training, [frames[k] for k in sorted(held_out)]


def file_sha256(path: str | Path) -> str:
    """SHA-256 of a file's bytes."""
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()
