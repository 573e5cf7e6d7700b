"""Streams of i-PI: plugin, properties, tensors of clients, several systems, restarts, refusals."""

import functools
import importlib
import logging
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from ase import Atoms
from helpers import toy_molecules
from helpers.paths import HELPERS

pytest.importorskip("ipi")

from helpers.ipi_inputs import BAROSTAT, PILE, SVR, go_on_toy, run_toy, write_input
from helpers.ipi_plugins import plugin, run_plain
from ipi.engine.thermostats import ThermoNMGLE

from aptnn_md.atoms.partition import parse_groups
from aptnn_md.domain import Domain
from aptnn_md.engines.ipi import state as ipi_state
from aptnn_md.engines.ipi.plugin import StreamPlugin
from aptnn_md.engines.ipi.runner import run_ipi
from aptnn_md.engines.ipi.settings import StreamSettings
from aptnn_md.engines.ipi.state import _numbers
from aptnn_md.engines.ipi.version import check_version
from aptnn_md.errors import InputError, RunError
from aptnn_md.prediction.loading import as_model
from aptnn_md.spectra.convergence.monitor import Monitor
from aptnn_md.spectra.options import InfraredOptions
from aptnn_md.stream import StreamReader

pytestmark = [pytest.mark.ipi, pytest.mark.filterwarnings("ignore::DeprecationWarning:ipi")]
RATES = "dipole_rate, dipole_rate_centroid_apt, dipole_rate_apt_at_centroid"
TRPMD = {"n_beads": 4, "mode": "nvt", "thermostat": PILE}
WEIGHTLESS = "<force forcefield='stream' weight='0.0'/>"


@pytest.fixture(autouse=True)
def quick_end_of_ipi(monkeypatch):
    monkeypatch.setattr(importlib.import_module("ipi.utils.softexit"), "SOFTEXITLATENCY", 0.05)


@pytest.mark.thorough
def test_plugin_and_runner_write_the_same(tmp_path, monkeypatch):
    estimators = ("bead", "centroid-apt", "apt-at-centroid")
    by_runner, _ = run_toy(tmp_path, monkeypatch, estimators, stream={"stride": 2}, **TRPMD)
    (tmp_path / "plugin").mkdir()
    monkeypatch.chdir(tmp_path / "plugin")
    write_input(
        ".",
        **TRPMD,
        checkpoint=8,
        forcefields=plugin(
            "stream: s.zarr, stride: 2, estimators: bead+centroid-apt+apt-at-centroid, "
            "groups: element, velocities: True"
        ),
        forces=WEIGHTLESS,
        properties="dipole_rate{ang/fs}, dipole_rate, dipole_rate_apt_at_centroid(group=H){ang/fs},"
        " dipole_rate(bead=0), dipole_rate(bead=1), dipole_rate(bead=2), dipole_rate(bead=3)",
    )
    run_plain("input.xml")
    stream = StreamReader(Path("s.zarr").resolve())
    for name in estimators:
        np.testing.assert_array_equal(stream.dipole_rate(name), by_runner.dipole_rate(name))
    assert stream.header.n_beads == 4
    assert stream.read("velocity").shape == (11, 6, 3)
    printed = np.loadtxt("run.out").reshape(21, 7, 3)
    np.testing.assert_allclose(printed[::2, 0], stream.dipole_rate("bead").sum(1), rtol=1e-12)
    angstrom_per_fs = 41.341373 / 1.8897261
    np.testing.assert_allclose(printed[:, 1] * angstrom_per_fs, printed[:, 0], rtol=1e-12)
    np.testing.assert_allclose(
        printed[::2, 2], stream.dipole_rate("apt-at-centroid")[:, 0], rtol=1e-12
    )
    np.testing.assert_allclose(printed[:, 3:].mean(1), printed[:, 1], atol=1e-15)
    # from a checkpoint, which holds the plugin and its parameters
    (tmp_path / "again").mkdir()
    shutil.copytree("s.zarr", tmp_path / "again" / "s.zarr")
    shutil.copy("run.state_2", tmp_path / "again")
    monkeypatch.chdir(tmp_path / "again")
    run_plain("run.state_2")
    again = StreamReader("s.zarr")
    np.testing.assert_array_equal(again.step, stream.step)
    np.testing.assert_allclose(again.dipole_rate(), stream.dipole_rate(), rtol=0, atol=1e-13)


@pytest.mark.thorough
def test_plugin_beside_multiple_time_steps(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_input(
        ".",
        forcefields=plugin("stream: s.zarr, stride: 2"),
        forces="<force forcefield='stream' weight='0.0'><mts_weights>[0, 0]</mts_weights></force>",
        extra_dynamics="<nmts>[1, 2]</nmts>",
        toy_force="<force forcefield='toy'><mts_weights>[0.4, 0.6]</mts_weights></force>",
    )
    run_plain("input.xml")
    stream = StreamReader("s.zarr")
    assert list(stream.step) == list(range(0, 21, 2))
    assert stream.header.ensemble == "classical, NVE, MTS 1x2"


def test_plugin_that_no_system_refers_to(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_input(".", forcefields=plugin("stream: s.zarr"))
    with pytest.raises(InputError, match=r"weight='0\.0'"):
        run_plain("input.xml")
    assert not Path("s.zarr").exists()


@pytest.mark.thorough
def test_tensors_of_forcefields(tmp_path, monkeypatch):
    """Beads and centroid from two components of weight 0, asked at the stride only."""
    estimators = ("bead", "centroid-apt", "apt-at-centroid")
    direct, _ = run_toy(tmp_path, monkeypatch, estimators, stream={"stride": 5}, **TRPMD)
    (tmp_path / "remote").mkdir()
    monkeypatch.chdir(tmp_path / "remote")
    forcefields = "".join(plugin("log: calls", n, "ipi_toy_tensors.py") for n in ("apt", "apt1"))
    write_input(
        ".",
        **TRPMD,
        forcefields=forcefields,
        forces="<force forcefield='apt' weight='0.0'/>"
        "<force forcefield='apt1' weight='0.0' nbeads='1'/>",
    )
    settings = StreamSettings("run.zarr", 5, estimators, "element")
    run_ipi("input.xml", settings, None, tensors=("apt", "apt1"))
    remote, scale = StreamReader("run.zarr"), np.abs(direct.dipole_rate()).max()
    for name in estimators:  # the toy converts units in its own way
        np.testing.assert_allclose(
            remote.dipole_rate(name), direct.dipole_rate(name), rtol=0, atol=1e-13 * scale
        )
    assert (remote.header.model, remote.header.model_sha256) == ("toy", "f00d")
    assert len(Path("calls").read_text().split()) == 5 * (4 + 1)


@pytest.mark.thorough
def test_tensors_of_a_client_behind_a_socket(tmp_path, monkeypatch):
    """A process of its own, beads in batches, and the stream of the network in this process."""
    direct, _ = run_toy(tmp_path, monkeypatch, ("bead",), stream={"stride": 5}, **TRPMD)
    (tmp_path / "remote").mkdir()
    monkeypatch.chdir(tmp_path / "remote")
    write_input(
        ".",
        **TRPMD,
        forcefields="<ffsocket name='apt' mode='unix'><address>apt</address>"
        "<batch_size>4</batch_size></ffsocket>",
        forces="<force forcefield='apt' weight='0.0'/>",
        attributes=f"floatformat='%25.16e' sockets_prefix='{tmp_path}/ipi_'",
    )
    driver = Path(sys.executable).with_name("i-pi-py_driver")
    options = ["-u", "-S", f"{tmp_path}/ipi_", "-a", "apt", "-m", "custom"]
    tensors = ["-P", str(HELPERS / "ipi_toy_tensors.py"), "-o", "log=calls"]
    # it tries again until the server is there
    client = subprocess.Popen(
        [str(driver), *options, *tensors], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        settings = StreamSettings("run.zarr", 5, ("bead",), "element")
        run_ipi("input.xml", settings, None, tensors=("apt",))
        client.wait(timeout=60)
    finally:
        client.kill()
    remote, scale = StreamReader("run.zarr"), np.abs(direct.dipole_rate()).max()
    np.testing.assert_allclose(
        remote.dipole_rate(), direct.dipole_rate(), rtol=0, atol=1e-13 * scale
    )
    assert len(Path("calls").read_text().split()) == 5 * 4


def test_estimator_without_its_component(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_input(
        ".",
        **TRPMD,
        forcefields=plugin("log: calls", "apt", "ipi_toy_tensors.py"),
        forces="<force forcefield='apt' weight='0.0'/>",
    )
    settings = StreamSettings("run.zarr", 5, ("apt-at-centroid",))
    with pytest.raises(InputError, match="nbeads='1'"):
        run_ipi("input.xml", settings, None, tensors=("apt",))
    with pytest.raises(InputError, match=r"other.*weight='0\.0'"):
        run_ipi("input.xml", settings, None, tensors=("other",))


@pytest.mark.thorough
def test_committee(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_input(".", **TRPMD, steps=4)
    settings = StreamSettings("run.zarr", 2, ("centroid-apt", "apt-at-centroid"), "element")
    model = as_model(toy_molecules.Committee())
    model.domain = Domain("toy", {"apt": {"H": 10.0, "O": 10.0, "Cl": 10.0}})
    run_ipi("input.xml", settings, model)
    write_input("one", **TRPMD, steps=4)
    monkeypatch.chdir(tmp_path / "one")
    run_ipi("input.xml", settings, toy_molecules.Tensors())
    committee, single = StreamReader("../run.zarr"), StreamReader("run.zarr")
    factors = toy_molecules.Committee.factors
    rates = single.dipole_rate()
    np.testing.assert_allclose(committee.dipole_rate(), factors.mean() * rates, rtol=1e-12)
    np.testing.assert_allclose(
        committee.read("dipole_rate_std"), factors.std(ddof=1) * np.abs(rates), rtol=1e-10
    )
    assert (committee.read("extrapolation") > 0).all()
    assert single.read("extrapolation") is None
    # all elements have one limit
    np.testing.assert_allclose(committee.read("spread_ratio"), committee.read("extrapolation") / 15)
    assert single.read("spread_ratio") is None


@pytest.mark.thorough
@pytest.mark.parametrize("prefix", ["", "replica"])
def test_several_systems(prefix, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_input(".", steps=4, systems=2, system_prefix=prefix)
    summary = run_ipi("input.xml", StreamSettings("run.zarr", 2), toy_molecules.Tensors())
    names = [f"run_{prefix}{n}.zarr" for n in range(2)]
    assert [str(path) for path in summary.streams] == names
    first, second = (StreamReader(name) for name in names)
    assert list(first.step) == list(second.step) == [0, 2, 4]
    assert not np.allclose(first.dipole_rate(), second.dipole_rate())


@pytest.mark.thorough
def test_restart_between_frames_and_with_a_gap(tmp_path, monkeypatch):
    stream, _ = run_toy(tmp_path, monkeypatch, ("bead",), stream={"stride": 4}, mode="nve")
    rates = stream.dipole_rate()
    shutil.copytree("run.zarr", "kept")
    again, _ = go_on_toy(tmp_path, monkeypatch, "run.state_6", ("bead",), stride=4)
    np.testing.assert_array_equal(again.step, range(0, 21, 4))
    np.testing.assert_allclose(again.dipole_rate(), rates, rtol=0, atol=1e-13)
    shutil.rmtree("run.zarr")
    settings = StreamSettings("run.zarr", 4, ("bead",), "element")
    run_ipi("input.xml", settings, toy_molecules.Tensors(), total_steps=8)
    with pytest.raises(InputError, match=r"expected 12 .*frames would be missing"):
        run_ipi("run.state_14", settings, toy_molecules.Tensors())
    assert StreamReader("run.zarr").n_frames == 3


def test_a_run_is_not_resumed_with_other_dynamics(tmp_path, monkeypatch):
    run_toy(tmp_path, monkeypatch, ("bead",), mode="nvt", thermostat=PILE, n_beads=2, steps=4)
    state = Path("run.state_2")
    state.write_text(re.sub(r"(<dynamics [^>]*mode=')nvt'", r"\g<1>nve'", state.read_text()))
    with pytest.raises(InputError, match=r"ensemble: found TRPMD, 2 beads, NVT.*, expected RPMD"):
        go_on_toy(tmp_path, monkeypatch, "run.state_2", ("bead",))
    assert StreamReader("run.zarr").n_frames == 5


@pytest.mark.parametrize(("covariances", "name"), [(1.0, "TRPMD"), (1.5, "path integral with qu")])
def test_which_thermostat_makes_trpmd(monkeypatch, covariances, name):
    """Noise of one temperature in all normal modes; not that of PIGLET."""
    drift = np.tile(np.eye(2), (3, 1, 1))
    noise = 0.001 * drift.copy()
    noise[1:, 0, 0] *= covariances
    motion = SimpleNamespace(enstype="nvt", thermostat=ThermoNMGLE(0.001, 1.0, drift, noise))
    system = SimpleNamespace(beads=SimpleNamespace(nbeads=3), nm=SimpleNamespace(mode="rpmd"))
    monkeypatch.setattr(ipi_state, "dynamics", lambda _: motion)
    assert ipi_state.method(system).startswith(name)


@pytest.mark.thorough
def test_restart_keeps_the_groups_of_the_start(tmp_path, monkeypatch):
    """A selection by distance that other atoms would be in where the run goes on."""
    hot = {"mode": "nve", "temperature": 3000, "timestep": 1.0, "steps": 30}
    first = "within:0.985:index:0"
    stream, states = run_toy(tmp_path, monkeypatch, ("bead",), first, **hot)
    rates = stream.dipole_rate()
    groups = [
        parse_groups(
            first, Atoms("OHCl" * 2, state.positions[0], cell=state.cell, pbc=True)
        ).index.tolist()
        for state in states
    ]
    later = next(k for k, group in enumerate(groups) if group != groups[0] and k > 3)
    go_on_toy(tmp_path, monkeypatch, f"run.state_{states[later].step}", ("bead",), first)
    again = StreamReader("run.zarr").dipole_rate()
    np.testing.assert_allclose(again, rates, rtol=0, atol=1e-9 * np.abs(rates).max())


@pytest.mark.thorough
def test_begin_anew_keeps_the_old_stream(tmp_path, monkeypatch):
    stream, _ = run_toy(tmp_path, monkeypatch, ("bead",), steps=4)
    go_on_toy(tmp_path, monkeypatch, "input.xml", ("bead",))
    kept = StreamReader("#run.zarr#0#")
    np.testing.assert_array_equal(kept.dipole_rate(), stream.dipole_rate())


def test_other_stream_is_refused_and_i_pi_says_what_is_wrong(tmp_path, monkeypatch):
    run_toy(tmp_path, monkeypatch, ("bead",), steps=4)
    with pytest.raises(InputError, match="stride"):
        go_on_toy(tmp_path, monkeypatch, "run.state_3", ("bead",), stride=2)
    Path("wrong.xml").write_text("<simulation><nonsense/></simulation>")
    with pytest.raises(InputError, match="nonsense"):
        go_on_toy(tmp_path, monkeypatch, "wrong.xml")
    with pytest.raises(InputError, match="no such file"):
        go_on_toy(tmp_path, monkeypatch, "nothing.xml")


REMD = "<smotion mode='remd'><remd><stride>5</stride></remd></smotion>"
REFUSED = {
    "Suzuki-Chin": ({"n_beads": 4, "mode": "sc", "thermostat": PILE}, "Suzuki-Chin"),
    "fixed centroid": ({"n_beads": 4, "mode": "nvt-cc", "thermostat": PILE}, "fixed centroid"),
    "replica exchange": (
        {"mode": "nvt", "thermostat": SVR, "systems": 2, "smotion": REMD},
        "exchange changes the temperature",
    ),
    "open paths": (
        {"n_beads": 4, "normal_modes": "<normal_modes><open_paths>[1]</open_paths></normal_modes>"},
        "closed paths",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_dynamics_without_a_rate_are_refused(name, tmp_path, monkeypatch):
    options, message = REFUSED[name]
    with pytest.raises(InputError, match=message):
        run_toy(tmp_path, monkeypatch, ("bead",), steps=2, **options)
    assert not Path("run.zarr").exists()


def test_minimization_is_refused(tmp_path, monkeypatch):
    path = write_input(tmp_path)
    text = path.read_text()
    start, end = text.index("<motion"), text.index("</motion>")
    path.write_text(text[:start] + "<motion mode='minimize'><optimizer/>" + text[end:])
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="no velocities"):
        run_ipi("input.xml", StreamSettings("run.zarr"), toy_molecules.Tensors())


@pytest.mark.thorough
def test_short_float_format_is_told(tmp_path, monkeypatch, caplog):
    with caplog.at_level(logging.WARNING, "aptnn_md"):
        run_toy(tmp_path, monkeypatch, ("bead",), steps=2)
        assert "floatformat" not in caplog.text
        run_toy(tmp_path, monkeypatch, ("bead",), steps=2, attributes="")
    assert "<simulation floatformat='%25.16e' ...>" in caplog.text


def test_bead_estimator_first_with_cmd_masses_is_told(tmp_path, monkeypatch, caplog):
    modes = "<normal_modes><frequencies style='pa-cmd' units='inversecm'>[5000]</frequencies>"
    options = TRPMD | {"normal_modes": modes + "</normal_modes>", "steps": 2}
    with caplog.at_level(logging.WARNING, "aptnn_md"):
        stream, _ = run_toy(tmp_path, monkeypatch, ("bead",), **options)
    assert "put 'centroid-apt'" in caplog.text
    assert stream.header.ensemble == "PA-CMD, 4 beads, NVT, PILE_G 40 fs lambda 1"


def test_left_over_sockets(tmp_path, monkeypatch, caplog):
    address = tmp_path / "ipi_left"
    forcefield = "<ffsocket name='other' mode='unix'><address>left</address></ffsocket>"
    options = {
        "steps": 2,
        "forcefields": forcefield,
        "forces": "<force forcefield='other' weight='0.0'/>",
        "attributes": f"floatformat='%25.16e' sockets_prefix='{tmp_path}/ipi_'",
    }
    address.touch()
    with pytest.raises(InputError, match="not a socket"):
        run_toy(tmp_path, monkeypatch, ("bead",), **options)
    address.unlink()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as other:
        other.bind(str(address))
        other.listen()
        with pytest.raises(InputError, match="another process listens"):
            run_toy(tmp_path, monkeypatch, ("bead",), **options)
    # what a killed process leaves: the file, and nobody behind it
    assert address.exists()
    with caplog.at_level(logging.INFO, "aptnn_md"):
        stream, _ = run_toy(tmp_path, monkeypatch, ("bead",), **options)
    assert "no server listens there" in caplog.text
    assert stream.n_frames == 3


@pytest.mark.thorough
def test_disk_full_leaves_no_restart_ahead(tmp_path, monkeypatch):
    import aptnn_md.engines.ipi.streaming as streaming

    monkeypatch.chdir(tmp_path)
    write_input(".", steps=10, checkpoint=2, overwrite=True)

    class FullDisk(streaming.StreamWriter):
        def commit(self):
            if self.last_step is not None and self.last_step >= 5:
                raise RunError("disk full")
            super().commit()

    monkeypatch.setattr(streaming, "StreamWriter", FullDisk)
    with pytest.raises(RunError, match="disk full"):
        run_ipi("input.xml", StreamSettings("run.zarr", 1), toy_molecules.Tensors())
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    assert not Path("RESTART").exists()
    stream = StreamReader("run.zarr")
    run_ipi("run.state", StreamSettings("run.zarr", 1), toy_molecules.Tensors())
    stream.refresh()
    np.testing.assert_array_equal(stream.step, range(11))


def test_a_restart_at_the_last_step_has_nothing_to_do(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_input(".", steps=4, checkpoint=2, overwrite=True)
    settings = StreamSettings("run.zarr", 1)
    first = run_ipi("input.xml", settings, toy_molecules.Tensors())
    before = Path("run.zarr/step/c.0").read_bytes()
    again = run_ipi("RESTART", settings, toy_molecules.Tensors())
    assert again.finished
    assert (again.first_step, again.last_step, again.streams) == (4, 4, first.streams)
    assert Path("run.zarr/step/c.0").read_bytes() == before
    longer = run_ipi("RESTART", settings, toy_molecules.Tensors(), total_steps=6)
    assert (longer.first_step, longer.last_step) == (4, 6)


@pytest.mark.thorough
def test_stops_when_converged(tmp_path, monkeypatch):
    import aptnn_md.engines.ipi.runner as runner

    monkeypatch.setattr(
        runner, "ConvergenceStop", functools.partial(runner.ConvergenceStop, seconds=0.2)
    )
    monkeypatch.chdir(tmp_path)
    write_input(".", steps=100_000, checkpoint=100_000, stride=100_000, timestep=0.5)
    options = InfraredOptions(resolution=500.0)

    def until(path):
        return Monitor(path, 0.9, (500.0, 4000.0), options)

    settings = StreamSettings("run.zarr", 2, ("bead",))
    summary = run_ipi("input.xml", settings, toy_molecules.Tensors(), until=until)
    assert summary.converged
    assert summary.finished
    assert summary.last_step < 100_000
    assert "converged" in summary.convergence[0]
    frames = StreamReader("run.zarr").step
    assert frames[-1] in (summary.last_step, summary.last_step - 1)
    # what RESTART holds is the state behind the last frame
    again = run_ipi(
        "RESTART", settings, toy_molecules.Tensors(), total_steps=summary.last_step + 10
    )
    assert again.first_step == summary.last_step
    np.testing.assert_array_equal(np.diff(StreamReader("run.zarr").step), 2)


@pytest.mark.parametrize("version", ["3.1.9", "3.3.0", "2.6"])
def test_old_ipi_is_refused(version):
    with pytest.raises(RunError, match="too old"):
        check_version(version)


@pytest.mark.parametrize("version", ["3.3.1", "3.3.1.dev2", "3.10.0", "4.0"])
def test_new_ipi_is_taken(version):
    check_version(version)


def test_labels_of_ipi():
    """i-PI knows deuterium by a label of its own."""
    assert list(_numbers(["O", "D", "H", "T", "Cl"])) == [8, 1, 1, 1, 17]
    with pytest.raises(InputError, match="OW, X1"):
        _numbers(["H", "X1", "OW"])


def test_settings_are_checked():
    with pytest.raises(InputError, match="estimators"):
        StreamSettings("s.zarr", 2, ("bead", "bead"))
    with pytest.raises(InputError, match="stride"):
        StreamSettings("s.zarr", 0)


@pytest.mark.thorough
@pytest.mark.parametrize("threading", ["True", "False"])
def test_scripts_that_run_step_by_step(tmp_path, monkeypatch, threading):
    """i-PI's own scripting class takes over the simulation that was bound."""
    from ipi.scripting import InteractiveSimulation

    monkeypatch.chdir(tmp_path)
    write_input(".", steps=6, checkpoint=2, overwrite=True)
    run_ipi("input.xml", StreamSettings("whole.zarr", 1), toy_molecules.Tensors())
    path = write_input(
        ".",
        checkpoint=2,
        overwrite=True,
        forcefields=plugin("stream: run.zarr, stride: 1"),
        forces=WEIGHTLESS,
    )
    path.write_text(path.read_text().replace("threading='False'", f"threading='{threading}'"))
    simulation = InteractiveSimulation(path.open())
    simulation.run(2)
    # what is in RESTART is in the stream
    np.testing.assert_array_equal(StreamReader("run.zarr").step, [0, 1, 2])
    simulation.run(4)
    found = StreamReader("run.zarr")
    np.testing.assert_array_equal(found.step, range(7))
    expected = StreamReader("whole.zarr").dipole_rate()
    np.testing.assert_allclose(found.dipole_rate(), expected, rtol=1e-12, atol=1e-15)
    with pytest.raises(InputError, match="write_outputs: found False, expected True"):
        simulation.run(1, write_outputs=False)
    with pytest.raises(InputError, match="set_structures: found after frames were streamed"):
        simulation.set_structures(simulation.get_structures())


@pytest.mark.thorough
def test_a_molecule_whose_cell_is_made_up(tmp_path, monkeypatch, caplog):
    """By default the cell is real, and loudly so where it looks made up."""
    options = {"n_molecules": 1, "pbc": False, "steps": 4}
    (tmp_path / "box").mkdir()
    (tmp_path / "open").mkdir()
    boxed, _ = run_toy(tmp_path / "box", monkeypatch, ("bead",), **options)
    assert boxed.header.volume == pytest.approx(60.0**3)
    assert boxed.header.rotation == ""
    assert "the cell has 2.16e+05 Å³ for 3 atoms, and the stream takes it for real" in caplog.text
    assert "--no-cell, or pbc: False among the plugin's parameters" in caplog.text
    caplog.clear()
    seen = []

    class Model(toy_molecules.Tensors):
        def __call__(self, atoms):
            seen.append(bool(atoms.pbc.any()))
            return super().__call__(atoms)

    stream = {"pbc": False, "model": Model()}
    found, _ = run_toy(tmp_path / "open", monkeypatch, ("bead",), stream=stream, **options)
    assert (found.header.volume, found.header.rotation) == (None, "kept")
    assert seen == [False] * len(seen)
    assert len(seen) >= 5
    assert "the cell has" not in caplog.text
    np.testing.assert_allclose(found.dipole_rate(), boxed.dipole_rate(), rtol=1e-9, atol=1e-12)
    # in the plugin's words, and of a run whose cell changes
    monkeypatch.chdir(tmp_path)
    plugin = StreamPlugin("x.zarr", model="water-apt", pbc=False)
    assert not plugin.settings.pbc
    changing = {**options, "mode": "npt", "thermostat": SVR, "barostat": BAROSTAT}
    with pytest.raises(InputError, match="dynamics mode: found a barostat without a cell"):
        run_toy(tmp_path, monkeypatch, ("bead",), stream={"pbc": False}, **changing)


@pytest.mark.thorough
def test_potentials_of_drivers_are_recorded_and_replaced_ones_refused(tmp_path, monkeypatch):
    driver = HELPERS.parents[1] / "drivers" / "aptnn_md_potential.py"
    options = {
        "forcefields": f"<ffdirect name='mine'><pes>custom</pes><pes_path>{driver}</pes_path>"
        "<parameters>{potential: helpers.toy_molecules:Potential, template: start.xyz}"
        "</parameters></ffdirect>",
        "toy_force": "<force forcefield='mine'/>",
        "checkpoint": 5,
    }
    (tmp_path / "old").mkdir()
    old, _ = run_toy(tmp_path / "old", monkeypatch, **options)
    assert (old.header.potential, old.header.potential_sha256) == ("", "")
    for name, value in {"name": "water-mace", "sha256": "ef" * 32}.items():
        monkeypatch.setattr(toy_molecules.Potential, name, value, raising=False)
    (tmp_path / "new").mkdir()
    new, _ = run_toy(tmp_path / "new", monkeypatch, **options)
    assert (new.header.potential, new.header.potential_sha256) == ("water-mace", "ef" * 32)
    go_on_toy(tmp_path / "new", monkeypatch, "run.state_2")
    monkeypatch.chdir(tmp_path / "old")
    with pytest.raises(InputError, match=r"not recorded.*'water-mace-0\.1'"):
        go_on_toy(tmp_path / "old", monkeypatch, "run.state_2")
    assert StreamReader(tmp_path / "old" / "run.zarr").n_frames == old.n_frames
    monkeypatch.setattr(toy_molecules.Potential, "name", "water-mace-0.1")
    monkeypatch.setattr(toy_molecules.Potential, "sha256", "01" * 32)
    go_on_toy(tmp_path / "old", monkeypatch, "run.state_2")
    monkeypatch.chdir(tmp_path / "new")
    with pytest.raises(InputError, match=r"found water-mace \(efef"):
        go_on_toy(tmp_path / "new", monkeypatch, "run.state_2")
