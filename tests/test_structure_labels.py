import logging

import ase.io
import numpy as np
import pytest
from ase.calculators.singlepoint import SinglePointCalculator
from helpers import toy_molecules as toy
from helpers.paths import DATA
from helpers.systems import triclinic

from aptnn_md.errors import InputError
from aptnn_md.structure_labels import labels_in, parse_keys, rows_are_dipoles
from aptnn_md.training.dataset import read_labelled

STRUCTURES = DATA / "structures"
NAMES = ["apt", "born_effective_charges", "born_charge", "born_charges", "BEC", "bec", "becs"]


@pytest.mark.parametrize("name", ["born_charge", "born_effective_charges"])
def test_labels_under_usual_names(name, caplog):
    (frame,) = read_labelled(STRUCTURES / f"{name}.extxyz")
    assert frame.tensors == pytest.approx(1.1 * np.multiply.outer([1, -1], np.eye(3)))
    assert f"{name} is read with the dipole first" in caplog.text
    assert "--transpose" in caplog.text


@pytest.mark.parametrize("prefix", ["", "REF_", "ref_", "dft-", "target_"])
@pytest.mark.parametrize("name", [*NAMES, "Z*star"])
def test_names_of_apts(prefix, name):
    atoms = triclinic()
    values = np.random.default_rng(0).normal(size=(len(atoms), 9))
    atoms.arrays[prefix + name] = values
    found = labels_in(atoms, "apt")
    assert found.name == prefix + name
    assert found.tensors == pytest.approx(values.reshape(-1, 3, 3))
    assert labels_in(atoms, "pgt") is None


def test_tensors_may_keep_their_shape_and_stand_among_results():
    atoms = triclinic()
    values = np.random.default_rng(0).normal(size=(len(atoms), 3, 3))
    atoms.calc = SinglePointCalculator(atoms, born_effective_charges=values)
    assert labels_in(atoms, "apt").tensors == pytest.approx(values)


def test_a_key_says_which_array(tmp_path):
    atoms = triclinic()
    for k, name in enumerate(("apt", "bec", "strange")):
        atoms.arrays[name] = np.full((len(atoms), 9), float(k))
    with pytest.raises(InputError, match="apt: found apt and bec, which differ, expected --key"):
        labels_in(atoms, "apt")
    path = tmp_path / "a.extxyz"
    ase.io.write(path, atoms)
    (frame,) = read_labelled(path, keys=parse_keys(["apt=strange"]))
    assert (frame.tensors == 2.0).all()
    with pytest.raises(InputError, match=r"frame 0: other: found no such array.*--key apt=NAME"):
        read_labelled(path, keys={"apt": "other"})
    with pytest.raises(InputError, match=r"--key: found 'bec', expected TARGET=NAME"):
        parse_keys(["bec"])


def write(path, name, transposed=False, dipole=True, pbc=False, n_molecules=1):
    """A toy molecule with its APTs, whose antisymmetric part is not zero."""
    atoms = toy.structure(n_molecules)
    atoms.pbc = pbc
    atoms.positions += 0.05 * np.random.default_rng(1).normal(size=atoms.positions.shape)
    apt = toy.polar_tensors(atoms.positions)
    stored = apt.transpose(0, 2, 1) if transposed else apt
    atoms.arrays[name] = stored.reshape(-1, 9)
    if dipole:
        atoms.info["dipole"] = toy.dipole(atoms.positions)
    ase.io.write(path, atoms, format="extxyz")
    return apt


@pytest.mark.parametrize("dipole", [True, False])
@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("name", ["apt", "born_charge"])
def test_the_rotational_sum_rule_decides_the_order(tmp_path, name, transposed, dipole, caplog):
    caplog.set_level(logging.INFO, "aptnn_md")
    apt = write(tmp_path / "a.extxyz", name, transposed, dipole)
    (frame,) = read_labelled(tmp_path / "a.extxyz")
    assert frame.tensors == pytest.approx(apt, abs=1e-7)
    assert ("it is turned" in caplog.text) is transposed
    assert "cannot be checked" not in caplog.text
    # an option that the rule contradicts is refused, one that it confirms is not
    with pytest.raises(InputError, match="by the rotational sum rule, expected that"):
        read_labelled(tmp_path / "a.extxyz", transpose=not transposed)
    (again,) = read_labelled(tmp_path / "a.extxyz", transpose=transposed)
    assert again.tensors == pytest.approx(apt, abs=1e-7)


def test_frames_of_a_file_in_different_orders_are_refused(tmp_path):
    frames = []
    for transposed in (False, True):
        write(tmp_path / "one.extxyz", "bec", transposed)
        frames.append(ase.io.read(tmp_path / "one.extxyz"))
    ase.io.write(tmp_path / "both.extxyz", frames, format="extxyz")
    with pytest.raises(
        InputError, match="the dipole first in frame 0, the displacement in frame 1"
    ):
        read_labelled(tmp_path / "both.extxyz")


def test_what_cannot_be_told_is_not_guessed_silently(tmp_path, caplog):
    caplog.set_level(logging.INFO, "aptnn_md")
    atoms = triclinic()
    stored = np.random.default_rng(0).normal(size=(len(atoms), 3, 3))
    assert rows_are_dipoles(atoms, stored) is None
    atoms.arrays["bec"] = stored.reshape(-1, 9)
    ase.io.write(tmp_path / "a.extxyz", atoms)
    (frame,) = read_labelled(tmp_path / "a.extxyz")
    assert frame.tensors == pytest.approx(stored, abs=1e-7)
    assert "bec is read with the dipole first" in caplog.text
    (turned,) = read_labelled(tmp_path / "a.extxyz", transpose=True)
    assert turned.tensors == pytest.approx(stored.transpose(0, 2, 1), abs=1e-7)


def test_labels_that_are_no_tensors_are_named():
    atoms = triclinic()
    atoms.arrays["bec"] = np.zeros((len(atoms), 6))
    with pytest.raises(InputError, match=r"bec: found shape \(17, 6\), expected \(17, 9\)"):
        labels_in(atoms, "apt")


def test_the_rotational_sum_rule_is_not_that_of_crystals():
    """Images play a part in them; a molecule in a wide box is one that stands alone."""
    atoms = toy.structure(1, seed=2)
    apt = toy.polar_tensors(atoms.positions)
    assert rows_are_dipoles(atoms, apt) is True
    assert rows_are_dipoles(atoms, apt.transpose(0, 2, 1)) is False
    for size, told in ((30.0, True), (3.5, None)):
        atoms.set_cell(size * np.eye(3))
        atoms.pbc = True
        atoms.center()
        assert rows_are_dipoles(atoms, apt) is told
