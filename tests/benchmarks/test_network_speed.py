"""The bundled network beside the published architecture, and its scaling, on one thread.

python -m pytest tests/benchmarks/test_network_speed.py -m benchmark -s
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import ase.io
import numpy as np
import pytest
import torch
from ase import Atoms

from aptnn_md.bundled import bundled_path
from aptnn_md.models.tensor_network import fresh_model
from aptnn_md.prediction.model_file import ModelFile
from aptnn_md.prediction.predictor import Predictor

pytestmark = pytest.mark.benchmark


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def water(repeats: tuple[int, int, int]) -> Atoms:
    box = ase.io.read(bundled_path("water64.extxyz"))
    assert isinstance(box, Atoms)
    return box * repeats


def seconds(predict: Callable[[Atoms], object], atoms: Atoms, repeats: int) -> float:
    """Shortest of several evaluations of a new structure each, neighbour list included."""
    times = []
    for _ in range(repeats):
        atoms.positions += 1e-4
        began = time.perf_counter()
        predict(atoms)
        times.append(time.perf_counter() - began)
    return min(times)


def test_ace_beside_the_published_network() -> None:
    published = ModelFile(
        network="simple",
        config=(model := fresh_model("simple", "apt", (1, 8), {}, 0)).settings,
        target="apt",
        members=(model.state_dict(),),
    )
    atoms = water((2, 1, 1))
    assert len(atoms) == 384
    bundled = Predictor.from_file("water-apt")
    slow = {dtype: Predictor(published, dtype=dtype) for dtype in ("float64", "float32")}
    # in turn, so that all see the same machine
    times: dict[str, list[float]] = {"ace": [], "float64": [], "float32": []}
    for _ in range(3):
        times["ace"].append(seconds(bundled, atoms, 5))
        for dtype, predictor in slow.items():
            times[dtype].append(seconds(predictor, atoms, 1))
    ace = min(times["ace"])
    print(f"\nace (water-apt, float32), 384 atoms, one thread: {1e3 * ace:.0f} ms")
    for dtype in slow:
        ratio = min(times[dtype]) / ace
        print(
            f"simple ({dtype}): {1e3 * min(times[dtype]):.0f} ms, {ratio:.0f} times slower than ace"
        )


def test_time_and_memory_per_atom() -> None:
    bundled = Predictor.from_file("water-apt")
    print("\n   atoms   µs/atom")
    sizes = [(1, 1, 1), (2, 2, 1), (4, 2, 2), (4, 4, 4)]
    per_atom = {}
    for repeats in sizes:
        atoms = water(repeats)
        rounds = max(2, 3000 // len(atoms))
        per_atom[len(atoms)] = 1e6 * seconds(bundled, atoms, rounds) / len(atoms)
        print(f"{len(atoms):8d}  {per_atom[len(atoms)]:8.1f}")
    spread = max(per_atom.values()) / min(per_atom.values())
    print(f"largest over smallest: {spread:.2f}")
    script = (
        "import re, sys, ase.io, torch; torch.set_num_threads(1);"
        "from aptnn_md.prediction.predictor import Predictor;"
        "from aptnn_md.bundled import bundled_path;"
        "n = int(sys.argv[1]); box = ase.io.read(bundled_path('water64.extxyz')) * (4, 4, n);"
        "Predictor.from_file('water-apt')(box);"
        # of this process alone: ru_maxrss would remember the one that started it
        "peak = re.search(r'VmHWM:\\s+(\\d+)', open('/proc/self/status').read())[1];"
        "print(len(box), int(peak) / 1024)"
    )
    points = []
    for n in (1, 2, 4):
        out = subprocess.run(
            [sys.executable, "-c", script, str(n)], capture_output=True, text=True, check=True
        )
        points.append([float(word) for word in out.stdout.split()])
    print("   atoms  peak memory / MB")
    for n_atoms, megabytes in points:
        print(f"{n_atoms:8.0f}  {megabytes:8.0f}")
    slope = np.diff([p[1] for p in points]) / np.diff([p[0] for p in points])
    print(f"kB per further atom: {', '.join(f'{1024 * s:.1f}' for s in slope)}")
