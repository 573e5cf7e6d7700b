"""Short ways to ask a model for its first target, written once over ``evaluate``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import overload

import ase.units
import numpy as np
from ase import Atoms

from aptnn_md.arrays import FloatArray
from aptnn_md.domain import Domain
from aptnn_md.errors import InputError
from aptnn_md.prediction.interface import TensorModel
from aptnn_md.targets import Tensors


class DirectCalls:
    """Makes a :class:`TensorModel` callable; its adapters inherit from it.

    The first target is that of APTs wherever the model knows them.

    Attributes
    ----------
    domain : limits of the spread of a committee, where they are known (:mod:`aptnn_md.domain`)
    """

    domain: Domain | None = None

    @property
    def n_members(self: TensorModel) -> int:
        """Size of the first target's committee, 1 for a single model."""
        return self.committee_sizes[self.targets[0]]

    @overload
    def __call__(self, structures: Atoms) -> FloatArray: ...

    @overload
    def __call__(self, structures: Sequence[Atoms]) -> list[FloatArray]: ...

    def __call__(
        self: TensorModel, structures: Atoms | Sequence[Atoms]
    ) -> FloatArray | list[FloatArray]:
        """First target of one structure, APTs (n_atoms, 3, 3), or of each structure of a list.

        The mean of a committee.

        Raises
        ------
        InputError
            An element that the model does not know, positions that are not finite, or a periodic
            direction without a cell vector.
        """
        if isinstance(structures, Atoms):
            return _mean(_first_target(self, [structures])[0])
        return [_mean(members) for members in _first_target(self, structures)]

    def members(self: TensorModel, atoms: Atoms) -> FloatArray:
        """First target by each committee member, APTs (n_members, n_atoms, 3, 3)."""
        return _first_target(self, [atoms])[0]

    def with_std(self: TensorModel, atoms: Atoms) -> tuple[FloatArray, FloatArray | None]:
        """Mean and standard deviation of the committee's first target, each (n_atoms, 3, 3).

        The deviation is the sample's (n_members - 1), and None for a single model.
        """
        members = _first_target(self, [atoms])[0]
        return _mean(members), members.std(axis=0, ddof=1) if len(members) > 1 else None

    def tensors(self: TensorModel, structures: Sequence[Atoms]) -> list[Tensors]:
        """Another name of ``evaluate``."""
        return self.evaluate(structures)


def given_velocities(model: str, atoms: Atoms, velocities: FloatArray | None) -> FloatArray:
    """Velocities (n_atoms, 3), Å/fs: those given, else those of the structure.

    Parameters
    ----------
    model : its name, for messages

    Raises
    ------
    InputError
        Another shape.
    """
    if velocities is None:
        velocities = atoms.get_velocities() * ase.units.fs
    if np.shape(velocities) != (len(atoms), 3):
        shape = f"shape {np.shape(velocities)}"
        raise InputError(f"model {model}", "velocities", shape, (len(atoms), 3))
    return np.asarray(velocities, dtype=np.float64)


def _first_target(model: TensorModel, structures: Sequence[Atoms]) -> list[FloatArray]:
    first = model.targets[0]
    return [tensors[first] for tensors in model.for_targets((first,)).evaluate(structures)]


def _mean(members: FloatArray) -> FloatArray:
    mean: FloatArray = members.mean(axis=0)
    return mean
