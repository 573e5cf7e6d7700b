"""Runs that are killed or asked to end, and resumed from LAMMPS's own restart files."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading

import numpy as np
import pytest
from helpers import toy_molecules
from helpers.lammps_runs import needs_lammps, stream_of, write_script
from helpers.processes import environment, killed_after, wait_for

from aptnn_md.engines.lammps.notes import RestartTimes, Thermostats
from aptnn_md.engines.lammps.state import FixInfo
from aptnn_md.errors import InputError
from aptnn_md.spectra.convergence import stopping
from aptnn_md.spectra.convergence.monitor import Monitor
from aptnn_md.spectra.options import InfraredOptions
from aptnn_md.stream import StreamReader, StreamWriter
from aptnn_md.testing.engines import LinearDipole


@needs_lammps
@pytest.mark.parametrize("stride", [1, 4])
@pytest.mark.parametrize(
    ("before", "run", "file", "step"),
    [
        ("restart 10 a.*", "run 47", "a.40", 40),
        ("restart 10 a", "run 47", "a.30", 30),
        ("restart 7 b1 b2", "run 47", "b2", 14),
        ("variable when equal stride(7,100,7)\nrestart v_when a.*", "run 47", "a.28", 28),
        ("", "run 20\nwrite_restart w\nrun 27", "w", 20),
        ("", "run 47 every 9 'write_restart e.*'", "e.36", 36),
    ],
)
def test_frames_are_on_disk_before_the_restart_file(stride, before, run, file, step, tmp_path):
    """What is there when LAMMPS writes the file is enough to continue from it."""
    write_script(tmp_path, run, before=before)
    killed_after(stream_of, tmp_path, Slow(tmp_path / file), stride=stride, runs="all")
    n_before = StreamReader(tmp_path / "s.zarr").n_frames
    write_script(tmp_path, "run 60 upto", start=f"read_restart {file}", name="in.again")
    stream_of(tmp_path, LinearDipole(), restart=True, script="in.again", stride=stride)
    reader = StreamReader(tmp_path / "s.zarr")
    assert reader.step.tolist() == list(range(0, 61, stride))
    assert n_before >= (step - 1) // stride
    write_script(tmp_path, "run 60")
    stream_of(tmp_path, LinearDipole(), "whole.zarr", stride=stride)
    whole = StreamReader(tmp_path / "whole.zarr").dipole_rate()
    np.testing.assert_allclose(reader.dipole_rate(), whole, atol=1e-6 * np.abs(whole).max())


class Slow(LinearDipole):
    """Kills its process as soon as a file is there."""

    def __init__(self, path):
        super().__init__()
        self.path = path

    def __call__(self, atoms):
        if self.path.exists():
            os.kill(os.getpid(), signal.SIGKILL)
        return super().__call__(atoms)


@needs_lammps
def test_frames_of_a_whole_run_do_not_change_when_it_is_continued(tmp_path):
    write_script(tmp_path, "run 40", before="restart 20 a.*")
    stream_of(tmp_path, LinearDipole())
    before = StreamReader(tmp_path / "s.zarr")
    rates, run_id = before.dipole_rate(), before.header.run_id
    write_script(tmp_path, "run 30", start="read_restart a.40", name="in.again")
    summary = stream_of(tmp_path, LinearDipole(), restart=True, script="in.again")
    reader = StreamReader(tmp_path / "s.zarr")
    assert (summary.first_step, summary.last_step) == (40, 70)
    assert reader.step.tolist() == list(range(71))
    np.testing.assert_array_equal(reader.dipole_rate()[:40], rates[:40])
    np.testing.assert_allclose(reader.dipole_rate()[40], rates[40], rtol=1e-9)
    assert reader.header.run_id == run_id


@needs_lammps
@pytest.mark.parametrize("n_frames", [20, 21])
def test_a_run_that_is_over_has_its_last_frame(n_frames, tmp_path):
    """Also where it was killed after its last restart file, before its last frame was on disk."""
    write_script(tmp_path, "run 20 upto", before="restart 10 a.*")
    stream_of(tmp_path, LinearDipole())
    if n_frames == 20:
        header = StreamReader(tmp_path / "s.zarr").header
        StreamWriter(tmp_path / "s.zarr", header, 20).close()
    assert StreamReader(tmp_path / "s.zarr").n_frames == n_frames
    write_script(tmp_path, "run 20 upto", start="read_restart a.20", name="in.again")
    summary = stream_of(tmp_path, LinearDipole(), restart=True, script="in.again")
    assert (summary.first_step, summary.last_step, summary.finished) == (20, 20, True)
    assert StreamReader(tmp_path / "s.zarr").step.tolist() == list(range(21))


@needs_lammps
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_ends_the_run_after_a_whole_step(number, tmp_path):
    write_script(tmp_path, "run 100000000\nprint 'not reached'", before="restart 50000000 a.*")
    main = "import sys; from aptnn_md.cli import main; sys.exit(main())"
    words = ["lammps", "in.lmp", "--stream", "s.zarr", "--model", "helpers.toy_molecules:Tensors"]
    process = subprocess.Popen(
        [sys.executable, "-c", main, *words],
        cwd=tmp_path,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    wait_for((tmp_path / "s.zarr").exists, 60, "a stream")
    process.send_signal(number)
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert "stopped early" in said
    (restart,) = tmp_path.glob("a.*")
    step = int(restart.suffix[1:])
    reader = StreamReader(tmp_path / "s.zarr")
    assert reader.step[-1] == step // 4 * 4
    write_script(tmp_path, "run 20", start=f"read_restart {restart.name}", name="in.again")
    stream_of(tmp_path, toy_molecules.Tensors(), restart=True, script="in.again", stride=4)
    assert StreamReader(tmp_path / "s.zarr").step[-1] == (step + 20) // 4 * 4


@needs_lammps
def test_a_signal_ends_a_run_that_is_not_streamed(tmp_path):
    """As an equilibration that takes hours."""
    write_script(tmp_path, "run 100000000\nrun 10")
    timer = threading.Timer(1.0, os.kill, (os.getpid(), signal.SIGTERM))
    timer.start()
    summary = stream_of(tmp_path, LinearDipole(), runs="last")
    timer.join()
    assert not summary.finished
    assert not (tmp_path / "s.zarr").exists()


def test_when_restart_files_are_written():
    times = RestartTimes(None)
    assert not times.written_at(10)
    times.note(["restart", "10", "a.*"])
    times.note(["restart", "4", "b", "c"])
    assert [step for step in range(1, 21) if times.written_at(step)] == [4, 8, 10, 12, 16, 20]
    assert times.pattern == "a.*"
    times.note(["restart", "v_when", "a.*"])
    assert times.written_at(7)
    times.note(["restart", "0"])
    assert not times.written_at(20)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("fix 1 all nvt temp 300 300 0.1", 300.0),
        ("fix 1 all npt iso 1 1 1 temp 250.0 250.0 0.1", 250.0),
        ("fix 1 all langevin 280 280 0.1 5", 280.0),
        ("fix 1 all temp/csvr 310 310 0.1 5", 310.0),
        ("fix 1 all temp/rescale 10 320 320 5 1.0", 320.0),
        ("fix 1 all nvt temp 300 400 0.1", None),
        ("fix 1 all nve", None),
        ("fix 1 all langevin v_T v_T 0.1 5", None),
    ],
)
def test_the_temperature_of_a_thermostat(words, expected):
    thermostats = Thermostats()
    thermostats.note(words.split())
    assert thermostats.temperature([FixInfo("1", "any", 1)]) == expected
    assert thermostats.temperature([FixInfo("2", "any", 1)]) is None


@needs_lammps
def test_a_run_ends_when_its_spectrum_has_converged(tmp_path, monkeypatch):
    monkeypatch.setattr(stopping.ConvergenceStop.__init__, "__defaults__", (0.2,))
    write_script(tmp_path, "run 100000000\nprint 'not reached'", "fix 1 all nvt temp 300 300 0.05")
    options = InfraredOptions(resolution=400.0)
    monitor = Monitor(tmp_path / "s.zarr", 1.0, (500.0, 3000.0), options)
    summary = stream_of(tmp_path, toy_molecules.Tensors(), stride=4, until=monitor)
    assert summary.finished
    assert "converged" in summary.convergence
    assert 200 < summary.last_step < 1_000_000
    assert StreamReader(tmp_path / "s.zarr").step[-1] == summary.last_step // 4 * 4
    assert "not reached" not in (tmp_path / "log.lammps").read_text()
    too_high = Monitor(tmp_path / "t.zarr", 1.0, (2e4, 3e4), options)
    with pytest.raises(InputError, match="to begin below"):
        stream_of(tmp_path, toy_molecules.Tensors(), "t.zarr", stride=4, until=too_high)
