"""A label engine as a potential: for the first dynamics, and for normal modes of the reference."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes
from ase.calculators.singlepoint import SinglePointCalculator

from aptnn_md.errors import RunError
from aptnn_md.labels.engines.interface import load_engine
from aptnn_md.labels.points import PointFailure
from aptnn_md.labels.work import failures
from aptnn_md.progress import log
from aptnn_md.structures import charge_of


class EngineFailureError(RunError):
    """The engine could not calculate a structure."""


class EngineCalculator(Calculator):
    """Energy and forces of a label engine, as an ASE calculator.

    Parameters
    ----------
    spec : text for :func:`aptnn_md.labels.engines.interface.load_engine`

    Raises
    ------
    InputError
        No such engine.
    RunError
        The program is not installed; later, :class:`EngineFailureError`.
    """

    name = "engine"
    implemented_properties = ["energy", "forces"]  # noqa: RUF012

    def __init__(self, spec: str) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.engine = load_engine(spec)
        self.name = self.engine.name
        self._scratch = tempfile.TemporaryDirectory(prefix="aptnn_md-")

    def evaluate(self, structures: Sequence[Atoms]) -> list[dict[str, Any]]:
        """See :meth:`aptnn_md.potentials.interface.BatchedPotential.evaluate`.

        Of a structure that the engine could not calculate, energy and forces are NaN, so that one
        failure does not end the dynamics of all.
        """
        return [self._or_nan(atoms) for atoms in structures]

    def _or_nan(self, atoms: Atoms) -> dict[str, Any]:
        try:
            return self._of_structure(atoms)
        except EngineFailureError as error:
            log.warning("%s", error)
            return {"energy": np.nan, "forces": np.full((len(atoms), 3), np.nan)}

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: Sequence[str] = ("energy",),
        system_changes: Sequence[str] = all_changes,
    ) -> None:
        """ASE's entry."""
        super().calculate(atoms, properties, system_changes)  # type: ignore[no-untyped-call]
        assert self.atoms is not None
        self.results = self._of_structure(self.atoms)

    def _of_structure(self, atoms: Atoms) -> dict[str, Any]:
        try:
            with failures():
                result = self.engine.calculate(
                    atoms,
                    np.zeros(3),
                    charge=charge_of(_bare(atoms), 0.0) or 0.0,
                    with_forces=True,
                    scratch=Path(self._scratch.name),
                    keep=False,
                )
        except PointFailure as failure:
            formula = atoms.get_chemical_formula()
            raise EngineFailureError(f"{self.name}: {formula}: {failure}") from failure
        if result.energy is None or result.forces is None:
            raise RunError(f"{self.name}: no energy or forces, which dynamics needs")
        return {"energy": result.energy, "forces": result.forces}


class RememberingEngine:
    """An engine that keeps its results, so that what dynamics calculated need not be done again.

    Parameters
    ----------
    engine : which calculates
    """

    def __init__(self, engine: EngineCalculator) -> None:
        self.engine = engine
        self._known: dict[bytes, dict[str, Any]] = {}

    def evaluate(self, structures: Sequence[Atoms]) -> list[dict[str, Any]]:
        """See :meth:`EngineCalculator.evaluate`; nothing is looked up."""
        found = self.engine.evaluate(structures)
        for atoms, result in zip(structures, found, strict=True):
            self._known[_place(atoms)] = result
        return found

    def with_results(self, atoms: Atoms) -> Atoms:
        """A copy with energy and forces; they are calculated only where no earlier call did."""
        result = self._known.get(_place(atoms)) or self.engine.evaluate([atoms])[0]
        found = _bare(atoms)
        found.calc = SinglePointCalculator(found, **result)
        return found


def _place(atoms: Atoms) -> bytes:
    arrays = (atoms.numbers, atoms.positions, atoms.cell.array)
    return b"".join(np.ascontiguousarray(array).tobytes() for array in arrays)


def _bare(atoms: Atoms) -> Atoms:
    """Without the calculator, which may be this one and knows no charge."""
    found: Atoms = atoms.copy()
    return found
