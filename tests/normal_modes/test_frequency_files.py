"""Harmonic spectra from one file of Gaussian or ORCA: what PySCF printed for the same molecule.

The files are written from PySCF's Hessian and dipole derivatives of fluoromethanol in the programs'
formats; PySCF's own wavenumbers and intensities, with the same masses, are the reference.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase import Atoms
from helpers.fluoromethanol import fluoromethanol
from helpers.frequency_files import Frequencies, write_fchk, write_hess
from helpers.vasprun import CHARGES, vasprun

from aptnn_md.cli import main
from aptnn_md.errors import InputError
from aptnn_md.labels.frame_labels import Labels
from aptnn_md.normal_modes import (
    normal_modes,
    raman_modes,
    read_hessian,
    read_molecule,
    read_polar_tensors,
    read_polarizability_gradients,
)

DEUTERIUM = 2.01410178
WRITERS = {"molecule.fchk": write_fchk, "molecule.hess": write_hess, "job1": write_fchk}


@pytest.fixture(scope="module")
def molecule() -> tuple[Atoms, Labels, Frequencies]:
    """Fluoromethanol by PySCF, RHF/6-31G, with PySCF's masses."""
    atoms, hessian, apt, data = fluoromethanol()
    frequencies = Frequencies(hessian, np.array(data["wavenumber"]), np.array(data["km_per_mol"]))
    return atoms, Labels({"apt": apt}), frequencies


def write(path: Path, molecule: tuple[Atoms, Labels, Frequencies], **changes: object) -> Path:
    atoms, labels, frequencies = molecule
    if WRITERS[path.name] is write_fchk:
        masses = changes.get("masses", {"Real atomic weights": atoms.get_masses()})
        fields = [(name, "R", values) for name, values in masses.items()]  # type: ignore[attr-defined]
        return write_fchk(path, atoms, labels, frequencies=frequencies, fields=fields)
    return write_hess(path, atoms, labels, frequencies)


def columns(command: list[str], out: Path) -> np.ndarray:  # type: ignore[type-arg]
    assert main(["spectrum", "normal-modes", *command, "--out", str(out)]) == 0
    return np.loadtxt(out, delimiter=",")


@pytest.mark.parametrize("name", WRITERS)
def test_one_file_in_one_command(name, molecule, tmp_path, capsys) -> None:  # type: ignore[no-untyped-def]
    path = write(tmp_path / name, molecule)
    table = columns([str(path)], tmp_path / "modes.csv")
    frequencies = molecule[2]
    np.testing.assert_allclose(table[:, 0], frequencies.wavenumbers, atol=0.01, rtol=0)
    np.testing.assert_allclose(table[:, 1], frequencies.intensities, atol=0.01, rtol=0)
    said = capsys.readouterr().out
    assert f"wavenumbers printed in {path}: within 0.00" in said
    assert "warning" not in said


@pytest.mark.parametrize("name", WRITERS)
def test_units_and_packing(name, molecule, tmp_path) -> None:  # type: ignore[no-untyped-def]
    atoms, labels, frequencies = molecule
    found = read_molecule(write(tmp_path / name, molecule))
    assert found is not None
    np.testing.assert_allclose(found.hessian, frequencies.hessian, atol=2e-6)
    np.testing.assert_allclose(found.atoms.positions, atoms.positions, atol=1e-7)
    np.testing.assert_allclose(found.atoms.get_masses(), atoms.get_masses(), atol=1e-6)
    np.testing.assert_allclose(found.labels.tensors["apt"], labels.tensors["apt"], atol=1e-7)
    np.testing.assert_allclose(found.wavenumbers, frequencies.wavenumbers, atol=1e-4)


def deuterated(atoms: Atoms) -> np.ndarray:  # type: ignore[type-arg]
    masses = atoms.get_masses()
    masses[atoms.numbers == 1] = DEUTERIUM
    return masses  # type: ignore[no-any-return]


@pytest.mark.parametrize("name", ["molecule.fchk", "molecule.hess"])
def test_isotopes_of_the_file_count(name, molecule, tmp_path, capsys) -> None:  # type: ignore[no-untyped-def]
    """In the spectrum, and in the labelled frame, which gives the same modes again."""
    atoms, labels, frequencies = molecule
    masses = deuterated(atoms)
    heavy = atoms.copy()
    heavy.set_masses(masses)
    expected = normal_modes(frequencies.hessian, masses, atoms.positions).wavenumber
    assert np.abs(expected - frequencies.wavenumbers).max() > 500
    # those of the vibrational analysis win over the standard weights
    both = {"Real atomic weights": atoms.get_masses(), "Vib-AtMass": masses}
    path = write(tmp_path / name, (heavy, labels, frequencies), masses=both)
    table = columns([str(path)], tmp_path / "modes.csv")
    np.testing.assert_allclose(table[:, 0], expected, atol=0.01)
    # the written wavenumbers are the light molecule's
    assert "warning: that is far" in capsys.readouterr().out

    frame = tmp_path / "frame.extxyz"
    assert main(["label", "--import", str(path), "--out", str(frame)]) == 0
    np.testing.assert_allclose(ase.io.read(frame).get_masses(), masses, atol=1e-6)  # type: ignore[union-attr]
    np.save(tmp_path / "h.npy", frequencies.hessian)
    files = ["--hessian", str(tmp_path / "h.npy"), "--apt", str(frame)]
    table = columns([str(frame), *files], tmp_path / "again.csv")
    np.testing.assert_allclose(table[:, 0], expected, atol=0.01)


def test_another_structure_file(molecule, tmp_path, capsys) -> None:  # type: ignore[no-untyped-def]
    """Hessian and tensors from .fchk and .hess for a structure without masses, or with others."""
    atoms, _, frequencies = molecule
    fchk = write(tmp_path / "molecule.fchk", molecule)
    hess = write(tmp_path / "molecule.hess", molecule)
    bare = Atoms(atoms.numbers, atoms.positions)
    ase.io.write(tmp_path / "bare.xyz", bare)
    start = str(tmp_path / "bare.xyz")
    for first, second in ((fchk, hess), (hess, fchk)):
        command = [start, "--hessian", str(first), "--apt", str(second)]
        table = columns(command, tmp_path / "modes.csv")
        np.testing.assert_allclose(table[:, 0], frequencies.wavenumbers, atol=0.01)
        np.testing.assert_allclose(table[:, 1], frequencies.intensities, atol=0.01)
        assert f"masses: those of {first}" in capsys.readouterr().out
    heavy = bare.copy()
    heavy.set_masses(deuterated(atoms))
    ase.io.write(tmp_path / "heavy.extxyz", heavy)
    command = [str(tmp_path / "heavy.extxyz"), "--hessian", str(fchk), "--apt", str(hess)]
    table = columns(command, tmp_path / "modes.csv")
    assert np.abs(table[:, 0] - frequencies.wavenumbers).max() > 500
    assert "masses of" in capsys.readouterr().out
    with pytest.raises(InputError, match="atoms: found"):
        read_hessian(hess, bare[:-1])


def test_raman_from_the_same_file(molecule, tmp_path) -> None:  # type: ignore[no-untyped-def]
    atoms, labels, frequencies = molecule
    rng = np.random.default_rng(1)
    pgt = rng.normal(size=(len(atoms), 3, 3, 3))
    pgt = pgt + pgt.transpose(0, 2, 1, 3)
    both = replace(labels, tensors={**labels.tensors, "pgt": pgt})
    modes = normal_modes(frequencies.hessian, atoms.get_masses(), atoms.positions)
    expected = raman_modes(modes, pgt).activity
    for name in ("molecule.fchk", "molecule.hess"):
        path = write(tmp_path / name, (atoms, both, frequencies))
        table = columns([str(path)], tmp_path / "modes.csv")
        assert np.abs(table / expected[:, None] - 1.0).min(axis=1).max() < 1e-4


def test_what_is_not_there_is_said(molecule, tmp_path, capsys) -> None:  # type: ignore[no-untyped-def]
    atoms, labels, frequencies = molecule
    command = ["spectrum", "normal-modes"]
    path = write_fchk(tmp_path / "a.fchk", atoms, labels)
    assert main([*command, str(path)]) == 2
    expected = "Hessian: found none, expected that of a frequency run, or --hess"
    assert expected in capsys.readouterr().err
    path = write_fchk(tmp_path / "b.fchk", atoms, labels, frequencies=frequencies)
    text = path.read_text().replace("Dipole Derivatives  ", "Dipole Something    ", 1)
    path.write_text(text)
    assert main([*command, str(path)]) == 2
    assert "or --apt FILE, or --model NAME" in capsys.readouterr().err
    ase.io.write(tmp_path / "a.xyz", atoms)
    assert main([*command, str(tmp_path / "a.xyz")]) == 2
    assert "expected --potential, --hessian, or a START with a Hessian" in capsys.readouterr().err
    assert main([*command, str(tmp_path / "none.fchk")]) == 2


def test_ghost_atoms_are_refused(molecule, tmp_path, capsys) -> None:  # type: ignore[no-untyped-def]
    atoms, labels, frequencies = molecule
    charges = atoms.numbers.astype(float)
    charges[[1, 4]] = 0.0
    fields = [("Nuclear charges", "R", charges)]
    path = write_fchk(tmp_path / "a.fchk", atoms, labels, frequencies=frequencies, fields=fields)
    for command in (["spectrum", "normal-modes"], ["label", "--out", "o.extxyz", "--import"]):
        assert main([*command, str(path)]) == 2
        assert "0 for atoms 2, 5: ghost atoms, expected a calc" in capsys.readouterr().err
    light = atoms.copy()
    light.set_masses(np.where(np.arange(len(atoms)) == 2, 0.0, atoms.get_masses()))
    path = write_hess(tmp_path / "a.hess", light, labels, frequencies)
    assert main(["spectrum", "normal-modes", str(path)]) == 2
    assert "0 amu for atom 3" in capsys.readouterr().err


def test_ecp_cores_are_no_ghosts(molecule, tmp_path) -> None:  # type: ignore[no-untyped-def]
    atoms, labels, frequencies = molecule
    fields = [("Nuclear charges", "R", np.maximum(1.0, atoms.numbers - 2.0))]
    path = write_fchk(tmp_path / "a.fchk", atoms, labels, frequencies=frequencies, fields=fields)
    assert read_molecule(path).atoms.get_chemical_symbols() == atoms.get_chemical_symbols()  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("$hessian\n18", "$hessian\nx", "an integer"),
        ("    7      ", "    8      ", "row 8"),
        ("$vibrational", "#\n 17 1.0\n$vibrational", "expected 18 rows of 18"),
    ],
)
def test_bad_hessians(old, new, message, molecule, tmp_path, capsys) -> None:  # type: ignore[no-untyped-def]
    path = write(tmp_path / "molecule.hess", molecule)
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    assert main(["spectrum", "normal-modes", str(path)]) == 2
    assert message in capsys.readouterr().err


def test_the_intensities_of_an_ion_by_orca(molecule, tmp_path, capsys) -> None:  # type: ignore[no-untyped-def]
    """Its dipole is about the centre of mass: no labels, but the spectrum is right."""
    atoms, labels, frequencies = molecule
    masses = atoms.get_masses()
    share = (masses / masses.sum())[:, None, None] * np.eye(3)
    # the same molecule with a charge of 1 spread evenly, about the centre of mass and about a point
    even = np.full((len(atoms), 1, 1), 1.0 / len(atoms)) * np.eye(3)
    fixed = replace(labels, tensors={"apt": labels.tensors["apt"] + even})
    moving = replace(labels, tensors={"apt": labels.tensors["apt"] + even - share})
    tables = []
    for k, found in enumerate((fixed, moving)):
        path = write_hess(tmp_path / f"{k}.hess", atoms, found, frequencies)
        tables.append(columns([str(path)], tmp_path / "m.csv"))
    np.testing.assert_allclose(tables[0], tables[1], atol=1e-4)
    capsys.readouterr()
    command = ["label", "--out", str(tmp_path / "o.extxyz"), "--import"]
    assert main([*command, str(tmp_path / "1.hess"), "--charge", "2"]) == 2
    assert "an origin that moves with the ion" in capsys.readouterr().err


def test_tensors_from_outputs_of_crystals(tmp_path: Path) -> None:
    """Whatever label --import reads without more options."""
    path = tmp_path / "vasprun.xml-born"
    path.write_text(vasprun())
    atoms = ase.io.read(path, format="vasp-xml")
    assert isinstance(atoms, Atoms)
    np.testing.assert_allclose(read_polar_tensors(path, atoms), CHARGES)
    with pytest.raises(InputError, match="pgt: found no such tensors"):
        read_polarizability_gradients(path, atoms)
    with pytest.raises(InputError, match="atoms: found"):
        read_polar_tensors(path, atoms[:1])
