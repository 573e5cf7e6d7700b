"""Labelled frames: structures, the reference tensors of their atoms, and total dipoles."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
from ase import Atoms

from aptnn_md.arrays import AnyArray, FloatArray
from aptnn_md.dipole_checks import check_labels
from aptnn_md.errors import InputError
from aptnn_md.progress import log
from aptnn_md.structure_files import read_structures
from aptnn_md.structure_labels import (
    DIPOLE,
    POLARIZABILITY,
    FoundLabels,
    dipole_of,
    in_our_order,
    labels_in,
    polarizability_of,
    refuse_two,
)
from aptnn_md.targets import TARGETS, targets_of
from aptnn_md.training.holding_out import held_out
from aptnn_md.training.learned import OF_FRAMES, learns, tensors_of


@dataclass(frozen=True)
class LabelledFrame:
    """A structure and its reference tensors.

    Attributes
    ----------
    atoms : the structure
    labels : target -> (n_atoms, 3, 3) for APTs, e, ``[i, dipole, displacement]``; (n_atoms, 3, 3,
        3) for PGTs, Å², ``[i, dipole, dipole, displacement]``; NaN where an atom has no label
    dipole : (3,), e Å, the frame's total dipole about the origin of its coordinates; None where
        there is none, or none is asked for
    polarizability : (3, 3), Å³, or None likewise
    """

    atoms: Atoms
    labels: Mapping[str, FloatArray]
    dipole: FloatArray | None = None
    polarizability: FloatArray | None = None

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
        """Whether the frame has a label of its own, or any atom one of any target.

        Frames whose labels failed have none.
        """
        return any(self.has(name) for name in (*OF_FRAMES, *self.labels))

    def has(self, name: str) -> bool:
        """Whether there are labels of a target, or a label of the frame of this name."""
        if name == DIPOLE:
            return self.dipole is not None
        if name == POLARIZABILITY:
            return self.polarizability is not None
        return bool(self.has_label(name).any())

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
    complete: bool = True,
) -> list[LabelledFrame]:
    """Frames with labels from an extxyz file, or another that ASE reads.

    Labels are per-atom arrays, row-major, of 9 columns for APTs and 27 for PGTs, named as in
    :mod:`aptnn_md.structure_labels`; NaN marks atoms without a label. Of several targets,
    ``"apt+pgt"``, a frame may lack some; then it has NaN there.

    Parameters
    ----------
    path : the file
    target : name of a target, or several joined by ``+``; ``dipole`` among them are total dipoles,
        ``polarizability`` polarizabilities, which stand in the comment line or among the results
    keys : name of labels -> their name in the file, where it is another one
    complete : whether each of several targets must have labels somewhere in the file
    transpose : whether APTs are stored with the displacement first; None: found out if possible,
        else not (:func:`aptnn_md.structure_labels.in_our_order`)

    Raises
    ------
    InputError
        No such file, no such array in a frame, a wrong shape, infinite labels, frames with APTs in
        different orders of indices, dipoles in debye beside APTs, or not a single finite label.
    """
    targets = [target.name for target in targets_of(tensors_of(target))]
    structures = read_structures(path)
    found: dict[str, list[FoundLabels | None]] = {
        name: _found(path, structures, name, (keys or {}).get(name))
        if name in target.split("+")
        else [None] * len(structures)
        for name in targets
    }
    for name in OF_FRAMES:
        if learns(target, name) and name not in (keys or {}):
            for number, atoms in enumerate(structures):
                refuse_two(f"{path}, frame {number}", atoms, name)
    dipoles = _dipoles(path, structures, target, keys or {}, found)
    polarizabilities = [
        polarizability_of(atoms, (keys or {}).get(POLARIZABILITY))
        if learns(target, POLARIZABILITY)
        else None
        for atoms in structures
    ]
    for number, atoms in enumerate(structures):
        bare = dipoles[number] is None and polarizabilities[number] is None
        if bare and all(labels[number] is None for labels in found.values()):
            raise _no_labels(f"{path}, frame {number}", atoms, target.split("+"), keys or {})
    tensors = {
        name: in_our_order(path, structures, labels, transpose)
        if name == "apt" and any(x is not None for x in labels)
        else [None if x is None else x.tensors for x in labels]
        for name, labels in found.items()
    }
    apts = tensors.get("apt") or [None] * len(structures)
    if "apt" not in target.split("+") and any(dipole is not None for dipole in dipoles):
        apts = _apts_beside(path, structures, (keys or {}).get("apt"))
    check_labels(path, structures, dipoles, apts)
    frames = []
    for number, atoms in enumerate(structures):
        where = f"{path}, frame {number}"
        labels = {t: _labels(where, atoms, t, tensors[t][number]) for t in targets}
        frames.append(LabelledFrame(atoms, labels, dipoles[number], polarizabilities[number]))
    _check_presence(path, frames, target.split("+"), complete)
    return frames


def _apts_beside(
    path: str | Path, structures: Sequence[Atoms], key: str | None
) -> list[FloatArray | None]:
    """APTs that are not learned, but know the unit of dipoles; None where there are none."""
    try:
        found = _found(path, structures, "apt", key)
    except InputError:  # labels that nobody asked for
        return [None] * len(structures)
    return [None if labels is None else labels.tensors for labels in found]


def _check_presence(
    path: str | Path, frames: Sequence[LabelledFrame], names: Sequence[str], complete: bool
) -> None:
    """Refuse frames without any label, or with ``complete`` without any of one of the names."""
    lacking = [name for name in names if not any(frame.has(name) for frame in frames)]
    if lacking and (complete or len(lacking) == len(names)):
        if lacking[0] in OF_FRAMES:
            expected = f"{lacking[0]}=... in the comment lines"
            raise InputError(path, lacking[0], "none in any frame", expected)
        raise InputError(path, lacking[0], "NaN on every atom", "at least one labelled atom")


def _dipoles(
    path: str | Path,
    structures: Sequence[Atoms],
    target: str,
    keys: Mapping[str, str],
    found: Mapping[str, Sequence[FoundLabels | None]],
) -> list[FloatArray | None]:
    """Total dipoles, None where there are none or none are asked for.

    Those of periodic frames are known up to a quantum only, and left out where the frame has other
    labels.
    """
    if not learns(target, DIPOLE):
        return [None] * len(structures)
    dipoles = [dipole_of(atoms, keys.get(DIPOLE)) for atoms in structures]
    n_left_out = 0
    for number, atoms in enumerate(structures):
        if dipoles[number] is None or not atoms.pbc.any():
            continue
        if all(labels[number] is None for labels in found.values()):
            raise InputError(
                f"{path}, frame {number}",
                DIPOLE,
                "that of a periodic frame, which is known up to lattice vectors times e only",
                'APTs (--target apt), or pbc="F F F" if it is a molecule in a box',
            )
        dipoles[number] = None
        n_left_out += 1
    if n_left_out:
        log.warning(
            "%s: dipoles of %d periodic frames are left out: they are known up to lattice vectors "
            "times e only; their APTs are learned",
            *(path, n_left_out),
        )
    return dipoles


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
    if len(targets) == 1 and targets[0] in OF_FRAMES:
        entries = ", ".join(sorted(atoms.info)) or "none"
        form = 'dipole="x y z", e Å' if targets[0] == DIPOLE else 'polarizability="xx xy ...", Å³'
        expected = f"{form}, in its comment line, or --key {targets[0]}=NAME"
        name = keys.get(targets[0], targets[0])
        return InputError(where, name, f"no such entry ({entries})", expected)
    targets = [name for name in targets if name not in OF_FRAMES]
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
    """Training and validation frames by :func:`aptnn_md.training.holding_out.held_out`."""
    chosen = held_out([frame.atoms for frame in frames], fraction, seed)
    training = [frame for k, frame in enumerate(frames) if k not in chosen]
    return training, [frames[k] for k in sorted(chosen)]


def file_sha256(path: str | Path) -> str:
    """SHA-256 of a file's bytes."""
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()
