"""i-PI custom PES around any potential of ``load_potential``; all beads in one call."""

from __future__ import annotations

from typing import Any

import ase.io
import numpy as np
from ase.stress import voigt_6_to_full_3x3_stress
from ipi.pes.dummy import Dummy_driver
from ipi.utils.units import unit_to_internal, unit_to_user

from aptnn_md.potentials import load_potential

__DRIVER_NAME__ = "aptnn_md_potential"
__DRIVER_CLASS__ = "PotentialDriver"


class PotentialDriver(Dummy_driver):
    """``model`` as for ``load_potential``; ``template``: a file with the atoms in i-PI's order."""

    def __init__(self, model: str, template: str, **keywords: Any) -> None:
        self.calculator = load_potential(model)
        self.template = ase.io.read(template)
        super().__init__(**keywords)

    def compute(self, cell: Any, pos: Any) -> Any:
        """One structure, or lists of them when i-PI sends a batch."""
        batched = isinstance(cell, list)
        structures = []
        for h, q in zip(cell, pos, strict=True) if batched else [(cell, pos)]:
            atoms = self.template.copy()
            atoms.set_cell(unit_to_user("length", "angstrom", np.asarray(h).T))
            atoms.positions = unit_to_user("length", "angstrom", np.asarray(q).reshape(-1, 3))
            structures.append(atoms)
        results = [
            self._in_ipi_units(result, atoms.get_volume())
            for result, atoms in zip(self.calculator.evaluate(structures), structures, strict=True)
        ]
        return results if batched else results[0]

    def _in_ipi_units(self, result: dict[str, Any], volume: float) -> tuple[Any, ...]:
        virial = -voigt_6_to_full_3x3_stress(result["stress"]) * volume
        return (
            unit_to_internal("energy", "electronvolt", result["energy"]),
            unit_to_internal("force", "ev/ang", result["forces"]),
            unit_to_internal("energy", "electronvolt", virial.T),
            "",
        )
