"""Runs of constant energy that are moved together: the physics, and what a kill leaves."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from ase import units
from ase.md.verlet import VelocityVerlet
from helpers.tiers import thorough_but
from helpers.toy_molecules import Committee, Potential, polar_tensors, structure

from aptnn_md.atoms.coordinate_temperature import CoordinateTemperatures
from aptnn_md.errors import InputError, RunError
from aptnn_md.learning import runs as module
from aptnn_md.learning.bonds import BondGraph
from aptnn_md.learning.runs import RunsJob, make_runs
from aptnn_md.potentials.interface import as_batched
from aptnn_md.prediction.loading import as_model
from aptnn_md.stream import StreamReader
from aptnn_md.stream.ensemble import complete_runs, run_path


class Dies(Exception):
    """Instead of a kill."""


class Mortal:
    """A potential that dies after some calls, or blows a molecule up."""

    def __init__(self, calls=np.inf, blown_up=None):
        self.potential, self.left, self.blown_up = as_batched(Potential()), calls, blown_up

    def evaluate(self, structures):
        self.left -= 1
        if self.left < 0:
            raise Dies
        return self.potential.evaluate(structures)


def make_job(path, n_runs=3, **changes):
    starts = [structure(seed=seed) for seed in range(n_runs)]
    job = RunsJob(
        path,
        starts,
        Mortal(),
        as_model(Committee()),
        temperature=300.0,
        timestep=0.5,
        stride=2,
        n_steps=20,
        seed=11,
        bonds=BondGraph.of(starts[0]),
    )
    return replace(job, **changes)


def test_runs_are_those_of_velocity_verlet(tmp_path):
    job = make_job(tmp_path / "runs")
    assert make_runs(job) == 3
    reader = StreamReader(complete_runs(job.path)[1])
    assert reader.n_frames == 11
    # the same start in ASE's own integrator
    atoms = module._Run(job, 1, np.random.default_rng(0)).atoms
    rng = np.random.default_rng(job.seed)
    for number in (1, 2):
        atoms = module._Run(job, number, rng).atoms
    assert atoms.get_momenta().sum(axis=0) == pytest.approx(np.zeros(3), abs=1e-12)
    atoms.calc = Potential()
    dynamics, expected = VelocityVerlet(atoms, 0.5 * units.fs), []

    def rate():
        velocities = atoms.get_velocities() * units.fs
        expected.append(np.einsum("iab,ib->a", polar_tensors(atoms.positions), velocities))

    dynamics.attach(rate, interval=2)
    dynamics.run(20)
    factor = Committee.factors.mean()
    assert reader.dipole_rate()[:, 0] == pytest.approx(factor * np.array(expected), rel=1e-7)
    assert reader.dipole_rate("member-1")[:, 0] == pytest.approx(0.8 * np.array(expected), rel=1e-7)


def test_starts_have_the_temperature(tmp_path):
    job = make_job(tmp_path / "runs", n_runs=300)
    rng = np.random.default_rng(1)
    kinetic = [module._Run(job, n, rng).atoms.get_kinetic_energy() for n in range(1, 301)]
    # 6 degrees of freedom are left without the centre of mass; relative error √(2/(6·300))
    expected = 0.5 * 6 * units.kB * 300.0
    assert np.mean(kinetic) == pytest.approx(expected, rel=4.0 * np.sqrt(2.0 / 1800.0))


def test_streams_have_the_temperatures_of_bonds_and_angles(tmp_path):
    job = make_job(tmp_path / "runs", n_runs=2)
    make_runs(job)
    kinds = CoordinateTemperatures.of(job.starts[0]).kinds
    for path in complete_runs(job.path):
        reader = StreamReader(path)
        assert reader.header.coordinates == kinds
        kelvin = reader.read("coordinate_temperature")
        assert kelvin.shape == (reader.n_frames, len(kinds))
        assert 0.0 < kelvin.mean() < 3000.0


@pytest.mark.thorough
@pytest.mark.parametrize("calls", thorough_but([1, 2, 9, 20], 9))
def test_what_was_interrupted_is_resumed_as_if_nothing_had_happened(tmp_path, monkeypatch, calls):
    monkeypatch.setattr(module, "CHECKPOINT_SECONDS", 0.0)
    whole, broken = make_job(tmp_path / "whole"), make_job(tmp_path / "broken")
    make_runs(whole)
    with pytest.raises(Dies):
        make_runs(replace(broken, potential=Mortal(calls)))
    assert make_runs(broken) == 3
    for first, second in zip(complete_runs(whole.path), complete_runs(broken.path), strict=True):
        here, there = StreamReader(first), StreamReader(second)
        assert there.read("step").tolist() == here.read("step").tolist()
        assert np.array_equal(there.dipole_rate(), here.dipole_rate())


def test_made_runs_are_not_made_again(tmp_path):
    job = make_job(tmp_path / "runs")
    make_runs(job)
    assert make_runs(replace(job, potential=Mortal(0))) == 3


def test_groups_of_runs_are_what_all_together_are(tmp_path, monkeypatch):
    """Momenta do not depend on the groups, nor does what is broken."""
    jobs = [make_job(tmp_path / name, n_runs=5) for name in ("together", "apart")]
    for job in jobs:
        job.starts[3].positions[2] += 3.0
    assert make_runs(jobs[0]) == 4
    monkeypatch.setattr(module, "GROUP", 2)
    assert [list(group) for group in jobs[1].groups] == [[1, 2], [3, 4], [5]]
    assert module.move_group(jobs[1], 1).tolist() == [False, True]  # as a worker does
    assert make_runs(jobs[1]) == 4
    assert not list(jobs[1].path.glob("state*"))
    for paths in zip(*(complete_runs(job.path) for job in jobs), strict=True):
        together, apart = (StreamReader(path).dipole_rate() for path in paths)
        assert np.array_equal(together, apart)


def test_runs_whose_bonds_break_are_set_aside(tmp_path):
    job = make_job(tmp_path / "runs", n_runs=5)
    for number in (0, 3):
        job.starts[number].positions[2] += 3.0  # chlorine is far away
    assert make_runs(job) == 3
    assert [path.name for path in complete_runs(job.path)] == [
        run_path(job.path, n).name for n in (1, 2, 3)
    ]
    assert sorted(p.name for p in job.path.glob("broken*")) == [
        "broken-001.zarr",
        "broken-004.zarr",
    ]
    assert all(StreamReader(path).n_frames == 11 for path in complete_runs(job.path))


@pytest.mark.thorough
@pytest.mark.parametrize("calls", thorough_but([12, 20], 12))
def test_runs_with_broken_ones_are_resumed(tmp_path, monkeypatch, calls):
    """The stream of a broken run ends earlier than those of the others."""
    monkeypatch.setattr(module, "CHECKPOINT_SECONDS", 0.0)
    whole, broken = make_job(tmp_path / "whole", 4), make_job(tmp_path / "broken", 4)
    for job in (whole, broken):
        for number in (0, 2):
            job.starts[number].positions[2] += 3.0
    assert make_runs(whole) == 2
    with pytest.raises(Dies):
        make_runs(replace(broken, potential=Mortal(calls)))
    assert make_runs(broken) == 2
    assert sorted(p.name for p in broken.path.iterdir()) == [
        *("broken-001.zarr", "broken-003.zarr"),
        *("ensemble.json", "run-001.zarr", "run-002.zarr"),
    ]
    for first, second in zip(complete_runs(whole.path), complete_runs(broken.path), strict=True):
        here, there = StreamReader(first), StreamReader(second)
        assert np.array_equal(there.dipole_rate(), here.dipole_rate())


def test_a_damaged_state_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "CHECKPOINT_SECONDS", 0.0)
    job = make_job(tmp_path / "runs")
    with pytest.raises(Dies):
        make_runs(replace(job, potential=Mortal(9)))
    job.state_path().write_bytes(job.state_path().read_bytes()[:-30])
    with pytest.raises(InputError, match=r"state\.npz: state: found a damaged file"):
        make_runs(job)


def test_a_potential_that_breaks_everything_is_said(tmp_path):
    job = make_job(tmp_path / "runs", n_runs=2)
    for start in job.starts:
        start.positions[1] += 4.0
    with pytest.raises(RunError, match="bonds broke in all 2 runs"):
        make_runs(job)
