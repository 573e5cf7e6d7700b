"""A real run, killed many times at random moments and restarted each time."""

from __future__ import annotations

import random
import resource
import signal
import subprocess
import sys
import time

import ase.io
import numpy as np
import pytest
from helpers.kills import KilledRun, kill_until_complete, newest
from helpers.processes import environment

from aptnn_md.demo import MODEL, water_box
from aptnn_md.engines.ase.restart import DynamicsState
from aptnn_md.stream import StreamReader

STRIDE = 3

# a whole program, as a user would write it
PROGRAM = """
import sys
import time
import helpers.toy_molecules as toy
from aptnn_md.engines.ase.calculator import APTCalculator
from aptnn_md.engines.ase.md import run_md
from aptnn_md.engines.ase.settings import MDSettings

class Potential(toy.Potential):
    def calculate(self, *arguments):
        # so slow that even a fast machine is killed several times before the run is complete
        time.sleep(0.0015)
        super().calculate(*arguments)

directory, thermostat, n_steps, *equilibrate = sys.argv[1:]
atoms = toy.structure(2, pbc=True)
atoms.calc = APTCalculator(toy.Tensors(), Potential())
settings = MDSettings(
    picoseconds=int(n_steps) * 5e-4, stride=3, thermostat=thermostat, seed=5,
    friction=10.0, checkpoint_seconds=0.03, equilibrate=float(*equilibrate or [0.0]),
)
summary = run_md(atoms, directory + "/stream", settings, groups="element",
                 checkpoint=directory + "/run.npz", restart=True)
sys.exit(0 if summary.finished else 130)
"""


def launch(directory, *options):
    command = [sys.executable, "-c", PROGRAM, str(directory), *options]
    return subprocess.Popen(command, env=environment(), stderr=subprocess.PIPE, text=True)


def launch_with_log(directory, *options):
    """What it says goes into a file, which nobody must read while it runs."""
    command = [sys.executable, "-c", PROGRAM, str(directory), *options]
    with (directory / "log").open("w") as log:
        return subprocess.Popen(command, env=environment(), stderr=log)


def end_of(process, seconds=120):
    """Exit code and what was said."""
    said = process.communicate(timeout=seconds)[1]
    return process.returncode, said


def wait_for_the_run(process, directory, changed_after):
    """Until the checkpoint is newer: the run is on its way. False if the process ended."""
    checkpoint = directory / "run.npz"
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if process.poll() is not None:
            return False
        if checkpoint.exists() and checkpoint.stat().st_mtime_ns > changed_after:
            return True
        time.sleep(0.002)
    raise AssertionError("the run does not begin")


def committed_frames(directory):
    there = (directory / "stream" / "zarr.json").exists()
    return StreamReader(directory / "stream").n_frames if there else 0


def check_contiguous(directory, stride=STRIDE):
    """What a reader sees right after the kill: no gap, no duplicate, stream at least checkpoint."""
    if committed_frames(directory) == 0:
        return 0
    steps = StreamReader(directory / "stream").step
    assert steps.tolist() == list(range(0, stride * len(steps), stride))
    if (directory / "run.npz").exists():
        state = DynamicsState.read(directory / "run.npz")
        if state.step > 0:
            assert steps[-1] >= state.step - state.step % stride
    return len(steps)


def run_with_kills(directory, options, rng, number):
    """Kill and restart until the run is complete; the number of kills and of frames seen."""
    directory.mkdir()
    frames = []
    run = KilledRun(
        lambda directory: launch_with_log(directory, *options),
        content=lambda directory: {},
        progress=newest("run.npz"),
        signals=(number,),
        longest_start=1.5,
        check=lambda directory: frames.append(check_contiguous(directory)),
    )
    kills = len(kill_until_complete(run, directory, rng))
    print(f"{kills} kills")
    return kills, frames


def unbroken(directory, options):
    directory.mkdir()
    code, said = end_of(launch(directory, *options))
    assert code == 0, said
    return StreamReader(directory / "stream")


@pytest.mark.parametrize(
    ("thermostat", "n_steps", "number"),
    [
        pytest.param("bussi", 450, signal.SIGKILL, marks=pytest.mark.slow),
        pytest.param("langevin", 9000, signal.SIGKILL, marks=pytest.mark.slow),
        pytest.param("none", 9000, signal.SIGKILL, marks=pytest.mark.slow),
        pytest.param("bussi", 9000, signal.SIGTERM, marks=pytest.mark.slow),
    ],
)
def test_killed_run_equals_an_unbroken_one(tmp_path, thermostat, n_steps, number):
    options = (thermostat, str(n_steps))
    kills, frames = run_with_kills(tmp_path / "killed", options, random.Random(20), number)
    assert kills >= 4
    assert len(set(frames)) > 3, "the kills must hit different places"
    expected = unbroken(tmp_path / "unbroken", options)
    found = StreamReader(tmp_path / "killed" / "stream")
    assert found.step.tolist() == list(range(0, n_steps + 1, STRIDE))
    np.testing.assert_array_equal(found.time, expected.time)
    np.testing.assert_array_equal(found.dipole_rate(), expected.dipole_rate())
    assert found.arrays == expected.arrays
    for name in found.arrays:
        np.testing.assert_array_equal(found.read(name), expected.read(name))
    ends = [DynamicsState.read(tmp_path / which / "run.npz") for which in ("killed", "unbroken")]
    np.testing.assert_array_equal(ends[0].positions, ends[1].positions)


@pytest.mark.slow
def test_run_killed_in_its_equilibration_equals_an_unbroken_one(tmp_path):
    """No frame before its end, and steps counted from there."""
    options = ("bussi", "300", "0.2")
    directory = tmp_path / "killed"
    directory.mkdir()
    rng, steps = random.Random(4), []
    for _ in range(4):
        began = time.time_ns()
        process = launch(directory, *options)
        assert wait_for_the_run(process, directory, began)
        time.sleep(rng.uniform(0.05, 0.2))
        process.kill()
        process.communicate(timeout=60)
        state = DynamicsState.read(directory / "run.npz")
        if state.equilibration:
            assert committed_frames(directory) == 0
            steps.append(state.step)
    assert len(set(steps)) >= 2, "the kills must hit the equilibration"
    assert steps == sorted(steps)
    assert max(steps) > 0
    process = launch(directory, *options)
    error = process.communicate(timeout=120)[1]
    assert process.returncode == 0, error
    found, expected = StreamReader(directory / "stream"), unbroken(tmp_path / "whole", options)
    assert found.step.tolist() == list(range(0, 301, STRIDE))
    assert found.time[0] == 0.0
    np.testing.assert_array_equal(found.dipole_rate(), expected.dipole_rate())
    np.testing.assert_array_equal(found.read("temperature"), expected.read("temperature"))


@pytest.mark.thorough
def test_a_hangup_leaves_stream_and_checkpoint_of_the_last_step(tmp_path):
    directory = tmp_path / "hung up"
    directory.mkdir()
    process = launch(directory, "bussi", "20000")
    assert wait_for_the_run(process, directory, 0)
    time.sleep(0.2)
    process.send_signal(signal.SIGHUP)
    code, said = end_of(process, 60)
    assert code == 130, said
    n_frames, state = check_contiguous(directory), DynamicsState.read(directory / "run.npz")
    assert 0 < state.step < 20000
    assert n_frames == state.step // STRIDE + 1


@pytest.mark.slow
def test_killed_command_with_the_bundled_networks(tmp_path):
    """``aptnn-md md`` on water with water-mace and water-apt."""
    ase.io.write(tmp_path / "start.xyz", water_box())

    def command(name):
        (tmp_path / name).mkdir(exist_ok=True)
        words = ["md", "start.xyz", "--potential", "water-mace", "--model", MODEL]
        words += ["--stream", f"{name}/stream", "--checkpoint", f"{name}/run.npz", "--restart"]
        words += ["--ps", "0.1", "--seed", "3", "--checkpoint-every", "0.5"]
        program = "import sys; from aptnn_md.cli import main; sys.exit(main())"
        return subprocess.Popen(
            [sys.executable, "-c", program, *words],
            env=environment(),
            cwd=tmp_path,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    assert command("whole").wait(300) == 0
    rng, kills = random.Random(8), 0
    while kills < 100:
        began = time.time_ns()
        process = command("killed")
        if wait_for_the_run(process, tmp_path / "killed", began):
            time.sleep(rng.uniform(0.0, 6.0))
            process.kill()
        if process.wait() == 0:
            break
        assert process.returncode == -signal.SIGKILL
        kills += 1
        check_contiguous(tmp_path / "killed", stride=4)
    assert kills >= 2
    found, expected = (StreamReader(tmp_path / name / "stream") for name in ("killed", "whole"))
    assert found.step.tolist() == expected.step.tolist() == list(range(0, 201, 4))
    # single precision: sums in the order that a neighbour list happened to have
    size = np.abs(expected.dipole_rate()).max()
    np.testing.assert_allclose(found.dipole_rate(), expected.dipole_rate(), atol=1e-4 * size)


@pytest.mark.thorough
@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="needs Linux")
def test_full_disk_ends_the_run_cleanly(tmp_path):
    """From some moment on no file can be written: one sentence, and the run can go on later."""
    options = ("bussi", "1500")
    directory = tmp_path / "full"
    directory.mkdir()
    process = launch(directory, *options)
    deadline = time.monotonic() + 60
    while committed_frames(directory) == 0:
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.002)
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (1000, 1000))
    code, said = end_of(process, 60)
    assert code == 1
    assert "RunError" in said.splitlines()[-1]
    assert "File too large" in said.splitlines()[-1]
    n_frames = check_contiguous(directory)
    code, said = end_of(launch(directory, *options))
    assert code == 0, said
    assert 0 < n_frames < 501
    assert check_contiguous(directory) == 501
