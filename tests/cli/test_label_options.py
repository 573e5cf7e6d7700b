"""--key and --transpose of the commands that read labels."""

from __future__ import annotations

import argparse
import json

import ase.io
import numpy as np
import pytest
from helpers.systems import random_checkpoint, triclinic

from aptnn_md.cli import main
from aptnn_md.cli.train import add_arguments, make_job
from aptnn_md.prediction.model_file import write_model_file
from aptnn_md.prediction.predictor import Predictor


@pytest.fixture
def files(tmp_path):
    """A model file, and frames whose labels are its predictions, transposed, by an odd name."""
    write_model_file(tmp_path / "model.pt", random_checkpoint())
    predictor = Predictor.from_file(tmp_path / "model.pt")
    frames = [triclinic(seed) for seed in range(2)]
    for atoms in frames:
        apt = predictor(atoms)
        atoms.arrays["odd"] = np.swapaxes(apt, 1, 2).reshape(-1, 9)
    ase.io.write(tmp_path / "frames.extxyz", frames)
    return ["--model", str(tmp_path / "model.pt"), "--data", str(tmp_path / "frames.extxyz")]


def test_evaluate_reads_labels_by_any_name_and_in_either_order(files, capsys):
    assert main(["evaluate", *files, "--json"]) == 2
    assert "--key apt=NAME" in capsys.readouterr().err
    assert not main(["evaluate", *files, "--json", "--key", "apt=odd"])
    assert json.loads(capsys.readouterr().out)["rmse"] > 0.1
    assert not main(["evaluate", *files, "--json", "--key", "apt=odd", "--transpose"])
    assert json.loads(capsys.readouterr().out)["rmse"] < 1e-5


def test_a_training_job_knows_name_and_order(tmp_path):
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    given = ["--data", "a.extxyz", "--out", "m.pt"]
    job = make_job(parser.parse_args(given))
    assert (job.keys, job.transpose) == ({}, None)
    job = make_job(parser.parse_args([*given, "--key", "apt=odd", "--transpose"]))
    assert (job.keys, job.transpose) == ({"apt": "odd"}, True)
    (tmp_path / "train.toml").write_text(
        'data = "a.extxyz"\nout = "m.pt"\nkey = ["apt=bec"]\ntranspose = true\n'
    )
    job = make_job(parser.parse_args(["--config", str(tmp_path / "train.toml")]))
    assert (job.keys, job.transpose) == ({"apt": "bec"}, True)
