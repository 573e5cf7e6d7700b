"""Born effective charges from phonopy's files: every atom, reduced by symmetry, cells from YAML."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from helpers.vasprun import CHARGES, vasprun

from aptnn_md.cli import main

phonopy = pytest.importorskip("phonopy")

UNITS = ["14.400", "2.0 0 0 0 2.0 0 0 0 2.0"]


def born(path: Path, tensors: Any) -> Path:
    rows = [" ".join(f"{x:.8f}" for x in np.ravel(tensor)) for tensor in tensors]
    path.write_text("\n".join([*UNITS, *rows]) + "\n")
    return path


def imported(path: Path, structure: Path | None = None) -> Atoms:
    out = path.with_name("out.extxyz")
    command = ["label", "--import", str(path), "--out", str(out)]
    if structure is not None:
        command += ["--structure", str(structure)]
    assert main(command) == 0
    atoms = ase.io.read(out)
    assert isinstance(atoms, Atoms)
    return atoms


def salt() -> Atoms:
    """Eight atoms of lithium fluoride, of which symmetry makes all but two."""
    return bulk("LiF", "rocksalt", a=4.0, cubic=True)


def apt_of(atoms: Atoms) -> Any:
    return atoms.arrays["apt"].reshape(-1, 3, 3)


def test_every_atom_has_a_line(tmp_path: Path, capsys: Any) -> None:
    """As with --nosym: taken as it is, also where it breaks the symmetry a little."""
    rng = np.random.default_rng(0)
    ase.io.write(tmp_path / "POSCAR", salt(), format="vasp")
    atoms = ase.io.read(tmp_path / "POSCAR", format="vasp")
    assert isinstance(atoms, Atoms)
    sign = np.where(atoms.numbers == 3, 1.05, -1.05)
    noise = 0.01 * rng.normal(size=(8, 3, 3))
    tensors = sign[:, None, None] * np.eye(3) + noise - noise.mean(axis=0)
    found = imported(born(tmp_path / "BORN", tensors), tmp_path / "POSCAR")
    np.testing.assert_allclose(apt_of(found), tensors, atol=1e-7)
    np.testing.assert_array_equal(found.numbers, atoms.numbers)

    two = [1.05 * np.eye(3), -1.05 * np.eye(3)]
    first = two if atoms.numbers[0] == 3 else two[::-1]
    found = imported(born(tmp_path / "BORN", first), tmp_path / "POSCAR")
    np.testing.assert_allclose(apt_of(found), sign[:, None, None] * np.eye(3), atol=1e-7)

    born(tmp_path / "BORN", tensors[:5])
    command = ["label", "--import", str(tmp_path / "BORN"), "--out", str(tmp_path / "o.extxyz")]
    assert main(command) == 2
    assert "--structure: found nothing with" in capsys.readouterr().err
    assert main([*command, "--structure", str(tmp_path / "POSCAR")]) == 2
    expected = "found 5 lines, expected 2 (atoms that symmetry does not make) or 8 (all)"
    assert expected in capsys.readouterr().err
    (tmp_path / "BORN").write_text("\n".join([*UNITS, *["1 0 0 0 1 0 0 0"] * 8]))
    assert main([*command, "--structure", str(tmp_path / "POSCAR")]) == 2
    assert "nine numbers" in capsys.readouterr().err


def phonopy_of(atoms: Atoms, **options: Any) -> Any:
    from phonopy.structure.atoms import PhonopyAtoms

    cell = PhonopyAtoms(
        symbols=atoms.get_chemical_symbols(),
        cell=atoms.cell.array,
        scaled_positions=atoms.get_scaled_positions(),
        masses=atoms.get_masses(),
    )
    return phonopy.Phonopy(cell, np.diag([2, 2, 2]), **options)


PRIMITIVE = np.array([[0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]])


@pytest.mark.parametrize("name", ["phonopy.yaml", "phonopy_disp.yaml", "phonopy_params.yaml"])
@pytest.mark.parametrize("whole", [False, True], ids=["primitive", "unit cell"])
def test_yaml_as_structure(name: str, whole: bool, tmp_path: Path) -> None:
    """BORN belongs to the primitive cell; with a line for each atom of the unit cell to that."""
    atoms = salt()
    atoms.set_masses(np.where(atoms.numbers == 3, 6.015, 18.998))
    crystal = phonopy_of(atoms, primitive_matrix=PRIMITIVE)
    crystal.generate_displacements()
    crystal.save(tmp_path / name)
    cell = crystal.unitcell if whole else crystal.primitive
    sign = np.array([1.05 if symbol == "Li" else -1.05 for symbol in cell.symbols])
    tensors = sign[:, None, None] * np.eye(3)
    found = imported(born(tmp_path / "BORN", tensors), tmp_path / name)
    assert len(found) == (8 if whole else 2)
    np.testing.assert_allclose(found.cell, cell.cell, atol=1e-6)
    np.testing.assert_allclose(found.positions, cell.positions, atol=1e-6)
    np.testing.assert_allclose(apt_of(found), tensors, atol=1e-7)
    assert found.get_masses()[found.numbers == 3][0] == pytest.approx(6.015)


def test_yaml_with_the_matrix_alone(tmp_path: Path) -> None:
    """Older and hand-made files have no primitive cell, only how it is made."""
    crystal = phonopy_of(salt(), primitive_matrix=PRIMITIVE)
    crystal.save(tmp_path / "phonopy.yaml")
    text = (tmp_path / "phonopy.yaml").read_text()
    start, stop = text.index("primitive_cell:"), text.index("unit_cell:")
    (tmp_path / "phonopy.yaml").write_text(text[:start] + text[stop:])
    assert "primitive_matrix" in text
    symbols = crystal.primitive.symbols
    tensors = [(1.05 if symbol == "Li" else -1.05) * np.eye(3) for symbol in symbols]
    found = imported(born(tmp_path / "BORN", tensors), tmp_path / "phonopy.yaml")
    assert len(found) == 2
    np.testing.assert_allclose(found.cell, crystal.primitive.cell, atol=1e-6)


def test_yaml_with_charges(tmp_path: Path, capsys: Any) -> None:
    """phonopy_params.yaml holds the charges of the primitive cell itself."""
    crystal = phonopy_of(salt(), primitive_matrix=PRIMITIVE)
    sign = [1.05 if symbol == "Li" else -1.05 for symbol in crystal.primitive.symbols]
    tensors = np.array(sign)[:, None, None] * np.eye(3)
    path = tmp_path / "phonopy_params.yaml"
    crystal.save(path)
    command = ["label", "--import", str(path), "--out", str(tmp_path / "o.extxyz")]
    assert main(command) == 2
    assert "or import the BORN file with --structure" in capsys.readouterr().err
    crystal.nac_params = {
        "born": tensors, "dielectric": 2.0 * np.eye(3), "factor": 14.4, "method": "wang"
    }  # fmt: skip
    crystal.save(path)
    found = imported(path)
    np.testing.assert_allclose(apt_of(found), tensors, atol=1e-7)
    np.testing.assert_allclose(found.positions, crystal.primitive.positions, atol=1e-6)


@pytest.mark.parametrize("name", ["vasprun.xml-born", "vasprun.xml-001", "run.xml", "born"])
def test_vasprun_by_any_name(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_text(vasprun())
    np.testing.assert_allclose(apt_of(imported(path)), CHARGES, atol=1e-7)
