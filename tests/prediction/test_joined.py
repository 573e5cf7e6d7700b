"""Several model files as one model."""

import numpy as np
import pytest
from helpers.systems import random_checkpoint, triclinic

from aptnn_md.errors import InputError
from aptnn_md.prediction.joined import JoinedModel
from aptnn_md.prediction.loading import load_model
from aptnn_md.prediction.model_file import read_model_file, write_model_file
from aptnn_md.prediction.predictor import Predictor


@pytest.fixture
def files(tmp_path):
    """A committee of three for APTs, a single model for PGTs, and one for both."""
    write_model_file(tmp_path / "dipole.pt", random_checkpoint(members=3))
    write_model_file(tmp_path / "raman.pt", random_checkpoint(target="pgt", seed=5))
    write_model_file(tmp_path / "both.pt", random_checkpoint(target="apt+pgt"))
    return tmp_path


def test_targets_come_from_their_own_files(files):
    # in any order: APTs come first
    both = load_model(f"{files}/raman.pt, {files}/dipole.pt", dtype="float64")
    apart = {
        "apt": Predictor.from_file(files / "dipole.pt", dtype="float64"),
        "pgt": Predictor.from_file(files / "raman.pt", dtype="float64"),
    }
    assert both.targets == ("apt", "pgt")
    assert both.n_members == 3
    assert both.name == "raman,dipole"
    assert both.sha256 == ",".join(
        read_model_file(files / name).sha256 for name in ("raman.pt", "dipole.pt")
    )
    frames = [triclinic(seed) for seed in range(2)]
    for atoms, tensors in zip(frames, both.tensors(frames), strict=True):
        assert tuple(tensors) == ("apt", "pgt")
        for target, predictor in apart.items():
            (alone,) = predictor.tensors([atoms])
            assert np.allclose(tensors[target], alone[target], atol=1e-12)
        assert np.allclose(both(atoms), tensors["apt"].mean(axis=0), atol=1e-12)
        assert np.allclose(both.members(atoms), tensors["apt"], atol=1e-12)
        assert np.allclose(both.with_std(atoms)[1], tensors["apt"].std(axis=0, ddof=1), atol=1e-12)
    assert np.allclose(both(frames)[1], both.evaluate(frames)[1]["apt"].mean(axis=0), atol=1e-12)


def test_slices_of_committees_of_different_sizes(files):
    both = load_model(f"{files}/dipole.pt,{files}/raman.pt", dtype="float64")
    atoms = triclinic()
    (whole,) = both.tensors([atoms])
    parts = [both.select(part) for part in (slice(0, 1), slice(1, 3))]
    assert [part.n_members for part in parts] == [1, 2]
    found = [part.tensors([atoms])[0] for part in parts]
    for target, tensors in whole.items():
        together = np.concatenate([part[target] for part in found])
        assert np.allclose(together, tensors, atol=1e-12)


def test_one_name_is_a_plain_predictor(files):
    assert isinstance(load_model(files / "both.pt"), Predictor)
    assert load_model("water-apt").targets == ("apt",)


def test_two_models_for_one_target_are_refused(files):
    with pytest.raises(InputError, match="models: apt: found both dipole and both, expected one"):
        load_model(f"{files}/dipole.pt,{files}/both.pt")
    with pytest.raises(InputError, match="expected at least one"):
        JoinedModel([])
