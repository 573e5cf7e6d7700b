"""``aptnn-md spectrum normal-modes`` with models that know polarizability gradients."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase.build import molecule
from helpers.systems import random_checkpoint

from aptnn_md.cli import main
from aptnn_md.normal_modes import infrared_modes, normal_modes, raman_modes
from aptnn_md.prediction.loading import load_model
from aptnn_md.prediction.model_file import read_model_file, write_model_file
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


def with_calibration(source: str, target: str, factors: dict[str, float]) -> None:
    """A model whose card says by what its spread is to be multiplied."""
    file = read_model_file(Path(source))
    known = {name: {"H": 9.0, "O": 9.0} for name in factors}
    card = {**file.card, "spread_factor": factors, "known_spread": known}
    write_model_file(Path(target), replace(file, card=card))


def test_errors_of_intensities_are_those_of_the_calibrated_spread(here, capsys, caplog):
    """Written out from the tensors of each network, with its deviation times the factor."""
    factors = {"apt": 2.5, "pgt": 4.0}
    with_calibration("both.pt", "known.pt", factors)
    command = ["spectrum", "normal-modes", "water.xyz", "--hessian", "h.npy", "--model"]
    assert main([*command, "known.pt", "--out", "m.csv"]) == 0
    assert "expected error of the APTs" in caplog.text
    assert "not calibrated" not in caplog.text
    columns, _ = read_table("m.csv")
    (tensors,) = load_model("known.pt", dtype="float64").tensors([here])
    modes = normal_modes(np.load("h.npy"), here.get_masses(), here.positions)
    intensity = "model error of the intensity (km/mol)"
    activity = "model error of the activity (A^4/amu)"
    for target, found, value in (
        ("apt", intensity, lambda one: infrared_modes(modes, one).intensity),
        ("pgt", activity, lambda one: raman_modes(modes, one).activity),
    ):
        mean = tensors[target].mean(axis=0)
        members = [mean + factors[target] * (one - mean) for one in tensors[target]]
        squares = sum((value(one) - value(mean)) ** 2 for one in members)
        expected = np.sqrt(squares / (len(members) - 1))
        np.testing.assert_allclose(columns[found], expected, rtol=1e-5)
    capsys.readouterr()
    assert main([*command, "both.pt", "--out", "bare.csv"]) == 0
    assert "the committee of model both is not calibrated" in caplog.text
    bare, _ = read_table("bare.csv")
    assert (bare[intensity] < 0.7 * columns[intensity]).all()  # the bare spread


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
