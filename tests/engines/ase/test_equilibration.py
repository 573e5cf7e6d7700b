"""Equilibration before a run: what it does, what the stream and the log say of it, refusals."""

from __future__ import annotations

import logging

import ase.io
import helpers.toy_molecules as toy
import numpy as np
import pytest
from ase import units
from helpers.observed_runs import settings, start

from aptnn_md.cli import main
from aptnn_md.engines.ase.equilibration import equilibrate
from aptnn_md.engines.ase.md import run_md
from aptnn_md.engines.ase.restart import DynamicsState
from aptnn_md.engines.ase.settings import THERMOSTATS, MDSettings
from aptnn_md.engines.ase.summary import MDSummary
from aptnn_md.errors import InputError
from aptnn_md.prediction.loading import as_model
from aptnn_md.stream import StreamReader


def test_stream_begins_after_the_equilibration(tmp_path):
    run_md(start(), tmp_path / "s", settings(30, equilibrate=0.05), checkpoint=tmp_path / "c.npz")
    reader = StreamReader(tmp_path / "s")
    assert reader.step.tolist() == list(range(0, 31, 3))
    assert reader.time[0] == 0.0
    expected = "NVE, after 0.05 ps of equilibration (Langevin, 20 /ps, 300 K)"
    assert reader.header.ensemble == expected
    assert DynamicsState.read(tmp_path / "c.npz").step == 30
    # 100 steps by hand, then the run
    atoms, by_hand = start(), settings(30, equilibrate=0.05)
    equilibrate(atoms, by_hand, np.random.default_rng(11))
    run_md(atoms, tmp_path / "hand", settings(30))
    np.testing.assert_allclose(
        reader.dipole_rate(), StreamReader(tmp_path / "hand").dipole_rate(), rtol=1e-9, atol=1e-15
    )


@pytest.mark.thorough
def test_every_motion_comes_to_the_temperature(tmp_path):
    """A start with all of its kinetic energy in one atom; the run conserves the energy."""
    atoms = start(6)
    momenta = np.zeros((len(atoms), 3))
    momenta[0] = 12.0
    atoms.set_momenta(momenta)
    options = {"equilibrate": 1.0, "temperature": 200.0}
    run_md(atoms, tmp_path / "s", settings(2000, **options), velocities=True)
    reader = StreamReader(tmp_path / "s")
    velocities = reader.read("velocity").astype(float) / units.fs
    masses = np.array(reader.header.atom_masses)
    kinetic = 0.5 * masses * (velocities**2).sum(-1)
    per_atom = 2.0 * kinetic.mean(0) / (3.0 * units.kB)
    assert per_atom[0] < 600.0, "the hot atom has shared its energy"
    # 51 degrees of freedom of an energy that one draw of the canonical ensemble has fixed
    assert reader.read("temperature").mean() == pytest.approx(200.0, rel=0.4)


@pytest.mark.parametrize("thermostat", THERMOSTATS)
def test_it_resumes_bit_by_bit(tmp_path, thermostat, monkeypatch):
    files = {"checkpoint": tmp_path / "whole.npz"}
    run_md(start(), tmp_path / "whole", settings(12, thermostat, equilibrate=0.02), **files)
    parts = {"checkpoint": tmp_path / "parts.npz"}
    # stopped after 26 of 40 steps
    first = settings(12, thermostat, equilibrate=0.02)
    monkeypatch.setattr(MDSettings, "equilibration_steps", 26)
    monkeypatch.setattr("aptnn_md.engines.ase.md._run", lambda *_: MDSummary(0, 0))
    run_md(start(), tmp_path / "parts", first, **parts)
    monkeypatch.undo()
    state = DynamicsState.read(tmp_path / "parts.npz")
    assert (state.step, state.equilibration, state.integrator) == (26, True, "Langevin")
    assert StreamReader(tmp_path / "parts").n_frames == 0
    found = run_md(start(seed=9), tmp_path / "parts", first, restart=True, **parts)
    assert (found.first_step, found.last_step, found.finished) == (0, 12, True)
    ends = [DynamicsState.read(tmp_path / f"{name}.npz") for name in ("parts", "whole")]
    np.testing.assert_array_equal(ends[0].positions, ends[1].positions)
    np.testing.assert_array_equal(ends[0].momenta, ends[1].momenta)
    assert ends[0].thermostat == ends[1].thermostat
    assert not ends[0].equilibration
    rates = [StreamReader(tmp_path / name).dipole_rate() for name in ("parts", "whole")]
    np.testing.assert_array_equal(*rates)
    # a run that is over is not equilibrated again
    again = run_md(start(), tmp_path / "parts", first, restart=True, **parts)
    assert (again.first_step, again.last_step) == (12, 12)


def test_it_is_refused_where_it_cannot_be_resumed(tmp_path, monkeypatch):
    file, stream = tmp_path / "c.npz", tmp_path / "s"
    with monkeypatch.context() as changed:
        changed.setattr("aptnn_md.engines.ase.md._run", lambda *_: MDSummary(0, 0))
        run_md(start(), stream, settings(12, equilibrate=0.02), checkpoint=file)
    with pytest.raises(InputError, match=r"step 40 of an equilibration.*--equilibrate PS"):
        run_md(start(), stream, settings(12), checkpoint=file, restart=True)
    equilibrating = file.read_bytes()
    run_md(start(), stream, settings(12, equilibrate=0.02), checkpoint=file, restart=True)
    file.write_bytes(equilibrating)
    with pytest.raises(InputError, match="that of an equilibration, but 5 frames"):
        run_md(start(), stream, settings(12, equilibrate=0.02), checkpoint=file, restart=True)
    for value in (-1.0, float("nan"), float("inf")):
        with pytest.raises(InputError, match=r"equilibrate: found .*, expected a number, zero or"):
            MDSettings(1.0, equilibrate=value)


def test_log_of_the_command_says_where_velocities_come_from(tmp_path, caplog, monkeypatch):
    monkeypatch.chdir(tmp_path)
    caplog.set_level(logging.INFO)
    model = as_model(toy.Tensors())
    monkeypatch.setattr("aptnn_md.engines.ase.calculator.as_model", lambda *_, **__: model)
    atoms = toy.structure(2, pbc=True)
    atoms.set_array("vel", atoms.get_velocities() * units.fs)
    del atoms.arrays["momenta"]
    ase.io.write("moving.xyz", atoms, format="extxyz")
    del atoms.arrays["vel"]
    ase.io.write("resting.xyz", atoms, format="extxyz")
    kelvin = {"moving.xyz": "from column vel in Å/fs, ", "resting.xyz": "at 310 K, seed 8"}
    for name, text in kelvin.items():
        caplog.clear()
        command = ["md", name, "--potential", "helpers.toy_molecules:Potential"]
        command += ["--model", "toy", "--stream", f"{name}.zarr", "--seed", "8"]
        command += ["--ps", "0.005", "--equilibrate", "0.01", "--temperature", "310"]
        assert main(command) == 0
        assert text in caplog.text
        assert ("velocities of the start" in caplog.text) == (name == "moving.xyz")
        assert "equilibrated for 0.01 ps" in caplog.text
        assert StreamReader(f"{name}.zarr").step.tolist() == [0, 4, 8]
