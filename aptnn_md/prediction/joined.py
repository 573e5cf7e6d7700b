"""Several models of different targets as one: APTs by one file, PGTs by another."""

from __future__ import annotations

from collections.abc import Sequence

from ase import Atoms

from aptnn_md.domain import Domain
from aptnn_md.errors import InputError
from aptnn_md.prediction.calls import DirectCalls
from aptnn_md.prediction.interface import TensorModel, member_slices
from aptnn_md.targets import TARGETS, Tensors


class JoinedModel(DirectCalls):
    """Several models of different targets; each target comes from its own.

    Parameters
    ----------
    parts : the models

    Attributes
    ----------
    parts : sorted by their targets, that of APTs first
    targets : of all of them, in the same order
    elements : atomic numbers that all of them know
    cutoff : the largest, Å; None where one of them is not known
    name, sha256 : theirs, in the order in which they were given, joined by commas
    committee_sizes : of each target
    domain : limits of the spread of the committees among them that know it

    Raises
    ------
    InputError
        Two models for one target, or no model.
    """

    def __init__(self, parts: Sequence[TensorModel]) -> None:
        if not parts:
            raise InputError("models", "files", "none", "at least one")
        order = list(TARGETS)
        self.parts = tuple(
            sorted(parts, key=lambda part: min(order.index(target) for target in part.targets))
        )
        self._given = tuple(parts)
        self._part_of: dict[str, TensorModel] = {}
        for part in self.parts:
            for target in part.targets:
                if target in self._part_of:
                    twice = f"both {self._part_of[target].name} and {part.name}"
                    raise InputError("models", target, twice, "one model for each target")
                self._part_of[target] = part
        self.targets = tuple(self._part_of)
        self.elements = _common_elements(parts)
        cutoffs = [part.cutoff for part in parts]
        self.cutoff = None if None in cutoffs else max(c for c in cutoffs if c is not None)
        self.name = ",".join(part.name for part in parts)
        self.sha256 = ",".join(part.sha256 for part in parts)
        self.committee_sizes = {
            target: part.committee_sizes[target] for target, part in self._part_of.items()
        }
        domains = [part.domain for part in self.parts if isinstance(part, DirectCalls)]
        self.domain = Domain.joined(self.name, domains)

    def evaluate(self, structures: Sequence[Atoms]) -> list[Tensors]:
        """See :meth:`aptnn_md.prediction.interface.TensorModel.evaluate`."""
        found = [part.evaluate(structures) for part in self.parts]
        return [
            {target: tensors for part in of_structure for target, tensors in part.items()}
            for of_structure in zip(*found, strict=True)
        ]

    def select(self, members: slice) -> JoinedModel:
        """See :meth:`aptnn_md.prediction.interface.TensorModel.select`."""
        slices = member_slices(self.committee_sizes, members)
        return JoinedModel([part.select(slices[part.targets[0]]) for part in self._given])

    def for_targets(self, targets: Sequence[str]) -> TensorModel:
        """Only the models that are needed; see
        :meth:`aptnn_md.prediction.interface.TensorModel.for_targets`."""
        needed = [part for part in self._given if set(part.targets) & set(targets)]
        return needed[0] if len(needed) == 1 else JoinedModel(needed)


def _common_elements(models: Sequence[TensorModel]) -> tuple[int, ...] | None:
    """Atomic numbers that all of several models know; None where each knows any."""
    limited = [model.elements for model in models if model.elements is not None]
    if not limited:
        return None
    return tuple(z for z in limited[0] if all(z in elements for elements in limited))
