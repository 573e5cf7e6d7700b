"""How the tests run: in parallel when all of them do, with one thread in each process."""

from __future__ import annotations

import os
import random
import sys
from pathlib import Path

# before NumPy and torch are imported: threads of several processes are in each other's way
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pytest

MOST_WORKERS = 8
"""Each takes about a gigabyte of memory."""


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Workers of ``-n auto``, the default: the whole suite is distributed over the cores.

    Chosen files and folders run in this process, and so does what is to print (``-s``).
    """
    chosen = config.args_source is pytest.Config.ArgsSource.ARGS
    if chosen or config.option.capture == "no":
        return 0
    n_cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1
    return min(n_cores, MOST_WORKERS) if n_cores > 1 else 0


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--device",
        default="cuda",
        help="where tests marked gpu compute; with cpu they run without a GPU (%(default)s)",
    )


@pytest.fixture(autouse=True)
def seed_global_generators() -> None:
    """What a test draws from a global generator is the same in each run, whatever ran before it."""
    random.seed(1)
    np.random.seed(1)  # noqa: NPY002
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(1)


@pytest.fixture(params=["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def device(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """A device on which structures stay: the processor as if it were one, and a GPU."""
    import torch  # here, as some rooms are tested without it

    from aptnn_md.models import resident

    chosen = request.param if request.param == "cpu" else request.config.getoption("--device")
    if torch.device(chosen).type == "cuda" and not torch.cuda.is_available():
        pytest.skip("needs a CUDA device, or --device cpu")
    monkeypatch.setattr(resident, "RESIDENT", {torch.device(chosen).type})
    return chosen


def pytest_report_header() -> str:
    """Which package is tested: the installed one, or a checkout."""
    import aptnn_md

    return f"aptnn_md {aptnn_md.__version__} in {Path(aptnn_md.__file__).parent}"
