"""The published training on two water molecules a frame, stopped and continued."""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase import Atoms
from helpers.example_commands import run_command
from helpers.paths import EXAMPLES

from aptnn_md.prediction.model_file import read_model_file
from aptnn_md.prediction.predictor import Predictor


def frames(n_frames: int) -> list[Atoms]:
    """Molecules with made-up labels."""
    random, found = np.random.default_rng(0), []
    for _ in range(n_frames):
        atoms = Atoms("OH2", [[0, 0, 0], [0.96, 0, 0], [-0.24, 0.93, 0]])
        atoms.positions += random.normal(size=(3, 3)) * 0.05
        apt = np.array([-0.6, 0.3, 0.3])[:, None, None] * np.eye(3)
        atoms.arrays["apt"] = (apt + random.normal(size=apt.shape) * 0.01).reshape(3, 9)
        found.append(atoms)
    return found


@pytest.mark.slow
def test_a_training_is_continued(tmp_path: Path) -> None:
    ase.io.write(tmp_path / "some.extxyz", frames(2))
    ase.io.write(tmp_path / "other.extxyz", frames(3)[2:])
    script = str(EXAMPLES / "paper_network" / "train.py")
    command = [sys.executable, script, "some.extxyz", "other.extxyz", "--out", "simple.pt"]
    assert "epoch 2: rate 1e-02" in run_command(tmp_path, *command, "--epochs", "2")
    printed = run_command(tmp_path, *command, "--epochs", "3")
    assert "epoch 3: rate 1e-02" in printed
    assert "epoch 2" not in printed
    rows = list(csv.DictReader((tmp_path / "simple.csv").open()))
    assert [row["epoch"] for row in rows] == ["1", "2", "3"]
    assert float(rows[-1]["train"]) < float(rows[0]["train"])
    file = read_model_file(tmp_path / "simple.pt")
    assert (file.network, file.card["epochs"]) == ("simple", 3)
    # the published network as it is: two layers, nothing scaled
    assert file.config["n_channels"] == 20
    assert float(file.members[0]["mean"].abs().max()) == 0.0
    assert Predictor(file)(frames(1)[0]).shape == (3, 3, 3)
