"""``aptnn-md spectrum normal-modes`` with models that know polarizability gradients."""

from __future__ import annotations

import ase.io
import numpy as np
import pytest
from ase.build import molecule
from helpers.systems import random_checkpoint

from aptnn_md.cli import main
from aptnn_md.normal_modes import normal_modes, raman_modes
from aptnn_md.prediction.loading import load_model
from aptnn_md.prediction.model_file import write_model_file
from aptnn_md.spectra import read_table


@pytest.fixture
def here(tmp_path, monkeypatch):
    """Models, a molecule of water and a Hessian, in the working directory."""
    monkeypatch.chdir(tmp_path)
    write_model_file("dipole.pt", random_checkpoint(members=2))
    write_model_file("raman.pt", random_checkpoint(target="pgt", seed=5, members=3))
    write_model_file("both.pt", random_checkpoint(target="apt+pgt", members=2))
    atoms = molecule("H2O")
    ase.io.write("water.xyz", atoms)
    root = np.random.default_rng(3).normal(size=(9, 9))
    np.save("h.npy", root @ root.T)
    return atoms


@pytest.mark.parametrize("model", ["both.pt", "dipole.pt,raman.pt"])
def test_activities_of_a_model(here, model, capsys):
    """The mean of the committee's gradients; IR as with the model of APTs alone."""
    command = ["spectrum", "normal-modes", "water.xyz", "--hessian", "h.npy"]
    assert main([*command, "--model", model, "--out", "m.csv"]) == 0
    assert "Raman act." in capsys.readouterr().out
    (tensors,) = load_model(model, dtype="float64").tensors([here])
    modes = normal_modes(np.load("h.npy"), here.get_masses(), here.positions)
    raman = raman_modes(modes, tensors["pgt"].mean(axis=0))
    columns, _ = read_table("m.csv")
    np.testing.assert_allclose(columns["Raman activity (A^4/amu)"], raman.activity, rtol=1e-5)
    if model.startswith("dipole"):
        assert main([*command, "--model", "dipole.pt", "--out", "ir.csv"]) == 0
        assert "Raman" not in capsys.readouterr().out
        alone, _ = read_table("ir.csv")
        for name, values in alone.items():
            np.testing.assert_allclose(columns[name], values, rtol=1e-9)


def test_a_model_of_gradients_alone_is_refused(here, capsys):
    command = ["spectrum", "normal-modes", "water.xyz", "--hessian", "h.npy"]
    assert main([*command, "--model", "raman.pt"]) == 2
    message = capsys.readouterr().err
    assert "model raman: targets: found pgt, expected apt, too" in message
