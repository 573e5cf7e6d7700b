"""Whatever gives atomic tensors, in one form: model files, several of them, plain callables.

A model that knows more than APTs says so by ``targets``, e.g. ``("apt", "pgt")``, and gives all of
them in one evaluation by ``tensors(structures)``. Everything else is a model of APTs.
"""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike, fspath
from typing import Any, Protocol

import numpy as np
from ase import Atoms

from aptnn_md.arrays import FloatArray
from aptnn_md.errors import InputError
from aptnn_md.targets import TARGETS, Tensors

APT, PGT = "apt", "pgt"


class PolarTensorPredictor(Protocol):
    """Whatever gives APTs: a :class:`aptnn_md.prediction.predictor.Predictor` or a plain
    function."""

    def __call__(self, atoms: Atoms, /) -> FloatArray:
        """APTs (n_atoms, 3, 3), e; row = dipole, column = displacement."""


def as_predictor(
    model: str | PathLike[str] | PolarTensorPredictor, **options: Any
) -> PolarTensorPredictor:
    """A model file or a bundled name loaded as a predictor; a callable as it is.

    Parameters
    ----------
    model : file, bundled name, several of them with commas between (``"water-apt,water-pgt"``), or
        a callable
    options : of :meth:`aptnn_md.prediction.predictor.Predictor.from_file`

    Raises
    ------
    InputError
        No such file, no callable, or a model without APTs.
    """
    if isinstance(model, str | PathLike):
        from aptnn_md.prediction.predictors import load_predictor

        model = load_predictor(fspath(model), **options)
    if not callable(model):
        raise InputError("APT model", "type", type(model).__name__, "a file, a name or a callable")
    found = targets(model)
    if APT not in found:
        expected = "apt, too: a model of both, or two with a comma between (water-apt,water-pgt)"
        raise InputError(f"model {predictor_name(model)}", "targets", ", ".join(found), expected)
    return model


def predictor_name(predictor: object) -> str:
    """Name of a model for headers and files."""
    name = getattr(predictor, "name", None) or getattr(predictor, "__name__", None)
    return str(name or type(predictor).__name__)


def targets(predictor: object) -> tuple[str, ...]:
    """What a model gives: ``("apt",)`` where it does not say."""
    return tuple(getattr(predictor, "targets", (APT,)))


def n_members(predictor: object, target: str) -> int:
    """Size of the committee of a target, 1 for a single model; 0 where it is not known."""
    for part in separate_models(predictor):
        if target in targets(part):
            return int(getattr(part, "n_members", 1))
    return 0


def separate_models(predictor: Any) -> tuple[Any, ...]:
    """The models that a predictor consists of, that of APTs first; itself if it is one."""
    return tuple(getattr(predictor, "parts", (predictor,)))


def member_tensors(predictor: PolarTensorPredictor, atoms: Atoms) -> FloatArray:
    """APTs of each member of a committee, (n_members, n_atoms, 3, 3), e.

    A predictor with ``n_members > 1`` must have ``members(atoms)``; any other has one member.
    """
    if getattr(predictor, "n_members", 1) > 1:
        members = np.asarray(predictor.members(atoms), dtype=np.float64)  # type: ignore[attr-defined]
    else:
        members = np.asarray(predictor(atoms), dtype=np.float64)[None]
    return _checked(APT, members, atoms)


def batch_members(predictor: PolarTensorPredictor, structures: Sequence[Atoms]) -> list[FloatArray]:
    """APTs (n_members, n_atoms, 3, 3) of each structure, in batches where the model can."""
    together = getattr(predictor, "batch_members", None)
    if together is not None:
        members: list[FloatArray] = together(structures)
        return members
    return [member_tensors(predictor, atoms) for atoms in structures]


def all_tensors(predictor: PolarTensorPredictor, structures: Sequence[Atoms]) -> list[Tensors]:
    """All that a model knows of each structure, evaluated together.

    Raises
    ------
    InputError
        The model gives arrays of another shape than :data:`Tensors`.
    """
    if PGT not in targets(predictor):
        return [{APT: members} for members in batch_members(predictor, structures)]
    found = predictor.tensors(structures)  # type: ignore[attr-defined]
    return [
        {
            name: _checked(name, np.asarray(each[name], dtype=np.float64), atoms)
            for name in targets(predictor)
        }
        for each, atoms in zip(found, structures, strict=True)
    ]


def _checked(name: str, members: FloatArray, atoms: Atoms) -> FloatArray:
    expected = (len(atoms), *TARGETS[name].shape)
    if members.shape[1:] != expected:
        raise InputError(f"{name.upper()} model", "shape", members.shape[1:], expected)
    return members
