"""Streams of several observers on one dynamics are known to be of one trajectory."""

from __future__ import annotations

import helpers.toy_molecules as toy
import numpy as np
import pytest
from ase import units
from ase.md.bussi import Bussi
from ase.md.verlet import VelocityVerlet
from helpers.observed_runs import settings, start

from aptnn_md.engines.ase.md import run_md
from aptnn_md.engines.ase.observer import StreamObserver
from aptnn_md.errors import InputError
from aptnn_md.spectra import difference, spectrum_of_streams
from aptnn_md.stream import StreamReader


def other_model(atoms):
    return 1.05 * toy.polar_tensors(atoms.positions)


def thermostatted(seed):
    rng = np.random.default_rng(seed)
    return Bussi(start(), toy.timestep(0.5), 300.0, 20.0 * units.fs, rng=rng)


def observed(dynamics, n_steps, **observers):
    """Run with observers, path -> their arguments; give the paths."""
    for path, (model, stride) in observers.items():
        observer = StreamObserver(dynamics, path, model, stride=stride, temperature=300.0)
        dynamics.attach(observer, interval=stride)
    dynamics.run(n_steps)
    for observer, *_ in dynamics.observers:
        getattr(observer, "close", lambda: None)()


@pytest.mark.thorough
def test_two_models_on_one_dynamics_are_paired(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    observed(
        thermostatted(seed=1),
        1200,
        a=(toy.Tensors(), 3),
        b=(other_model, 3),
        coarse=(other_model, 6),
    )
    # the same start and another seed
    observed(thermostatted(seed=2), 1200, other=(other_model, 3))
    ids = {path: StreamReader(path).header.run_id for path in ("a", "b", "coarse", "other")}
    assert ids["a"] == ids["b"] == ids["coarse"] != ids["other"]
    assert len(ids["a"]) == len(ids["other"]) == 32
    a, b, other = (spectrum_of_streams([path], 200.0) for path in ("a", "b", "other"))
    found = difference(a, b)
    assert found.text == "paired: same trajectory, 401 common frames"
    np.testing.assert_allclose(found.absorption, (1.05**2 - 1) * a.absorption, rtol=1e-6)
    assert not difference(a, other).paired
    coarse = spectrum_of_streams(["coarse"], 200.0)
    with pytest.raises(InputError, match="stride: found 6, expected 3, as in a, which is of the"):
        difference(a, coarse)


def test_an_observer_that_comes_later_has_a_part_of_the_frames(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    dynamics = VelocityVerlet(start(), toy.timestep(0.5))
    with StreamObserver(dynamics, "a", toy.Tensors(), stride=3, temperature=300.0) as a:
        dynamics.attach(a, interval=3)
        dynamics.run(100)
        with StreamObserver(dynamics, "b", other_model, stride=3, temperature=300.0) as b:
            dynamics.attach(b, interval=3)
            dynamics.run(500)
    found = difference(*(spectrum_of_streams([path], 300.0) for path in "ab"))
    assert found.text == "paired: same trajectory, 167 common frames of 201 and 167"


def test_a_run_keeps_its_id(tmp_path):
    """So that streams which are added after a restart share it."""
    path, checkpoint = tmp_path / "run", tmp_path / "run.npz"
    run_md(start(), path, settings(22), checkpoint=checkpoint)
    run_id = StreamReader(path).header.run_id
    run_md(start(), path, settings(69), checkpoint=checkpoint, restart=True)
    assert StreamReader(path).header.run_id == run_id
    dynamics = VelocityVerlet(start(), toy.timestep(0.5))
    with StreamObserver(dynamics, path, stride=3, first_step=69):
        pass
    with StreamObserver(dynamics, tmp_path / "new", other_model, stride=3):
        pass
    assert StreamReader(tmp_path / "new").header.run_id == run_id
    run_md(start(), tmp_path / "again", settings(22))
    assert StreamReader(tmp_path / "again").header.run_id not in ("", run_id)
