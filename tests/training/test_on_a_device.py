"""Training on a device, and states that move from one to the other."""

from __future__ import annotations

from dataclasses import replace

import ase.io
import numpy as np
import pytest
import torch
from helpers.systems import SETTINGS, random_checkpoint, triclinic
from helpers.tiers import slow

from aptnn_md.models import resident as residence
from aptnn_md.models.tensor_network import fresh_model
from aptnn_md.prediction.predictor import Predictor
from aptnn_md.training.dataset import read_labelled
from aptnn_md.training.job import run_training
from aptnn_md.training.settings import TrainingJob, TrainingSettings
from aptnn_md.training.state import StateFile
from aptnn_md.training.trainer import Trainer

# so small a rate that rounding is not magnified from step to step
SETTINGS_OF_TRAINING = TrainingSettings(epochs=6, warmup_steps=3, learning_rate=1e-3)


@pytest.fixture
def data(tmp_path, monkeypatch):
    frames = []
    with monkeypatch.context() as patch:
        patch.setattr(residence, "RESIDENT", set())
        teacher = Predictor(random_checkpoint(seed=7), dtype="float64")
    for seed in range(8):
        atoms = triclinic(seed, n_atoms=9 + seed % 2)
        atoms.arrays["apt"] = teacher(atoms).reshape(len(atoms), 9)
        frames.append(atoms)
    ase.io.write(tmp_path / "train.extxyz", frames, format="extxyz")
    return tmp_path / "train.extxyz"


def trainer(data, network, device):
    frames = read_labelled(data, "apt")
    elements = sorted(set(np.concatenate([frame.atoms.numbers for frame in frames]).tolist()))
    model = fresh_model(network, "apt", elements, SETTINGS[network], 0).to(device)
    return Trainer(model, frames[:6], frames[6:], SETTINGS_OF_TRAINING)


@pytest.mark.thorough
@pytest.mark.parametrize("network", slow(["ace", "dipole"], "dipole"))
def test_states_move_from_one_device_to_the_other(device, data, network, tmp_path):
    whole = trainer(data, network, "cpu")
    for _ in range(4):
        whole.run_epoch()
    job = TrainingJob(data=data, out=tmp_path / "m.pt")
    state = StateFile.of(job)
    part = trainer(data, network, "cpu")
    for where in (device, "cpu", device):
        part.run_epoch()
        state.write([], part.state())
        _, unfinished = replace(state, device=where).begin(restart=True)
        part = trainer(data, network, where)
        part.load_state(unfinished)
        steps = [each["step"] for each in unfinished["optimizer"]["others"]["state"].values()]
        assert {step.device.type for step in steps} == {torch.device(where).type}
    record = part.run_epoch()
    assert record.epoch == 4
    for mine, theirs in zip(part.records, whole.records, strict=True):
        assert mine.train == pytest.approx(theirs.train, rel=1e-3)
        assert mine.valid == pytest.approx(theirs.valid, rel=1e-3)
    expected = whole.weights()
    for name, weight in part.weights().items():
        assert weight.device.type == "cpu"
        size = float(expected[name].abs().max()) or 1.0
        # steps of Adam have the same size where a gradient is rounding alone
        assert float((weight - expected[name]).abs().mean()) < 1e-2 * size


@pytest.mark.thorough
def test_a_training_job(device, data, tmp_path):
    job = TrainingJob(
        data=data,
        out=tmp_path / "m.pt",
        device=device,
        network_settings=SETTINGS["ace"],
        training=SETTINGS_OF_TRAINING,
    )
    on_device = run_training(job)
    on_processor = run_training(replace(job, out=tmp_path / "cpu.pt", device="cpu"))
    for name in ("training_rmse", "validation_rmse"):
        assert on_device.card[name] == pytest.approx(on_processor.card[name], rel=1e-2)
