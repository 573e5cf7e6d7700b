"""Training by default beside version 0.1, which is in the history of the repository; one thread.

python -m pytest tests/benchmarks/test_training_speed.py -m benchmark -s

Methanol at 400 K by GFN2-xTB, 200 frames to train on; process time, so that others on the machine
do not count. Version 0.1 took one frame a step and AdamW. Three minutes on a free core.
"""

from __future__ import annotations

import math
import os
import subprocess
import sys
import time
from collections.abc import Sequence
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
from aptnn_md.models.tensor_network import TensorNetwork, fresh_model
from aptnn_md.training.batches import FrameSet
from aptnn_md.training.dataset import LabelledFrame, read_labelled
from aptnn_md.training.settings import TrainingSettings
from aptnn_md.training.trainer import Trainer

pytestmark = [pytest.mark.benchmark, pytest.mark.usefixtures("one_thread")]

FRAMES, EPOCHS = 200, 10
"""Of version 0.1: a third of what it did by default."""


@pytest.fixture(scope="module")
def labels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Frames to train on, and 60 others."""
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
    return directory / "labels.extxyz"


@pytest.fixture(scope="module")
def methanol(labels: Path) -> list[LabelledFrame]:
    return read_labelled(labels)


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


class Version01:
    """Version 0.1 of this package, from the history of the repository, in a process of its own.

    It trains in the same way as :func:`in_turns` asks the present version to: an epoch when asked.
    """

    COMMIT = "3c07f4e2"
    PROGRAM = """
import sys, time, torch
from aptnn_md.dataset import read_labelled
from aptnn_md.graph import build_graph
from aptnn_md.models.tensor_model import fresh_model
from aptnn_md.training import Trainer, TrainingSettings

torch.set_num_threads(1)
frames, n, epochs = read_labelled(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
model = fresh_model("ace", "apt", (1, 6, 8), {}, 0)
seconds = -time.process_time()
trainer = Trainer(model, frames[:n], [], TrainingSettings(epochs=epochs))
seconds += time.process_time()
while not trainer.finished:
    input()
    seconds -= time.process_time()
    trainer.run_epoch()
    seconds += time.process_time()
    print(seconds, flush=True)
model.load_state_dict(trainer.weights())
squares = []
with torch.no_grad():
    for frame in frames[n:]:
        graph = build_graph(frame.atoms, model.config.cutoff)
        found = model(model.geometry(graph), model.species(graph))["apt"]
        squares.append((found - torch.from_numpy(frame.tensors).to(found)).square().flatten())
print(float(torch.cat(squares).mean().sqrt()), flush=True)
"""

    def __init__(self, labels: Path, epochs: int, directory: Path) -> None:
        root = Path(__file__).parents[2]
        archive = subprocess.run(
            ["git", "archive", self.COMMIT, "aptnn_md"], cwd=root, capture_output=True, check=False
        )
        if archive.returncode:
            pytest.skip("no history of the repository")
        subprocess.run(["tar", "x", "-C", str(directory)], input=archive.stdout, check=True)
        self._process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", self.PROGRAM, labels, str(FRAMES), str(epochs)],
            cwd=directory,  # where Python looks first
            env=os.environ | {"PYTHONPATH": str(directory), "OMP_NUM_THREADS": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
        )
        self._left, self.seconds, self.error = epochs, 0.0, math.nan

    @property
    def finished(self) -> bool:
        return self._left == 0

    def run_epoch(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self.seconds = self._number()
        self._left -= 1
        if self.finished:
            self.error = self._number()
            self._process.wait()

    def _number(self) -> float:
        assert self._process.stdout is not None
        return float(self._process.stdout.readline())


class Present:
    """A training of this version."""

    def __init__(self, frames: list[LabelledFrame], settings: TrainingSettings) -> None:
        self._held_out = frames[FRAMES:]
        began = time.process_time()
        self._model = fresh_model("ace", "apt", (1, 6, 8), {}, 0)
        self._trainer = Trainer(self._model, frames[:FRAMES], [], settings)
        self.seconds, self.error = time.process_time() - began, math.nan

    @property
    def finished(self) -> bool:
        return self._trainer.finished

    def run_epoch(self) -> None:
        began = time.process_time()
        self._trainer.run_epoch()
        self.seconds += time.process_time() - began
        if self.finished:
            self._model.load_state_dict(self._trainer.weights())
            self.error = error_of(self._model, self._held_out)


def error_of(model: TensorNetwork, frames: list[LabelledFrame]) -> float:
    with torch.no_grad():
        errors = [
            model(batch.geometry, batch.species)["apt"] - batch.labels["apt"].tensors
            for batch in FrameSet(frames, model).in_order()
        ]
    return float(torch.cat(errors).square().mean().sqrt())


def in_turns(trainings: Sequence[Present | Version01]) -> None:
    """Epoch by epoch, so that whatever else the machine does slows all of them alike."""
    while left := [training for training in trainings if not training.finished]:
        for training in left:
            training.run_epoch()


def test_the_same_error_as_version_0_1_sooner(
    methanol: list[LabelledFrame], labels: Path, tmp_path: Path
) -> None:
    before = Version01(labels, EPOCHS, tmp_path)
    now = {n: Present(methanol, TrainingSettings(epochs=n)) for n in (8, 10, 12, 16)}
    in_turns([before, *now.values()])
    print(f"\nversion 0.1, {EPOCHS} epochs: {before.error:.4f} e after {before.seconds:.0f} s")
    for n, training in now.items():
        print(f"now, {n} epochs: {training.error:.4f} e after {training.seconds:.1f} s")
    needed = min(t.seconds for t in now.values() if t.error <= before.error)
    print(f"the same error {before.seconds / needed:.1f} times sooner")
    assert before.seconds > 6.0 * needed
