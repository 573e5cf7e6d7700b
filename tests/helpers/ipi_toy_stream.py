"""The stream plugin with the analytic tensors of the toy molecules, for plain ``i-pi``."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from aptnn_md.engines.ipi.plugin import StreamPlugin
from helpers import toy_molecules, toy_tensors

__DRIVER_NAME__ = "toy_stream"
__DRIVER_CLASS__ = "ToyStream"


class ToyStream(StreamPlugin):
    def __init__(self, both=False, **keywords):
        model = toy_tensors.Both() if both else toy_molecules.Tensors()
        super().__init__(model=model, **keywords)
