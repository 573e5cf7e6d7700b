"""Stored trajectories evaluated under mpirun and by parsl: killed and resumed, the same stream."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from helpers import stored_runs
from helpers.paths import EXAMPLES
from helpers.processes import SCRIPTS, mpirun_command, mpirun_environment, needs_mpirun

from aptnn_md.stream import StreamReader

N_FRAMES = 60

MODEL = """\
import os
import time
import numpy as np
from aptnn_md.stream import writer

# whatever a commit takes on a busy disk
writer.COMMIT_SECONDS = (0.1, 0.1)

def model():
    def tensors(atoms):
        time.sleep(float(os.environ["DELAY"]))
        return np.sin(atoms.positions[:, :, None] * [1.0, 2.0, 3.0])
    return tensors
"""


def words(stream, *more):
    given = ["trajectory", "t.lammpstrj", "--lammps-units", "metal", "--model", "made:model"]
    given += ["--timestep", "0.5", "--groups", "molecule+motion", "--batch", "2"]
    return [*given, "--stream", stream, *more]


def command(executor, stream):
    if executor == "mpi":
        program = [sys.executable, "-m", "mpi4py.futures", SCRIPTS / "aptnn-md"]
        return mpirun_command("-n", 3, *program, *words(stream, "--executor", "mpi"))
    executor = f"parsl:{EXAMPLES / 'cluster' / 'local.py'}"
    return [str(SCRIPTS / "aptnn-md"), *words(stream, "--executor", executor)]


def n_committed(path):
    with contextlib.suppress(Exception):
        return StreamReader(path).n_frames
    return 0


def test_killed_and_resumed(executor, tmp_path):
    stored = stored_runs.run(tmp_path / "md", n_frames=N_FRAMES)
    stored_runs.write_dump(tmp_path / "t.lammpstrj", stored)
    (tmp_path / "made.py").write_text(MODEL)
    variables = mpirun_environment(XDG_CACHE_HOME=str(tmp_path / "cache"), DELAY="0")
    variables["PYTHONPATH"] = os.pathsep.join((str(tmp_path), variables.get("PYTHONPATH", "")))
    start = {"cwd": tmp_path, "env": variables}
    spread = command(executor, "spread")
    slow = variables | {"DELAY": "0.2"}
    process = subprocess.Popen(spread, start_new_session=True, cwd=tmp_path, env=slow)
    until = time.monotonic() + 120.0
    while n_committed(tmp_path / "spread") < 4:
        assert process.poll() is None
        assert time.monotonic() < until
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    done = subprocess.run(spread, check=True, timeout=200, capture_output=True, text=True, **start)
    # a rank may commit once more before it learns that mpirun was killed
    found = re.search(rf"{N_FRAMES} frames,.* (\d+) of them from before", done.stdout)
    assert found, done.stdout
    assert 4 <= int(found[1]) < N_FRAMES
    alone = [str(SCRIPTS / "aptnn-md"), *words("alone")]
    subprocess.run(alone, check=True, timeout=200, capture_output=True, **start)
    one, two = StreamReader(tmp_path / "alone"), StreamReader(tmp_path / "spread")
    assert one.step.tolist() == two.step.tolist() == list(range(N_FRAMES))
    assert set(one.arrays) == set(two.arrays)
    for name in one.arrays:
        np.testing.assert_array_equal(one.read(name), two.read(name))


@pytest.fixture(
    params=[
        pytest.param("mpi", marks=[needs_mpirun, pytest.mark.thorough]),
        pytest.param("parsl", marks=pytest.mark.slow),
    ]
)
def executor(request):
    pytest.importorskip("mpi4py" if request.param == "mpi" else "parsl")
    return request.param
