"""A client that sends the analytic tensors of the toy molecules and counts its evaluations."""

import sys
from pathlib import Path

import numpy as np
from ipi.pes.dummy import Dummy_driver
from ipi.utils.units import unit_to_user

sys.path.insert(0, str(Path(__file__).parents[1]))
from aptnn_md.engines.client.extras import tensor_extras, to_text
from helpers import toy_field, toy_molecules

__DRIVER_NAME__ = "toy_tensors"
__DRIVER_CLASS__ = "ToyTensors"


class ToyTensors(Dummy_driver):
    def __init__(self, log="", both=False, **keywords):
        self.log, self.both = log, both
        super().__init__(**keywords)

    def compute_structure(self, cell, pos):
        if self.log:
            with open(self.log, "a") as file:
                file.write("call\n")
        angstrom = unit_to_user("length", "angstrom", np.asarray(pos).reshape(-1, 3))
        apt = toy_molecules.polar_tensors(angstrom)
        tensors = {"apt": apt[None]}
        if self.both:
            tensors["pgt"] = toy_field.gradients(angstrom)[None]
        extras = tensor_extras(tensors, "toy", "f00d")
        return 0.0, pos * 0.0, cell * 0.0, to_text(extras)
