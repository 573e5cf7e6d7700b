"""MACE on tables of neighbours beside mace-torch with the same weights, one thread.

python -m pytest tests/benchmarks/test_potential_speed.py -m benchmark -s

A step of the bundled potential, evaluation of wide networks, and training steps.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import ase.io
import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import molecule

from aptnn_md.bundled import bundled_path
from aptnn_md.models.quiet_mace import quiet_mace
from aptnn_md.potentials.loading import load_potential
from aptnn_md.potentials.mace import MACEPotential
from aptnn_md.potentials.mace_network import build_network, new_network
from aptnn_md.potentials.stored import read_potential
from aptnn_md.training.potential.dataset import EnergySet
from aptnn_md.training.potential.frames import EnergyFrame
from aptnn_md.training.potential.network import new_configuration
from aptnn_md.training.potential.settings import PotentialSettings

pytestmark = [pytest.mark.benchmark, pytest.mark.mace, pytest.mark.usefixtures("one_thread")]


def seconds(run: Callable[[], object], repeats: int) -> float:
    """The fastest of some repetitions after the first three."""
    times = []
    for _ in range(repeats + 3):
        began = time.perf_counter()
        run()
        times.append(time.perf_counter() - began)
    return min(times[3:])


def of_new_structures(evaluate: Callable[[Atoms], object], atoms: Atoms) -> Callable[[], object]:
    """A structure that was not seen before, or a calculator gives its last results."""

    def run() -> object:
        atoms.positions += 1e-4
        return evaluate(atoms)

    return run


def print_ratio(what: str, ours: float, theirs: float) -> None:
    print(
        f"\n{what}, one thread: {1e3 * ours:.0f} ms, mace-torch {1e3 * theirs:.0f} ms: "
        f"ratio {theirs / ours:.2f}"
    )


def test_water_mace_beside_the_calculator_of_mace_torch():
    header, weights = read_potential(bundled_path("water-mace.json"))
    network = build_network("water-mace", header["configuration"], weights)
    atoms = ase.io.read(bundled_path("water64.extxyz"))
    ours = load_potential("water-mace")
    with quiet_mace():
        from mace.calculators import MACECalculator

        theirs = MACECalculator(models=[network], device="cpu", default_dtype="float32")
    of_theirs = of_new_structures(lambda a: theirs.get_property("forces", a), atoms)
    print_ratio(
        "water-mace, 192 atoms, float32",
        seconds(of_new_structures(ours.get_forces, atoms), 12),
        seconds(of_theirs, 12),
    )


def configuration(channels: int, max_ell: int, elements: tuple[int, ...], **changes: Any) -> Any:
    """As of a general potential: two layers, scalars and vectors."""
    settings = PotentialSettings(channels=channels, layers=2, max_ell=max_ell, cutoff=5.0)
    frame = EnergyFrame(molecule("CH3OH"), -1.0, np.zeros((6, 3)))
    found = new_configuration(settings, [frame], elements)
    return {**found, "atomic_energies": [[-1.0] * len(elements)], **changes}


@pytest.mark.parametrize(
    ("channels", "max_ell", "n_elements", "dtype"),
    [(64, 3, 2, "float32"), (128, 3, 89, "float64")],
    ids=["64 channels", "128 channels"],
)
def test_wide_networks(channels: int, max_ell: int, n_elements: int, dtype: str):
    """Of random weights, on 64 water molecules; the wider one on 16 of them."""
    elements = (1, 8) if n_elements == 2 else tuple(range(1, n_elements + 1))
    chosen = configuration(channels, max_ell, elements, avg_num_neighbors=50.0)
    atoms = ase.io.read(bundled_path("water64.extxyz"))
    if n_elements > 2:
        atoms = atoms[:48]
        atoms.pbc = False
    network = new_network(chosen, 0, getattr(torch, dtype))
    ours, theirs = (MACEPotential(network, dtype=dtype) for _ in range(2))
    theirs._dense = None  # evaluates mace-torch's modules
    times = [
        seconds(of_new_structures(lambda a, p=p: p.evaluate([a]), atoms), 3) for p in (ours, theirs)
    ]
    print_ratio(f"{channels} channels, {n_elements} elements, {len(atoms)} atoms, {dtype}", *times)


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("name", ["CH3OH", "C6H6"])
def test_training_steps(layers: int, name: str):
    """Forces of a batch of molecules, and the gradient of a loss of forces by all weights."""
    atoms = molecule(name)
    elements = sorted(set(map(int, atoms.numbers)))
    zeros = np.zeros((len(atoms), 3))
    frames = [EnergyFrame(atoms, -1.0, zeros) for _ in range(8)]
    found = new_configuration(PotentialSettings(layers=layers), frames, elements)
    times = []
    for on_tables in (True, False):
        network = new_network(found, 0)
        learned = EnergySet(frames, network, "cpu")
        if not on_tables:
            learned._dense = None

        def step(learned: EnergySet = learned, network: Any = network) -> None:
            energies, forces = learned.energies_and_forces(learned.batch(range(8)), training=True)
            (energies.square().mean() + forces.square().mean()).backward()
            network.zero_grad()

        times.append(seconds(step, 10))
    print_ratio(f"training, {layers} layers, 8 times {name}", *times)
