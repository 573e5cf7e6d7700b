"""O-H molecules far apart, each a Morse oscillator, as a custom PES of i-PI; beads in batches."""

import numpy as np
from ipi.pes.dummy import Dummy_driver
from ipi.utils.units import unit_to_internal, unit_to_user

__DRIVER_NAME__ = "morse"
__DRIVER_CLASS__ = "MorseDriver"

DEPTH, STEEPNESS, LENGTH = 4.8, 2.3, 0.97
"""eV, 1/Å, Å: 3730 cm⁻¹ of the harmonic stretch."""


class MorseDriver(Dummy_driver):
    """D (1 - exp(-a (r - r0)))² of each bond; atoms in the order O, H."""

    def compute(self, cell, pos):
        batched = isinstance(cell, list)
        results = [self._one(q) for q in (pos if batched else [pos])]
        return results if batched else results[0]

    def _one(self, position):
        angstrom = unit_to_user("length", "angstrom", np.asarray(position).reshape(-1, 2, 3))
        bonds = angstrom[:, 1] - angstrom[:, 0]
        lengths = np.linalg.norm(bonds, axis=1)
        decay = np.exp(-STEEPNESS * (lengths - LENGTH))
        slope = 2.0 * DEPTH * STEEPNESS * decay * (1.0 - decay)
        on_h = -(slope / lengths)[:, None] * bonds
        return (
            unit_to_internal("energy", "electronvolt", DEPTH * np.sum((1.0 - decay) ** 2)),
            unit_to_internal("force", "ev/ang", np.stack([-on_h, on_h], axis=1).reshape(-1, 3)),
            np.zeros((3, 3)),
            "",
        )
