"""The bundled potential beside mace-torch's own calculator with the same weights, one thread.

python -m pytest tests/benchmarks/test_potential_speed.py -m benchmark -s
"""

from __future__ import annotations

import importlib.util
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from ase import Atoms

from aptnn_md.potentials import load_potential, quiet_mace

ROOT = Path(__file__).parents[2]


def water_box(n_molecules: int = 64, length: float = 12.429) -> Atoms:
    """Molecules on a lattice at the density of the liquid: as many neighbours as there."""
    rng = np.random.default_rng(0)
    shape = np.array([[0.0, 0.0, 0.0], [0.96, 0.0, 0.0], [-0.24, 0.93, 0.0]])
    n = round(n_molecules ** (1 / 3))
    grid = np.stack(np.meshgrid(*[np.arange(n)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    positions = []
    for place in grid * (length / n):
        rotation, _ = np.linalg.qr(rng.normal(size=(3, 3)))
        positions.append(place + shape @ rotation)
    return Atoms("OHH" * len(grid), np.concatenate(positions), cell=3 * [length], pbc=True)


def seconds(evaluate, atoms: Atoms, repeats: int = 15) -> float:
    times = []
    for _ in range(repeats):
        atoms.positions += 1e-4  # a new structure, or the calculator gives its last results
        began = time.perf_counter()
        evaluate(atoms)
        times.append(time.perf_counter() - began)
    return min(times[3:])


@pytest.mark.benchmark
@pytest.mark.mace
def test_faster_than_mace_torch():
    spec = importlib.util.spec_from_file_location("pack", ROOT / "examples/water_mace/pack.py")
    pack = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(pack)
    bundled = ROOT / "aptnn_md" / "bundled" / "water-mace.json"
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        atoms = water_box()
        ours = load_potential("water-mace")
        with quiet_mace():
            from mace.calculators import MACECalculator

            module = pack.build_mace(bundled, torch.float32)
            theirs = MACECalculator(models=[module], device="cpu", default_dtype="float32")
        single = seconds(ours.get_forces, atoms)
        reference = seconds(lambda a: theirs.get_property("forces", a), atoms)
        batch = seconds(lambda a: ours.evaluate([a] * 8), atoms) / 8
    finally:
        torch.set_num_threads(threads)
    print(
        f"\n192 atoms, float32, one thread: {1e3 * single:.1f} ms, eight at once {1e3 * batch:.1f} "
        f"ms each, mace-torch {1e3 * reference:.1f} ms: {reference / single:.2f} times faster"
    )
    assert reference / single > 1.5
