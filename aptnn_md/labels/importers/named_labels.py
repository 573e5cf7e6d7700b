"""Labels that frames carry under a name: arrays, properties of calculators, entries of ``info``."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import numpy as np
from ase import Atoms

from aptnn_md.arrays import FloatArray
from aptnn_md.errors import InputError
from aptnn_md.targets import APT, PGT, TARGETS, Target

NAMES: dict[str, frozenset[str]] = {
    APT.name: frozenset(
        {"apt", "bec", "born", "borncharge", "borneffectivecharge", "atomicpolartensor", "zstar"}
    ),
    PGT.name: frozenset({"pgt", "polarizabilitygradient", "polarizabilityderivative"}),
}
"""Target -> names by which it is known, small letters only, singular. In files they may have
capital letters, underscores, a plural s, and one of :data:`PREFIXES`: ``REF_apt``, ``BEC``,
``born_effective_charges``, ``dft_Born_charge``."""

DIPOLES = frozenset({"dipole", "dipolemoment"})
"""Names of a frame's dipole, e Å, in the same way."""

PREFIXES = ("ref", "dft", "target", "label")


def parse_keys(texts: list[str]) -> dict[str, str]:
    """Texts ``TARGET=NAME`` as target -> name in the file.

    Raises
    ------
    InputError
        No such target, or no name.
    """
    keys = {}
    for text in texts:
        target, _, name = text.partition("=")
        if target not in TARGETS or not name:
            expected = f"TARGET=NAME with a target of {', '.join(TARGETS)}, e.g. apt=born_charge"
            raise InputError("options", "--key", repr(text), expected)
        keys[target] = name
    return keys


def find_label(
    where: object, atoms: Atoms, target: Target, key: str | None = None
) -> tuple[str, FloatArray] | None:
    """The name and the tensors of a target in a frame, or None.

    Parameters
    ----------
    where : file and frame, for messages
    atoms : the frame
    target : what to look for
    key : its name, when it is none of :data:`NAMES`

    Returns
    -------
    the name, and (n_atoms, *shape), the indices as they stand in the file; NaN where an atom has no
    label

    Raises
    ------
    InputError
        Several that differ, or one with another number of values.
    """
    entries = list(_entries(atoms))
    if key is not None:
        wanted = [(name, value) for name, value in entries if name == key]
        if not wanted:
            present = ", ".join(sorted({name for name, _ in entries})) or "none"
            raise InputError(
                where, f"--key {target.name}", f"no {key!r} (there are: {present})", key
            )
    else:
        wanted = [(name, value) for name, value in entries if _known(name, NAMES[target.name])]
    found = [(name, _tensors(where, name, value, atoms, target)) for name, value in wanted]
    if not found:
        return None
    first, tensors = found[0]
    for name, other in found[1:]:
        if not np.allclose(other, tensors, rtol=0, atol=1e-8, equal_nan=True):
            raise InputError(
                where,
                target.name,
                f"different tensors as {first} and {name}",
                f"one of them: --key {target.name}={first} or --key {target.name}={name}",
            )
    return first, tensors


def find_dipole(atoms: Atoms) -> FloatArray | None:
    """The dipole (3,), e Å, that a frame carries, or None."""
    for name, value in _entries(atoms):
        if _known(name, DIPOLES):
            vector = _numbers(value)
            if vector is not None and vector.size == 3 and np.isfinite(vector).all():
                return vector.reshape(3)
    return None


def _entries(atoms: Atoms) -> Iterator[tuple[str, Any]]:
    """Names and values that a frame carries besides its structure."""
    yield from (item for item in atoms.arrays.items() if item[0] not in ("numbers", "positions"))
    if atoms.calc is not None:
        yield from atoms.calc.results.items()
    yield from ((str(name), value) for name, value in atoms.info.items())


def _known(name: str, names: frozenset[str]) -> bool:
    words = [word for word in re.split("[^a-z0-9]+", name.lower()) if word]
    if len(words) > 1 and words[0] in PREFIXES:
        words = words[1:]
    bare = "".join(words)
    singular = re.sub("charges$", "charge", bare.removesuffix("s"))
    return bare in names or singular in names


def _tensors(where: object, name: str, value: Any, atoms: Atoms, target: Target) -> FloatArray:
    n, columns = len(atoms), target.n_columns
    array = _numbers(value)
    shapes = [(n, columns), (n, *target.shape), (n * 3, columns // 3), (n * columns,)]
    if array is None or array.shape not in shapes:
        found = "no numbers" if array is None else f"shape {array.shape}"
        raise InputError(where, name, found, f"{(n, columns)} or {(n, *target.shape)}")
    return array.reshape(n, *target.shape)


def _numbers(value: Any) -> FloatArray | None:
    try:
        return np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError):
        return None
