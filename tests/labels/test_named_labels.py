"""Labels under a name: which names, which shapes, which order of the indices."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from helpers import toy_field, toy_molecules

from aptnn_md.arrays import FloatArray
from aptnn_md.cli import main
from aptnn_md.errors import InputError
from aptnn_md.labels import ImportOptions, read_labels
from aptnn_md.structure_labels import labels_in

DEBYE = 0.20819434
"""e Å."""

SALT = """2
Lattice="5.64 0 0 0 5.64 0 0 0 5.64" Properties=species:S:1:pos:R:3:{name}:R:9 pbc="T T T"
Na 0.0000 0.0000 0.0000 1.100 0.000 0.000 0.000 1.100 0.000 0.000 0.000 1.100
Cl 2.8200 0.0000 0.0000 -1.100 -0.000 -0.000 -0.000 -1.100 -0.000 -0.000 -0.000 -1.100
"""


def molecules(n_frames: int = 3) -> list[tuple[Atoms, FloatArray, FloatArray]]:
    """Isolated toy molecules, their APTs (far from symmetric) and dipoles."""
    found = []
    for seed in range(n_frames):
        atoms = toy_molecules.structure(1, seed=seed)
        atoms = Atoms(atoms.numbers, atoms.positions)
        apt = toy_molecules.polar_tensors(atoms.positions)
        found.append((atoms, apt, toy_molecules.dipole(atoms.positions)))
    return found


def write(
    path: Path,
    name: str = "born_charge",
    transposed: bool = False,
    dipole: str | None = None,
    unit: float = 1.0,
    **info: Any,
) -> Path:
    frames = []
    for atoms, apt, moment in molecules():
        stored = apt.transpose(0, 2, 1) if transposed else apt
        atoms.arrays[name] = stored.reshape(-1, 9)
        if dipole == "calculator":
            atoms.calc = SinglePointCalculator(atoms, dipole=moment / unit)
        elif dipole is not None:
            atoms.info[dipole] = moment / unit
        atoms.info.update(info)
        frames.append(atoms)
    ase.io.write(path, frames, format="extxyz")
    return path


@pytest.fixture
def log(caplog: Any) -> Any:
    """What the command says beside its result."""
    caplog.set_level(logging.INFO, logger="aptnn_md")
    return caplog


def imported(path: Path, *options: str) -> list[Atoms]:
    out = path.with_name("out.extxyz")
    assert main(["label", "--import", str(path), "--out", str(out), *options]) == 0
    frames = ase.io.read(out, index=":")
    assert isinstance(frames, list)
    return frames


def assert_right(frames: list[Atoms]) -> None:
    for atoms, (_, apt, _) in zip(frames, molecules(), strict=True):
        assert np.abs(apt - apt.transpose(0, 2, 1)).max() > 0.1
        np.testing.assert_allclose(atoms.arrays["apt"].reshape(-1, 3, 3), apt, atol=2e-8)


@pytest.mark.parametrize(
    "name",
    [
        *("born_charge", "born_charges", "born_effective_charges", "BEC", "bec", "becs", "Z_star"),
        *("REF_apt", "REF_bec", "REF_born_effective_charges", "dft_BEC", "atomic_polar_tensors"),
    ],
)
def test_usual_names(name: str, tmp_path: Path) -> None:
    path = tmp_path / "salt.extxyz"
    path.write_text(SALT.format(name=name))
    (atoms,) = imported(path)
    expected = np.array([1.1, -1.1])[:, None, None] * np.eye(3)
    np.testing.assert_allclose(atoms.arrays["apt"].reshape(-1, 3, 3), expected)
    assert set(atoms.arrays) == {"numbers", "positions", "apt"}
    assert atoms.pbc.all()


@pytest.mark.parametrize("name", ["charges9", "my_tensors", "forces_bec_total"])
def test_other_names_need_a_key(name: str, tmp_path: Path, capsys: Any) -> None:
    path = tmp_path / "salt.extxyz"
    path.write_text(SALT.format(name=name))
    out = ["--out", str(tmp_path / "out.extxyz")]
    assert main(["label", "--import", str(path), *out]) == 2
    said = capsys.readouterr().err
    assert "born_effective_charges: found none" in said
    assert name in said
    assert "--key apt=NAME" in said
    (atoms,) = imported(path, "--key", f"apt={name}")
    assert atoms.arrays["apt"][0, 0] == 1.1
    assert main(["label", "--import", str(path), *out, "--key", "apt=other"]) == 2
    assert f"no 'other' (there are: {name})" in capsys.readouterr().err
    for wrong in ("apt", "apt=", "colour=x"):
        assert main(["label", "--import", str(path), *out, "--key", wrong]) == 2
        assert "TARGET=NAME with a target of apt, pgt" in capsys.readouterr().err


def test_shapes() -> None:
    """Nine columns, 3 x 3, and a flat list; arrays, results and info."""
    atoms, apt, _ = molecules(1)[0]
    for shape in ((3, 9), (3, 3, 3), (27,)):
        carriers = [atoms.copy() for _ in range(3)]
        if shape[0] == 3:
            carriers[0].arrays["bec"] = apt.reshape(shape)
        else:
            carriers[0].info["bec"] = apt.reshape(shape)
        carriers[1].calc = SinglePointCalculator(carriers[1])
        carriers[1].calc.results["born_effective_charges"] = apt.reshape(shape)
        carriers[2].info["REF_apt"] = apt.reshape(shape).tolist()
        for carrier in carriers:
            found = labels_in(carrier, "apt")
            assert found is not None
            np.testing.assert_array_equal(found.tensors, apt)
    atoms.arrays["bec"] = np.ones((3, 6))
    with pytest.raises(InputError, match=r"bec: found shape \(3, 6\), expected \(3, 9\)"):
        labels_in(atoms, "apt")


def test_two_that_differ_are_refused() -> None:
    atoms, apt, _ = molecules(1)[0]
    atoms.arrays["bec"] = apt.reshape(3, 9)
    atoms.arrays["REF_apt"] = apt.reshape(3, 9).copy()
    assert labels_in(atoms, "apt") is not None
    atoms.arrays["REF_apt"][0, 1] += 0.1
    with pytest.raises(InputError, match="which differ, expected --key apt=NAME"):
        labels_in(atoms, "apt")
    found = labels_in(atoms, "apt", "bec")
    assert found is not None
    np.testing.assert_array_equal(found.tensors, apt)


@pytest.mark.parametrize("dipole", ["dipole", "REF_dipole", "calculator", None])
@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("name", ["born_charge", "apt"])
def test_the_order_is_found_out(
    name: str, transposed: bool, dipole: str | None, tmp_path: Path, log: Any
) -> None:
    path = write(tmp_path / "in.extxyz", name, transposed, dipole)
    frames = imported(path)
    assert_right(frames)
    turned = f"{name} has the displacement first, by the rotational sum rule: it is turned"
    assert transposed == (turned in log.text)
    assert "cannot be checked here" not in log.text
    for atoms, (_, _, moment) in zip(frames, molecules(), strict=True):
        if dipole is None:
            assert "REF_dipole" not in atoms.info
        else:
            np.testing.assert_allclose(atoms.info["REF_dipole"], moment, atol=1e-7)


def test_small_antisymmetric_parts_tell_too(tmp_path: Path, log: Any, capsys: Any) -> None:
    """Noise of labels, 1e-3 e, and one frame that is nonsense: the others decide."""
    rng = np.random.default_rng(4)
    frames = []
    for k, (atoms, apt, moment) in enumerate(molecules(6)):
        noisy = apt + 1e-3 * rng.normal(size=apt.shape)
        noisy = noisy - noisy.mean(axis=0)
        atoms.arrays["bec"] = (
            (5.0 * rng.normal(size=apt.shape) if k == 2 else noisy)
            .transpose(0, 2, 1)
            .reshape(-1, 9)
        )
        atoms.info["dipole"] = moment
        frames.append(atoms)
    ase.io.write(tmp_path / "in.extxyz", frames, format="extxyz")
    found = imported(tmp_path / "in.extxyz")
    said = capsys.readouterr().out
    assert "bec has the displacement first" in log.text
    assert "5 of 6 frames labelled" in said
    assert "frame 2 (in.extxyz, frame 2) failed: acoustic_sum" in said
    for k, (atoms, (_, apt, _)) in enumerate(zip(found, molecules(6), strict=True)):
        labels = atoms.arrays["apt"].reshape(-1, 3, 3)
        assert np.isnan(labels).all() if k == 2 else np.abs(labels - apt).max() < 0.01


def test_dipole_of_another_unit(tmp_path: Path, log: Any) -> None:
    """Debye: the six equations that need no dipole decide, and the dipole is not written."""
    path = write(tmp_path / "in.extxyz", "bec", True, "dipole", DEBYE)
    frames = imported(path)
    assert_right(frames)
    assert "bec has the displacement first" in log.text
    assert "frame 1: the dipole is not that of the tensors (it is in debye)" in log.text
    assert all("REF_dipole" not in atoms.info and atoms.calc is None for atoms in frames)


def test_an_order_that_is_said(tmp_path: Path, capsys: Any) -> None:
    path = write(tmp_path / "in.extxyz", "bec", True)
    for options in (["--index-order", "displacement-first"], ["--transpose"]):
        assert_right(imported(path, *options))
    # what is said wrongly is refused by the rule
    out = ["--out", str(tmp_path / "o.extxyz")]
    assert main(["label", "--import", str(path), *out, "--index-order", "dipole-first"]) == 2
    assert "bec: found the displacement first, by the rotational" in capsys.readouterr().err
    assert main(["label", "--import", str(path), *out, "--index-order", "rows"]) == 2
    command = ["label", "--import", str(path), *out, "--index-order", "dipole-first"]
    assert main([*command, "--transpose"]) == 2


def test_crystals_do_not_tell(tmp_path: Path, log: Any) -> None:
    rng = np.random.default_rng(0)
    apt = rng.normal(size=(1, 3, 3))
    atoms = Atoms("NaCl", cell=[4, 4, 5], scaled_positions=[[0, 0, 0], [0.5, 0.5, 0.4]], pbc=True)
    atoms.arrays["bec"] = np.concatenate([apt, -apt]).reshape(2, 9)
    path = tmp_path / "in.extxyz"
    ase.io.write(path, atoms, format="extxyz")
    (found,) = imported(path)
    np.testing.assert_allclose(found.arrays["apt"][0], apt.ravel(), atol=1e-7)
    assert "bec is read with the dipole first (row = dipole, column = displacement)" in log.text
    assert "cannot be checked here; --transpose reads" in log.text
    log.clear()
    (found,) = imported(path, "--index-order", "displacement-first")
    np.testing.assert_allclose(found.arrays["apt"][0], apt[0].T.ravel(), atol=1e-7)
    assert "cannot be checked" not in log.text


def test_gradients_and_their_order(tmp_path: Path, log: Any) -> None:
    atoms, apt, _ = molecules(1)[0]
    pgt = toy_field.gradients(atoms.positions)
    for stored, note in ((pgt, False), (np.moveaxis(pgt, -1, 1), True)):
        frame = atoms.copy()
        frame.arrays["REF_pgt"] = stored.reshape(3, 27)
        frame.arrays["bec"] = apt.reshape(3, 9)
        ase.io.write(tmp_path / "in.extxyz", frame, format="extxyz")
        (found,) = imported(tmp_path / "in.extxyz")
        np.testing.assert_allclose(found.arrays["pgt"].reshape(pgt.shape), pgt, atol=1e-7)
        assert note == ("pgt has the displacement first" in log.text)
    rng = np.random.default_rng(0)
    frame.arrays["REF_pgt"] = rng.normal(size=(3, 27))
    ase.io.write(tmp_path / "in.extxyz", frame, format="extxyz")
    with pytest.raises(InputError, match="symmetric in no two"):
        read_labels(tmp_path / "in.extxyz")
    assert labels_in(frame, "pgt") is not None


def test_what_else_the_frames_say_is_kept(tmp_path: Path, log: Any) -> None:
    """Energy, forces, charge, masses, and frames without labels are left out aloud."""
    atoms, apt, _ = molecules(1)[0]
    ion = apt + 0.5 / 3 * np.eye(3)
    atoms.arrays["bec"] = ion.reshape(3, 9)
    atoms.info["total_charge"] = 0.5
    masses = np.array([{1: 2.014, 8: 17.999, 17: 36.966}[number] for number in atoms.numbers])
    atoms.set_masses(masses)
    atoms.calc = SinglePointCalculator(atoms, energy=-3.0, forces=np.eye(3))
    bare = molecules(2)[1][0]
    ase.io.write(tmp_path / "in.extxyz", [atoms, bare], format="extxyz")
    (found,) = imported(tmp_path / "in.extxyz")
    assert "frame 1: no labels; it is left out" in log.text
    assert found.info["charge"] == 0.5
    assert found.get_potential_energy() == -3.0
    np.testing.assert_allclose(found.get_forces(), np.eye(3))
    np.testing.assert_allclose(found.get_masses(), masses)
    assert found.info["label_acoustic_sum"] < 1e-6


def test_labels_that_were_written_are_read_again(tmp_path: Path) -> None:
    first = imported(write(tmp_path / "in.extxyz", "bec", True, "dipole"))
    (tmp_path / "out.extxyz").rename(tmp_path / "again.extxyz")
    second = imported(tmp_path / "again.extxyz")
    for one, other in zip(first, second, strict=True):
        np.testing.assert_allclose(one.arrays["apt"], other.arrays["apt"])
        np.testing.assert_allclose(one.info["REF_dipole"], other.info["REF_dipole"])
    options = ImportOptions(index_order="dipole-first")
    assert len(read_labels(tmp_path / "again.extxyz", options)) == 3
