"""Which streams of i-PI are of one trajectory: estimators, plugins, systems."""

import importlib

import numpy as np
import pytest
from helpers import toy_molecules

pytest.importorskip("ipi")

from helpers.ipi_inputs import PILE, go_on_toy, run_toy, write_input
from helpers.ipi_plugins import plugin, run_plain

from aptnn_md.engines.ipi.runner import run_ipi
from aptnn_md.engines.ipi.streaming import StreamSettings
from aptnn_md.spectra import difference, spectrum_of_streams
from aptnn_md.spectra.sources.pairing import paired_runs
from aptnn_md.spectra.sources.stream_run import StreamRun
from aptnn_md.stream import StreamReader

pytestmark = [pytest.mark.ipi, pytest.mark.filterwarnings("ignore::DeprecationWarning:ipi")]


@pytest.fixture(autouse=True)
def quick_end_of_ipi(monkeypatch):
    monkeypatch.setattr(importlib.import_module("ipi.utils.softexit"), "SOFTEXITLATENCY", 0.05)


@pytest.mark.slow
def test_estimators_of_one_stream_are_paired(tmp_path, monkeypatch):
    estimators = ("bead", "centroid-apt")
    run_toy(
        tmp_path,
        monkeypatch,
        estimators,
        stream={"stride": 4},
        n_beads=2,
        mode="nvt",
        thermostat=PILE,
        steps=2400,
        checkpoint=1200,
    )
    first, second = (
        spectrum_of_streams(["run.zarr"], 300.0, estimator=name) for name in estimators
    )
    found = difference(first, second)
    assert found.text == "paired: same trajectory, 601 common frames"
    np.testing.assert_allclose(
        found.absorption, second.absorption - first.absorption, atol=1e-6 * first.absorption.max()
    )
    apart = difference(first, second, paired=False)
    ratio = apart.standard_error / found.standard_error
    # internal modes of the ring polymers, at high wavenumbers, are in one estimator only
    assert ratio[found.wavenumber < 150.0].min() > 5.0


@pytest.mark.thorough
def test_plugins_of_one_run_share_its_id(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = ("a", "b")
    write_input(
        ".",
        steps=20,
        forcefields="".join(plugin(f"stream: {name}.zarr, stride: 2", name) for name in names),
        forces="".join(f"<force forcefield='{name}' weight='0.0'/>" for name in names),
    )
    run_plain("input.xml")
    a, b = (StreamRun(f"{name}.zarr") for name in names)
    assert a.reader.header.run_id == b.reader.header.run_id != ""
    (common,) = paired_runs([a], [b])
    assert common.first == common.second == range(11)


def test_each_system_has_its_own_trajectory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_input(".", steps=4, systems=2)
    run_ipi("input.xml", StreamSettings("run.zarr", 2), toy_molecules.Tensors())
    a, b = (StreamRun(f"run_{n}.zarr") for n in range(2))
    assert a.reader.header.run_id != b.reader.header.run_id
    assert paired_runs([a], [b]) == ()


@pytest.mark.thorough
def test_a_restart_keeps_the_id_and_a_new_run_has_another_one(tmp_path, monkeypatch):
    stream, _ = run_toy(tmp_path, monkeypatch, ("bead",), steps=8)
    run_id = stream.header.run_id
    again, _ = go_on_toy(tmp_path, monkeypatch, "run.state_6", ("bead",))
    assert again.header.run_id == run_id
    begun_anew, _ = go_on_toy(tmp_path, monkeypatch, "input.xml", ("bead",))
    assert begun_anew.header.run_id not in ("", run_id)
    assert StreamReader("#run.zarr#0#").header.run_id == run_id
