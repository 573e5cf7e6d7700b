"""i-PI killed at any moment and started again: each step once, every bit as in an unbroken run."""

import contextlib
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from helpers import toy_molecules
from helpers.paths import HELPERS

pytest.importorskip("ipi")

from helpers.ipi_inputs import PILE, SVR, write_input
from helpers.processes import environment

from aptnn_md.engines.ipi.runner import run_ipi
from aptnn_md.engines.ipi.settings import StreamSettings
from aptnn_md.stream import StreamReader

RUN = [sys.executable, str(HELPERS / "ipi_toy_run.py")]
PLUGIN = (
    f"<ffdirect name='stream'><pes>custom</pes><pes_path>{HELPERS / 'ipi_toy_stream.py'}</pes_path>"
    "<parameters>{stream: run.zarr, stride: 2, estimators: bead+apt-at-centroid, groups: element}"
    "</parameters></ffdirect>"
)
CLASSICAL = {"mode": "nvt", "thermostat": SVR, "fixcom": "False"}
TRPMD = {"n_beads": 4, "mode": "nvt", "thermostat": PILE}
OPTIONS = {
    "checkpoint": 5,
    "overwrite": True,
    "properties": "step",
}
STEPS_BETWEEN = 20
pytestmark = [pytest.mark.ipi, pytest.mark.filterwarnings("ignore::DeprecationWarning:ipi")]


def command(source, with_plugin):
    if with_plugin:
        return [str(Path(sys.executable).with_name("i-pi")), source]
    return [*RUN, source, "run.zarr", "2", "bead,apt-at-centroid"]


def make_input(directory, steps, dynamics, with_plugin, sleep):
    extra = {"forcefields": PLUGIN, "forces": "<force forcefield='stream' weight='0.0'/>"}
    write_input(
        directory,
        steps=steps,
        pes_parameters=f"sleep: {sleep}",
        **OPTIONS,
        **dynamics,
        **(extra if with_plugin else {}),
    )


def start(directory, command):
    return subprocess.Popen(
        command,
        cwd=directory,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def printed_steps(directory):
    """What the run printed so far; killed and repeated steps count twice."""
    with contextlib.suppress(FileNotFoundError):
        return (directory / "run.out").read_text().count("\n")
    return 0


def wait_for(process, directory, n_more):
    """Until the run has printed so many more steps, or ended."""
    goal = printed_steps(directory) + n_more
    until = time.monotonic() + 300
    while process.poll() is None and printed_steps(directory) < goal:
        assert time.monotonic() < until
        time.sleep(0.001)


def source_to_go_on(directory):
    """The newer one of RESTART, from a soft exit, and the last checkpoint."""
    names = [name for name in ("RESTART", "run.state") if (directory / name).exists()]
    return max(names, key=lambda name: (directory / name).stat().st_mtime, default="input.xml")


def same_stream(found, truth):
    """Every bit of a classical run with a free centre of mass.

    When i-PI restarts it takes out the motion of the centre of mass again, and transforms beads to
    normal modes and back: that rounds the momenta, to 1e-16.
    """
    found, truth = StreamReader(found), StreamReader(truth)
    tolerance = 0.0 if found.header.n_beads == 1 else 1e-9
    np.testing.assert_array_equal(np.diff(found.step), found.header.stride)
    assert found.step[0] == 0
    names = ("step", "time", "temperature", "f_sum", "conserved_energy")
    arrays = {name: (found.read(name), truth.read(name)) for name in names}
    for name in ("bead", "apt-at-centroid"):
        arrays[name] = found.dipole_rate(name), truth.dipole_rate(name)
    for name, (mine, right) in arrays.items():
        atol = tolerance * np.abs(right).max()
        np.testing.assert_allclose(mine, right, rtol=0, atol=atol, err_msg=name)


def run_whole(directory, steps, dynamics, monkeypatch):
    """The stream of the same run without a stop, made in this process."""
    make_input(directory, steps, dynamics, False, 0.0)
    monkeypatch.chdir(directory)
    settings = StreamSettings("run.zarr", 2, ("bead", "apt-at-centroid"), "element")
    assert run_ipi("input.xml", settings, toy_molecules.Tensors()).finished
    return directory / "run.zarr"


def interrupt(directory, with_plugin, how, rng):
    """Start or go on, and stop after some steps."""
    process = start(directory, command(source_to_go_on(directory), with_plugin))
    wait_for(process, directory, rng.randint(6, STEPS_BETWEEN))
    time.sleep(rng.uniform(0.0, 0.02))
    if how == "SIGKILL":
        process.kill()
    elif how in ("SIGTERM", "SIGHUP"):
        process.send_signal(signal.Signals[how])
    else:
        (directory / "EXIT").touch()
    output = process.communicate(timeout=300)[0]
    assert process.returncode == (-signal.SIGKILL if how == "SIGKILL" else 130), output
    (directory / "EXIT").unlink(missing_ok=True)


def interrupt_and_compare(directory, monkeypatch, dynamics, with_plugin, stops, seed):
    rng = random.Random(seed)
    broken, steps = directory / "broken", len(stops) * STEPS_BETWEEN + 60
    make_input(broken, steps, dynamics, with_plugin, 0.01)
    for how in stops:
        interrupt(broken, with_plugin, how, rng)
    process = start(broken, command(source_to_go_on(broken), with_plugin))
    output = process.communicate(timeout=300)[0]
    assert process.returncode == 0, output
    same_stream(broken / "run.zarr", run_whole(directory / "whole", steps, dynamics, monkeypatch))


@pytest.mark.slow
def test_stopped_runner_goes_on(tmp_path, monkeypatch):
    stops = ("SIGKILL", "SIGTERM", "SIGHUP")
    interrupt_and_compare(tmp_path, monkeypatch, CLASSICAL, False, stops, seed=1)


@pytest.mark.thorough
def test_killed_plugin_goes_on(tmp_path, monkeypatch):
    interrupt_and_compare(tmp_path, monkeypatch, TRPMD, True, ("SIGKILL",), seed=2)


@pytest.mark.slow
@pytest.mark.parametrize("with_plugin", [False, True], ids=["runner", "plugin"])
@pytest.mark.parametrize("dynamics", [CLASSICAL, TRPMD], ids=["classical", "TRPMD"])
def test_killed_often(tmp_path, monkeypatch, dynamics, with_plugin):
    stops = ("SIGKILL",) * 8
    interrupt_and_compare(tmp_path, monkeypatch, dynamics, with_plugin, stops, seed=3 + with_plugin)


@pytest.mark.slow
def test_exit_file_and_signals(tmp_path, monkeypatch):
    stops = ("EXIT file", "SIGKILL", "SIGTERM", "SIGKILL", "EXIT file")
    interrupt_and_compare(tmp_path, monkeypatch, CLASSICAL, False, stops, seed=7)
