"""Several ranks of MPI: the same stream as one, and errors that end all of them."""

from __future__ import annotations

import re
import subprocess
import sys

import numpy as np
import pytest
from helpers import toy_molecules
from helpers.lammps_runs import needs_lammps, stream_of, write_script
from helpers.processes import mpirun_command, mpirun_environment, needs_mpirun

from aptnn_md.engines.lammps import ranks
from aptnn_md.errors import InputError, RunError
from aptnn_md.stream import StreamReader

MAIN = "import sys; from aptnn_md.cli import main; sys.exit(main())"


def two_ranks(directory, *options):
    """What the command with two ranks says, and its exit code."""
    pytest.importorskip("mpi4py")
    words = ["-n", 2, sys.executable, "-c", MAIN, "lammps", "in.lmp", "--stream", "two.zarr"]
    done = subprocess.run(
        mpirun_command(*words, *options),
        cwd=directory,
        env=mpirun_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
    )
    return done.stdout, done.returncode


@needs_lammps
@needs_mpirun
def test_two_ranks_are_one_run(tmp_path):
    fixes = "fix 1 all npt temp 300 300 0.1 tri 0 0 0.5"
    write_script(tmp_path, "run 60", fixes, before="restart 20 a.*")
    options = ["--groups", "element", "--stride", "2", "--model", "helpers.toy_molecules:Tensors"]
    said, code = two_ranks(tmp_path, *options)
    assert code == 0, said
    assert said.count("stream: two.zarr") == 1
    stream_of(tmp_path, toy_molecules.Tensors(), groups="element", stride=2)
    two, one = (StreamReader(tmp_path / name) for name in ("two.zarr", "s.zarr"))
    assert two.step.tolist() == one.step.tolist() == list(range(0, 61, 2))
    assert two.arrays == one.arrays
    for name in one.arrays:
        expected = one.read(name)
        largest = np.abs(expected).max()
        np.testing.assert_allclose(two.read(name), expected, atol=1e-7 * largest)


@needs_lammps
@needs_mpirun
@pytest.mark.parametrize(
    ("run", "options", "code", "message"),
    [
        ("run 10", ["--groups", "nonsense"], 2, "groups"),
        ("run 10", ["--model", "nowhere.pt"], 2, "nowhere.pt"),
        ("nonsense\nrun 10", [], 2, "line 1[0-9]: nonsense"),
        ("run 10\nvelocity all scale 1e9\nrun 50", ["--runs", "1"], 1, "Lost atoms|missing"),
    ],
)
def test_an_error_ends_all_ranks(run, options, code, message, tmp_path):
    write_script(tmp_path, run)
    if "--model" not in options:
        options = [*options, "--model", "helpers.toy_molecules:Tensors"]
    said, found = two_ranks(tmp_path, *options)
    assert found == code, said
    assert re.search(message, said), said


class World:
    """A communicator whose end is noted."""

    ended = None

    def Abort(self, code):
        self.ended = code


@pytest.mark.parametrize("rank", [0, 1])
def test_every_rank_says_why_it_ends_the_others(rank, monkeypatch, caplog):
    """The first one may be at work elsewhere, and would never be asked."""
    monkeypatch.setattr(ranks, "_PATIENCE", 0.0)
    one = ranks.Ranks(1)
    one.rank, one._world = rank, World()
    one.abort(InputError("in.lmp", "line 14", "nonsense", "a command of LAMMPS"))
    assert "in.lmp: line 14: found nonsense" in caplog.text
    assert one._world.ended == 2
    one.abort(RunError("disk full"))
    assert one._world.ended == 1


@needs_lammps
def test_processes_that_do_not_know_each_other_are_refused(tmp_path, monkeypatch):
    """As by the mpirun of another MPI: each would write the same stream."""
    monkeypatch.setenv("OMPI_COMM_WORLD_SIZE", "3")
    write_script(tmp_path, "run 5")
    with pytest.raises(RunError, match="Open MPI started 3 processes"):
        stream_of(tmp_path, toy_molecules.Tensors())
    assert not (tmp_path / "s.zarr").exists()
