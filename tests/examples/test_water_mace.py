"""The example that trains water-mace: its loss, and the weights of frames in g(O-O)."""

from __future__ import annotations

import argparse
import importlib
from pathlib import Path
from typing import Any

import ase.io
import numpy as np
import pytest
import torch
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from helpers.paths import EXAMPLES

from aptnn_md.bundled import bundled_path

EXAMPLE = EXAMPLES / "water_mace"


@pytest.fixture
def frames() -> list[Atoms]:
    """Two boxes of different density of pairs, with made-up labels."""
    found, rng = [], np.random.default_rng(1)
    for scale in (0.03, 0.06):
        atoms = ase.io.read(bundled_path("water64.extxyz"))
        atoms.positions += rng.normal(scale=scale, size=(len(atoms), 3))
        forces = rng.normal(size=(len(atoms), 3))
        energy = -30070.0 + rng.normal()
        atoms.calc = SinglePointCalculator(atoms, energy=energy, forces=forces)
        found.append(atoms)
    return found


@pytest.mark.thorough
@pytest.mark.mace
def test_loss_and_its_gradient(frames: list[Atoms], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(EXAMPLE))
    train: Any = importlib.import_module("train")
    from aptnn_md.potentials.loading import load_potential
    from aptnn_md.potentials.stored import read_potential

    name = bundled_path("water-mace.json")
    arguments = read_potential(name)[0]["configuration"]
    potential: Any = load_potential(str(name))
    e0 = np.ravel(arguments["atomic_energies"]).tolist()
    data = train.Frames.of(frames, 4.5, arguments["atomic_numbers"], e0, "cpu")
    network = potential.network.requires_grad_(True)
    loss = train.Loss(network, data, 2, captured=False)
    value = float(loss(torch.tensor([1, 0])))
    bare = type(potential)(network)  # without walls
    network.requires_grad_(True)
    results = bare.evaluate(frames)
    df = np.stack([r["forces"] - f.get_forces() for r, f in zip(results, frames, strict=True)])
    de = np.array(
        [r["energy"] - f.get_potential_energy() for r, f in zip(results, frames, strict=True)]
    )
    weight = train.ENERGY_WEIGHTS[0]
    large = sum(np.stack([f.get_forces() for f in frames])[..., k] ** 2 for k in range(3))
    df /= 1.0 + large[..., None] / 100.0
    expected = np.mean((df / train.FORCE_SCALE) ** 2) + weight * np.mean((de / 192) ** 2)
    assert value == pytest.approx(expected, rel=1e-4)
    parameter = network.interactions[1].linear.weight
    k = int(parameter.grad.abs().argmax())
    slope, values = float(parameter.grad.flatten()[k]), []
    for change in (2e-3, -4e-3):
        with torch.no_grad():
            parameter.flatten()[k] += change
        values.append(float(loss(torch.tensor([0, 1]))))
    assert slope == pytest.approx((values[0] - values[1]) / 4e-3, rel=0.02)


@pytest.mark.thorough
@pytest.mark.mace
def test_weights_of_the_teacher(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A teacher that is the student leaves all frames; one that dislikes half of them does not."""
    monkeypatch.syspath_prepend(str(EXAMPLE))
    validate: Any = importlib.import_module("validate")
    rng = np.random.default_rng(2)
    atoms = ase.io.read(bundled_path("water64.extxyz"))
    potential = validate.load_potential("water-mace")
    moved = []
    for _ in range(4):
        moved.append(atoms.copy())
        moved[-1].positions += rng.normal(scale=0.02, size=(len(atoms), 3))
        moved[-1].info["config"] = "classical-300K-evenly"
    energies = [each["energy"] for each in potential.evaluate(moved)]
    options = argparse.Namespace(
        frames=str(tmp_path / "f.extxyz"), model="water-mace", dtype="float32", temperature=300.0
    )
    for penalty, left in ((0.0, 4.0), (1.0, 2.0)):
        for k, (frame, energy) in enumerate(zip(moved, energies, strict=True)):
            frame.calc = SinglePointCalculator(frame, energy=5.0 + energy + penalty * (k % 2))
        ase.io.write(options.frames, moved, format="extxyz")
        validate.teacher(options)
        printed = capsys.readouterr().out
        assert f"of 4 frames the weights leave {left:.0f}" in printed
        if penalty == 0.0:
            assert "teacher over student 1.000" in printed
