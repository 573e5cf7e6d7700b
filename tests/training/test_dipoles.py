"""Training from total dipoles: what is read, what is compared, what is learned."""

import json
from functools import cache

import ase.io
import numpy as np
import pytest
import torch
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from helpers.systems import SMALL_ACE, SMALL_DIPOLE, random_checkpoint, triclinic
from helpers.tiers import slow
from helpers.trainings import assert_resumed_is_whole, assert_rows_stand_for_all

from aptnn_md.cli import main
from aptnn_md.errors import InputError
from aptnn_md.labels.engines.interface import load_engine
from aptnn_md.models.tensor_network import fresh_model
from aptnn_md.prediction.model_file import read_model_file
from aptnn_md.prediction.predictor import Predictor
from aptnn_md.training.batch_errors import errors_in
from aptnn_md.training.batches import FrameSet
from aptnn_md.training.dataset import LabelledFrame, read_labelled
from aptnn_md.training.evaluation import evaluate
from aptnn_md.training.frame_evaluation import evaluate_dipoles
from aptnn_md.training.job import run_training
from aptnn_md.training.settings import TrainingJob, TrainingSettings
from aptnn_md.training.trainer import Trainer


@cache
def teacher():
    return Predictor(random_checkpoint("dipole", seed=7), dtype="float64", neutral=False)


def cluster(seed, charge=0.0):
    """Atoms at random places in no cell."""
    atoms = triclinic(seed, n_atoms=8, size=3.5)
    atoms.cell, atoms.pbc = None, False
    atoms.info["charge"] = charge
    return atoms


def labelled(seed, kinds=("dipole", "apt"), charge=0.0):
    """A frame with labels by the teacher, at some distance from the origin."""
    atoms = cluster(seed, charge)
    atoms.positions += np.random.default_rng(seed).normal(size=3) * 5.0
    if "dipole" in kinds:
        atoms.info["dipole"] = teacher().dipole(atoms)
    if "apt" in kinds:
        atoms.arrays["apt"] = teacher()(atoms).reshape(-1, 9)
    return atoms


def write(path, frames):
    ase.io.write(path, frames, format="extxyz")
    return path


def job(data, out, target, **settings):
    return TrainingJob(
        data=data,
        out=out,
        target=target,
        network="dipole",
        network_settings={**SMALL_ACE, "input_scale": 0.5},
        training=TrainingSettings(**{"epochs": 3, "warmup_steps": 5, **settings}),
    )


# ---------------------------------------------------------------------- what is read


def test_frames_may_have_dipoles_or_apts(tmp_path):
    frames = [labelled(0), labelled(1, ["dipole"]), labelled(2, ["apt"], charge=1.0)]
    path = write(tmp_path / "frames.extxyz", frames)
    found = read_labelled(path, "dipole+apt")
    assert [(frame.has("dipole"), frame.has("apt")) for frame in found] == [
        (True, True),
        (True, False),
        (False, True),
    ]
    assert np.allclose(found[1].dipole, frames[1].info["dipole"], atol=1e-7)
    with pytest.raises(InputError, match=r"frame 2: dipole: .*--key dipole=NAME"):
        read_labelled(path, "dipole")
    only = read_labelled(write(path, frames[:2]), "dipole")
    assert not only[0].has("apt")
    assert only[0].any_label
    # nothing but what is asked for
    assert read_labelled(write(path, frames[:1]), "apt")[0].dipole is None
    with pytest.raises(InputError, match="apt: found NaN on every atom"):
        read_labelled(write(path, frames[1:2]), "dipole+apt")
    assert read_labelled(path, "dipole+apt", complete=False)[0].has("dipole")


def test_dipoles_stand_under_several_names(tmp_path):
    atoms, dipole = cluster(0), np.array([0.1, -0.7, 0.3])
    of_results = atoms.copy()
    of_results.calc = SinglePointCalculator(of_results, dipole=dipole)
    frames = {"dipole": None, "REF_dipole": None, "mu": {"dipole": "mu"}}
    for name, keys in frames.items():
        named = atoms.copy()
        named.info[name] = dipole
        path = write(tmp_path / f"{name}.extxyz", [named])
        assert np.allclose(read_labelled(path, "dipole", keys)[0].dipole, dipole)
    path = write(tmp_path / "results.extxyz", [of_results])
    assert np.allclose(read_labelled(path, "dipole")[0].dipole, dipole)


def test_dipoles_of_periodic_frames_are_not_learned(tmp_path, caplog):
    periodic = triclinic()
    periodic.info["dipole"] = np.ones(3)
    path = write(tmp_path / "periodic.extxyz", [periodic])
    with pytest.raises(InputError, match=r"frame 0: dipole: .*lattice vectors.*--target apt"):
        read_labelled(path, "dipole")
    periodic.arrays["apt"] = np.ones((len(periodic), 9))
    write(path, [periodic, labelled(3)])
    frames = read_labelled(path, "dipole+apt")
    assert [frame.has("dipole") for frame in frames] == [False, True]
    assert "dipoles of 1 periodic frames are left out" in caplog.text


@pytest.mark.parametrize(
    ("network", "target", "message"),
    [
        ("ace", "dipole+apt", "--network dipole"),
        ("dipole", "dipole+dipole", "dipole once"),
        ("dipole", "dipole+polar", "apt, pgt"),
        ("dipole", "apt+", "apt, pgt"),
    ],
)
def test_what_cannot_be_learned_is_refused(network, target, message):
    with pytest.raises(InputError, match=f"TrainingJob: target: .*{message}"):
        TrainingJob("frames.extxyz", "model.pt", network=network, target=target)


# ---------------------------------------------------------------------- what is compared


def small_model(frames, dtype=torch.float64):
    model = fresh_model("dipole", "apt", (1, 8, 11), SMALL_DIPOLE, 3).to(dtype)
    frame_set = FrameSet(frames, model)
    model.fit_inputs([frame_set.batch(range(len(frames))).geometry])
    return model, frame_set


def labelled_frames(charges=(1.0, -2.0, 0.0)):
    frames = []
    for seed, charge in enumerate(charges):
        atoms = labelled(seed, charge=charge)
        apt = atoms.arrays["apt"].reshape(-1, 3, 3).copy()
        apt[seed] = np.nan
        frames.append(LabelledFrame(atoms, {"apt": apt}, atoms.info["dipole"]))
    return frames


def test_errors_are_those_of_predictions():
    frames = labelled_frames()
    frames[1] = LabelledFrame(frames[1].atoms, frames[1].labels)  # one without a dipole
    model, frame_set = small_model(frames)
    with torch.no_grad():
        errors = errors_in(model, frame_set.batch([0, 1, 2]))
    file = read_back(model)
    predict = Predictor(file, dtype="float64", neutral=False)
    dipoles = [predict.dipole(frames[k].atoms) - frames[k].dipole for k in (0, 2)]
    assert np.allclose(errors["dipole"], dipoles, atol=1e-6)
    masks = [frame.has_label("apt") for frame in frames]
    apts = [
        (predict(frame.atoms) - frame.labels["apt"])[mask]
        for frame, mask in zip(frames, masks, strict=True)
    ]
    assert np.allclose(errors["apt"], np.concatenate(apts), atol=1e-6)


def read_back(model):
    from aptnn_md.prediction.model_file import ModelFile

    return ModelFile("dipole", model.settings, "apt", (model.state_dict(),))


def test_where_a_charged_frame_is_changes_nothing():
    frames = labelled_frames()
    moved = []
    for frame in frames:
        atoms = frame.atoms.copy()
        shift = np.array([30.0, -70.0, 11.0])
        atoms.positions += shift
        moved.append(
            LabelledFrame(atoms, frame.labels, frame.dipole + atoms.info["charge"] * shift)
        )
    model, _ = small_model(frames)
    here = errors_in(model, FrameSet(frames, model).batch([0, 1, 2]))["dipole"]
    there = errors_in(model, FrameSet(moved, model).batch([0, 1, 2]))["dipole"]
    assert torch.allclose(here, there, atol=1e-9)


@pytest.mark.thorough
def test_rows_along_random_directions_are_those_of_all_rows():
    model, frame_set = small_model(labelled_frames())
    batch, network = frame_set.batch([0, 1, 2]), model.dipole_network
    directions = torch.nn.functional.normalize(torch.randn(3, 3, dtype=torch.float64))
    _, rows = network.polar_rows(batch.geometry, directions)
    _, tensors = network.polar_tensors(batch.geometry)
    expected = torch.einsum("ia,iab->ib", directions[batch.geometry.structures], tensors)
    assert torch.allclose(rows, expected, atol=1e-12)
    assert_rows_stand_for_all(model, batch, "apt", 60)


@pytest.mark.thorough
@pytest.mark.parametrize("label", slow(["dipole", "apt"], "dipole"))
def test_gradients_of_the_loss_are_its_derivatives(label):
    """Of APTs that is a second derivative, through densities, couplings and messages."""
    model, frame_set = small_model(labelled_frames())
    batch = frame_set.batch([0, 1, 2])

    def loss():
        return errors_in(model, batch)[label].pow(2).sum()

    loss().backward()
    checked = 0
    for name, parameter in model.named_parameters():
        if parameter.grad is None or not name.endswith(("weight", "share")):
            continue
        index = int(parameter.grad.abs().argmax())
        expected = float(parameter.grad.flatten()[index])
        step, sides = 1e-5, []
        for sign in (1, -1):
            with torch.no_grad():
                parameter.view(-1)[index] += sign * step
                sides.append(float(loss()))
                parameter.view(-1)[index] -= sign * step
        derivative = (sides[0] - sides[1]) / (2.0 * step)
        assert abs(derivative - expected) < 1e-5 * max(1.0, abs(expected)), name
        checked += abs(expected) > 1e-6
    assert checked > 15


# ---------------------------------------------------------------------- what is learned


@pytest.mark.slow
def test_apts_are_learned_from_total_dipoles(tmp_path):
    """A teacher's APTs come out though only its dipoles go in, those of ions, too."""
    frames = [labelled(seed, ["dipole"], charge=seed % 3 - 1.0) for seed in range(60)]
    path = write(tmp_path / "dipoles.extxyz", frames)
    settings = {"epochs": 60, "learning_rate": 0.02, "batch_size": 6}
    model = run_training(job(path, tmp_path / "model.pt", "dipole", **settings))
    assert model.target == "apt"
    assert model.card["learned_from"] == "dipole"
    assert model.card["training_dipoles"] == 54
    assert set(model.card["training_rmse"]) == {"dipole"}
    unseen = [labelled(seed) for seed in range(100, 110)]
    tests = [
        LabelledFrame(a, {"apt": a.arrays["apt"].reshape(-1, 3, 3)}, a.info["dipole"])
        for a in unseen
    ]
    predict = Predictor(model, neutral=False)
    dipoles = evaluate_dipoles(predict, tests)
    assert dipoles.n_frames == 10
    assert dipoles.relative < 0.3
    assert evaluate(predict, tests).relative < 0.6


@pytest.mark.thorough
def test_resumed_training_ends_with_the_same_weights(tmp_path):
    """The directions of rows are drawn from a generator whose state is kept."""
    frames = labelled_frames((0.0, 1.0, -1.0, 0.0))
    settings = TrainingSettings(epochs=4, batch_size=2, warmup_steps=2)

    def trainer():
        model = fresh_model("dipole", "apt", (1, 8, 11), SMALL_DIPOLE, 0)
        return Trainer(model, frames, frames[:1], settings)

    assert_resumed_is_whole(trainer, {"apt", "dipole"})


@pytest.mark.thorough
def test_commands_know_dipoles(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "both.extxyz", [labelled(seed) for seed in range(6)])
    settings = [f"{name}={value}" for name, value in SMALL_ACE.items()]
    options = [
        word for text in [*settings, "atomic_dipoles=false"] for word in ("--settings", text)
    ]
    command = "train --data both.extxyz --network dipole --target dipole+apt --epochs 2 --out m.pt"
    assert main([*command.split(), *options]) == 0
    assert "e Å (dipole) and " in capsys.readouterr().out
    file = read_model_file("m.pt")
    assert file.config["atomic_dipoles"] is False
    assert main(["evaluate", "--model", "m.pt", "--data", "both.extxyz", "--json"]) == 0
    figures = json.loads(capsys.readouterr().out)
    assert figures["dipole"]["n_frames"] == 6
    assert figures["apt"]["n_atoms"] == 48
    assert main(["evaluate", "--model", "m.pt", "--data", "both.extxyz", "--target", "dipole"]) == 0
    assert "dipole: 6 frames; all figures in e Å" in capsys.readouterr().out
    assert main(["predict", "--model", "m.pt", "--data", "both.extxyz", "--out", "p.extxyz"]) == 0
    predicted = ase.io.read("p.extxyz", ":")
    expected = Predictor(file).dipole(predicted[2])
    found = predicted[2].get_dipole_moment()
    assert np.allclose(found, expected, atol=1e-6)
    capsys.readouterr()
    assert main(["info", "m.pt", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert (facts["units"], facts["learned_from"]) == ({"apt": "e", "dipole": "e Å"}, "dipole+apt")
    assert main(["export", "m.pt", "-o", "m.pt2"]) == 2
    assert "network: found dipole, expected ace" in capsys.readouterr().err
    assert main(["train", "--data", "both.extxyz", "--target", "dipole", "--out", "n.pt"]) == 2
    assert "--network dipole" in capsys.readouterr().err


def test_dipoles_of_engines_are_about_the_origin_of_coordinates():
    """Of an ion the convention matters: it is that of models and of the labels' engines."""
    shift = np.array([1.3, -0.4, 2.1])
    ion = Atoms("OH3", [[0, 0, 0], [0.95, 0.1, 0.2], [-0.4, 0.9, 0.1], [-0.3, -0.8, 0.5]])
    moved = ion.copy()
    moved.positions += shift
    pytest.importorskip("tblite")
    found = []
    for name in ("tblite", 'pyscf {"xc": "LDA", "basis": "STO-3G"}'):
        if name.startswith("pyscf"):
            pytest.importorskip("pyscf")
        engine = load_engine(name)
        dipoles = [dipole_by(engine, atoms) for atoms in (ion, moved)]
        assert np.allclose(dipoles[1] - dipoles[0], shift, atol=1e-3)
        found.append(dipoles[0])
    assert np.allclose(*found, atol=0.15)


def dipole_by(engine, atoms):
    import tempfile
    from pathlib import Path

    with tempfile.TemporaryDirectory() as scratch:
        result = engine.calculate(
            atoms,
            np.zeros(3),
            charge=1.0,
            with_forces=False,
            scratch=Path(scratch),
            keep=False,
        )
    return result.dipole
