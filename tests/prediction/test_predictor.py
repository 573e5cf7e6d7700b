from dataclasses import replace

import numpy as np
import pytest
from ase import Atoms
from helpers.systems import random_checkpoint, triclinic

from aptnn_md.errors import InputError
from aptnn_md.prediction.model_file import write_model_file
from aptnn_md.prediction.predictor import BATCH_ATOMS, Predictor


@pytest.fixture
def committee(tmp_path):
    write_model_file(tmp_path / "committee.pt", random_checkpoint(members=3))
    return tmp_path / "committee.pt"


@pytest.mark.parametrize("charge", [0.0, 2.0])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_sum_rule(charge, dtype):
    predictor = Predictor(random_checkpoint(), total_charge=charge, dtype=dtype)
    raw = Predictor(random_checkpoint(), dtype=dtype, neutral=False)
    atoms = triclinic()
    assert np.abs(raw(atoms).sum(axis=0) - charge * np.eye(3)).max() > 1e-2
    assert np.abs(predictor(atoms).sum(axis=0) - charge * np.eye(3)).max() < 1e-6


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_sum_rule_of_gradients(dtype):
    checkpoint = random_checkpoint(target="apt+pgt", members=2)
    atoms = triclinic()
    (raw,) = Predictor(checkpoint, dtype=dtype, neutral=False).tensors([atoms])
    (tensors,) = Predictor(checkpoint, dtype=dtype, total_charge=2.0).tensors([atoms])
    assert np.abs(raw["pgt"].sum(axis=1)).min(axis=0).max() > 1e-2
    assert np.abs(tensors["pgt"].sum(axis=1)).max() < 1e-12
    assert np.abs(tensors["apt"].sum(axis=1) - 2.0 * np.eye(3)).max() < 1e-12
    # the same tensor was taken from every atom
    assert np.abs((raw["pgt"] - tensors["pgt"]).std(axis=1)).max() < 1e-12


def test_one_evaluation_gives_both_targets():
    predictor = Predictor(random_checkpoint(target="apt+pgt", members=3), dtype="float64")
    assert predictor.targets == ("apt", "pgt")
    frames = [triclinic(seed, n_atoms=3 + seed) for seed in range(3)]
    for atoms, tensors in zip(frames, predictor.tensors(frames), strict=True):
        n_atoms = len(atoms)
        assert tensors["apt"].shape == (3, n_atoms, 3, 3)
        assert tensors["pgt"].shape == (3, n_atoms, 3, 3, 3)
        assert np.allclose(predictor.members(atoms), tensors["apt"], atol=1e-12)
        assert np.allclose(predictor(atoms), tensors["apt"].mean(axis=0), atol=1e-12)
    (empty,) = predictor.tensors([Atoms()])
    assert (empty["apt"].shape, empty["pgt"].shape) == ((3, 0, 3, 3), (3, 0, 3, 3, 3))


def test_a_model_of_gradients_alone_gives_them():
    checkpoint = random_checkpoint(target="pgt", members=2)
    predictor = Predictor(checkpoint, dtype="float64")
    atoms = triclinic()
    (tensors,) = predictor.tensors([atoms])
    assert set(tensors) == {"pgt"}
    mean, deviation = predictor.with_std(atoms)
    assert np.allclose(mean, tensors["pgt"].mean(axis=0), atol=1e-12)
    assert np.allclose(deviation, tensors["pgt"].std(axis=0, ddof=1), atol=1e-12)


def test_one_list_and_many_batches_are_equal(committee):
    predictor = Predictor.from_file(committee, dtype="float64")
    frames = [triclinic(seed, n_atoms=3 + seed) for seed in range(5)]
    frames.append(frames[0] * (9, 9, 9))
    assert len(frames[-1]) > BATCH_ATOMS
    frames += frames[:2]
    together = predictor(frames)
    assert len(together) == len(frames)
    for atoms, tensors in zip(frames, together, strict=True):
        assert np.allclose(tensors, predictor(atoms), atol=1e-10)


def test_committee_mean_and_deviation(committee):
    predictor = Predictor.from_file(committee, dtype="float64")
    assert (predictor.n_members, predictor.name, predictor.target) == (3, "committee", "apt")
    atoms = triclinic()
    single = []
    for member in random_checkpoint(members=3).members:
        checkpoint = random_checkpoint(members=3)
        single.append(Predictor(replace(checkpoint, members=(member,)), dtype="float64")(atoms))
    mean, deviation = predictor.with_std(atoms)
    assert np.allclose(mean, np.mean(single, axis=0), atol=1e-12)
    assert np.allclose(deviation, np.std(single, axis=0, ddof=1), atol=1e-12)
    assert np.allclose(predictor(atoms), mean)
    assert np.allclose(predictor.members(atoms), single)
    assert Predictor(random_checkpoint()).with_std(atoms)[1] is None


def test_bad_input_is_named():
    predictor = Predictor(random_checkpoint())
    with pytest.raises(InputError, match=r"ClK: element: found Cl, K, expected H, O, Na"):
        predictor(Atoms("KCl", positions=[[0, 0, 0], [0, 0, 3]]))
    with pytest.raises(InputError, match="positions"):
        predictor([triclinic(), Atoms("H", positions=[[np.inf, 0, 0]])])
    with pytest.raises(InputError, match="dtype"):
        Predictor(random_checkpoint(), dtype="float16")


def test_no_global_state_is_touched():
    import torch

    before = torch.get_default_dtype(), torch.get_num_threads(), torch.is_grad_enabled()
    Predictor(random_checkpoint(), dtype="float64")(triclinic())
    assert before == (
        torch.get_default_dtype(),
        torch.get_num_threads(),
        torch.is_grad_enabled(),
    )
