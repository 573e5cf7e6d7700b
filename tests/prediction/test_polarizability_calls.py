"""Polarizabilities and their rates, against derivatives of each other and against sums."""

from functools import cache

import ase.units
import numpy as np
import pytest
from ase import Atoms
from helpers.systems import fragment, random_checkpoint, slab, triclinic

from aptnn_md.errors import InputError
from aptnn_md.prediction.predictor import Predictor
from aptnn_md.testing import check_tensor_model
from aptnn_md.testing.equivariance import _rotation

STEP = 1e-4


@cache
def predictor(members=1):
    file = random_checkpoint("polarizability", members=members, target="pgt")
    return Predictor(file, dtype="float64", neutral=False)


CASES = {"molecule": fragment, "crystal": triclinic, "slab": slab}


def moved(atoms, shift):
    new = atoms.copy()
    new.positions += shift
    return new


@pytest.mark.parametrize("case", list(CASES))
def test_pgts_are_derivatives_of_the_polarizability_and_add_up_to_nothing(case):
    predict, atoms = predictor(), CASES[case]()
    tensors = predict(atoms)
    assert np.abs(tensors - tensors.transpose(0, 2, 1, 3)).max() < 1e-12
    # no other symmetry
    assert np.abs(tensors - tensors.transpose(0, 3, 2, 1)).max() > 0.01
    assert np.abs(tensors.sum(axis=0)).max() < 1e-11
    for atom in (0, 3, len(atoms) - 1):
        for axis in range(3):
            shift = np.zeros((len(atoms), 3))
            shift[atom, axis] = STEP
            sides = [predict.polarizability(moved(atoms, sign * shift)) for sign in (1, -1)]
            difference = (sides[0] - sides[1]) / (2.0 * STEP)
            assert np.abs(tensors[atom, :, :, axis] - difference).max() < 1e-6


@pytest.mark.parametrize("case", list(CASES))
def test_rates_are_those_of_the_gradients(case):
    predict, atoms = predictor(members=2), CASES[case]()
    velocities = np.random.default_rng(1).normal(size=(len(atoms), 3)) * 0.02
    expected = np.einsum("iabc,ic->ab", predict(atoms), velocities)
    assert np.abs(expected).max() > 1e-3
    assert np.abs(predict.polarizability_rate(atoms, velocities) - expected).max() < 1e-12
    atoms.set_velocities(velocities / ase.units.fs)
    assert np.abs(predict.polarizability_rate(atoms) - expected).max() < 1e-12
    later, before = (moved(atoms, sign * STEP * velocities) for sign in (1, -1))
    change = predict.polarizability(later) - predict.polarizability(before)
    assert np.abs(change / (2.0 * STEP) - expected).max() < 1e-6


def test_rotations_turn_the_polarizability_and_nothing_else_changes_it():
    predict, atoms = predictor(), fragment()
    found = predict.polarizability(atoms)
    assert np.abs(found - found.T).max() < 1e-12
    rotation = _rotation()
    turned = atoms.copy()
    turned.positions = atoms.positions @ rotation.T
    expected = rotation @ found @ rotation.T
    assert np.abs(expected - found).max() > 0.01
    assert np.abs(predict.polarizability(turned) - expected).max() < 1e-10
    inverted = atoms.copy()
    inverted.positions *= -1.0
    assert np.abs(predict.polarizability(inverted) - found).max() < 1e-10
    order = [4, 0, 3, 2, 1]
    assert np.abs(predict.polarizability(atoms[order]) - found).max() < 1e-10


def test_an_atom_may_cross_the_boundary_of_the_cell():
    predict, atoms = predictor(), triclinic()
    wrapped = atoms.copy()
    wrapped.positions[[0, 4]] += atoms.cell[0] - 2.0 * atoms.cell[2]
    found = predict.polarizability(atoms)
    assert np.abs(predict.polarizability(wrapped) - found).max() < 1e-10
    double = atoms.repeat((2, 1, 1))
    assert np.abs(predict.polarizability(double) - 2.0 * found).max() < 1e-10


def test_structures_of_a_batch_are_apart():
    predict = predictor(members=2)
    structures = [fragment(), triclinic(1), Atoms(), fragment()[:3]]
    together = predict.polarizabilities(structures)
    assert [part.shape for part in together] == [(2, 3, 3)] * 4
    for atoms, found in zip(structures, together, strict=True):
        assert np.abs(found.mean(axis=0) - predict.polarizability(atoms)).max() < 1e-10
    assert np.abs(together[2]).max() == 0.0
    # one member is not the other
    assert np.abs(together[0][0] - together[0][1]).max() > 0.01


@pytest.mark.thorough
def test_the_predictor_is_a_tensor_model():
    check_tensor_model(predictor(), [triclinic(), fragment()])


def test_a_model_of_tensors_gives_no_polarizability():
    other = Predictor(random_checkpoint("ace", target="pgt"))
    with pytest.raises(InputError, match=r"polarizability: .*--network polarizability"):
        other.polarizability(triclinic())
    with pytest.raises(InputError, match=r"velocities: .*shape"):
        predictor().polarizability_rate(triclinic(), np.zeros((2, 3)))
    assert not predictor().gives_dipoles
    assert predictor().gives_polarizabilities
