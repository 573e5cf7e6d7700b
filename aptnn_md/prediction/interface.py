"""What every source of atomic tensors looks like: :class:`TensorModel`.

Model files, several of them joined, plain callables and ASE calculators are wrapped once, at the
border, by :func:`aptnn_md.prediction.loading.as_model`. Whoever evaluates tensors gets a
``TensorModel`` and need not know which of them it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol, runtime_checkable

import numpy as np
from ase import Atoms
from ase.data import chemical_symbols
from numpy.typing import ArrayLike

from aptnn_md.arrays import FloatArray
from aptnn_md.errors import InputError, RunError
from aptnn_md.targets import TARGETS, Tensors


@runtime_checkable
class TensorModel(Protocol):
    """Atomic tensors as a function of structures."""

    @property
    def name(self) -> str:
        """What the model is called in headers and messages."""

    @property
    def sha256(self) -> str:
        """Of the model's file; empty where there is none."""

    @property
    def targets(self) -> tuple[str, ...]:
        """Names of the targets that :meth:`evaluate` gives, in this order."""

    @property
    def elements(self) -> tuple[int, ...] | None:
        """Atomic numbers that the model knows; None: any."""

    @property
    def cutoff(self) -> float | None:
        """Å, beyond which atoms do not see each other; None: not known."""

    @property
    def committee_sizes(self) -> Mapping[str, int]:
        """Number of committee members for each target, 1 for a single model."""

    def evaluate(self, structures: Sequence[Atoms]) -> list[Tensors]:
        """All targets of each structure, each (n_members, n_atoms, *shape)."""

    def select(self, members: slice) -> TensorModel:
        """The model with only these members of its committee.

        The slice counts members of the first target. Committees of other targets may differ in
        size: see :func:`member_slices`.
        """

    def for_targets(self, targets: Sequence[str]) -> TensorModel:
        """What gives these targets with the least work; it may give more of them.

        A model that consists of several drops those that are not needed; any other is itself.
        """


def member_slices(committee_sizes: Mapping[str, int], members: slice) -> dict[str, slice]:
    """The members of each target's committee that go with ``members`` of the first target's.

    Slices that together cover the first committee cover the others, too, each member once: the
    last slice also takes what the others have more.
    """
    n_first = next(iter(committee_sizes.values()), 0)
    start, stop, _ = members.indices(n_first)
    if start >= stop:
        return dict.fromkeys(committee_sizes, slice(0, 0))
    return {
        target: slice(min(start, size), size if stop >= n_first else min(stop, size))
        for target, size in committee_sizes.items()
    }


def check_elements(model: TensorModel, atoms: Atoms) -> None:
    """Refuse a structure with elements that a model does not know.

    Raises
    ------
    InputError
        The model does not know one of them.
    """
    if model.elements is None:
        return
    unknown = sorted(set(atoms.numbers.tolist()) - set(model.elements))
    if unknown:
        raise InputError(
            atoms.get_chemical_formula(),
            "element",
            ", ".join(chemical_symbols[z] for z in unknown),
            f"{', '.join(chemical_symbols[z] for z in model.elements)} (model {model.name})",
        )


def checked_tensors(model: TensorModel, atoms: Atoms, tensors: Mapping[str, ArrayLike]) -> Tensors:
    """What a foreign model gave for a structure, as double-precision arrays of the right shapes.

    Parameters
    ----------
    model : that gave it
    atoms : the structure
    tensors : target -> (n_members, n_atoms, *shape)

    Raises
    ------
    InputError
        A target is missing, or its array has another shape than :data:`aptnn_md.targets.Tensors`.
    RunError
        Values that are not finite.
    """
    checked: Tensors = {}
    for name, size in model.committee_sizes.items():
        where = f"{TARGETS[name].title} model"
        if name not in tensors:
            found = ", ".join(tensors) or "nothing"
            raise InputError(f"model {model.name}", "tensors", found, f"{name}, too")
        values: FloatArray = np.asarray(tensors[name], dtype=np.float64)
        expected = (len(atoms), *TARGETS[name].shape)
        if values.shape[1:] != expected:
            raise InputError(where, "shape", values.shape[1:], expected)
        if len(values) != size:
            raise InputError(where, "committee members", len(values), f"{size}, as it announces")
        checked[name] = values
    check_finite(f"model {model.name}", atoms, checked)
    return checked


def check_finite(who: str, atoms: Atoms, tensors: Tensors) -> None:
    """Refuse tensors (n_members, n_atoms, *shape) that are not finite; ``who`` made them.

    Raises
    ------
    RunError
        It names the first atom at fault.
    """
    for name, values in tensors.items():
        if not np.isfinite(values).all():
            atom = int(np.argwhere(~np.isfinite(values))[0][1])
            title, formula = TARGETS[name].title, atoms.get_chemical_formula()
            raise RunError(
                f"{who}: {title}s of {formula} are not finite, "
                f"first that of atom {atom} ({atoms.symbols[atom]})"
            )
