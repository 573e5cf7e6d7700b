"""Dipole and polarizability derivatives from files of Gaussian and ORCA.

The files are written here, in the programs' formats, from a calculation by PySCF: a molecule
without any symmetry, whose tensors are far from symmetric.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase import Atoms
from helpers.engine_labels import engine_labels
from helpers.frequency_files import write_fchk, write_hess

from aptnn_md.cli import main
from aptnn_md.labels.checks import fitting_polarizability, pgt_rotational_sum
from aptnn_md.labels.frame_labels import Labels
from aptnn_md.tensors import fitting_dipole, rotational_sum

SUM_RULES = ("acoustic_sum", "rotational_sum", "pgt_acoustic_sum", "pgt_rotational_sum")


@pytest.fixture(scope="module")
def peroxide(tmp_path_factory: pytest.TempPathFactory) -> tuple[Atoms, Labels]:
    """Hydrogen peroxide with two different O-H distances and angles, RHF/STO-3G."""
    pytest.importorskip("pyscf")
    positions = [[0.1, -0.2, 0.05], [0.0, 0.15, 1.5], [1.0, 0.1, -0.1], [-0.1, 0.85, 0.95]]
    atoms = Atoms("OOHH", positions)
    scratch = tmp_path_factory.mktemp("peroxide")
    spec = 'pyscf {"xc": "hf", "basis": "sto-3g"}'
    return atoms, engine_labels(scratch, spec, atoms, "field", ("apt", "pgt"))


def charged(atoms: Atoms, labels: Labels, charge: float) -> Labels:
    """The same with point charges on the nuclei, which obey all rules by themselves."""
    share = charge * np.array([0.1, 0.4, 0.2, 0.3])
    assert labels.dipole is not None
    return replace(
        labels,
        tensors={**labels.tensors, "apt": labels.tensors["apt"] + share[:, None, None] * np.eye(3)},
        dipole=labels.dipole + share @ atoms.positions,
    )


def label(files: Sequence[Path], out: Path, *options: str) -> list[Atoms]:
    assert main(["label", "--import", *map(str, files), "--out", str(out), *options]) == 0
    frames = ase.io.read(out, index=":")
    assert isinstance(frames, list)
    return frames


def test_gaussian(peroxide, tmp_path) -> None:  # type: ignore[no-untyped-def]
    source, labels = peroxide
    (atoms,) = label([write_fchk(tmp_path / "a.fchk", source, labels)], tmp_path / "o.extxyz")
    assert atoms.get_chemical_symbols() == ["O", "O", "H", "H"]
    np.testing.assert_allclose(atoms.positions, source.positions, atol=1e-7)
    np.testing.assert_allclose(
        atoms.arrays["apt"].reshape(4, 3, 3), labels.tensors["apt"], atol=1e-7
    )
    np.testing.assert_allclose(
        atoms.arrays["pgt"].reshape(4, 3, 3, 3), labels.tensors["pgt"], atol=1e-7
    )
    np.testing.assert_allclose(atoms.info["REF_dipole"], labels.dipole, atol=1e-7)
    alpha = 0.5 * (labels.polarizability + labels.polarizability.T)
    found = atoms.info["polarizability"].reshape(3, 3)
    np.testing.assert_allclose(found, alpha, atol=1e-3)
    assert all(atoms.info[f"label_{name}"] < 2e-3 for name in SUM_RULES)
    assert not atoms.pbc.any()
    assert "charge" not in atoms.info


def test_orca(peroxide, tmp_path) -> None:  # type: ignore[no-untyped-def]
    source, labels = peroxide
    (atoms,) = label([write_hess(tmp_path / "a.hess", source, labels)], tmp_path / "o.extxyz")
    np.testing.assert_allclose(atoms.positions, source.positions, atol=1e-7)
    np.testing.assert_allclose(
        atoms.arrays["apt"].reshape(4, 3, 3), labels.tensors["apt"], atol=1e-7
    )
    np.testing.assert_allclose(
        atoms.arrays["pgt"].reshape(4, 3, 3, 3), labels.tensors["pgt"], atol=1e-7
    )
    # no dipole and no polarizability there, and yet the rules are checked
    assert all(atoms.info[f"label_{name}"] < 2e-3 for name in SUM_RULES)
    assert atoms.calc is None
    assert "polarizability" not in atoms.info


@pytest.mark.parametrize("write", [write_fchk, write_hess])
def test_other_orders_are_not_used(write, peroxide, tmp_path, capsys) -> None:  # type: ignore[no-untyped-def]
    """A file that means the transposed tensors, or another order of the six components."""
    source, labels = peroxide
    wrong = replace(
        labels, tensors={**labels.tensors, "apt": labels.tensors["apt"].transpose(0, 2, 1)}
    )
    file, out = write(tmp_path / "t.out", source, wrong), tmp_path / "o.extxyz"
    assert main(["label", "--import", str(file), "--out", str(out)]) == 1
    assert "first: rotational_sum" in capsys.readouterr().err
    mixed = labels.tensors["pgt"][:, [0, 2, 1]][:, :, [0, 2, 1]]
    file = write(
        tmp_path / "m.out", source, replace(labels, tensors={**labels.tensors, "pgt": mixed})
    )
    assert main(["label", "--import", str(file), "--out", str(out)]) == 1
    assert "first: pgt_rotational_sum" in capsys.readouterr().err
    assert np.isnan(ase.io.read(out).arrays["pgt"]).all()  # type: ignore[union-attr]


def test_several_files_recognised_by_content(peroxide, tmp_path) -> None:  # type: ignore[no-untyped-def]
    source, labels = peroxide
    bare = Labels({"apt": labels.tensors["apt"]})
    files = [
        write_hess(tmp_path / "job1", source, bare),
        write_fchk(tmp_path / "job2", source, labels),
        write_fchk(tmp_path / "job3", source, bare),
    ]
    frames = label(files, tmp_path / "all.extxyz")
    assert [atoms.info["source_file"] for atoms in frames] == ["job1", "job2", "job3"]
    assert [np.isnan(atoms.arrays["pgt"]).all() for atoms in frames] == [True, False, True]
    (alone,) = label(files[2:], tmp_path / "one.extxyz")
    assert "pgt" not in alone.arrays
    assert "polarizability" not in alone.info


def test_charge_of_the_molecule(peroxide, tmp_path, capsys) -> None:  # type: ignore[no-untyped-def]
    source, labels = peroxide
    ion, out = charged(source, labels, -2.0), tmp_path / "o.extxyz"
    file = write_fchk(tmp_path / "a.fchk", source, ion, charge=-2)
    (atoms,) = label([file], out, "--charge", "1")  # the file knows better
    assert atoms.info["charge"] == -2
    assert atoms.info["label_acoustic_sum"] < 1e-3
    assert atoms.info["label_rotational_sum"] < 1e-3
    file = write_fchk(tmp_path / "b.fchk", source, ion, charge=0)
    assert main(["label", "--import", str(file), "--out", str(out)]) == 1
    assert "acoustic_sum 2 above 0.02" in capsys.readouterr().err

    file = write_hess(tmp_path / "a.hess", source, ion)
    (atoms,) = label([file], out, "--charge", "-2")
    assert atoms.info["charge"] == -2
    assert main(["label", "--import", str(file), "--out", str(out)]) == 1
    # about an origin that moves with the ion, as ORCA has it
    file = write_hess(tmp_path / "b.hess", source, labels)
    assert main(["label", "--import", str(file), "--charge", "-2", "--out", str(out)]) == 2
    assert "an origin that moves with the ion" in capsys.readouterr().err
    assert main(["label", "--import", str(file), "--charge", "1", "--out", str(out)]) == 2
    assert "1, which 17 electrons cannot have, expected that of the" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("Dipole Derivatives   ", "Dipole Something     ", "found none, expected a run with freq"),
        (
            "N=          36\n",
            "N=          30\n",
            "Derivatives: found 30 numbers, expected 36",
        ),
        ("N=          72\n", "N=          99\n", "Polarizability Derivatives: found"),
        ("Charge    ", "Other     ", "Charge: found none"),
        ("Atomic numbers   ", "Atomic something ", "expected a formatted checkpoint"),
        (
            "N=          36\n  1",
            "N=          36\n  x",
            "Dipole Derivatives: found could not convert",
        ),
        ("Multiplicity" + 17 * " ", "Number of translation vectors", "1, expected 0: a molecule"),
    ],
)
def test_bad_fchk(old, new, message, peroxide, tmp_path, capsys) -> None:  # type: ignore[no-untyped-def]
    file = write_fchk(tmp_path / "a.fchk", *peroxide)
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new.ljust(len(old)), 1))
    assert main(["label", "--import", str(file), "--out", str(tmp_path / "o.extxyz")]) == 2
    assert message in capsys.readouterr().err


def test_cut_fchk(peroxide, tmp_path, capsys) -> None:  # type: ignore[no-untyped-def]
    """Cut between two lines, and within a number that would still be one."""
    file = write_fchk(tmp_path / "a.fchk", *peroxide)
    text = file.read_text()
    start = text.index("Polarizability Derivatives")
    end = text.index("Dipole Derivatives num derivs") - 1
    for stop in (text.index("\n", start + 200), end - 4):
        file.write_text(text[:stop])
        assert main(["label", "--import", str(file), "--out", str(tmp_path / "o.extxyz")]) == 2
        assert "numbers, expected 72: the whole file" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("$dipole_derivatives", "$something", "found none, expected a run with Freq"),
        ("$dipole_derivatives\n12", "$dipole_derivatives\n9", "found 12 rows, or some of another"),
        ("$polarizability_derivatives\n12", "$polarizability_derivatives\nx", "an integer"),
        ("$end", "", "$end: found none, expected a whole .hess file"),
        ("$orca_hessian_file", "$hessian_file", "$orca_hessian_file: found none"),
        ("$atoms\n4", "$atoms\n5", "$atoms: found 4 rows"),
        (" O  ", " Xy ", "$atoms: found Xy, expected a chemical element"),
    ],
)
def test_bad_hess(old, new, message, peroxide, tmp_path, capsys) -> None:  # type: ignore[no-untyped-def]
    file = write_hess(tmp_path / "a.hess", *peroxide)
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))
    assert main(["label", "--import", str(file), "--out", str(tmp_path / "o.extxyz")]) == 2
    assert message in capsys.readouterr().err


def test_derivatives_that_orca_did_not_calculate(peroxide, tmp_path, capsys) -> None:  # type: ignore[no-untyped-def]
    source, labels = peroxide
    file = write_hess(tmp_path / "a.hess", source, Labels({"apt": 0.0 * labels.tensors["apt"]}))
    assert main(["label", "--import", str(file), "--out", str(tmp_path / "o.extxyz")]) == 2
    assert "found zeros, expected a run that calculated them" in capsys.readouterr().err


def test_transposing_is_for_born_charges(peroxide, tmp_path, capsys) -> None:  # type: ignore[no-untyped-def]
    file = write_fchk(tmp_path / "a.fchk", *peroxide)
    out = str(tmp_path / "o.extxyz")
    assert main(["label", "--import", str(file), "--out", out, "--transpose"]) == 2
    assert "its order is known" in capsys.readouterr().err


def test_rules_without_a_dipole_find_the_dipole(peroxide) -> None:  # type: ignore[no-untyped-def]
    atoms, labels = peroxide
    dipole = fitting_dipole(labels.tensors["apt"], atoms.positions)
    np.testing.assert_allclose(dipole, labels.dipole, atol=1e-4)
    assert np.abs(rotational_sum(labels.tensors["apt"], atoms.positions, dipole)).max() < 1e-4
    transposed = labels.tensors["apt"].transpose(0, 2, 1)
    of_transposed = fitting_dipole(transposed, atoms.positions)
    assert np.abs(rotational_sum(transposed, atoms.positions, of_transposed)).max() > 0.05
    alpha = fitting_polarizability(labels.tensors["pgt"], atoms.positions)
    traceless = labels.polarizability - np.trace(labels.polarizability) / 3 * np.eye(3)
    np.testing.assert_allclose(alpha, traceless, atol=2e-3)
    assert np.abs(pgt_rotational_sum(labels.tensors["pgt"], atoms.positions, alpha)).max() < 2e-3
