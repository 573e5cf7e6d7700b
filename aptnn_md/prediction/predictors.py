"""Models by name, and several of them as one: APTs by one file, PGTs by another."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from os import PathLike, fspath
from typing import Any, overload

from ase import Atoms

from aptnn_md.arrays import FloatArray
from aptnn_md.errors import InputError
from aptnn_md.prediction.predictor import Predictor


class Predictors:
    """Several models of different targets behind the interface of one predictor.

    Calls, :meth:`members` and :meth:`with_std` give the APTs, or the first target where no model
    knows APTs; :meth:`tensors` gives all targets, each from its own network.

    Parameters
    ----------
    parts : the predictors

    Attributes
    ----------
    targets : of all of them, APTs first
    elements : atomic numbers that all of them know
    cutoff : the largest, Å
    name, sha256 : theirs, joined by commas
    n_members : of the committee of the first target; that of others may have another size

    Raises
    ------
    InputError
        Two models for one target, or none at all.
    """

    def __init__(self, parts: Sequence[Predictor]) -> None:
        if not parts:
            raise InputError("models", "files", "none", "at least one")
        self.parts = sorted(parts, key=lambda part: "apt" not in part.targets)
        of_target: dict[str, Predictor] = {}
        for part in self.parts:
            for target in part.targets:
                if target in of_target:
                    twice = f"both {of_target[target].name} and {part.name}"
                    raise InputError("models", target, twice, "one model for each target")
                of_target[target] = part
        self.targets = tuple(of_target)
        self.target = "+".join(self.targets)
        self.elements = tuple(
            z for z in parts[0].elements if all(z in part.elements for part in parts)
        )
        self.cutoff = max(part.cutoff for part in parts)
        self.name = ",".join(part.name for part in parts)
        self.sha256 = ",".join(part.sha256 for part in parts)
        self.first = self.parts[0]
        self.n_members = self.first.n_members
        self.total_charge, self.neutral = self.first.total_charge, self.first.neutral

    @overload
    def __call__(self, structures: Atoms) -> FloatArray: ...

    @overload
    def __call__(self, structures: Sequence[Atoms]) -> list[FloatArray]: ...

    def __call__(self, structures: Atoms | Sequence[Atoms]) -> FloatArray | list[FloatArray]:
        """See :meth:`Predictor.__call__`."""
        return self.first(structures)

    def members(self, atoms: Atoms) -> FloatArray:
        """See :meth:`Predictor.members`."""
        return self.first.members(atoms)

    def batch_members(self, structures: Sequence[Atoms]) -> list[FloatArray]:
        """See :meth:`Predictor.batch_members`."""
        return self.first.batch_members(structures)

    def with_std(self, atoms: Atoms) -> tuple[FloatArray, FloatArray | None]:
        """See :meth:`Predictor.with_std`."""
        return self.first.with_std(atoms)

    def tensors(self, structures: Sequence[Atoms]) -> list[dict[str, FloatArray]]:
        """See :meth:`Predictor.tensors`."""
        found = [part.tensors(structures) for part in self.parts]
        return [
            {target: tensors for part in of_structure for target, tensors in part.items()}
            for of_structure in zip(*found, strict=True)
        ]

    def with_members(self, members: slice) -> Predictors:
        """Models of only these members of each committee.

        Slices that divide the members of the first target divide those of the others: the last
        slice also takes what they have more.
        """
        start, stop, _ = members.indices(self.n_members)
        last = stop >= self.n_members
        cut = copy.copy(self)
        cut.parts = [part.with_members(slice(start, None if last else stop)) for part in self.parts]
        cut.first = cut.parts[0]
        cut.n_members = cut.first.n_members
        return cut


def load_predictor(source: str | PathLike[str], **options: Any) -> Predictor | Predictors:
    """The predictor of a model file or a bundled name; of several, joined by commas, all of them.

    Parameters
    ----------
    source : e.g. ``"water-apt"`` or ``"water-apt,pgt.pt"``
    options : of :meth:`Predictor.from_file`, for each

    Raises
    ------
    InputError
        A file that cannot be read, or two models for one target.
    """
    names = [name.strip() for name in fspath(source).split(",")]
    predictors = [Predictor.from_file(name, **options) for name in names if name]
    return predictors[0] if len(predictors) == 1 else Predictors(predictors)
