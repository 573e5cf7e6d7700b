"""The bundled potential: one step of 192 atoms on one thread, beside mace-torch's calculator.

python -m pytest tests/benchmarks/test_potential_speed.py -m benchmark -s
"""

from __future__ import annotations

import time

import ase.io
import pytest
import torch
from ase import Atoms

from aptnn_md.bundled import bundled_path
from aptnn_md.models.quiet_mace import quiet_mace
from aptnn_md.potentials.loading import load_potential
from aptnn_md.potentials.mace_network import build_network
from aptnn_md.potentials.stored import read_potential


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
def test_water_mace_beside_the_calculator_of_mace_torch():
    header, weights = read_potential(bundled_path("water-mace.json"))
    network = build_network("water-mace", header["configuration"], weights)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        atoms = ase.io.read(bundled_path("water64.extxyz"))
        ours = load_potential("water-mace")
        with quiet_mace():
            from mace.calculators import MACECalculator

            theirs = MACECalculator(models=[network], device="cpu", default_dtype="float32")
        single = seconds(ours.get_forces, atoms)
        reference = seconds(lambda a: theirs.get_property("forces", a), atoms)
    finally:
        torch.set_num_threads(threads)
    print(
        f"\n192 atoms, float32, one thread: {1e3 * single:.0f} ms, mace-torch's calculator "
        f"{1e3 * reference:.0f} ms: ratio {reference / single:.2f}"
    )
