"""An ASE calculator that knows atomic tensors as a model."""

from __future__ import annotations

import copy
from collections.abc import Sequence

from ase import Atoms
from ase.calculators.calculator import BaseCalculator

from aptnn_md.errors import raised_by
from aptnn_md.prediction.calls import DirectCalls
from aptnn_md.prediction.interface import checked_tensors
from aptnn_md.targets import TARGETS, Tensors


def known_targets(calculator: object) -> tuple[str, ...]:
    """Names of the targets among a calculator's properties; none of anything else."""
    properties = getattr(calculator, "implemented_properties", ())
    return tuple(name for name, target in TARGETS.items() if target.ase_name in properties)


class CalculatorModel(DirectCalls):
    """Tensors that an ASE calculator has among its properties, e.g. ``born_effective_charges``.

    They are taken as they are, in the units and with the indices of :mod:`aptnn_md.targets`, and
    without projection to the sum rule; a calculator of other conventions needs a function around
    it. A calculator tells the mean of a committee only, so it counts as a single model.

    Parameters
    ----------
    calculator : with at least one :attr:`aptnn_md.targets.Target.ase_name` among its
        ``implemented_properties``
    """

    def __init__(self, calculator: BaseCalculator) -> None:
        self.calculator = calculator
        self.name = str(getattr(calculator, "name", None) or type(calculator).__name__)
        self.sha256 = ""
        self.targets = known_targets(calculator)
        self.elements: tuple[int, ...] | None = None
        self.cutoff: float | None = None
        self.committee_sizes = dict.fromkeys(self.targets, 1)

    def evaluate(self, structures: Sequence[Atoms]) -> list[Tensors]:
        """See :meth:`aptnn_md.prediction.interface.TensorModel.evaluate`."""
        return [self._of_structure(atoms) for atoms in structures]

    def select(self, members: slice) -> CalculatorModel:
        """Itself, or the same without members where the slice is empty."""
        part = copy.copy(self)
        part.committee_sizes = {
            name: len(range(size)[members]) for name, size in self.committee_sizes.items()
        }
        return part

    def for_targets(self, targets: Sequence[str]) -> CalculatorModel:
        """Itself with only these targets: a calculator gives one property after the other."""
        part = copy.copy(self)
        part.targets = tuple(name for name in self.targets if name in targets)
        part.committee_sizes = {name: self.committee_sizes[name] for name in part.targets}
        return part

    def _of_structure(self, atoms: Atoms) -> Tensors:
        with raised_by(f"model {self.name}"):
            found = {
                name: self.calculator.get_property(TARGETS[name].ase_name, atoms)[None][:size]
                for name, size in self.committee_sizes.items()
            }
        return checked_tensors(self, atoms, found)
