"""Dipoles in debye, recognised by what knows their unit, at every border where dipoles come in."""

from __future__ import annotations

from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes
from helpers import toy_molecules

from aptnn_md.arrays import FloatArray
from aptnn_md.dipole_checks import apts_say_debye
from aptnn_md.engines.ase.potential_dipole import PotentialDipole
from aptnn_md.errors import InputError
from aptnn_md.labels.engines.ase import ASEEngine
from aptnn_md.prediction.loading import as_model
from aptnn_md.training.dataset import read_labelled

E_ANGSTROM, DEBYE = 1.0, 4.80320471
"""In how many of the unit 1 e Å is."""


class Ion(Calculator):
    """The toy molecule with a charge on its first atom, about the origin or its own centre."""

    implemented_properties = ["dipole"]  # noqa: RUF012

    def __init__(self, charge: float, unit: float, centred: bool = False) -> None:
        super().__init__()
        self.charge, self.unit, self.centred = charge, unit, centred

    def calculate(self, atoms=None, properties=("dipole",), system_changes=all_changes) -> None:
        super().calculate(atoms, properties, system_changes)
        positions = self.atoms.positions
        if self.centred:
            positions = positions - positions.mean(axis=0)
        self.results["dipole"] = self.unit * moment(positions, self.charge)


class OfMACE(Ion):
    pass


OfMACE.__module__ = "mace.calculators.mace"


def moment(positions: FloatArray, charge: float) -> FloatArray:
    return toy_molecules.dipole(positions) + charge * positions[0]


def ion(charge: float, seed: int = 1) -> Atoms:
    atoms = toy_molecules.structure(seed=seed)
    atoms.positions += [1.0, -2.0, 0.5]
    atoms.info["charge"] = charge
    return atoms


def labelled(path: Path, unit: float, charge: float = 0.0, with_apt: bool = True) -> Path:
    frames = []
    for seed in range(4):
        atoms = ion(charge, seed)
        apt = toy_molecules.polar_tensors(atoms.positions)
        apt[0] += charge * np.eye(3)
        if with_apt:
            atoms.arrays["apt"] = apt.reshape(-1, 9)
        atoms.info["dipole"] = unit * moment(atoms.positions, charge)
        frames.append(atoms)
    ase.io.write(path, frames, format="extxyz")
    return path


@pytest.mark.parametrize("charge", [0.0, -1.0, 2.0])
def test_labels_beside_tensors(tmp_path, charge, caplog) -> None:
    good = labelled(tmp_path / "a.extxyz", E_ANGSTROM, charge)
    with caplog.at_level("INFO", logger="aptnn_md"):
        frames = read_labelled(good, "dipole+apt")
    assert "dipoles are taken" not in caplog.text
    np.testing.assert_allclose(
        frames[2].dipole, moment(frames[2].atoms.positions, charge), atol=1e-6
    )
    bad = labelled(tmp_path / "b.extxyz", DEBYE, charge)
    with pytest.raises(InputError, match=r"debye in 4 of 4 frames, .* 0\.2081943 e Å"):
        read_labelled(bad, "dipole+apt")
    read_labelled(bad, "apt")  # which asks for no dipole


def test_labels_alone_do_not_tell(tmp_path, caplog) -> None:
    path = labelled(tmp_path / "a.extxyz", DEBYE, with_apt=False)
    with caplog.at_level("INFO", logger="aptnn_md"):
        read_labelled(path, "dipole")
    assert "a.extxyz: dipoles are taken in e Å; nothing in the file tells" in caplog.text


def test_what_tensors_cannot_tell() -> None:
    atoms = ion(0.0)
    apt = toy_molecules.polar_tensors(atoms.positions)
    dipole = toy_molecules.dipole(atoms.positions)
    assert apts_say_debye(atoms, DEBYE * dipole, apt) is True
    assert apts_say_debye(atoms, dipole, apt) is False
    assert apts_say_debye(atoms, -DEBYE * dipole, apt) is False
    assert apts_say_debye(atoms, DEBYE * dipole, 1e-3 * apt) is None
    apt[1] = np.nan
    assert apts_say_debye(atoms, DEBYE * dipole, apt) is None
    periodic = toy_molecules.structure(pbc=True)
    assert apts_say_debye(periodic, dipole, toy_molecules.polar_tensors(atoms.positions)) is None


@pytest.mark.parametrize("charge", [1.0, -2.0])
def test_a_charge_tells_the_unit_of_a_calculator(charge, caplog) -> None:
    atoms, good, bad = ion(charge), Ion(charge, E_ANGSTROM), Ion(charge, DEBYE)
    with caplog.at_level("INFO", logger="aptnn_md"):
        PotentialDipole(good, atoms)
    assert caplog.messages == []
    assert as_model(good)(atoms).shape == (3, 3, 3)
    with pytest.raises(InputError, match=r"found debye: moved by 1 Å .* by (4\.803|9\.606)"):
        PotentialDipole(bad, atoms)
    with pytest.raises(
        InputError, match=r"as of a dipole in debye, expected .* a dipole in e Å, or"
    ):
        as_model(bad)(atoms)
    PotentialDipole(Ion(charge, E_ANGSTROM, centred=True), atoms)
    assert "its origin moves with the atoms, or it has another charge" in caplog.text


def test_neutral_structures_are_taken_in_our_unit_and_the_log_says_so(caplog) -> None:
    atoms = ion(0.0)
    with caplog.at_level("INFO", logger="aptnn_md"):
        PotentialDipole(Ion(0.0, DEBYE), atoms)
        as_model(Ion(0.0, DEBYE))
        ASEEngine(Ion(0.0, DEBYE), "ions:Ion")
    assert "potential-dipole: dipoles are taken in e Å; those of a neutral structure" in caplog.text
    for where in ("model ion", "engine ions:Ion"):
        assert f"{where}: dipoles are taken in e Å; only those of a charge can tell" in caplog.text


def test_calculators_of_mace_are_refused_everywhere() -> None:
    calculator = OfMACE(0.0, E_ANGSTROM)
    borders = (
        lambda: PotentialDipole(calculator, ion(0.0)),
        lambda: as_model(calculator),
        lambda: ASEEngine(calculator, "module:mace"),
    )
    for border in borders:
        with pytest.raises(InputError, match="found a dipole network of MACE, expected"):
            border()
