"""Labelled frames: structures and the reference tensors of their atoms."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import ase.io
import numpy as np
from ase import Atoms

from aptnn_md.arrays import AnyArray, FloatArray
from aptnn_md.atoms.neighbours import check_structure
from aptnn_md.errors import InputError
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


def read_structures(path: str | Path) -> list[Atoms]:
    """All frames of a file that ASE reads, or an :class:`InputError` that names it."""
    if not Path(path).is_file():
        raise InputError(path, "file", "nothing", "a file that ASE can read, e.g. extxyz")
    try:
        frames = ase.io.read(path, index=":")
    except Exception as error:  # ASE's readers raise whatever their parsing runs into
        raise InputError(
            path,
            "file",
            f"{type(error).__name__}: {error}",
            "a file that ASE can read, e.g. extxyz",
        ) from error
    if not frames:
        raise InputError(path, "frames", "none", "at least one")
    assert isinstance(frames, list)
    for number, atoms in enumerate(frames):
        try:
            check_structure(atoms)
        except InputError as error:
            raise InputError(
                f"{path}, frame {number}", error.field, error.found, error.expected
            ) from None
    return frames


def read_labelled(path: str | Path, target: str = "apt") -> list[LabelledFrame]:
    """Frames with labels from an extxyz file.

    Labels are the per-atom array ``target``, (n_atoms, 9) for APTs and (n_atoms, 27) for PGTs,
    row-major; NaN marks atoms without a label. Of several targets, ``"apt+pgt"``, a frame may lack
    some; then it has NaN there.

    Raises
    ------
    InputError
        No such file, no such array in a frame, a wrong shape, or not a single finite label.
    """
    targets = target.split("+")
    frames = []
    for number, atoms in enumerate(read_structures(path)):
        where = f"{path}, frame {number}"
        if not set(targets) & set(atoms.arrays):
            present = ", ".join(sorted(set(atoms.arrays) - {"numbers", "positions"})) or "none"
            raise InputError(
                where,
                " or ".join(targets),
                f"no such array (arrays: {present})",
                " or ".join(f"{TARGETS[name].n_columns}" for name in targets) + " columns an atom",
            )
        frames.append(LabelledFrame(atoms, {name: _labels(where, atoms, name) for name in targets}))
    for name in targets:
        if not any(frame.has_label(name).any() for frame in frames):
            raise InputError(path, name, "NaN on every atom", "at least one labelled atom")
    return frames


def _labels(where: str, atoms: Atoms, target: str) -> FloatArray:
    """(n_atoms, 3, 3, ...), NaN if the array is not there."""
    shape, n_columns = TARGETS[target].shape, TARGETS[target].n_columns
    if target not in atoms.arrays:
        return np.full((len(atoms), *shape), np.nan)
    labels = np.asarray(atoms.arrays[target])
    if labels.shape not in {(len(atoms), n_columns), (len(atoms), *shape)}:
        raise InputError(where, target, f"shape {labels.shape}", (len(atoms), n_columns))
    tensors: FloatArray = labels.astype(np.float64).reshape(len(atoms), *shape)
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
