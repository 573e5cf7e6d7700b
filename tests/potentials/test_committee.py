"""Committees: the mean of their members, one batch for many structures, and their file."""

from __future__ import annotations

import importlib.util
import json
import shutil

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.calculators.lj import LennardJones
from helpers.flips import Flippable
from helpers.systems import triclinic
from helpers.tiers import thorough_but
from helpers.verdicts import FOUND, HARMLESS

from aptnn_md.cli import main
from aptnn_md.errors import InputError
from aptnn_md.models.archive import content_sha256
from aptnn_md.potentials.committee import PotentialCommittee
from aptnn_md.potentials.loading import load_potential
from aptnn_md.potentials.mace import MACEPotential
from aptnn_md.potentials.mace_network import new_network
from aptnn_md.potentials.stored import write_potential
from aptnn_md.potentials.stored_committee import read_committee, write_committee

pytestmark = [
    pytest.mark.mace,
    pytest.mark.skipif(importlib.util.find_spec("mace") is None, reason="needs mace-torch"),
]

CONFIGURATION = {
    "r_max": 3.5,
    "num_bessel": 5,
    "num_polynomial_cutoff": 5,
    "max_ell": 2,
    "interaction_cls": "RealAgnosticResidualInteractionBlock",
    "interaction_cls_first": "RealAgnosticResidualInteractionBlock",
    "num_interactions": 1,
    "num_elements": 3,
    "hidden_irreps": "6x0e",
    "MLP_irreps": "4x0e",
    "gate": "silu",
    "readout_cls": "NonLinearReadoutBlock",
    "atomic_energies": [[-13.0, -430.0, -40.0]],
    "avg_num_neighbors": 4.0,
    "atomic_numbers": [1, 8, 11],
    "correlation": 2,
    "radial_MLP": [8],
    "atomic_inter_scale": [1.7],
    "atomic_inter_shift": 0.0,
}


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    """Three members and the file of their committee."""
    place = tmp_path_factory.mktemp("committee")
    members = []
    for seed in range(3):
        network = new_network(CONFIGURATION, seed)
        write_potential(place / f"p-{seed}.json", CONFIGURATION, network.state_dict(), {})
        members.append(place / f"p-{seed}.json")
    write_committee(place / "p.json", members, {"seeds": [0, 1, 2]})
    return place


def structures() -> list[Atoms]:
    return [
        triclinic(0),
        Atoms("OHH", [[0, 0, 0], [0.96, 0, 0], [-0.24, 0.93, 0]]),
        triclinic(1, n_atoms=11, size=5.0),
        Atoms("Na", [[1.0, 2.0, 3.0]]),
    ]


@pytest.mark.thorough
def test_mean_and_members_are_those_of_each_alone(stored):
    committee = load_potential(stored / "p.json")
    assert isinstance(committee, PotentialCommittee)
    assert (committee.n_members, committee.card["seeds"]) == (3, [0, 1, 2])
    alone = [MACEPotential.from_file(stored / f"p-{k}.json") for k in range(3)]
    for atoms, result in zip(structures(), committee.evaluate(structures()), strict=True):
        forces = np.array([member.get_forces(atoms) for member in alone])
        energies = [member.get_potential_energy(atoms) for member in alone]
        assert result["member_forces"] == pytest.approx(forces, abs=1e-5)
        assert result["member_energies"] == pytest.approx(energies, abs=1e-4)
        assert result["forces"] == pytest.approx(forces.mean(axis=0), abs=1e-5)
        assert result["energy"] == pytest.approx(np.mean(energies), abs=1e-4)
        if len(atoms) > 1:
            assert np.abs(forces - forces.mean(axis=0)).max() > 0.01
        if atoms.pbc.all():
            stress = np.mean([member.get_stress(atoms) for member in alone], axis=0)
            assert result["stress"] == pytest.approx(stress, abs=1e-6)


@pytest.mark.thorough
def test_batched_is_one_by_one_in_double_precision(stored):
    committee = load_potential(stored / "p.json", dtype="float64")
    many = committee.evaluate(structures())
    for atoms, result in zip(structures(), many, strict=True):
        (one,) = committee.evaluate([atoms])
        for name in ("energy", "forces", "member_energies", "member_forces"):
            assert result[name] == pytest.approx(one[name], abs=1e-9)


@pytest.mark.thorough
def test_forces_are_the_slope_of_the_mean_energy(stored):
    atoms = triclinic(2)
    atoms.calc = load_potential(stored / "p.json", dtype="float64")
    forces, step = atoms.get_forces(), 1e-4
    for atom, axis in ((0, 0), (5, 1), (16, 2)):
        energies = []
        for sign in (1, -1):
            moved = atoms.copy()
            moved.positions[atom, axis] += sign * step
            moved.calc = atoms.calc
            energies.append(moved.get_potential_energy())
        slope = (energies[0] - energies[1]) / (2 * step)
        assert forces[atom, axis] == pytest.approx(-slope, abs=1e-6)
        assert abs(slope) > 1e-3


def test_members_of_any_kind():
    atoms = Atoms("Ar3", [[0, 0, 0], [3.7, 0, 0], [1.0, 3.6, 0.3]])
    first, second = (LennardJones(sigma=3.4, epsilon=e, rc=20.0) for e in (0.01, 0.02))
    committee = PotentialCommittee([first, second])
    (result,) = committee.evaluate([atoms])
    assert result["forces"] == pytest.approx(1.5 * first.get_property("forces", atoms))
    assert result["member_energies"][1] == pytest.approx(2 * result["member_energies"][0])
    atoms.calc = committee
    assert atoms.get_forces() == pytest.approx(result["forces"])
    with pytest.raises(InputError, match="at least one potential"):
        PotentialCommittee([])


def test_names_with_commas(stored, monkeypatch):
    monkeypatch.chdir(stored)
    committee = load_potential("p-0.json, p-2.json")
    assert [member.name for member in committee.members] == ["p-0", "p-2"]


def test_info(stored, capsys):
    assert main(["info", str(stored / "p.json")]) == 0
    text = capsys.readouterr().out
    assert "committee of 3 potentials" in text
    assert "p-2.json" in text
    assert main(["info", "--check", str(stored / "p.json")]) == 0
    assert "SHA-256" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"version": 9}, "upgrade aptnn_md"),
        ({"format": "other"}, "format: found other"),
        ({"members": []}, "list of stored potentials"),
        ({"members": [{"file": "../p-0.json", "sha256": "0"}]}, "a name in the same directory"),
        ({"members": [{"file": "p-7.json", "sha256": "0"}]}, "p-7"),
        ({"members": [{"file": "p-0.json", "sha256": "0"}]}, "as p.json says"),
        ({"card": {"seeds": [5]}}, None),
    ],
)
def test_files_that_are_wrong(stored, tmp_path, change, message):
    for file in stored.iterdir():
        shutil.copy(file, tmp_path)
    path = tmp_path / "p.json"
    header = {**json.loads(path.read_text()), **change}
    path.write_text(json.dumps(header))
    if change.keys() & {"members", "card"}:
        with pytest.raises(InputError, match="SHA-256 of the content"):
            read_committee(path)
    del header["sha256"]
    header["sha256"] = content_sha256(header)
    path.write_text(json.dumps(header))
    if message is None:
        assert read_committee(path).card == {"seeds": [5]}
        return
    with pytest.raises(InputError, match=message):
        read_committee(path)


def test_member_that_was_replaced(stored, tmp_path):
    for file in stored.iterdir():
        shutil.copy(file, tmp_path)
    network = new_network(CONFIGURATION, 17)
    write_potential(tmp_path / "p-1.json", CONFIGURATION, network.state_dict(), {})
    with pytest.raises(InputError, match=r"p-1\.json"):
        load_potential(tmp_path / "p.json")
    with pytest.raises(InputError, match="beside this one"):
        write_committee(tmp_path / "q.json", [stored / "p-0.json"], {})


@pytest.mark.slow
def test_every_change_of_the_file_is_found(stored, tmp_path):
    for file in stored.iterdir():
        shutil.copy(file, tmp_path)
    path = tmp_path / "p.json"

    def content() -> str:
        committee = read_committee(path)
        return content_sha256(
            [committee.name, dict(committee.card), list(map(str, committee.members))]
        )

    verdicts = Flippable([path], content).flip(1)
    assert not verdicts.failures
    assert verdicts.counts[FOUND] > verdicts.counts[HARMLESS]


@pytest.mark.thorough
@pytest.mark.parametrize("dtype", thorough_but([torch.float32, torch.float64], torch.float64))
@pytest.mark.parametrize("layers", [1, 2])
def test_packing_is_exact(tmp_path, dtype, layers):
    """Of one layer and two: the same numbers, bit by bit, in the precision of the weights."""
    configuration = {
        **CONFIGURATION,
        "num_interactions": layers,
        "hidden_irreps": "6x0e" if layers == 1 else "6x0e+6x1o",
    }
    network = new_network(configuration, 3, dtype)
    name = str(dtype).removeprefix("torch.")
    before = MACEPotential(network, dtype=name)
    write_potential(tmp_path / "p.json", configuration, network.state_dict(), {})
    after = load_potential(tmp_path / "p.json", dtype=name)
    for one, two in zip(before.evaluate(structures()), after.evaluate(structures()), strict=True):
        for key in one:
            assert np.array_equal(one[key], two[key]), key
