"""``aptnn-md md`` and ``ipi`` with models of both targets: one file or two."""

from __future__ import annotations

import importlib

import ase.io
import helpers.toy_molecules as toy
import numpy as np
import pytest
from ase import units
from helpers.systems import SMALL_ACE

from aptnn_md.atoms.groups import Groups
from aptnn_md.atoms.neighbours import build_graph
from aptnn_md.atoms.rates import dipole_rate, polarizability_rate
from aptnn_md.cli import main
from aptnn_md.engines.ase.restart import DynamicsState
from aptnn_md.models.tensor_network import fresh_model
from aptnn_md.prediction.model_file import ModelFile, write_model_file
from aptnn_md.prediction.predictor import Predictor
from aptnn_md.stream import StreamReader

ESTIMATORS = "bead,centroid-apt,apt-at-centroid"


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Files ``apt.pt``, ``pgt.pt`` and ``both.pt`` of networks for the toy molecules."""
    directory = tmp_path_factory.mktemp("models")
    sample = [toy.structure(3, pbc=True, seed=s) for s in range(9)]
    for seed, target in enumerate(("apt", "pgt", "apt+pgt")):
        model = fresh_model("ace", target, (1, 8, 17), SMALL_ACE, seed=seed)
        graphs = [build_graph(atoms, model.config.cutoff) for atoms in sample]
        model.network.fit_scales([model.geometry(graph) for graph in graphs])
        checkpoint = ModelFile("ace", model.settings, target, (model.state_dict(),))
        write_model_file(directory / f"{target.replace('apt+pgt', 'both')}.pt", checkpoint)
    return directory


@pytest.fixture(params=["both", "apt,pgt"])
def model(request, models):
    """``--model``, and how each target is evaluated by itself."""
    names = request.param.split(",")
    predictors = [Predictor.from_file(models / f"{name}.pt") for name in names]

    def separately(atoms):
        return {t: v[0] for p in predictors for t, v in p.tensors([atoms])[0].items()}

    return ",".join(str(models / f"{name}.pt") for name in names), separately


def test_md_streams_both_and_goes_on(tmp_path, model, capsys):
    text, separately = model
    atoms = toy.structure(3, pbc=True)
    ase.io.write(tmp_path / "start.xyz", atoms)
    command = ["md", tmp_path / "start.xyz", "--potential", "helpers.toy_molecules:Potential"]
    command += ["--model", text, "--stream", tmp_path / "run.zarr", "--stride", 5, "--seed", 4]
    command = [str(word) for word in [*command, "--groups", "element"]]
    assert main([*command, "--ps", "0.02"]) == 0
    assert main([*command, "--ps", "0.05", "--restart"]) == 0
    assert f"aptnn-md spectrum raman {tmp_path / 'run.zarr'} --out" in capsys.readouterr().out
    reader = StreamReader(tmp_path / "run.zarr")
    assert reader.step.tolist() == list(range(0, 101, 5))
    assert reader.polarizability_rate().shape == (21, 3, 6)
    assert reader.header.model == ",".join(name.split("/")[-1][:-3] for name in text.split(","))
    # the last frame again, from the checkpoint
    state = DynamicsState.read(tmp_path / "run.checkpoint.npz")
    atoms.positions, velocities = state.positions, state.momenta / atoms.get_masses()[:, None]
    tensors, groups = separately(atoms), Groups.by_element(atoms)
    assert np.abs(tensors["pgt"].sum(axis=0)).max() < 1e-5
    expected = polarizability_rate(tensors["pgt"], velocities * units.fs, groups)
    scale = np.abs(expected).max()
    assert scale > 0
    np.testing.assert_allclose(reader.polarizability_rate()[-1], expected, atol=1e-6 * scale)
    expected = dipole_rate(tensors["apt"], velocities * units.fs, groups)
    np.testing.assert_allclose(reader.dipole_rate()[-1], expected, atol=1e-9)
    capsys.readouterr()
    assert main(["info", str(tmp_path / "run.zarr")]) == 0
    assert "polarizability_rate/bead" in capsys.readouterr().out


@pytest.mark.thorough
@pytest.mark.ipi
@pytest.mark.filterwarnings("ignore::DeprecationWarning:ipi")
def test_ipi_streams_both(tmp_path, model, monkeypatch):
    pytest.importorskip("ipi")
    from helpers.ipi_inputs import Checkpoint as State
    from helpers.ipi_inputs import write_input

    text, separately = model
    monkeypatch.setattr(importlib.import_module("ipi.utils.softexit"), "SOFTEXITLATENCY", 0.05)
    monkeypatch.chdir(tmp_path)
    write_input(".", n_beads=3, n_molecules=3, steps=4)
    command = ["ipi", "input.xml", "--model", text, "--stream", "s.zarr", "--stride", "2"]
    assert main([*command, "--estimator", ESTIMATORS, "--groups", "element"]) == 0
    reader, state = StreamReader("s.zarr"), State("run.state_4")
    velocities = state.velocities()
    atoms = toy.structure(3, pbc=True)
    groups = Groups.by_element(atoms)
    atoms.set_cell(state.cell)

    def at(positions):
        atoms.positions = positions
        return separately(atoms)["pgt"]

    pgt, centroid = np.array([at(q) for q in state.positions]), at(state.positions.mean(0))
    mean = velocities.mean(0)
    expected = {
        "bead": polarizability_rate(pgt, velocities, groups).mean(0),
        "centroid-apt": polarizability_rate(pgt.mean(0), mean, groups),
        "apt-at-centroid": polarizability_rate(centroid, mean, groups),
    }
    scale = np.abs(expected["bead"]).max()
    for name, values in expected.items():  # single precision, in a batch of another size
        found = reader.polarizability_rate(name)
        assert found.shape == (3, 3, 6)
        np.testing.assert_allclose(found[-1], values, atol=2e-5 * scale)


def test_a_model_without_apts_is_refused(tmp_path, models, capsys):
    ase.io.write(tmp_path / "start.xyz", toy.structure(3, pbc=True))
    command = [
        "md",
        tmp_path / "start.xyz",
        "--potential",
        "helpers.toy_molecules:Potential",
        "--ps",
        1,
    ]
    command += ["--model", models / "pgt.pt", "--stream", tmp_path / "s"]
    assert main([str(word) for word in command]) == 2
    message = capsys.readouterr().err
    assert "model pgt: targets: found pgt, expected apt, too" in message
    assert not (tmp_path / "s").exists()
