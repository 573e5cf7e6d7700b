"""The bundled network beside version 0.1 and the published architecture, and its scaling.

One thread; processor time of that thread, so that other programs disturb little.

python -m pytest tests/benchmarks/test_network_speed.py -m benchmark -s
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Sequence

import ase.io
import numpy as np
import pytest
from ase import Atoms
from helpers.plain_ace import plain_form

from aptnn_md.atoms.neighbours import Graph, build_graph
from aptnn_md.bundled import bundled_path
from aptnn_md.models.tensor_network import fresh_model
from aptnn_md.prediction.model_file import ModelFile
from aptnn_md.prediction.predictor import Predictor

pytestmark = [pytest.mark.benchmark, pytest.mark.usefixtures("one_thread")]


def water(repeats: tuple[int, int, int]) -> Atoms:
    box = ase.io.read(bundled_path("water64.extxyz"))
    assert isinstance(box, Atoms)
    return box * repeats


def seconds(predict: Callable[[Atoms], object], atoms: Atoms, repeats: int) -> float:
    """Shortest of several evaluations of a new structure each, neighbour list included."""
    times = []
    for _ in range(repeats):
        atoms.positions += 1e-4
        began = time.thread_time()
        predict(atoms)
        times.append(time.thread_time() - began)
    return min(times)


class PlainLists:
    """Neighbour lists of version 0.1."""

    def graph(self, structures: Sequence[Atoms], first: int = 0) -> Graph:
        return build_graph(structures, 6.0)


def version_0_1(dtype: str) -> Predictor:
    """The bundled model as version 0.1 evaluated it."""
    predictor = Predictor.from_file("water-apt", dtype=dtype)
    for member in predictor.networks:
        member.network = plain_form(member.network)
    predictor._neighbours = PlainLists()  # type: ignore[assignment]
    return predictor


def trajectory(atoms: Atoms, n_frames: int) -> list[Atoms]:
    """Water that moves as in steps of 1 fs at 300 K."""
    random = np.random.default_rng(0)
    speeds = (
        random.normal(size=(len(atoms), 3)) * np.sqrt(300 * 8.3145e-7 / atoms.get_masses())[:, None]
    )
    frames = [atoms.copy() for _ in range(n_frames)]
    for step, frame in enumerate(frames):
        # to and fro, so that molecules stay whole
        frame.positions += 5.0 * np.sin(0.2 * step) * speeds
    return frames


@pytest.mark.parametrize(
    ("n_atoms", "dtype"),
    [(3, "float32"), (192, "float32"), (384, "float32"), (3072, "float32"), (384, "float64")],
)
def test_ace_beside_version_0_1(n_atoms: int, dtype: str) -> None:
    atoms = {
        3: water((1, 1, 1))[:3],
        192: water((1, 1, 1)),
        384: water((2, 1, 1)),
        3072: water((4, 2, 2)),
    }[n_atoms]
    assert len(atoms) == n_atoms
    fast, plain = Predictor.from_file("water-apt", dtype=dtype), version_0_1(dtype)
    ratios, times = [], []
    for frame in trajectory(atoms, 12 if n_atoms > 1000 else 60):
        own, theirs = seconds(fast, frame, 1), seconds(plain, frame, 1)
        ratios.append(theirs / own)
        times.append(own)
    low, middle, high = np.percentile(ratios[5:], [10, 50, 90])
    print(
        f"\n{n_atoms} atoms, {dtype}: {1e3 * np.median(times[5:]):.1f} ms, "
        f"{middle:.2f} times as fast as version 0.1 (10 to 90 %: {low:.2f} to {high:.2f})"
    )
    assert middle > (0.9 if n_atoms == 3 else 1.4)


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
    for _ in range(5):
        times["ace"].append(np.median([seconds(bundled, atoms, 1) for _ in range(7)]))
        for dtype, predictor in slow.items():
            times[dtype].append(seconds(predictor, atoms, 1))
    print(f"\nace (water-apt, float32), 384 atoms: {1e3 * np.median(times['ace']):.0f} ms")
    for dtype in slow:
        ratio = np.median(np.divide(times[dtype], times["ace"]))
        print(
            f"simple ({dtype}): {1e3 * np.median(times[dtype]):.0f} ms, {ratio:.0f} times as long"
        )


def test_time_and_memory_per_atom() -> None:
    bundled = Predictor.from_file("water-apt")
    print("\n   atoms   µs/atom")
    sizes = [(1, 1, 1), (2, 2, 1), (4, 2, 2), (4, 4, 4)]
    per_atom = {}
    for repeats in sizes:
        atoms = water(repeats)
        rounds = max(6, 3000 // len(atoms))
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
