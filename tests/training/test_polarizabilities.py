"""Training from polarizabilities and PGTs: what is read, what is compared, what is learned."""

import json
from functools import cache

import ase.io
import numpy as np
import pytest
import torch
from helpers.systems import SMALL_ACE, SMALL_DIPOLE, random_checkpoint, triclinic
from helpers.trainings import assert_resumed_is_whole, assert_rows_stand_for_all

from aptnn_md.cli import main
from aptnn_md.errors import InputError
from aptnn_md.models.tensor_network import fresh_model
from aptnn_md.prediction.model_file import ModelFile, read_model_file
from aptnn_md.prediction.predictor import Predictor
from aptnn_md.training.batch_errors import errors_in
from aptnn_md.training.batches import FrameSet
from aptnn_md.training.dataset import LabelledFrame, read_labelled
from aptnn_md.training.evaluation import evaluate
from aptnn_md.training.frame_evaluation import evaluate_polarizabilities
from aptnn_md.training.job import run_training
from aptnn_md.training.settings import TrainingJob, TrainingSettings
from aptnn_md.training.trainer import Trainer


@cache
def teacher():
    file = random_checkpoint("polarizability", seed=7, target="pgt")
    return Predictor(file, dtype="float64", neutral=False)


def labelled(seed, kinds=("polarizability", "pgt"), periodic=False):
    """A frame with labels by the teacher."""
    atoms = triclinic(seed, n_atoms=8, size=3.5)
    if not periodic:
        atoms.cell, atoms.pbc = None, False
    if "polarizability" in kinds:
        atoms.info["polarizability"] = teacher().polarizability(atoms).ravel()
    if "pgt" in kinds:
        atoms.arrays["pgt"] = teacher()(atoms).reshape(-1, 27)
    return atoms


def write(path, frames):
    ase.io.write(path, frames, format="extxyz")
    return path


def small_model(frames):
    model = fresh_model("polarizability", "pgt", (1, 8, 11), SMALL_DIPOLE, 3).to(torch.float64)
    frame_set = FrameSet(frames, model)
    model.fit_inputs([frame_set.batch(range(len(frames))).geometry])
    return model, frame_set


def labelled_frames():
    frames = []
    for seed in range(3):
        atoms = labelled(seed, periodic=seed == 1)
        pgt = atoms.arrays["pgt"].reshape(-1, 3, 3, 3).copy()
        pgt[seed] = np.nan
        tensor = atoms.info["polarizability"].reshape(3, 3)
        frames.append(LabelledFrame(atoms, {"pgt": pgt}, polarizability=tensor))
    return frames


# ---------------------------------------------------------------------- what is read


def test_frames_may_have_polarizabilities_or_pgts(tmp_path):
    frames = [labelled(0), labelled(1, ["polarizability"], periodic=True), labelled(2, ["pgt"])]
    path = write(tmp_path / "frames.extxyz", frames)
    found = read_labelled(path, "polarizability+pgt")
    present = [(frame.has("polarizability"), frame.has("pgt")) for frame in found]
    assert present == [(True, True), (True, False), (False, True)]
    expected = frames[1].info["polarizability"].reshape(3, 3)
    assert np.allclose(found[1].polarizability, expected, atol=1e-7)
    with pytest.raises(InputError, match=r"frame 2: polarizability: .*--key polarizability=NAME"):
        read_labelled(path, "polarizability")
    # nothing but what is asked for
    assert read_labelled(write(path, frames[:1]), "pgt")[0].polarizability is None
    assert not read_labelled(path, "polarizability")[0].has("pgt")
    named = frames[0].copy()
    named.info["alpha"] = named.info.pop("polarizability") + np.eye(3, k=1).ravel()
    keys = {"polarizability": "alpha"}
    of_key = read_labelled(write(path, [named]), "polarizability", keys)[0].polarizability
    # symmetrised
    half = 0.5 * (np.eye(3, k=1) + np.eye(3, k=-1))
    expected = frames[0].info["polarizability"].reshape(3, 3) + half
    assert np.allclose(of_key, expected, atol=1e-7)


@pytest.mark.parametrize(
    ("network", "target", "message"),
    [
        ("ace", "polarizability+pgt", "--network polarizability"),
        ("dipole", "polarizability", "--network polarizability"),
        ("polarizability", "dipole", "--network dipole"),
        ("polarizability", "polarizability+polarizability", "polarizability once"),
    ],
)
def test_what_cannot_be_learned_is_refused(network, target, message):
    with pytest.raises(InputError, match=f"TrainingJob: target: .*{message}"):
        TrainingJob("frames.extxyz", "model.pt", network=network, target=target)


def test_apts_are_no_derivatives_of_polarizabilities():
    with pytest.raises(InputError, match="--target polarizability or pgt"):
        fresh_model("polarizability", "apt", (1, 8), {}, 0)


# ---------------------------------------------------------------------- what is compared


def test_errors_are_those_of_predictions():
    frames = labelled_frames()
    frames[2] = LabelledFrame(frames[2].atoms, frames[2].labels)  # one without a polarizability
    model, frame_set = small_model(frames)
    with torch.no_grad():
        errors = errors_in(model, frame_set.batch([0, 1, 2]))
    file = ModelFile("polarizability", model.settings, "pgt", (model.state_dict(),))
    predict = Predictor(file, dtype="float64", neutral=False)
    of_frames = [predict.polarizability(f.atoms) - f.polarizability for f in frames[:2]]
    assert np.allclose(errors["polarizability"], of_frames, atol=1e-6)
    of_atoms = [
        (predict(frame.atoms) - frame.labels["pgt"])[frame.has_label("pgt")] for frame in frames
    ]
    assert np.allclose(errors["pgt"], np.concatenate(of_atoms), atol=1e-6)


@pytest.mark.thorough
def test_rows_along_random_tensors_are_those_of_all_rows():
    model, frame_set = small_model(labelled_frames())
    batch, network = frame_set.batch([0, 1, 2]), model.polarizability_network
    seeded = torch.Generator().manual_seed(1)
    directions = torch.randn(3, 3, 3, dtype=torch.float64, generator=seeded)
    directions = directions + directions.mT
    _, rows = network.gradient_rows(batch.geometry, directions)
    _, tensors = network.gradients(batch.geometry)
    expected = torch.einsum("iab,iabc->ic", directions[batch.geometry.structures], tensors)
    # the basis of tensors was rounded when the network was in single precision
    assert torch.allclose(rows, expected, atol=2e-7)
    assert_rows_stand_for_all(model, batch, "pgt", 80)


def test_constants_of_elements_are_fitted():
    model, _ = small_model(labelled_frames())
    network = model.polarizability_network
    compositions = torch.tensor([[2.0, 1, 0], [4, 0, 1], [0, 3, 2], [1, 1, 1]])
    constants = torch.tensor([0.4, 1.2, -0.3])
    traceless = torch.randn(4, 3, 3)
    traceless -= torch.eye(3) * traceless.diagonal(dim1=1, dim2=2).mean(dim=1)[:, None, None]
    tensors = (compositions @ constants)[:, None, None] * torch.eye(3) + traceless
    spread = network.fit_polarizabilities(compositions, tensors)
    assert torch.allclose(network.constant.float(), constants, atol=1e-5)
    assert spread == pytest.approx(float(traceless.square().mean().sqrt()), rel=1e-5)
    # labels in other units change nothing but the unit of what is learned
    before = float(network.size)
    network.fit_polarizabilities(compositions, 7.0 * tensors)
    assert float(network.size) == pytest.approx(7.0 * before, rel=1e-5)


# ---------------------------------------------------------------------- what is learned


def bonds(atoms):
    """Polarizability of a made-up molecule: constants of atoms, and of pairs along their axis."""
    constants = {1: 0.4, 8: 0.9, 11: 2.1}
    total = np.eye(3) * sum(constants[z] for z in atoms.numbers)
    for i in range(len(atoms)):
        for j in range(i):
            vector = atoms.positions[i] - atoms.positions[j]
            weight = constants[atoms.numbers[i]] * constants[atoms.numbers[j]]
            size = weight * np.exp(-0.5 * (vector @ vector) / 1.2**2)
            axis = np.outer(vector, vector) / (vector @ vector)
            total += size * (0.3 * np.eye(3) + axis)
    return total


def differences(atoms, step=1e-4):
    """PGTs of :func:`bonds`, (n_atoms, 3, 3, 3)."""
    pgt = np.zeros((len(atoms), 3, 3, 3))
    for atom in range(len(atoms)):
        for axis in range(3):
            for sign in (1, -1):
                moved = atoms.copy()
                moved.positions[atom, axis] += sign * step
                pgt[atom, :, :, axis] += sign * bonds(moved) / (2.0 * step)
    return pgt


@pytest.mark.thorough
def test_pgts_are_learned_from_polarizabilities(tmp_path):
    """They come out though only polarizabilities go in, of several compositions."""
    clusters = [labelled(seed, ())[: 5 + seed % 4] for seed in range(90)]
    for atoms in clusters[:80]:
        atoms.info["polarizability"] = bonds(atoms).ravel()
    job = TrainingJob(
        data=write(tmp_path / "frames.extxyz", clusters[:80]),
        out=tmp_path / "model.pt",
        target="polarizability",
        network="polarizability",
        network_settings=SMALL_ACE,
        training=TrainingSettings(epochs=20, learning_rate=0.02, batch_size=6, warmup_steps=5),
    )
    model = run_training(job)
    assert model.target == "pgt"
    assert model.card["learned_from"] == "polarizability"
    assert model.card["training_polarizabilities"] == 72
    assert set(model.card["training_rmse"]) == {"polarizability"}
    tests = [
        LabelledFrame(atoms, {"pgt": differences(atoms)}, polarizability=bonds(atoms))
        for atoms in clusters[80:]
    ]
    predict = Predictor(model, neutral=False)
    of_frames = evaluate_polarizabilities(predict, tests)
    assert of_frames.n_frames == 10
    assert of_frames.relative < 0.2
    of_atoms = evaluate(predict, tests)
    assert of_atoms.relative < 0.4
    assert of_atoms.sum_rule_model < 1e-5


@pytest.mark.thorough
def test_resumed_training_ends_with_the_same_weights():
    frames = labelled_frames()
    settings = TrainingSettings(epochs=4, batch_size=2, warmup_steps=2)

    def trainer():
        model = fresh_model("polarizability", "pgt", (1, 8, 11), SMALL_DIPOLE, 0)
        return Trainer(model, frames, frames[:1], settings)

    assert_resumed_is_whole(trainer, {"pgt", "polarizability"})


@pytest.mark.thorough
def test_commands_know_polarizabilities(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "both.extxyz", [labelled(seed) for seed in range(6)])
    options = [
        word for name, value in SMALL_ACE.items() for word in ("--settings", f"{name}={value}")
    ]
    command = "train --data both.extxyz --network polarizability --target polarizability+pgt"
    assert main([*command.split(), "--epochs", "2", "--out", "m.pt", *options]) == 0
    assert "Å³ (polarizability) and " in capsys.readouterr().out
    file = read_model_file("m.pt")
    assert main(["evaluate", "--model", "m.pt", "--data", "both.extxyz", "--json"]) == 0
    figures = json.loads(capsys.readouterr().out)
    assert figures["polarizability"]["n_frames"] == 6
    assert figures["pgt"]["n_atoms"] == 48
    of_frames = ["--target", "polarizability"]
    assert main(["evaluate", "--model", "m.pt", "--data", "both.extxyz", *of_frames]) == 0
    assert "polarizability: 6 frames; all figures in Å³" in capsys.readouterr().out
    assert main(["predict", "--model", "m.pt", "--data", "both.extxyz", "--out", "p.extxyz"]) == 0
    predicted = ase.io.read("p.extxyz", ":")
    expected = Predictor(file).polarizability(predicted[2])
    found = np.reshape(predicted[2].info["polarizability"], (3, 3))
    assert np.allclose(found, expected, atol=1e-6)
    capsys.readouterr()
    assert main(["info", "m.pt", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["units"] == {"pgt": "Å²", "polarizability": "Å³"}
    assert main(["train", "--data", "both.extxyz", "--target", "polarizability", "--out", "n"]) == 2
    assert "--network polarizability" in capsys.readouterr().err
