"""A client that sends the analytic tensors of toy_molecules, and writes down each evaluation."""

import sys
from pathlib import Path

import numpy as np
from ipi.pes.dummy import Dummy_driver
from ipi.utils.units import unit_to_user

sys.path.insert(0, str(Path(__file__).parent))
import toy_molecules

from aptnn_md.ipi.extras import tensor_extras, to_text

__DRIVER_NAME__ = "toy_tensors"
__DRIVER_CLASS__ = "ToyTensors"


class ToyTensors(Dummy_driver):
    def __init__(self, log="", **keywords):
        self.log = log
        super().__init__(**keywords)

    def compute_structure(self, cell, pos):
        if self.log:
            with open(self.log, "a") as file:
                file.write("call\n")
        angstrom = unit_to_user("length", "angstrom", np.asarray(pos).reshape(-1, 3))
        apt = toy_molecules.polar_tensors(angstrom)
        return 0.0, pos * 0.0, cell * 0.0, to_text(tensor_extras(apt[None], "toy", "f00d"))
