"""The stream plugin with the analytic tensors of toy_molecules, for plain ``i-pi``."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import toy_molecules

from aptnn_md.ipi.plugin import StreamPlugin

__DRIVER_NAME__ = "toy_stream"
__DRIVER_CLASS__ = "ToyStream"


class ToyStream(StreamPlugin):
    def __init__(self, **keywords):
        super().__init__(model=toy_molecules.Tensors(), **keywords)
