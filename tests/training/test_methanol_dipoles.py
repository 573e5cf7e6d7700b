"""From total dipoles of methanol to its APTs, which the network has never seen."""

import ase.io
import numpy as np
import pytest
from ase import units
from ase.build import molecule
from ase.constraints import FixCom
from ase.md.langevin import Langevin

from aptnn_md.cli import main
from aptnn_md.prediction.predictor import Predictor
from aptnn_md.training.dataset import read_labelled
from aptnn_md.training.evaluation import evaluate
from aptnn_md.training.frame_evaluation import evaluate_dipoles
from aptnn_md.training.job import run_training
from aptnn_md.training.settings import TrainingJob, TrainingSettings

SMALL = {"n_channels": 16, "lmax": 2, "message_channels": 8, "n_radial": 6}


def frames_of_dynamics(n_frames):
    """Langevin dynamics by GFN2-xTB at 300 to 500 K."""
    from tblite.ase import TBLite

    frames, random = [], np.random.default_rng(3)
    for temperature in (300, 400, 500):
        atoms = molecule("CH3OH")
        atoms.set_constraint(FixCom())
        atoms.calc = TBLite(method="GFN2-xTB", verbosity=0)
        friction = 0.02 / units.fs
        md = Langevin(
            atoms,
            0.5 * units.fs,
            temperature_K=temperature,
            friction=friction,
            rng=random,
            fixcm=False,
        )
        md.run(300)
        for _ in range(n_frames // 3):
            md.run(30)
            frames.append(molecule("CH3OH"))
            frames[-1].positions = atoms.positions
    return [frames[k] for k in random.permutation(len(frames))]


@pytest.mark.slow
def test_apts_of_methanol_are_learned_from_its_total_dipoles(tmp_path, monkeypatch):
    pytest.importorskip("tblite")
    monkeypatch.chdir(tmp_path)
    ase.io.write("frames.extxyz", frames_of_dynamics(150))
    command = "label --engine tblite --data frames.extxyz --out labelled.extxyz"
    assert main(command.split()) == 0
    labelled = ase.io.read("labelled.extxyz", ":")
    ase.io.write("train.extxyz", labelled[:110])
    ase.io.write("test.extxyz", labelled[110:])
    tests = read_labelled("test.extxyz", "dipole+apt")
    errors = {}
    for network, target in (("dipole", "dipole"), ("ace", "apt")):
        job = TrainingJob(
            data="train.extxyz",
            out=f"{network}.pt",
            network=network,
            target=target,
            network_settings=SMALL,
            training=TrainingSettings(epochs=100),
        )
        model = Predictor(run_training(job), neutral=False)
        errors[network] = evaluate(model, tests)
        if network == "dipole":
            dipoles = evaluate_dipoles(model, tests)
    print(
        f"\nAPTs of 40 unseen methanols, spread {errors['ace'].spread:.3f} e: "
        f"dipole from 110 dipoles {errors['dipole'].rmse:.4f} e, "
        f"ace from 110 frames of APTs {errors['ace'].rmse:.4f} e; dipoles {dipoles.rmse:.4f} e Å"
    )
    assert dipoles.relative < 0.05
    assert errors["dipole"].relative < 0.35
    assert errors["dipole"].sum_rule_model < 1e-6
