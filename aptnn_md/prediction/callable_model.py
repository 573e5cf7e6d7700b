"""A plain function of structures as a model."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from ase import Atoms
from numpy.typing import ArrayLike

from aptnn_md.errors import raised_by
from aptnn_md.prediction.calls import DirectCalls
from aptnn_md.prediction.interface import checked_tensors, member_slices
from aptnn_md.targets import APT, Tensors, targets_of


class CallableModel(DirectCalls):
    """A function ``model(atoms) -> (n_atoms, 3, 3)`` of APTs, or an object that says more.

    Parameters
    ----------
    function : called with one structure. Attributes of it that are read, all optional:

        ``name``, ``sha256``, ``elements``, ``cutoff``
            as of :class:`aptnn_md.prediction.interface.TensorModel`
        ``targets``
            names of what it gives, by default APTs
        ``n_members``
            size of its committees, or ``committee_sizes`` where they differ, by target
        ``members(atoms)``
            the first target by each member, (n_members, n_atoms, *shape); asked where
            ``n_members`` is larger than 1
        ``tensors(structures)``
            all targets of several structures, as
            :meth:`aptnn_md.prediction.interface.TensorModel.evaluate` gives them; asked only of a
            function that also has ``targets``, and needed for several targets

    Raises
    ------
    InputError
        ``targets`` that are unknown; on evaluation, arrays of other shapes.
    RunError
        On evaluation, numbers that are not finite, or an error of the function.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function: Any = function
        name = getattr(function, "name", None) or getattr(function, "__name__", None)
        self.name = str(name or type(function).__name__)
        self.sha256 = str(getattr(function, "sha256", ""))
        names = tuple(getattr(function, "targets", (APT.name,)))
        self.targets = tuple(target.name for target in targets_of(names, f"model {self.name}"))
        elements = getattr(function, "elements", None)
        self.elements = None if elements is None else tuple(int(z) for z in elements)
        cutoff = getattr(function, "cutoff", None)
        self.cutoff = None if cutoff is None else float(cutoff)
        n_members = int(getattr(function, "n_members", 1))
        self._all_sizes: dict[str, int] = dict.fromkeys(self.targets, n_members)
        self._all_sizes |= dict(getattr(function, "committee_sizes", {}))
        self.committee_sizes = self._all_sizes
        self._slices: dict[str, slice] = dict.fromkeys(self.targets, slice(None))

    def evaluate(self, structures: Sequence[Atoms]) -> list[Tensors]:
        """See :meth:`aptnn_md.prediction.interface.TensorModel.evaluate`.

        All members of a committee are evaluated, also where only some were selected.
        """
        checked = [
            checked_tensors(self, atoms, tensors)
            for atoms, tensors in zip(structures, self._ask(structures), strict=True)
        ]
        return checked

    def select(self, members: slice) -> CallableModel:
        """See :meth:`aptnn_md.prediction.interface.TensorModel.select`."""
        part = copy.copy(self)
        slices = member_slices(self.committee_sizes, members)
        numbers = {name: range(size)[self._slices[name]] for name, size in self._all_sizes.items()}
        chosen = {name: numbers[name][slices[name]] for name in self.targets}
        part._slices = {name: slice(r.start, r.stop) for name, r in chosen.items()}
        part.committee_sizes = {name: len(r) for name, r in chosen.items()}
        return part

    def for_targets(self, targets: Sequence[str]) -> CallableModel:
        """Itself."""
        return self

    def _ask(self, structures: Sequence[Atoms]) -> list[dict[str, ArrayLike]]:
        """What the function itself gives, cut to the members that were selected."""
        with raised_by(f"model {self.name}"):
            if hasattr(self.function, "targets") and hasattr(self.function, "tensors"):
                found = self.function.tensors(structures)
            else:
                (target,) = self.targets
                found = [{target: members} for members in self._members(structures)]
        return [
            {
                name: np.asarray(values, dtype=np.float64)[self._slices[name]]
                for name, values in tensors.items()
                if name in self.targets
            }
            for tensors in found
        ]

    def _members(self, structures: Sequence[Atoms]) -> list[ArrayLike]:
        if self._all_sizes[self.targets[0]] > 1:
            return [self.function.members(atoms) for atoms in structures]
        return [np.asarray(self.function(atoms))[None] for atoms in structures]
