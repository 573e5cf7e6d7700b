"""What every potential that evaluates batches looks like: :class:`BatchedPotential`."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
from ase import Atoms
from ase.calculators.calculator import BaseCalculator, Calculator, all_changes

from aptnn_md.errors import InputError, RunError, raised_by
from aptnn_md.structures import charge_of


@runtime_checkable
class BatchedPotential(Protocol):
    """Energies and forces of several structures in one call."""

    def evaluate(self, structures: Sequence[Atoms]) -> list[dict[str, Any]]:
        """Results of each structure by ASE's names.

        Returns
        -------
        For each structure ``energy`` (eV), ``forces`` (n_atoms, 3) in eV/Å, and where the potential
        knows it ``stress`` (6,) in eV/Å³ in the order xx, yy, zz, yz, xz, xy
        """


class CalculatorPotential:
    """An ASE calculator, asked for one structure after the other.

    Parameters
    ----------
    calculator : of energy and forces; of stress where it has it
    """

    def __init__(self, calculator: BaseCalculator) -> None:
        self.calculator = calculator

    def evaluate(self, structures: Sequence[Atoms]) -> list[dict[str, Any]]:
        """See :meth:`BatchedPotential.evaluate`; stress where all directions are periodic."""
        return [self._of_structure(atoms) for atoms in structures]

    def _of_structure(self, atoms: Atoms) -> dict[str, Any]:
        names = ["energy", "forces"]
        if "stress" in self.calculator.implemented_properties and atoms.pbc.all():
            names.append("stress")
        who = f"potential {type(self.calculator).__name__}"
        charge_of(atoms, calculator=self.calculator)  # refuses those that differ
        with raised_by(who):
            found = {name: self.calculator.get_property(name, atoms) for name in names}
        check_finite_results(who, atoms, found)
        return found


class BatchedCalculator(Calculator):
    """An ASE calculator whose results are those of a batch of one structure."""

    @abstractmethod
    def evaluate(self, structures: Sequence[Atoms]) -> list[dict[str, Any]]:
        """See :meth:`BatchedPotential.evaluate`."""

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: Sequence[str] = ("energy",),
        system_changes: Sequence[str] = all_changes,
    ) -> None:
        """ASE's entry: everything is computed at once, the stress costs nothing extra."""
        super().calculate(atoms, properties, system_changes)  # type: ignore[no-untyped-call]
        self.results = self.evaluate([self.atoms])[0]  # type: ignore[list-item]


def check_finite_results(who: str, atoms: Atoms, results: Mapping[str, Any]) -> None:
    """Refuse energy, forces or stress that are not finite; ``who`` made them.

    Raises
    ------
    RunError
        It names the first atom at fault.
    """
    for name in ("energy", "forces", "stress"):
        values = results.get(name)
        if values is None or np.isfinite(np.asarray(values, dtype=np.float64)).all():
            continue
        text = f"{who}: {name} of {atoms.get_chemical_formula()}"
        if name != "forces":
            numbers = np.asarray(values, dtype=np.float64).round(6).tolist()
            raise RunError(f"{text}: {numbers}, which is not finite")
        atom = int(np.argwhere(~np.isfinite(values))[0][0])
        raise RunError(
            f"{text}: not finite, first that on atom {atom} ({atoms.symbols[atom]}) at "
            f"{atoms.positions[atom].round(3).tolist()} Å"
        )


def as_batched(potential: BatchedPotential | BaseCalculator) -> BatchedPotential:
    """A potential as one that evaluates batches: itself where it does, else wrapped.

    Raises
    ------
    InputError
        Neither an ASE calculator nor something with ``evaluate``.
    """
    if isinstance(potential, BatchedPotential):
        return potential
    if hasattr(potential, "get_property"):
        return CalculatorPotential(potential)
    expected = "an ASE calculator, or a potential with evaluate(structures)"
    raise InputError("potential", "type", type(potential).__name__, expected)
