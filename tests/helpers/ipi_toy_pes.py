"""The analytic molecules of toy_molecules as a custom PES of i-PI; beads in batches."""

import sys
import time
from pathlib import Path

import numpy as np
from ipi.pes.dummy import Dummy_driver
from ipi.utils.units import unit_to_internal, unit_to_user

sys.path.insert(0, str(Path(__file__).parents[1]))
from helpers import toy_molecules

__DRIVER_NAME__ = "toy"
__DRIVER_CLASS__ = "ToyDriver"


class ToyDriver(Dummy_driver):
    """``sleep``: seconds that an evaluation takes beside its own time; ``fail``: number of the
    call that raises where there is a file of this name."""

    def __init__(self, sleep=0.0, fail=-1, **keywords):
        self.sleep, self.calls_left = float(sleep), int(fail)
        super().__init__(**keywords)

    def compute(self, cell, pos):
        time.sleep(self.sleep)
        if self.calls_left == 0 and Path("fail").exists():
            raise FloatingPointError("the potential does not know this place")
        self.calls_left -= 1
        batched = isinstance(cell, list)
        results = [self._one(q) for q in (pos if batched else [pos])]
        return results if batched else results[0]

    def _one(self, position):
        angstrom = unit_to_user("length", "angstrom", np.asarray(position).reshape(-1, 3))
        energy, forces, virial = toy_molecules.energy_forces_virial(angstrom)
        return (
            unit_to_internal("energy", "electronvolt", energy),
            unit_to_internal("force", "ev/ang", forces),
            unit_to_internal("energy", "electronvolt", virial),
            "",
        )
