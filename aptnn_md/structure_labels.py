"""Labels that structures carry, under whatever name, and the order of their indices.

APTs are recognised as ``apt``, ``born_effective_charges``, ``born_charge``, ``BEC``, ``bec``,
``becs``, ``zstar`` and the like, with ``REF_``, ``DFT_`` or ``target_`` before the name; PGTs as
``pgt`` and ``polarizability_gradients``. An atom has 9 (27) columns, row-major, or a tensor.

Read as they stand the rows are the dipole's (:mod:`aptnn_md.units`): so are ASE's
``born_effective_charges``, VASP's and phonopy's Born charges, and those of programs that
differentiate a polarisation. Others store the transpose, and nothing but the rotational sum rule
Σᵢ Pᵢ (ω × rᵢ) = ω × M knows the difference. Of finite structures it decides, and what it finds
to be transposed is turned; where it cannot tell, the log says how the labels were read.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from ase import Atoms

from aptnn_md.arrays import FloatArray
from aptnn_md.errors import InputError
from aptnn_md.progress import log
from aptnn_md.targets import TARGETS
from aptnn_md.tensors import fitting_dipole, rotational_sum

DIPOLE = "dipole"
"""Name of total dipoles, the labels of frames, beside the names of targets."""

POLARIZABILITY = "polarizability"
"""Name of polarizabilities, labels of frames as well."""

LABELS = (*TARGETS, DIPOLE, POLARIZABILITY)
"""All names of labels, of atoms and of frames."""

_PREFIX = re.compile(r"^(ref|reference|dft|target|true|label)(?=[^a-z])", re.IGNORECASE)
_ROOM = 3.0  # Å
_SMALL = 0.1
_RATIO = 5.0


@dataclass(frozen=True, eq=False)
class FoundLabels:
    """Labels of one target in a structure.

    Attributes
    ----------
    name : under which they stand there
    tensors : (n_atoms, *shape), as they stand there; NaN where an atom has none
    """

    name: str
    tensors: FloatArray


def parse_keys(texts: Sequence[str]) -> dict[str, str]:
    """Name of labels -> their name in a file, from texts ``TARGET=NAME``.

    Raises
    ------
    InputError
        Another form, or an unknown target.
    """
    keys = {}
    for text in texts:
        target, equals, name = text.partition("=")
        if target not in LABELS or not equals or not name:
            known = ", ".join(LABELS)
            expected = f"TARGET=NAME with a target of {known}, e.g. apt=born_charge"
            raise InputError("options", "--key", repr(text), expected)
        keys[target] = name
    return keys


def labels_in(
    atoms: Atoms, target: str, key: str | None = None, where: str = "structure"
) -> FoundLabels | None:
    """Labels of a structure, from its arrays, its calculator's results or its info.

    Parameters
    ----------
    atoms : the structure
    target : name of a target, e.g. ``"apt"``
    key : name under which they stand; None: any of the target's names,
        :attr:`aptnn_md.targets.Target.label_names` among them
    where : file and frame, for messages

    Returns
    -------
    None where there are none

    Raises
    ------
    InputError
        A shape that is no such tensor, or several different labels without ``key``.
    """
    entries = _entries(atoms)
    if key is not None:
        names = [key] if key in entries else []
    else:
        known = _canonical_names(target)
        names = [name for name in entries if _canonical(name) in known]
        names.sort(key=lambda name: name != target)
    if not names:
        return None
    tensors = _tensors(where, names[0], entries[names[0]], target, len(atoms))
    for name in names[1:]:
        others = _tensors(where, name, entries[name], target, len(atoms))
        if not np.allclose(others, tensors, equal_nan=True):
            expected = f"--key {target}=NAME, which says what the labels are"
            raise InputError(where, target, f"{names[0]} and {name}, which differ", expected)
    return FoundLabels(names[0], tensors)


def rows_are_dipoles(atoms: Atoms, apt: FloatArray) -> bool | None:
    """Whether the first index of APTs is the dipole's, by the rotational sum rule.

    With the dipole of the structure where there is one that fits, else with the dipole that
    leaves least of the sum: the antisymmetric part of the sum is then lost, the rest still tells.

    Parameters
    ----------
    atoms : the structure, in one piece
    apt : (n_atoms, 3, 3), e

    Returns
    -------
    None where the rule cannot tell: both orders obey it, none does, an atom has no label, or
    periodic images of the structure are near
    """
    if len(atoms) < 2 or not np.isfinite(apt).all() or not _stands_alone(atoms):
        return None
    turned = apt.transpose(0, 2, 1)
    positions = atoms.positions
    dipoles = [(fitting_dipole(apt, positions), fitting_dipole(turned, positions))]
    known = dipole_of(atoms)
    if known is not None:
        dipoles.insert(0, (known, known))
    for of_stored, of_turned in dipoles:
        stored = float(np.abs(rotational_sum(apt, positions, of_stored)).max())
        other = float(np.abs(rotational_sum(turned, positions, of_turned)).max())
        if min(stored, other) < _SMALL and max(stored, other) > _RATIO * min(stored, other) + 0.01:
            return stored < other
    return None


def _stands_alone(atoms: Atoms) -> bool:
    """Whether it is finite, or in one piece in a box with room between it and its images."""
    for axis in np.flatnonzero(atoms.pbc):
        first, second = np.delete(atoms.cell.array, axis, axis=0)
        normal = np.cross(first, second)
        normal /= np.linalg.norm(normal)
        room = abs(atoms.cell.array[axis] @ normal) - np.ptp(atoms.positions @ normal)
        if room < _ROOM:
            return False
    return True


def in_our_order(
    path: object,
    frames: Sequence[Atoms],
    found: Sequence[FoundLabels | None],
    transpose: bool | None = None,
) -> list[FloatArray | None]:
    """APTs of a file with rows the dipole's, and a line in the log where that is not certain.

    Parameters
    ----------
    path : the file, for messages
    frames : its structures
    found : their APTs as they stand there; None where a frame has none
    transpose : True: the file has the displacement first; False: the dipole; None: found out

    Raises
    ------
    InputError
        Frames in different orders, or in another than ``transpose`` says.
    """
    votes: dict[bool, int] = {}
    for number, (atoms, labels) in enumerate(zip(frames, found, strict=True)):
        if labels is not None:
            vote = rows_are_dipoles(atoms, labels.tensors)
            if vote is not None:
                votes.setdefault(vote, number)
    if len(votes) > 1:
        first = f"the dipole first in frame {votes[True]}, the displacement in frame {votes[False]}"
        raise InputError(path, "order of indices", first, "one order in all frames of a file")
    name = next((labels.name for labels in found if labels is not None), "")
    rows = next(iter(votes), None)
    if transpose is not None and rows is not None and rows is transpose:
        order = "the dipole first" if rows else "the displacement first"
        raise InputError(
            path, name, f"{order}, by the rotational sum rule", "that; leave out --transpose"
        )
    turn = transpose if transpose is not None else rows is False
    if rows is False:
        log.warning(
            "%s: %s has the displacement first, by the rotational sum rule: it is turned",
            *(path, name),
        )
    elif rows is None and name not in TARGETS and transpose is None:
        log.warning(
            "%s: %s is read with the dipole first (row = dipole, column = displacement), which "
            "cannot be checked here; --transpose reads the displacement first",
            *(path, name),
        )
    elif name and name not in TARGETS:
        log.info("%s: %s, row = %s", path, name, "displacement" if turn else "dipole")
    return [
        None if x is None else x.tensors.transpose(0, 2, 1) if turn else x.tensors for x in found
    ]


def _entries(atoms: Atoms) -> dict[str, object]:
    """All that may be labels: arrays win over results, results over info."""
    results = getattr(atoms.calc, "results", None) or {}
    own = {"numbers", "positions", "momenta", "masses"}
    arrays = {name: array for name, array in atoms.arrays.items() if name not in own}
    return {**atoms.info, **results, **arrays}


def _canonical_names(target: str) -> set[str]:
    """Names of a target's labels, in lower case and without anything but letters."""
    known = TARGETS[target]
    return {_canonical(name) for name in (known.name, known.ase_name, *known.label_names)}


def _canonical(name: object) -> str:
    return re.sub("[^a-z]", "", _PREFIX.sub("", str(name)).lower())


def _tensors(where: str, name: str, values: object, target: str, n_atoms: int) -> FloatArray:
    shape = (n_atoms, *TARGETS[target].shape)
    columns = (n_atoms, TARGETS[target].n_columns)
    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise InputError(where, name, "values that are not numbers", columns) from None
    if array.size != np.prod(shape) or (array.ndim > 1 and array.shape[0] not in (n_atoms, 1)):
        raise InputError(where, name, f"shape {array.shape}", columns)
    return array.reshape(shape)


def dipole_of(atoms: Atoms, key: str | None = None) -> FloatArray | None:
    """The dipole (3,), e Å, that a structure carries, or None.

    It is that about the origin of the coordinates. ``key`` is the name under which it stands among
    the calculator's results or in ``atoms.info``, else ``dipole`` or ``REF_dipole``.
    """
    return _of_frame(atoms, DIPOLE, key, (3,))


def refuse_two(where: str, atoms: Atoms, name: str) -> None:
    """Refuse a frame with two labels of itself that differ, as ``dipole`` and ``REF_dipole``.

    Parameters
    ----------
    where : file and frame
    name : ``"dipole"`` or ``"polarizability"``

    Raises
    ------
    InputError
        They differ.
    """
    reference = f"REF_{name}"
    shape = (3,) if name == DIPOLE else (3, 3)
    one, other = (_of_frame(atoms, name, key, shape) for key in (name, reference))
    if one is not None and other is not None and not np.allclose(one, other):
        expected = f"--key {name}=NAME, which says what the labels are"
        raise InputError(where, name, f"{name} and {reference}, which differ", expected)


def polarizability_of(atoms: Atoms, key: str | None = None) -> FloatArray | None:
    """The polarizability (3, 3), Å³, that a structure carries, symmetrised, or None.

    ``key`` is the name under which it stands among the calculator's results or in ``atoms.info``,
    else ``polarizability`` or ``REF_polarizability``.
    """
    found = _of_frame(atoms, POLARIZABILITY, key, (3, 3))
    return None if found is None else 0.5 * (found + found.T)


def _of_frame(
    atoms: Atoms, name: str, key: str | None, shape: tuple[int, ...]
) -> FloatArray | None:
    """Finite numbers of a frame by their name, or None."""
    results = getattr(atoms.calc, "results", None) or {}
    if key is not None:
        value = results.get(key, atoms.info.get(key))
    else:
        value = results.get(name, atoms.info.get(name, atoms.info.get(f"REF_{name}")))
    try:
        values = np.asarray(value, dtype=np.float64).reshape(shape)
    except (TypeError, ValueError):
        return None
    return values if np.isfinite(values).all() else None
