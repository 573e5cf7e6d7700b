"""Streams of stored trajectories by two processes, and the memory that they take.

python -m pytest tests/benchmarks/test_trajectory_speed.py -m benchmark -s
"""

import os
import subprocess
import sys
import time

import numpy as np
import pytest

from aptnn_md.bundled import bundled_path
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


def streamed(dump, stream, frames, jobs):
    """Seconds, and the most memory of a process, MB."""
    words = ["trajectory", str(dump), "--lammps-units", "metal", "--model", "water-apt"]
    words += ["--timestep", str(TIMESTEP), "--jobs", str(jobs), "--stream", str(stream)]
    program = "import resource, sys; from aptnn_md.cli import main; code = main(sys.argv[1:]); "
    program += "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, code)"
    begun = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", program, *words, "--frames", f":{frames}"],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    memory, code = done.stdout.split()[-2:]
    assert code == "0", done.stderr
    return time.monotonic() - begun, int(memory) / 1024


def test_two_processes_and_memory(dump, tmp_path):
    """Interleaved, each from its start to its end, models loaded included."""
    half = streamed(dump, tmp_path / "half", N_FRAMES // 2, 1)
    two = streamed(dump, tmp_path / "two", N_FRAMES, 2)
    one = streamed(dump, tmp_path / "one", N_FRAMES, 1)
    print(
        f"\n{N_FRAMES} frames of 192 atoms: one process {one[0]:.0f} s, two {two[0]:.0f} s (ratio "
        f"{one[0] / two[0]:.2f}); memory of {N_FRAMES // 2} frames {half[1]:.0f} MB, of all "
        f"{one[1]:.0f} MB, with two processes {two[1]:.0f} MB in the first"
    )
    assert one[1] < half[1] + 20 + 1e-4 * N_FRAMES
    if (os.cpu_count() or 1) >= 2:
        assert one[0] > 1.3 * two[0]
