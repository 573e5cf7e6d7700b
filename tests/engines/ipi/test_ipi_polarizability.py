"""ȧ in streams of i-PI: truth, all ways to the tensors, properties, restarts, committees."""

import importlib
import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import ase.io
import numpy as np
import pytest
from helpers import toy_field, toy_molecules
from helpers.paths import DRIVERS
from helpers.systems import random_checkpoint, triclinic
from helpers.toy_tensors import Both, BothCommittee

pytest.importorskip("ipi")

from helpers.increment_streams import TIMESTEP, feed, feed_all, new, paths
from helpers.ipi_client_tools import Server, toy_client
from helpers.ipi_ensembles import CASES, WAVENUMBER
from helpers.ipi_inputs import (
    BOHR,
    PILE,
    Checkpoint,
    go_on_toy,
    ring_polymer_frequencies,
    run_toy,
    write_input,
)
from helpers.ipi_plugins import plugin, run_plain
from helpers.processes import killed_after
from ipi.engine.forcefields import FFSocket

from aptnn_md.engines.client.extras import decode_tensor, tensor_key
from aptnn_md.engines.ipi.pes import DrivenDriver, FieldDriver, TensorDriver
from aptnn_md.engines.ipi.plugin import StreamPlugin
from aptnn_md.engines.ipi.polar_tensors import ModelTensors
from aptnn_md.engines.ipi.remote_tensors import RemoteTensors
from aptnn_md.engines.ipi.runner import run_ipi
from aptnn_md.engines.ipi.settings import StreamSettings
from aptnn_md.engines.ipi.state import BeadState
from aptnn_md.errors import InputError
from aptnn_md.prediction.loading import load_model
from aptnn_md.prediction.model_file import write_model_file
from aptnn_md.stream import StreamReader
from aptnn_md.stream.frame import ESTIMATORS
from aptnn_md.tensors import to_voigt

pytestmark = [pytest.mark.ipi, pytest.mark.filterwarnings("ignore::DeprecationWarning:ipi")]
STREAM = DRIVERS / "aptnn_md_stream.py"
TRPMD = {"n_beads": 4, "mode": "nvt", "thermostat": PILE}
PROPERTIES = (
    "polarizability_rate{ang3/fs}, polarizability_rate, polarizability_rate_centroid_apt{ang3/fs}, "
    "polarizability_rate_apt_at_centroid(group=H){ang3/fs}"
)


@pytest.fixture(autouse=True)
def quick_end_of_ipi(monkeypatch):
    monkeypatch.setattr(importlib.import_module("ipi.utils.softexit"), "SOFTEXITLATENCY", 0.05)


def per_atom(pgt, velocities):
    return to_voigt(np.einsum("...nabc,...nc->...nab", pgt, velocities))


@pytest.mark.thorough
@pytest.mark.parametrize("name", ["classical NPT", "TRPMD, odd", "PA-CMD"])
def test_rates_are_those_of_positions_and_momenta(name, tmp_path, monkeypatch):
    options = CASES[name] | {"steps": 10}
    model = Both()
    stream, checkpoints = run_toy(tmp_path, monkeypatch, model=model, **options)
    n_beads, factors = options.get("n_beads", 1), None
    assert model.n_calls == 11 * (n_beads + 1 if n_beads > 1 else 1)
    if name == "PA-CMD":
        factors = (ring_polymer_frequencies(n_beads, 300) / (5000 * WAVENUMBER)) ** 2
        factors[0] = 1.0
    assert list(stream.step) == [c.step for c in checkpoints] == list(range(11))
    numbers = toy_molecules.structure(2).numbers
    for frame, checkpoint in enumerate(checkpoints):
        velocities = checkpoint.velocities(factors)
        pgt = np.array([toy_field.gradients(q) for q in checkpoint.positions])
        at_centroid = toy_field.gradients(checkpoint.positions.mean(0))
        values = {
            "bead": per_atom(pgt, velocities).mean(0),
            "centroid-apt": per_atom(pgt.mean(0), velocities.mean(0)),
            "apt-at-centroid": per_atom(at_centroid, velocities.mean(0)),
        }
        scale = np.abs(values["bead"]).max()
        for estimator, value in values.items():
            found = stream.polarizability_rate(estimator)[frame]
            truth = [value[numbers == number].sum(0) for number in (1, 8, 17)]
            np.testing.assert_allclose(found, truth, rtol=0, atol=1e-10 * scale)
            np.testing.assert_allclose(found.sum(0), value.sum(0), rtol=0, atol=1e-10 * scale)


@pytest.mark.thorough
def test_bead_rate_is_the_derivative_of_the_mean_polarizability(tmp_path, monkeypatch):
    options = {"n_beads": 4, "timestep": 0.01, "steps": 12}
    stream, checkpoints = run_toy(tmp_path, monkeypatch, ("bead",), "all", model=Both(), **options)
    alpha = to_voigt(
        np.array([[toy_field.polarizability(q) for q in c.positions] for c in checkpoints])
    ).mean(axis=1)
    derivative = (alpha[2:] - alpha[:-2]) / (2 * stream.header.timestep)
    found = stream.polarizability_rate()[1:-1, 0]
    np.testing.assert_allclose(found, derivative, atol=5e-6 * np.abs(found).max())


@pytest.mark.thorough
def test_plugin_properties_and_a_restart(tmp_path, monkeypatch):
    """Plain i-pi writes the stream of the runner; and goes on from a checkpoint."""
    by_runner, _ = run_toy(
        tmp_path, monkeypatch, ESTIMATORS, stream={"stride": 2}, model=Both(), **TRPMD
    )
    (tmp_path / "plugin").mkdir()
    monkeypatch.chdir(tmp_path / "plugin")
    parameters = (
        "stream: s.zarr, stride: 2, estimators: bead+centroid-apt+apt-at-centroid, "
        "groups: element, both: True"
    )
    write_input(
        ".",
        **TRPMD,
        checkpoint=7,
        forcefields=plugin(parameters),
        forces="<force forcefield='stream' weight='0.0'/>",
        properties=PROPERTIES,
    )
    run_plain("input.xml")
    stream = StreamReader("s.zarr")
    for name in ESTIMATORS:
        found = stream.polarizability_rate(name)
        assert found.shape == (11, 3, 6)
        np.testing.assert_array_equal(found, by_runner.polarizability_rate(name))
        np.testing.assert_array_equal(stream.dipole_rate(name), by_runner.dipole_rate(name))
    printed = np.loadtxt("run.out").reshape(21, 4, 6)
    bead, centroid, at_centroid = (stream.polarizability_rate(name) for name in ESTIMATORS)
    np.testing.assert_allclose(printed[::2, 0], bead.sum(1), rtol=1e-9)
    angstrom3_per_fs = 41.341373 / 1.8897261**3
    np.testing.assert_allclose(printed[:, 1] * angstrom3_per_fs, printed[:, 0], rtol=1e-12)
    np.testing.assert_allclose(printed[::2, 2], centroid.sum(1), rtol=1e-9)
    np.testing.assert_allclose(printed[::2, 3], at_centroid[:, 0], rtol=1e-12)
    expected = {name: stream.read(name) for name in stream.arrays}
    # in this process the first one is still open
    (tmp_path / "again").mkdir()
    shutil.copytree("s.zarr", tmp_path / "again" / "s.zarr")
    shutil.copy("run.state_1", tmp_path / "again")
    monkeypatch.chdir(tmp_path / "again")
    run_plain("run.state_1")  # of step 7, behind the frame of step 6
    again = StreamReader("s.zarr")
    assert again.arrays == stream.arrays
    for name, values in expected.items():
        found = again.read(name)
        assert len(found) == 11
        scale = np.abs(values).max()
        np.testing.assert_allclose(found, values, rtol=0, atol=1e-12 * scale, err_msg=name)


def test_property_that_the_model_does_not_know(tmp_path, monkeypatch):
    message = "i-PI stream: model: found toy, expected a model that gives PGTs"
    with pytest.raises(InputError, match=message):
        run_toy(tmp_path, monkeypatch, ("bead",), steps=2, properties="polarizability_rate")


@pytest.mark.thorough
def test_restart_between_frames(tmp_path, monkeypatch):
    options = {"mode": "nve", "model": Both(), "steps": 12}
    stream, _ = run_toy(tmp_path, monkeypatch, ("bead",), stream={"stride": 4}, **options)
    rates = stream.polarizability_rate()
    again, _ = go_on_toy(tmp_path, monkeypatch, "run.state_6", ("bead",), stride=4, model=Both())
    np.testing.assert_array_equal(again.step, range(0, 13, 4))
    found = again.polarizability_rate()
    np.testing.assert_allclose(found, rates, rtol=0, atol=1e-12 * np.abs(rates).max())


@pytest.mark.thorough
def test_tensors_of_forcefields(tmp_path, monkeypatch):
    """Both targets from two components of weight 0, asked at the stride only."""
    direct, _ = run_toy(
        tmp_path, monkeypatch, ESTIMATORS, stream={"stride": 5}, model=Both(), **TRPMD
    )
    (tmp_path / "remote").mkdir()
    monkeypatch.chdir(tmp_path / "remote")
    made = [plugin("log: calls, both: True", n, "ipi_toy_tensors.py") for n in ("apt", "apt1")]
    write_input(
        ".",
        **TRPMD,
        forcefields="".join(made),
        forces="<force forcefield='apt' weight='0.0'/>"
        "<force forcefield='apt1' weight='0.0' nbeads='1'/>",
    )
    settings = StreamSettings("run.zarr", 5, ESTIMATORS, "element")
    run_ipi("input.xml", settings, None, tensors=("apt", "apt1"))
    remote = StreamReader("run.zarr")
    for name in ESTIMATORS:  # the toy converts units in its own way
        expected = direct.polarizability_rate(name)
        np.testing.assert_allclose(
            remote.polarizability_rate(name), expected, atol=1e-12 * np.abs(expected).max()
        )
    assert len(Path("calls").read_text().split()) == 5 * (4 + 1)


@pytest.mark.parametrize("names", [["apt"], ["apt", "apt"]])
def test_tensors_of_one_forcefield_in_two_components(names):
    """All beads, and their centroid."""
    socket = object.__new__(FFSocket)
    components = [
        SimpleNamespace(ffield=name, ff=socket, nbeads=n)
        for name, n in (("water", 4), ("apt", 4), ("apt", 1))
    ]
    system = SimpleNamespace(
        forces=SimpleNamespace(mforces=components), beads=SimpleNamespace(nbeads=4, natoms=6)
    )
    RemoteTensors(system, names).check(True, True)
    components.pop()
    with pytest.raises(InputError, match="nbeads='1'"):
        RemoteTensors(system, names).check(True, True)


@pytest.mark.thorough
def test_tensors_of_a_client_behind_a_socket(tmp_path):
    """The client's own process sends both; the stream is made inside i-PI."""
    with Server(
        tmp_path,
        steps=6,
        n_beads=2,
        toy_force="<force forcefield='toy'/><force forcefield='client' weight='0.0'/>",
        forces="<force forcefield='stream' weight='0.0'/>",
        more_forcefields=plugin(
            "stream: s.zarr, stride: 3, tensors: client, groups: element", file=STREAM
        ),
    ) as server:
        toy_client(server.address, extras="tensors", potential=False, model=Both()).run()
        server.wait()
    stream = StreamReader(tmp_path / "s.zarr")
    assert stream.step.tolist() == [0, 3, 6]
    for frame, step in enumerate(stream.step):
        state = Checkpoint(tmp_path / f"run.state_{step}")
        pgt = np.array([toy_field.gradients(q) for q in state.positions])
        exact = per_atom(pgt, state.velocities()).mean(0).sum(0)
        found = stream.polarizability_rate()[frame].sum(0)
        np.testing.assert_allclose(found, exact, atol=1e-10 * np.abs(exact).max())


def test_increments_of_a_client(tmp_path):
    """Σ Δa is the change of the mean polarizability; a client that was killed continues."""
    steps = paths(2)
    options = {"predictor": Both(), "groups": "molecule+motion"}
    # the last five are in the trail only
    killed_after(feed_all, tmp_path / "s", steps[:25], n_committed=20, **options)
    assert StreamReader(tmp_path / "s").n_frames == 19
    again = new(tmp_path / "s", 2, **options)
    for beads in steps[25:]:
        feed(again, beads)
    again.close()
    reader = StreamReader(tmp_path / "s")
    assert reader.n_frames == len(reader.polarizability_rate()) == len(steps) - 1
    exact = to_voigt(
        np.array([[toy_field.polarizability(q) for q in beads] for beads in steps])
    ).mean(axis=1)
    changes = TIMESTEP * np.cumsum(reader.polarizability_rate().sum(axis=1), axis=0)
    error = np.abs(changes - (exact[1:] - exact[0])).max()
    assert error < 1e-3 * np.ptp(exact, axis=0).max()
    assert reader.header.rate == "difference"


def test_increments_of_committees(tmp_path):
    committee = new(tmp_path / "s", 2, predictor=BothCommittee())
    single = new(tmp_path / "t", 2, predictor=Both())
    for beads in paths(2, 4):
        feed(committee, beads)
        feed(single, beads)
    committee.close()
    single.close()
    found, expected = StreamReader(tmp_path / "s"), StreamReader(tmp_path / "t")
    factors, rates = BothCommittee.pgt_factors, expected.polarizability_rate()
    np.testing.assert_allclose(found.polarizability_rate(), factors.mean() * rates, rtol=1e-9)
    np.testing.assert_allclose(
        found.read("polarizability_rate_std"), factors.std(ddof=1) * np.abs(rates), rtol=1e-9
    )
    dipole = np.abs(expected.dipole_rate()) * BothCommittee.factors.std(ddof=1)
    np.testing.assert_allclose(found.read("dipole_rate_std"), dipole, rtol=1e-9)


@pytest.mark.thorough
def test_committee_and_motions(tmp_path, monkeypatch):
    options = {"n_beads": 3, "steps": 4, "groups": "element+motion"}
    settings = {"estimators": ("centroid-apt", "apt-at-centroid")}
    committee, _ = run_toy(tmp_path, monkeypatch, **settings, model=BothCommittee(), **options)
    (tmp_path / "one").mkdir()
    single, _ = run_toy(tmp_path / "one", monkeypatch, **settings, model=Both(), **options)
    (tmp_path / "whole").mkdir()
    options["groups"] = "all"
    whole, _ = run_toy(tmp_path / "whole", monkeypatch, **settings, model=Both(), **options)
    factors = BothCommittee.pgt_factors
    for name in settings["estimators"]:
        rates, total = single.polarizability_rate(name), whole.polarizability_rate(name)[:, 0]
        scale = np.abs(total).max()
        np.testing.assert_allclose(rates.sum(1), total, atol=1e-11 * scale)
        np.testing.assert_allclose(
            committee.polarizability_rate(name), factors.mean() * rates, atol=1e-11 * scale
        )
    rates = single.polarizability_rate()
    np.testing.assert_allclose(
        committee.read("polarizability_rate_std"),
        factors.std(ddof=1) * np.abs(rates),
        atol=1e-11 * np.abs(rates).max(),
    )
    assert single.read("polarizability_rate_std") is None
    assert "O libration" in single.header.groups


def test_several_systems(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_input(".", steps=4, systems=2)
    run_ipi("input.xml", StreamSettings("run.zarr", 2), Both())
    first, second = (StreamReader(f"run_{n}.zarr").polarizability_rate() for n in range(2))
    assert first.shape == second.shape == (3, 1, 6)
    assert not np.allclose(first, second)


def test_all_targets_of_all_beads_come_from_one_call():
    class Counted(Both):
        calls = 0

        def tensors(self, structures):
            self.calls += 1
            return super().tensors(structures)

    model, atoms = Counted(), toy_molecules.structure(2, pbc=True)
    source = ModelTensors(model, atoms)
    rng = np.random.default_rng(0)
    q = atoms.positions + 0.05 * rng.normal(size=(3, 6, 3))
    at_beads, at_centroid = source.evaluate(BeadState(q, 0 * q, atoms.cell.array), True, True)
    assert (model.calls, source.n_calls, model.n_calls) == (1, 1, 4)
    assert at_beads["apt"].shape == (1, 3, 6, 3, 3)
    expected = [toy_field.gradients(positions) for positions in q]
    np.testing.assert_array_equal(at_beads["pgt"][0], expected)
    np.testing.assert_array_equal(at_centroid["pgt"][0], toy_field.gradients(q.mean(0)))


def test_old_streams_do_not_go_on_with_another_model(tmp_path, monkeypatch):
    run_toy(tmp_path, monkeypatch, ("bead",), steps=4, model=Both())
    shutil.copytree("run.zarr", "kept")
    with pytest.raises(InputError, match="model: found 'toy-both', expected 'toy', as in this run"):
        go_on_toy(tmp_path, monkeypatch, "run.state_3", ("bead",))
    assert StreamReader("run.zarr").n_frames == 5


@pytest.mark.thorough
def test_models_with_a_semicolon_in_parameters_of_ipi(tmp_path):
    """i-PI splits at commas. The plugin and the driver of tensors know both targets, forces in a
    field and BEC evaluate APTs only."""
    for target in ("apt", "pgt"):
        write_model_file(tmp_path / f"{target}.pt", random_checkpoint(target=target))
    atoms = triclinic()
    ase.io.write(tmp_path / "start.xyz", atoms)
    names, template = f"{tmp_path}/apt.pt;{tmp_path}/pgt.pt", str(tmp_path / "start.xyz")
    (expected,) = load_model(names.replace(";", ",")).evaluate([atoms])
    assert StreamPlugin("s.zarr", model=names).model.targets == ("apt", "pgt")
    cell, positions = atoms.cell.array.T / BOHR, atoms.positions / BOHR
    driver = TensorDriver(names, template)
    found = json.loads(driver.compute(cell, positions)[3])
    for target in ("apt", "pgt"):
        sent = decode_tensor(found[tensor_key(target)])
        np.testing.assert_allclose(sent, expected[target], atol=1e-3)  # of positions in bohr
        assert sent.shape == expected[target].shape
    assert list(DrivenDriver(names, template).evaluator.committee_sizes) == ["apt"]
    assert list(FieldDriver(names, template, "0 0 0.1").evaluator.committee_sizes) == ["apt"]
    results = DrivenDriver(names, template).evaluator(atoms.cell.array[None], positions[None])
    assert tuple(results.tensors) == ("apt",)
