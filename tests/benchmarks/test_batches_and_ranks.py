"""Beads in batches and on two MPI ranks, as ratios in one run.

python -m pytest tests/benchmarks/test_batches_and_ranks.py -m benchmark -s
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.processes import mpirun_command, mpirun_environment, needs_mpirun

pytestmark = [pytest.mark.benchmark, pytest.mark.ipi, pytest.mark.mace]


@needs_mpirun
def test_two_ranks_beat_one():
    pytest.importorskip("mpi4py")
    done = subprocess.run(
        mpirun_command("-n", 2, sys.executable, Path(__file__).with_name("mpi_beads.py")),
        env=mpirun_environment(),
        capture_output=True,
        text=True,
        timeout=900,
        check=True,
    )
    lines = [line for line in done.stdout.splitlines() if line.startswith("RESULT ")]
    found = json.loads(lines[0].removeprefix("RESULT "))
    for n_molecules, times in found.items():
        one_by_one, batch, one_rank, two_ranks = (
            times[key] for key in ("one by one", "in one call", "one rank", "all ranks")
        )
        print(
            f"\n8 beads of {n_molecules} H2O, forces and tensors: one by one {one_by_one:.2f} s of "
            f"CPU, in one call {batch:.2f} s (ratio {one_by_one / batch:.2f}); on one rank "
            f"{one_rank:.2f} s, on two ranks {two_ranks:.2f} s (ratio {one_rank / two_ranks:.2f})"
        )
    assert found["4"]["one by one"] > 1.2 * found["4"]["in one call"]
    if (os.cpu_count() or 1) >= 2:
        assert found["64"]["all ranks"] < found["64"]["one rank"]
