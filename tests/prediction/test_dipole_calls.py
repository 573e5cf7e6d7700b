"""Dipoles, their rates and charges, against derivatives of each other and against sums."""

from dataclasses import replace
from functools import cache

import ase.units
import numpy as np
import pytest
from ase import Atoms
from helpers.systems import (
    ELEMENTS,
    SMALL_DIPOLE,
    balance,
    fragment,
    random_checkpoint,
    slab,
    triclinic,
)

from aptnn_md.errors import InputError
from aptnn_md.models.tensor_network import TensorNetwork, fresh_model
from aptnn_md.prediction.model_file import ModelFile, read_model_file, write_model_file
from aptnn_md.prediction.predictor import Predictor
from aptnn_md.testing import check_tensor_model
from aptnn_md.testing.equivariance import _rotation

STEP = 1e-4


@cache
def predictor(dtype="float64", charges_only=False, formal=False, members=1, seed=0):
    """Random weights; the elements share a charge unevenly."""
    if members > 1:
        return Predictor(random_checkpoint("dipole", members=members), dtype=dtype, neutral=False)
    settings = dict(SMALL_DIPOLE) | ({"atomic_dipoles": False} if charges_only else {})
    if formal:
        settings["formal_charges"] = {"Na": 1.0, "O": -0.7}
    model = fresh_model("dipole", "apt", ELEMENTS, settings, seed)
    balance(model)
    file = ModelFile("dipole", model.settings, "apt", (model.state_dict(),))
    return Predictor(file, dtype=dtype, neutral=False)


def molecule(charge=0.0):
    return charged(fragment(), charge)


def charged(atoms, charge):
    atoms.info["charge"] = charge
    return atoms


CASES = {
    "molecule": molecule,
    "ion": lambda: molecule(-2.0),
    "crystal": lambda: charged(triclinic(), 0.0),
    "charged crystal": lambda: charged(triclinic(), 1.0),
    "slab": lambda: charged(slab(), -1.0),
}


@pytest.mark.parametrize("case", list(CASES))
@pytest.mark.parametrize("kind", [{}, {"charges_only": True}, {"formal": True}], ids=str)
def test_apts_are_derivatives_of_the_dipole_and_obey_the_sum_rule(case, kind):
    predict, atoms = predictor(**kind), CASES[case]()
    tensors = predict(atoms)
    assert np.abs(tensors - tensors.transpose(0, 2, 1)).max() > 0.002
    sum_of_all = tensors.sum(axis=0) - atoms.info["charge"] * np.eye(3)
    assert np.abs(sum_of_all).max() < 1e-10
    for atom in (0, 3, len(atoms) - 1):
        for axis in range(3):
            sides = []
            for sign in (1, -1):
                moved = atoms.copy()
                moved.positions[atom, axis] += sign * STEP
                sides.append(predict.dipole(moved))
            derivative = (sides[0] - sides[1]) / (2.0 * STEP)
            assert np.abs(derivative - tensors[atom, :, axis]).max() < 1e-6


@pytest.mark.thorough
@pytest.mark.parametrize("case", list(CASES))
@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-12), ("float32", 1e-5)])
def test_rate_in_forward_mode_is_the_sum_of_apts_and_velocities(case, dtype, tolerance):
    predict, atoms = predictor(dtype), CASES[case]()
    velocities = np.random.default_rng(7).normal(size=(len(atoms), 3))
    expected = np.einsum("iab,ib->a", predict(atoms), velocities)
    assert np.abs(expected).max() > 0.1
    assert np.abs(predict.dipole_rate(atoms, velocities) - expected).max() < tolerance * 10
    atoms.set_velocities(velocities / ase.units.fs)
    assert np.abs(predict.dipole_rate(atoms) - expected).max() < tolerance * 10


@pytest.mark.parametrize("charge", [0.0, 1.0, -2.0])
@pytest.mark.parametrize("formal", [False, True])
def test_dipole_of_a_finite_system_is_that_of_its_charges(charge, formal):
    atoms = molecule(charge)
    predict = predictor(charges_only=True, formal=formal)
    charges = predict.charges(atoms)
    assert abs(charges.sum() - charge) < 1e-12
    assert np.ptp(charges) > 0.1
    assert np.allclose(predict.dipole(atoms), charges @ atoms.positions, atol=1e-11)
    # atomic dipoles come on top, and turn with the molecule
    whole = predictor()
    rest = whole.dipole(atoms) - whole.charges(atoms) @ atoms.positions
    assert np.abs(rest).max() > 0.05
    rotation = _rotation()
    turned = atoms.copy()
    turned.positions = atoms.positions @ rotation.T
    found = whole.dipole(turned) - whole.charges(turned) @ turned.positions
    assert np.allclose(found, rotation @ rest, atol=1e-11)
    assert np.allclose(whole.charges(turned), whole.charges(atoms), atol=1e-12)


def test_dipole_of_an_ion_is_about_the_origin_of_its_coordinates():
    atoms, shift = molecule(-2.0), np.array([0.7, -3.1, 12.0])
    moved = atoms.copy()
    moved.positions += shift
    change = predictor().dipole(moved) - predictor().dipole(atoms)
    assert np.allclose(change, -2.0 * shift, atol=1e-10)


def test_reference_charges_are_those_of_the_elements():
    """Far from each other atoms keep formal charges and their shares of what is left."""
    predict = predictor(formal=True)
    atoms = Atoms("NaOHO", positions=np.arange(4)[:, None] * [50.0, 0.0, 0.0], info={"charge": 2.0})
    shares = np.exp([1.1, -0.5, 0.3, -0.5])
    expected = np.array([1.0, -0.7, 0.0, -0.7]) + 2.4 * shares / shares.sum()
    assert np.allclose(predict.charges(atoms), expected, atol=1e-6)
    assert np.allclose(predict(atoms), expected[:, None, None] * np.eye(3), atol=1e-6)
    # without them, apart, nothing is charged in a neutral system
    atoms.info["charge"] = 0.0
    assert np.abs(predictor().charges(atoms)).max() < 1e-12


@pytest.mark.thorough
def test_dipole_is_continuous_when_an_atom_crosses_the_boundary():
    """Wrapped and unwrapped positions have one dipole, and a walk through the cell no jump."""
    predict, atoms = predictor(), triclinic()
    unwrapped = [predict.dipole(walked(atoms, part)) for part in np.linspace(0.0, 1.0, 41)]
    wrapped = [predict.dipole(walked(atoms, part, True)) for part in np.linspace(0.0, 1.0, 41)]
    assert np.abs(np.array(wrapped) - unwrapped).max() < 1e-11
    assert np.ptp(unwrapped, axis=0).max() > 0.01
    assert np.allclose(unwrapped[0], unwrapped[-1], atol=1e-11)
    # halving the step halves the largest change: there is no jump
    steps = np.abs(np.diff(unwrapped, axis=0)).max()
    fine = [predict.dipole(walked(atoms, part, True)) for part in np.linspace(0.0, 1.0, 161)]
    assert np.abs(np.diff(fine, axis=0)).max() < 0.5 * steps


def walked(atoms, part, wrap=False):
    """All atoms of one element moved along a lattice vector, by a part of it."""
    moved = atoms.copy()
    moved.positions[atoms.symbols == "Na"] += part * atoms.cell[1]
    if wrap:
        moved.wrap()
    return moved


def test_wrapping_changes_a_charged_dipole_by_a_quantum():
    predict, atoms = predictor(formal=True), triclinic()
    moved = atoms.copy()
    sodium = int(np.flatnonzero(atoms.symbols == "Na")[0])
    moved.positions[sodium] += atoms.cell[2]
    counts = {symbol: int((atoms.symbols == symbol).sum()) for symbol in ("H", "Na", "O")}
    shares = dict(zip(("H", "Na", "O"), np.exp([0.3, 1.1, -0.5]), strict=True))
    rest = 0.7 * counts["O"] - counts["Na"]
    charge = 1.0 + rest * shares["Na"] / sum(shares[s] * counts[s] for s in counts)
    change = predict.dipole(moved) - predict.dipole(atoms)
    assert np.allclose(change, charge * atoms.cell[2], atol=1e-5)
    assert np.allclose(predict(moved), predict(atoms), atol=1e-10)


def test_batches_and_members():
    predict = predictor(members=3)
    frames = [molecule(1.0), triclinic(), Atoms(), molecule(-1.0)]
    found = predict.dipoles(frames)
    assert [part.shape for part in found] == [(3, 3)] * 4
    for atoms, part in zip(frames, found, strict=True):
        assert np.allclose(part, predict.dipoles([atoms])[0], atol=1e-11)
        assert np.allclose(part.mean(axis=0), predict.dipole(atoms), atol=1e-11)
    assert np.ptp(found[1], axis=0).max() > 0.01
    one = predict.select(slice(1, 2))
    assert np.allclose(one.dipole(frames[0]), found[0][1], atol=1e-11)
    assert np.abs(predict(frames[0]).sum(axis=0) - np.eye(3)).max() < 1e-10


def test_it_is_a_tensor_model_like_others():
    check_tensor_model(predictor(), [triclinic(), molecule()])


def test_model_files_keep_its_settings(tmp_path):
    model = predictor(charges_only=True, formal=True).model_file
    write_model_file(tmp_path / "model.pt", model)
    read = Predictor.from_file(tmp_path / "model.pt", dtype="float64", neutral=False)
    assert read.model_file.config["formal_charges"] == {"Na": 1.0, "O": -0.7}
    atoms = molecule()
    expected = predictor(charges_only=True, formal=True).dipole(atoms)
    assert np.array_equal(read.dipole(atoms), expected)
    damaged = replace(model, config={**model.config, "flow_channels": 10**9})
    write_model_file(tmp_path / "other.pt", damaged)
    with pytest.raises(InputError, match="flow_channels"):
        read_model_file(tmp_path / "other.pt")


def test_charge_of_the_predictor_is_that_of_structures_that_give_none():
    atoms = molecule()
    del atoms.info["charge"]
    predict = Predictor(predictor().model_file, dtype="float64", total_charge=1.0, neutral=False)
    assert abs(predict.charges(atoms).sum() - 1.0) < 1e-12
    assert np.abs(predict(atoms).sum(axis=0) - np.eye(3)).max() < 1e-10


def test_what_has_no_dipole_is_refused():
    tensors = Predictor(random_checkpoint("ace"))
    for call in (tensors.dipole, tensors.dipole_rate, tensors.charges):
        with pytest.raises(InputError, match="network dipole"):
            call(molecule())
    with pytest.raises(InputError, match=r"velocities: found shape \(2, 3\)"):
        predictor().dipole_rate(molecule(), np.zeros((2, 3)))


@pytest.mark.parametrize(
    ("target", "settings", "message"),
    [
        ("pgt", {}, "target_irreps"),
        ("apt+pgt", {}, "target_irreps"),
        ("apt", {"formal_charges": {"Cl": -1.0}}, "formal_charges: found Cl"),
        ("apt", {"atomic_dipoles": "no"}, "atomic_dipoles"),
        ("apt", {"flow_channels": 0}, "flow_channels"),
    ],
)
def test_impossible_settings_are_refused(target, settings, message):
    with pytest.raises(InputError, match=f"network dipole: {message}"):
        TensorNetwork("dipole", ELEMENTS, target, settings)
