"""Training by default beside training as version 0.1 did, on one thread.

python -m pytest tests/benchmarks/test_training_speed.py -m benchmark -s

Methanol at 400 K by GFN2-xTB, 200 frames to train on; process time, so that others on the machine
do not count. Version 0.1 took one frame a step and AdamW; its network was slower than the present
one, which is used here. Four minutes on a free core.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import ase.io
import numpy as np
import pytest
import torch
from ase import units
from ase.build import molecule
from ase.md.langevin import Langevin
from ase.md.velocitydistribution import MaxwellBoltzmannDistribution

from aptnn_md.cli import main
from aptnn_md.models.tensor_network import fresh_model
from aptnn_md.training.batches import FrameSet
from aptnn_md.training.dataset import LabelledFrame, read_labelled
from aptnn_md.training.settings import TrainingSettings
from aptnn_md.training.trainer import Trainer

pytestmark = pytest.mark.benchmark

FRAMES, EPOCHS = 200, 10
"""Of the training frame by frame: a third of what version 0.1 did by default."""


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def methanol(tmp_path_factory: pytest.TempPathFactory) -> list[LabelledFrame]:
    tblite = pytest.importorskip("tblite.ase")
    directory: Path = tmp_path_factory.mktemp("methanol")
    atoms = molecule("CH3OH")
    atoms.calc = tblite.TBLite(method="GFN2-xTB", verbosity=0)
    random = np.random.default_rng(0)
    MaxwellBoltzmannDistribution(atoms, temperature_K=400.0, rng=random)
    dynamics = Langevin(
        atoms, 0.5 * units.fs, temperature_K=400.0, friction=0.02 / units.fs, rng=random
    )
    frames = []
    for _ in range(FRAMES + 60):
        dynamics.run(20)
        frame = atoms.copy()
        frame.set_momenta(None)
        frames.append(frame)
    ase.io.write(directory / "frames.extxyz", frames)
    command = ["label", "--engine", "tblite", "--data", str(directory / "frames.extxyz")]
    assert main([*command, "--out", str(directory / "labels.extxyz")]) == 0
    return read_labelled(directory / "labels.extxyz")


def trained(frames: list[LabelledFrame], settings: TrainingSettings) -> tuple[float, float]:
    """Error on frames that were held out, e, and process time, s, of a whole schedule."""
    model = fresh_model("ace", "apt", (1, 6, 8), {}, 0)
    held_out = frames[FRAMES:]
    trainer = Trainer(model, frames[:FRAMES], [], settings)
    began = time.process_time()
    while not trainer.finished:
        trainer.run_epoch()
    seconds = time.process_time() - began
    model.load_state_dict(trainer.weights())
    with torch.no_grad():
        errors = [
            model(batch.geometry, batch.species)["apt"] - batch.labels["apt"].tensors
            for batch in FrameSet(held_out, model).in_order()
        ]
    return float(torch.cat(errors).square().mean().sqrt()), seconds


def test_a_step_of_joined_frames(methanol: list[LabelledFrame]) -> None:
    model = fresh_model("ace", "apt", (1, 6, 8), {}, 0)
    known = FrameSet(methanol[:32], model)
    times: dict[str, list[float]] = {"joined": [], "one by one": []}

    def step(frames: list[list[int]]) -> float:
        began = time.process_time()
        for numbers in frames:
            batch = known.batch(numbers)
            predicted = model(batch.geometry, batch.species)["apt"]
            (predicted - batch.labels["apt"].tensors).square().sum().backward()
        return time.process_time() - began

    for _ in range(4):
        times["joined"].append(step([list(range(32))]))
        times["one by one"].append(step([[k] for k in range(32)]))
    ratio = min(times["one by one"]) / min(times["joined"])
    print(f"\n32 methanols, forward and backward: joined {ratio:.1f} times faster")
    assert ratio > 4.0


def test_the_same_error_sooner(methanol: list[LabelledFrame]) -> None:
    # at a learning rate of 5e-3
    before = TrainingSettings(epochs=EPOCHS, batch_size=1, optimizer="adamw")
    error, seconds = trained(methanol, before)
    print(f"\none frame a step: {error:.4f} e after {seconds:.0f} s")
    for epochs in (12, 16, 20, 28, 40):
        joined, needed = trained(methanol, TrainingSettings(epochs=epochs))
        print(f"by default, {epochs} epochs: {joined:.4f} e after {needed:.0f} s")
        if joined <= error:
            print(f"the same error {seconds / needed:.1f} times sooner")
            break
    assert joined <= error
    assert seconds > 3.0 * needed
