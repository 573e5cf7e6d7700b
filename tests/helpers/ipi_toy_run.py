"""``aptnn-md ipi`` with the analytic tensors of toy_molecules, as a process of its own.

python ipi_toy_run.py INPUT STREAM STRIDE ESTIMATORS [TOTAL_STEPS]
"""

import logging
import sys
from pathlib import Path

from aptnn_md.engines.ipi.runner import run_ipi
from aptnn_md.engines.ipi.settings import StreamSettings
from helpers import toy_molecules

if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    source, stream, stride, estimators, *steps = sys.argv[1:]
    settings = StreamSettings(Path(stream), int(stride), tuple(estimators.split(",")), "element")
    summary = run_ipi(
        source, settings, toy_molecules.Tensors(), total_steps=int(steps[0]) if steps else None
    )
    sys.exit(0 if summary.finished else 130)
