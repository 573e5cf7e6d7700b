"""Streams of stored trajectories by two processes, and the memory that they take.

python -m pytest tests/benchmarks/test_trajectory_speed.py -m benchmark -s

``APTNN_MD_FRAMES=3000`` before it makes the dump shorter than 10,000 frames.
"""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from helpers.systems import random_checkpoint

from aptnn_md.bundled import bundled_path
from aptnn_md.prediction.model_file import write_model_file
from aptnn_md.stream import StreamReader, stream_exists
from aptnn_md.structure_files import read_structure

pytestmark = pytest.mark.benchmark

N_FRAMES = int(os.environ.get("APTNN_MD_FRAMES", "10000"))
TIMESTEP = 0.5


@pytest.fixture(scope="module")
def dump(tmp_path_factory):
    """A LAMMPS dump of 64 H₂O that move at random about where they are."""
    atoms = read_structure(bundled_path("water64.extxyz"))
    path = tmp_path_factory.mktemp("dump") / "water.lammpstrj"
    rng = np.random.default_rng(0)
    amplitude, omega = rng.normal(scale=0.04, size=(192, 3)), rng.uniform(0.02, 0.5, (192, 3))
    phase = rng.uniform(0.0, 6.3, (192, 3))
    x, y, z = atoms.cell.lengths()
    box = f"ITEM: BOX BOUNDS pp pp pp\n0 {x}\n0 {y}\n0 {z}\nITEM: ATOMS id element x y z vx vy vz\n"
    with path.open("w") as file:
        for step in range(N_FRAMES):
            angle = omega * TIMESTEP * step + phase
            q = atoms.positions + amplitude * np.sin(angle)
            v = 1e3 * amplitude * omega * np.cos(angle)
            file.write(f"ITEM: TIMESTEP\n{step}\nITEM: NUMBER OF ATOMS\n192\n{box}")
            rows = zip(atoms.symbols, np.hstack([q, v]).tolist(), strict=True)
            for k, (symbol, row) in enumerate(rows, start=1):
                file.write(f"{k} {symbol} {' '.join(f'{n:.7g}' for n in row)}\n")
    return path


@pytest.fixture(scope="module")
def small_model(tmp_path_factory):
    """A network with random weights that takes a fraction of the time of ``water-apt``."""
    path = tmp_path_factory.mktemp("model") / "small.pt"
    write_model_file(path, random_checkpoint())
    return path


def command(dump, stream, frames, jobs, model="water-apt"):
    """A process that makes a stream, and prints the most memory that one process took, kB."""
    words = ["trajectory", str(dump), "--lammps-units", "metal", "--model", str(model)]
    words += ["--timestep", str(TIMESTEP), "--jobs", str(jobs), "--stream", str(stream)]
    program = "import resource as r, sys; from aptnn_md.cli import main; code = main(sys.argv[1:]);"
    program += (
        "print(*(r.getrusage(w).ru_maxrss for w in (r.RUSAGE_SELF, r.RUSAGE_CHILDREN)), code)"
    )
    return [sys.executable, "-c", program, *words, "--frames", f":{frames}"]


def streamed(*arguments):
    """Seconds, and the most memory of this process and of the others, MB; see :func:`command`."""
    begun = time.monotonic()
    done = subprocess.run(
        command(*arguments),
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    own, others, code = done.stdout.split()[-3:]
    assert code == "0", done.stderr
    return time.monotonic() - begun, int(own) / 1024, int(others) / 1024


def test_two_processes_are_nearly_twice_as_fast(dump, tmp_path):
    """Each from its start to its end, models loaded included."""
    two = streamed(dump, tmp_path / "two", N_FRAMES, 2)
    one = streamed(dump, tmp_path / "one", N_FRAMES, 1)
    print(
        f"\n{N_FRAMES} frames of 192 atoms: one process {one[0]:.0f} s, two {two[0]:.0f} s (ratio "
        f"{one[0] / two[0]:.2f})"
    )
    if (os.cpu_count() or 1) >= 2:
        assert one[0] > 1.8 * two[0]


def test_memory_does_not_grow_with_frames(dump, small_model, tmp_path):
    few, many = (
        streamed(dump, tmp_path / f"{n}", n, 2, small_model) for n in (N_FRAMES // 5, N_FRAMES)
    )
    print(
        f"\nmemory of {N_FRAMES // 5} frames {few[1]:.0f} MB, of {N_FRAMES} {many[1]:.0f} MB; of "
        f"the larger of the two others {few[2]:.0f} and {many[2]:.0f} MB"
    )
    assert many[1] < few[1] + 20.0 + 1e-4 * N_FRAMES
    assert many[2] < few[2] + 20.0


def test_killed_and_resumed_it_is_the_same_stream(dump, small_model, tmp_path):
    broken, whole = tmp_path / "broken", tmp_path / "whole"
    n_there = 0
    with subprocess.Popen(
        command(dump, broken, N_FRAMES, 2, small_model),
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        while n_there < N_FRAMES // 10 and process.poll() is None:
            time.sleep(0.05)
            n_there = StreamReader(broken).n_frames if stream_exists(broken) else 0
        process.send_signal(signal.SIGKILL)
    streamed(dump, broken, N_FRAMES, 2, small_model)
    streamed(dump, whole, N_FRAMES, 1, small_model)
    found, expected = StreamReader(broken), StreamReader(whole)
    print(f"\nkilled after {n_there} of {N_FRAMES} frames and resumed: {found.n_frames} frames")
    assert 0 < n_there < N_FRAMES == found.n_frames == expected.n_frames
    assert found.arrays == expected.arrays
    for name in expected.arrays:
        np.testing.assert_array_equal(
            found.read(name, 0, N_FRAMES), expected.read(name, 0, N_FRAMES), err_msg=name
        )
