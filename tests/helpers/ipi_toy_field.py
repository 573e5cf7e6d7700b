"""Drivers of aptnn_md with the analytic tensors of toy_molecules, for ``<pes_path>``."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from aptnn_md.engines.client.answers import Answers
from aptnn_md.engines.client.evaluator import Evaluator
from aptnn_md.engines.ipi.pes import EvaluatorDriver
from aptnn_md.structure_files import read_structure
from helpers import toy_molecules

__DRIVER_NAME__ = "toy_field"
__DRIVER_CLASS__ = "ToyField"


class ToyField(EvaluatorDriver):
    """``extras`` and ``efield`` as those of the drivers."""

    def __init__(self, template, extras="none", efield=None, beads=1, forces=False, **keywords):
        potential = toy_molecules.Potential() if forces else None
        evaluator = Evaluator(
            read_structure(template, positions=False), potential, toy_molecules.Tensors()
        )
        super().__init__(evaluator, Answers(extras, efield, beads), **keywords)
