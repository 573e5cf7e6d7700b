"""Born effective charges from the outputs of other programs."""

import ase.io
import numpy as np
import pytest
from ase import Atoms
from helpers.vasprun import CHARGES, vasprun

from aptnn_md.cli import main


def test_vasp(tmp_path, capsys):
    source, out = tmp_path / "vasprun.xml", tmp_path / "out.extxyz"
    source.write_text(vasprun())
    assert main(["label", "--import", str(source), "--out", str(out)]) == 0
    assert "1 of 1 frames labelled; acoustic_sum" in capsys.readouterr().out
    atoms = ase.io.read(out)
    np.testing.assert_allclose(atoms.arrays["apt"].reshape(-1, 3, 3), CHARGES)
    assert atoms.info["source_file"] == "vasprun.xml"
    assert atoms.pbc.all()
    assert main(["label", "--import", str(source), "--out", str(out), "--transpose"]) == 0
    apt = ase.io.read(out).arrays["apt"].reshape(-1, 3, 3)
    np.testing.assert_allclose(apt, np.transpose(CHARGES, (0, 2, 1)))


def test_charges_that_break_the_sum_rule_are_not_used(tmp_path, capsys):
    source, out = tmp_path / "vasprun.xml", tmp_path / "out.extxyz"
    source.write_text(vasprun().replace("1.90000000", "2.00000000", 1))
    assert main(["label", "--import", str(source), "--out", str(out)]) == 1
    assert "acoustic_sum 0.1 above 0.02" in capsys.readouterr().err
    assert np.isnan(ase.io.read(out).arrays["apt"]).all()


def test_files_without_charges(tmp_path, capsys):
    source, out = tmp_path / "frames.extxyz", tmp_path / "out.extxyz"
    ase.io.write(source, Atoms("H2", positions=[[0, 0, 0], [0, 0, 0.7]]))
    assert main(["label", "--import", str(source), "--out", str(out)]) == 2
    assert "born_effective_charges: found none" in capsys.readouterr().err
    assert main(["label", "--import", "nowhere", "--out", str(out)]) == 2
    assert main(["label", "--import", str(source), "--engine", "tblite", "--out", str(out)]) == 2
    assert main(["label", "--out", str(out)]) == 2


def test_phonopy_born_means_what_phonopy_means(tmp_path):
    phonopy = pytest.importorskip("phonopy")
    from phonopy.structure.atoms import PhonopyAtoms

    cell = np.array([[4.0, 0.1, -0.2], [0.3, 4.4, 0.15], [-0.25, 0.2, 4.9]])
    atoms = Atoms("NaCl", cell=cell, scaled_positions=[[0, 0, 0], [0.45, 0.55, 0.52]], pbc=True)
    rows = ["14.4", "2.5 0 0 0 2.5 0 0 0 2.5"]
    rows += [" ".join(map(str, np.ravel(charges))) for charges in CHARGES]
    (tmp_path / "BORN").write_text("\n".join(rows) + "\n")
    ase.io.write(tmp_path / "POSCAR", atoms, format="vasp")
    out = tmp_path / "out.extxyz"
    arguments = ["label", "--import", str(tmp_path / "BORN"), "--out", str(out)]
    assert main([*arguments, "--structure", str(tmp_path / "POSCAR")]) == 0
    apt = ase.io.read(out).arrays["apt"].reshape(-1, 3, 3)
    # no symmetry but inversion of P, so phonopy leaves the tensors as they are
    assert np.abs(apt - np.array(CHARGES)).max() < 1e-6

    # phonopy's own use: the macroscopic field along q pulls atom i by q·Z_i
    unit_cell = PhonopyAtoms(
        symbols=["Na", "Cl"], cell=cell, scaled_positions=atoms.get_scaled_positions()
    )
    crystal = phonopy.Phonopy(unit_cell, np.eye(3), primitive_matrix=np.eye(3))
    crystal.force_constants = np.zeros((2, 2, 3, 3))
    crystal.nac_params = {
        "born": np.array(CHARGES), "dielectric": 2.5 * np.eye(3), "factor": 14.4, "method": "wang"
    }  # fmt: skip
    direction = np.array([0.3, -0.5, 0.8])
    matrix = crystal.dynamical_matrix
    matrix.run([0, 0, 0], q_direction=direction)
    strength = np.abs(np.linalg.eigvalsh(matrix.dynamical_matrix)).max()
    wave = direction @ np.linalg.inv(cell).T
    pull = np.einsum("iab,a->ib", apt, wave) / np.sqrt(crystal.masses)[:, None]
    expected = 14.4 * 4 * np.pi / np.linalg.det(cell) * (pull**2).sum() / (2.5 * wave @ wave)
    assert strength == pytest.approx(expected, rel=1e-3)
    wrong = np.einsum("iab,b->ia", apt, wave) / np.sqrt(crystal.masses)[:, None]
    assert abs((wrong**2).sum() / (pull**2).sum() - 1.0) > 0.1
