"""Labelled files are read by other programs' trainers as they are."""

from __future__ import annotations

from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.calculators.calculator import all_properties
from ase.calculators.singlepoint import SinglePointCalculator
from helpers import toy_molecules

from aptnn_md.cli import main


@pytest.fixture(scope="module")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Frames that carry a dipole of their own, labelled with everything."""
    directory = tmp_path_factory.mktemp("labelled")
    frames = []
    for seed in range(2):
        atoms = toy_molecules.structure(1, seed=seed)
        atoms.calc = SinglePointCalculator(atoms, energy=1.0, dipole=np.ones(3))
        atoms.info["total_charge"] = 0
        frames.append(atoms)
    ase.io.write(directory / "in.extxyz", frames, format="extxyz")
    out = directory / "out.extxyz"
    command = ["label", "--engine", "helpers.toy_field:FieldPotential", "--property", "apt,pgt"]
    assert main([*command, "--data", str(directory / "in.extxyz"), "--out", str(out)]) == 0
    return out


def test_no_standard_name_but_energy_and_forces(labelled: Path) -> None:
    """Readers take every property of ASE for a field of theirs, a dipole (3,) for one of atoms."""
    for atoms in ase.io.read(labelled, index=":"):
        assert isinstance(atoms, Atoms)
        carried = {*atoms.info, *atoms.arrays, *atoms.calc.results}
        assert carried & set(all_properties) == {"energy", "forces"}
        expected = toy_molecules.dipole(atoms.positions)
        np.testing.assert_allclose(atoms.info["REF_dipole"], expected, atol=1e-6)


def test_nequip(labelled: Path) -> None:
    pytest.importorskip("nequip")
    from nequip.data.ase import from_ase

    for atoms in ase.io.read(labelled, index=":"):
        assert isinstance(atoms, Atoms)
        read = from_ase(atoms)
        assert float(read["total_energy"]) == pytest.approx(atoms.get_potential_energy())
        np.testing.assert_allclose(read["forces"], atoms.get_forces(), atol=1e-6)


@pytest.mark.mace
def test_mace(labelled: Path) -> None:
    pytest.importorskip("mace")
    from mace.data import AtomicData
    from mace.data.utils import KeySpecification, load_from_xyz, update_keyspec_from_kwargs
    from mace.tools import get_atomic_number_table_from_zs
    from mace.tools.default_keys import DefaultKeys

    names = {"energy_key": "energy", "forces_key": "forces", "dipole_key": "REF_dipole"}
    keys = update_keyspec_from_kwargs(KeySpecification(), {**DefaultKeys.keydict(), **names})
    frames = load_from_xyz(
        file_path=str(labelled),
        key_specification=keys,
        head_name="Default",
        extract_atomic_energies=False,
        keep_isolated_atoms=True,
    )[-1]
    table = get_atomic_number_table_from_zs([1, 8, 17])
    for read, atoms in zip(frames, ase.io.read(labelled, index=":"), strict=True):
        assert isinstance(atoms, Atoms)
        data = AtomicData.from_config(read, z_table=table, cutoff=3.0)
        assert float(data.energy) == pytest.approx(atoms.get_potential_energy(), abs=1e-4)
        np.testing.assert_allclose(data.forces, atoms.get_forces(), atol=1e-5)
        np.testing.assert_allclose(data.dipole[0], atoms.info["REF_dipole"], atol=1e-6)
        polarizability = np.reshape(atoms.info["polarizability"], (3, 3))
        np.testing.assert_allclose(data.polarizability[0], polarizability, atol=1e-5)
        assert float(data.total_charge) == 0.0
