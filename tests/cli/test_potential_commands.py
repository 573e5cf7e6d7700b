"""train --target potential, evaluate --potential: what a user types and reads."""

from __future__ import annotations

import importlib.util
import json

import ase.io
import numpy as np
import pytest
from ase.calculators.singlepoint import SinglePointCalculator
from helpers.toy_molecules import energy_forces_virial, structure

from aptnn_md.cli import main
from aptnn_md.potentials.loading import load_potential

pytestmark = [
    pytest.mark.mace,
    pytest.mark.skipif(importlib.util.find_spec("mace") is None, reason="needs mace-torch"),
]

CONFIG = """data = "data.extxyz"
out = "p.json"
target = "potential"
committee = 2
[training]
seed = 4
steps = 20
batch_atoms = 12
[network]
channels = 4
max_ell = 1
correlation = 2
radial_width = 8
[card]
level_of_theory = "a toy"
"""


@pytest.fixture
def place(tmp_path, monkeypatch):
    """Twelve molecules with energies and forces, the first without energy."""
    monkeypatch.chdir(tmp_path)
    found = []
    for seed in range(12):
        atoms = structure(1, seed=seed)
        del atoms.arrays["momenta"]
        energy, forces, _ = energy_forces_virial(atoms.positions)
        energies = {"energy": energy - 900.0} if seed else {}
        atoms.calc = SinglePointCalculator(atoms, forces=forces, **energies)
        found.append(atoms)
    ase.io.write("data.extxyz", found)
    (tmp_path / "train.toml").write_text(CONFIG)
    return tmp_path


@pytest.mark.thorough
def test_train_evaluate_and_use(place, capsys):
    assert main(["train", "--config", "train.toml"]) == 0
    said = capsys.readouterr().out
    assert "p.json: 2 network(s), training forces" in said
    assert "held out forces" in said
    committee = load_potential("p.json")
    assert committee.card["level_of_theory"] == "a toy"
    assert [member.card["seed"] for member in committee.members] == [4, 5]
    assert committee.card["training_settings"]["channels"] == 4
    assert {p.name for p in place.iterdir()} == {
        *("data.extxyz", "train.toml", "p.json", "p.csv", "p.png"),
        *("p-1.json", "p-1.pt", "p-2.json", "p-2.pt"),
    }
    assert main(["evaluate", "--potential", "p.json", "--data", "data.extxyz"]) == 0
    text = capsys.readouterr().out
    assert "12 frames, forces on 36 atoms" in text
    assert "members" in text
    elements = [line.split()[0] for line in text.splitlines()[4:]]
    assert elements == ["all", "H", "O", "Cl"]
    command = ["evaluate", "--potential", "p-1.json", "--data", "data.extxyz", "--json"]
    assert main(command) == 0
    figures = json.loads(capsys.readouterr().out)
    labels = np.concatenate([a.get_forces() for a in ase.io.read("data.extxyz", ":")])
    assert figures["forces"]["spread"] == pytest.approx(np.sqrt((labels**2).mean()), rel=1e-6)
    # warm, from the committee's members in turn
    warm = ["--start-from", "p.json", "--out", "q.json", "--epochs", "1"]
    assert main(["train", "--config", "train.toml", *warm]) == 0
    assert load_potential("q.json").card["start_from"][1].startswith("p-2.json")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--network", "ace"], "network: found given"),
        (["--transpose"], "transpose"),
        (["--settings", "chanels=3"], "found chanels, expected keys among"),
        (["--settings", "layers=9"], "layers: found 9"),
        (["--key", "energi=E"], "expected energy=NAME or forces=NAME"),
        (["--key", "energy=E", "--key", "forces=F"], "none in 12 frames"),
        (["--out", "p.pt"], "out: found p.pt, expected NAME.json"),
        (["--restart"], "p.json.state: training state: found no such file"),
        (["--valid-fraction", "0.99"], "frames: found 12"),
        (["--start-from", "none.json"], "none.json"),
        (["--device", "cuda:77"], "cuda"),
    ],
)
def test_refusals(place, capsys, options, message):
    assert main(["train", "--config", "train.toml", *options]) == 2
    assert message in capsys.readouterr().err
    assert not (place / "p.json").exists()


def test_evaluate_wants_one_of_two(place, capsys):
    assert main(["evaluate", "--data", "data.extxyz"]) == 2
    assert "found neither, expected one of them" in capsys.readouterr().err
    both = ["--model", "water-apt", "--potential", "water-mace"]
    assert main(["evaluate", "--data", "data.extxyz", *both]) == 2
    assert "found both, expected one of them" in capsys.readouterr().err


def test_charges_that_cannot_be_told_apart(place, capsys):
    atoms = ase.io.read("data.extxyz", ":")
    atoms[3].info["charge"] = 1
    ase.io.write("data.extxyz", atoms)
    assert main(["train", "--config", "train.toml"]) == 2
    assert "train a potential for each charge" in capsys.readouterr().err
