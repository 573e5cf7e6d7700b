"""The md command's run: thermostats, checkpoints, exact restart, refusals."""

from __future__ import annotations

import math
import sys
from dataclasses import replace

import ase.io
import helpers.toy_molecules as toy
import numpy as np
import pytest
from ase import units
from ase.calculators.calculator import Calculator, all_changes
from ase.md.bussi import Bussi
from ase.md.nose_hoover_chain import NoseHooverChainNVT
from ase.md.verlet import VelocityVerlet
from helpers.observed_runs import settings, start
from helpers.systems import SMALL_ACE
from helpers.tiers import slow

from aptnn_md.atoms.groups import Groups
from aptnn_md.atoms.neighbours import build_graph
from aptnn_md.atoms.rates import dipole_rate
from aptnn_md.cli import main
from aptnn_md.engines.ase.calculator import APTCalculator
from aptnn_md.engines.ase.md import make_dynamics, run_md
from aptnn_md.engines.ase.observer import StreamObserver
from aptnn_md.engines.ase.restart import Checkpoint, DynamicsState
from aptnn_md.engines.ase.settings import THERMOSTATS, MDSettings
from aptnn_md.errors import InputError, RunError
from aptnn_md.models.tensor_network import fresh_model
from aptnn_md.prediction.model_file import ModelFile, write_model_file
from aptnn_md.prediction.predictor import Predictor
from aptnn_md.spectra.convergence.monitor import Monitor
from aptnn_md.spectra.convergence.stopping import ConvergenceStop
from aptnn_md.spectra.options import InfraredOptions
from aptnn_md.stream import StreamReader


def arrays_of(path):
    reader = StreamReader(path)
    arrays = {name: reader.read(name) for name in ("temperature", "f_sum")}
    if "conserved_energy" in reader.arrays:
        arrays["conserved_energy"] = reader.read("conserved_energy")
    return {"step": reader.step, "time": reader.time, "rate": reader.dipole_rate(), **arrays}


@pytest.mark.parametrize("thermostat", THERMOSTATS)
def test_restart_goes_on_bit_by_bit(tmp_path, thermostat):
    whole = {"checkpoint": tmp_path / "whole.npz", "groups": "element"}
    run_md(start(), tmp_path / "whole", settings(70, thermostat), **whole)
    parts = {"checkpoint": tmp_path / "parts.npz", "groups": "element"}
    # ends between two frames, and the structure of the restart is another one
    run_md(start(), tmp_path / "parts", settings(22, thermostat), **parts)
    again = run_md(
        start(seed=9), tmp_path / "parts", settings(70, thermostat), restart=True, **parts
    )
    assert (again.first_step, again.last_step, again.finished) == (22, 70, True)
    expected, found = arrays_of(tmp_path / "whole"), arrays_of(tmp_path / "parts")
    assert expected["step"].tolist() == list(range(0, 71, 3))
    for name, values in expected.items():
        np.testing.assert_array_equal(found[name], values, err_msg=name)
    expected_state = DynamicsState.read(tmp_path / "whole.npz")
    found_state = DynamicsState.read(tmp_path / "parts.npz")
    np.testing.assert_array_equal(found_state.positions, expected_state.positions)
    np.testing.assert_array_equal(found_state.momenta, expected_state.momenta)
    assert found_state.thermostat == expected_state.thermostat


@pytest.mark.parametrize(
    ("field", "changes", "found"),
    [
        (None, {}, r"in an electric field of 0, 0, 0.2 V/Å"),
        ((0.0, 0.0, 0.1), {}, r"in an electric field of 0, 0, 0.2 V/Å"),
        ((0.0, 0.0, 0.2), {"tau": 5.0}, "stochastic velocity rescaling, 20 fs"),
        ((0.0, 0.0, 0.2), {"equilibrate": 0.1}, "stochastic velocity rescaling, 20 fs"),
    ],
)
def test_a_run_is_not_resumed_in_another_ensemble(field, changes, found, tmp_path):
    atoms, options = start(), {"checkpoint": tmp_path / "c.npz"}
    atoms.calc = APTCalculator(toy.Tensors(), toy.Potential(), efield=(0.0, 0.0, 0.2))
    run_md(atoms, tmp_path / "s", settings(6, "bussi"), **options)
    assert StreamReader(tmp_path / "s").header.ensemble.endswith("field of 0, 0, 0.2 V/Å")
    atoms.calc = APTCalculator(toy.Tensors(), toy.Potential(), efield=field)
    another = replace(settings(12, "bussi"), **changes)
    with pytest.raises(InputError, match=f"ensemble: found .*{found}.*as in this run"):
        run_md(atoms, tmp_path / "s", another, restart=True, **options)
    atoms.calc = APTCalculator(toy.Tensors(), toy.Potential(), efield=(0.0, 0.0, 0.2))
    run_md(atoms, tmp_path / "s", settings(12, "bussi"), restart=True, **options)
    assert StreamReader(tmp_path / "s").step.tolist() == [0, 3, 6, 9, 12]


@pytest.mark.parametrize("changes", [{"equilibrate": 0.1}, {"n_runs": 4, "thermostat": None}])
def test_elements_that_a_model_does_not_know_are_refused_before_anything_is_done(changes, tmp_path):
    atoms = start()
    atoms.calc = toy.Potential()
    options = {"checkpoint": tmp_path / "c.npz", "model": "water-apt"}
    with pytest.raises(InputError, match=r"element: found Cl, expected H, O \(model water-apt\)"):
        run_md(atoms, tmp_path / "s", replace(settings(12, "bussi"), **changes), **options)
    assert atoms.calc.n_calls == 0
    assert not list(tmp_path.iterdir())


def test_restart_from_an_older_checkpoint_replaces_frames(tmp_path):
    options = {"checkpoint": tmp_path / "c.npz"}
    run_md(start(), tmp_path / "s", settings(30, "langevin"), **options)
    older = (tmp_path / "c.npz").read_bytes()
    run_md(start(), tmp_path / "s", settings(60, "langevin"), restart=True, **options)
    expected = arrays_of(tmp_path / "s")
    (tmp_path / "c.npz").write_bytes(older)
    run_md(start(), tmp_path / "s", settings(60, "langevin"), restart=True, **options)
    for name, values in arrays_of(tmp_path / "s").items():
        np.testing.assert_array_equal(values, expected[name], err_msg=name)
    done = run_md(start(), tmp_path / "s", settings(60, "langevin"), restart=True, **options)
    assert (done.first_step, done.last_step) == (60, 60)
    assert StreamReader(tmp_path / "s").n_frames == 21


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("thermostat", "tolerance"), slow([("bussi", 4.0), ("langevin", 4.0)], "langevin")
)
def test_thermostats_reach_their_temperature(tmp_path, thermostat, tolerance):
    """From 600 K initial velocities to 250 K, by the stream's own temperatures."""
    atoms = start(8, temperature=600.0)
    run_md(atoms, tmp_path / "s", settings(4000, thermostat, temperature=250.0))
    reader = StreamReader(tmp_path / "s")
    values = reader.read("temperature")[200:]
    blocks = values[: len(values) // 16 * 16].reshape(16, -1).mean(1)
    error = blocks.std(ddof=1) / 4
    assert error < 12.0
    assert abs(blocks.mean() - 250.0) < tolerance * error
    assert reader.temperature == 250.0
    assert np.abs(atoms.get_momenta().sum(0)).max() < 1e-10


def test_molecules_of_a_restart_are_those_of_the_start(tmp_path):
    """The state that the run goes on from may have other bonds."""
    options = {"checkpoint": tmp_path / "c.npz", "groups": "molecule+motion"}
    run_md(start(), tmp_path / "s", settings(9), **options)
    state = dict(np.load(tmp_path / "c.npz"))
    state["positions"][1] += 40.0
    state["positions"][4] += 2.0
    np.savez(tmp_path / "c.npz", **state)
    again = run_md(start(), tmp_path / "s", settings(12), restart=True, **options)
    assert (again.first_step, again.last_step) == (9, 12)
    assert StreamReader(tmp_path / "s").header.groups[3] == "HClO-2 translation"


@pytest.mark.thorough
def test_run_until_the_spectrum_has_converged(tmp_path, monkeypatch):
    """It stops when the stream itself says so, and says it again on restart."""
    # looks more often than by default
    monkeypatch.setattr(ConvergenceStop.__init__, "__defaults__", (0.5,))
    options = InfraredOptions(resolution=300.0)
    files = {"checkpoint": tmp_path / "c.npz"}
    stream = tmp_path / "s"
    monitor = Monitor(stream, 0.1, (0.0, 2000.0), options)
    found = run_md(start(), stream, settings(4000), until=monitor, **files)
    assert found.finished
    assert "converged" in found.convergence
    assert 0 < found.last_step < 4000
    assert DynamicsState.read(tmp_path / "c.npz").step == found.last_step
    assert Monitor(stream, 0.1, (0.0, 2000.0), options).converged()[0]
    before = StreamReader(stream).n_frames
    again = run_md(
        start(),
        stream,
        settings(4000),
        until=Monitor(stream, 0.1, (0.0, 2000.0), options),
        restart=True,
        **files,
    )
    assert (again.first_step, again.last_step) == (found.last_step, found.last_step)
    assert StreamReader(stream).n_frames == before
    tighter = Monitor(stream, 1e-3, (0.0, 2000.0), options)
    more = run_md(
        start(), stream, settings(found.last_step + 30), until=tighter, restart=True, **files
    )
    assert more.last_step == found.last_step + 30
    assert "expected after" in more.convergence
    with pytest.raises(InputError, match="range"):
        run_md(
            start(), tmp_path / "t", settings(30), until=Monitor(tmp_path / "t", 0.1, (2e4, 3e4))
        )


def test_summary_and_velocities(tmp_path):
    atoms = toy.structure(30)
    atoms.set_momenta(np.zeros((90, 3)))
    atoms.calc = APTCalculator(toy.Tensors(), toy.Potential())
    summary = run_md(atoms, tmp_path / "s", settings(200, temperature=310.0, timestep=0.25))
    reader = StreamReader(tmp_path / "s")
    assert reader.read("temperature")[0] == pytest.approx(310.0, rel=4 * math.sqrt(2 / 267))
    assert summary.mean_temperature == pytest.approx(reader.read("temperature").mean())
    assert abs(summary.drift) < 5.0
    assert reader.header.ensemble == "NVE"
    assert reader.header.temperature is None
    other = toy.structure(30)
    other.set_momenta(np.zeros((90, 3)))
    make_dynamics(other, settings(1, seed=12))
    atoms.set_momenta(np.zeros((90, 3)))
    make_dynamics(atoms, settings(1, seed=11))
    assert not np.allclose(other.get_momenta(), atoms.get_momenta())


def test_checkpoint_of_another_run_is_refused(tmp_path):
    file, stream = tmp_path / "c.npz", tmp_path / "s"
    run_md(start(), stream, settings(9, "bussi"), checkpoint=file)
    with pytest.raises(InputError, match="checkpoint: found a file, expected no such file"):
        run_md(start(), tmp_path / "new", settings(9, "bussi"), checkpoint=file)
    for change, message in (
        ({"timestep": 0.25}, "timestep: found"),
        ({"thermostat": "none"}, "integrator: found Bussi, expected VelocityVerlet"),
        ({"temperature": 350.0}, "temperature: found 300"),
        ({"stride": 2}, "stride: found 3"),
    ):
        with pytest.raises(InputError, match=message):
            run_md(
                start(),
                stream,
                settings(18, **({"thermostat": "bussi"} | change)),
                checkpoint=file,
                restart=True,
            )
    with pytest.raises(InputError, match="atoms: found"):
        run_md(start(3), stream, settings(18, "bussi"), checkpoint=file, restart=True)
    assert StreamReader(stream).n_frames == 4


def test_lost_checkpoint_does_not_begin_anew(tmp_path):
    run_md(start(), tmp_path / "s", settings(9), checkpoint=tmp_path / "c.npz")
    (tmp_path / "c.npz").unlink()
    with pytest.raises(InputError, match="no such file, but 4 frames in"):
        run_md(start(), tmp_path / "s", settings(9), checkpoint=tmp_path / "c.npz", restart=True)
    assert StreamReader(tmp_path / "s").n_frames == 4


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", None])
def test_damaged_checkpoint(tmp_path, content):
    run_md(start(), tmp_path / "s", settings(9), checkpoint=tmp_path / "c.npz")
    if content is None:
        content = (tmp_path / "c.npz").read_bytes()[:700]
    (tmp_path / "c.npz").write_bytes(content)
    with pytest.raises(InputError, match=r"c.npz: checkpoint: found .*, expected a checkpoint of"):
        run_md(start(), tmp_path / "s", settings(18), checkpoint=tmp_path / "c.npz", restart=True)
    header = np.frombuffer(b'{"format": "aptnn_md.dynamics", "version": 9}', dtype=np.uint8)
    np.savez(tmp_path / "c.npz", header=header)
    with pytest.raises(InputError, match="version: found 9, expected 1"):
        DynamicsState.read(tmp_path / "c.npz")


def test_checkpoint_before_the_frame_of_its_step_is_refused(tmp_path):
    atoms = start()
    dyn = VelocityVerlet(atoms, toy.timestep(0.5))
    with StreamObserver(dyn, tmp_path / "s") as observer:
        dyn.attach(Checkpoint(dyn, tmp_path / "c.npz", observer, seconds=0.0))
        dyn.attach(observer)
        with pytest.raises(RunError, match="attach the checkpoint after the StreamObserver"):
            dyn.run(4)
    assert not (tmp_path / "c.npz").exists()


def test_what_cannot_be_checkpointed_is_refused_at_once(tmp_path):
    atoms = start()
    chain = NoseHooverChainNVT(atoms, toy.timestep(0.5), 300.0, 100 * units.fs)
    with pytest.raises(InputError, match="dynamics: found NoseHooverChainNVT, expected one of"):
        Checkpoint(chain, tmp_path / "c.npz")
    global_numbers = Bussi(atoms, toy.timestep(0.5), 300.0, 100 * units.fs)
    with pytest.raises(InputError, match=r"rng: found .*, expected rng=np.random.default_rng"):
        Checkpoint(global_numbers, tmp_path / "c.npz")
    with pytest.raises(InputError, match="a directory that is missing or not writable"):
        Checkpoint(VelocityVerlet(atoms, 1.0), tmp_path / "no" / "c.npz")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"timestep": 0.0}, "timestep: found 0.0, expected a positive number"),
        ({"stride": 1.5}, "stride: found 1.5, expected a whole number"),
        ({"seed": -1}, "seed: found -1, expected a whole number, zero or more"),
        ({"checkpoint_seconds": float("nan")}, "checkpoint_seconds: found nan, expected a number"),
        ({"picoseconds": math.nan}, "picoseconds: found nan"),
        ({"stride": -1}, "stride: found -1"),
        ({"thermostat": "nose"}, "thermostat: found 'nose', expected one of bussi, langevin, none"),
    ],
)
def test_bad_settings(options, message):
    with pytest.raises(InputError, match=message):
        MDSettings(**({"picoseconds": 1.0} | options))


def test_run_that_blows_up_stops_with_what_it_has(tmp_path):
    atoms = start()
    atoms.positions[1] += 3.0
    with pytest.raises(RunError, match=r"finite|blew up"), np.errstate(all="ignore"):
        run_md(atoms, tmp_path / "s", settings(3000, timestep=20.0), checkpoint=tmp_path / "c.npz")
    assert StreamReader(tmp_path / "s").n_frames > 0
    assert np.isfinite(DynamicsState.read(tmp_path / "c.npz").positions).all()


class Repulsion(Calculator):
    """Pushes atoms apart with a constant force, so that they fly away."""

    implemented_properties = ("energy", "forces")

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        outward = self.atoms.positions - self.atoms.positions.mean(axis=0)
        self.results = {"energy": 0.0, "forces": 150.0 * outward}


@pytest.mark.parametrize("pbc", [False, (True, True, False)])
def test_a_molecule_that_explodes_ends_in_words(tmp_path, model_file, pbc):
    """Neighbour lists of atoms far apart; the frames until then are safe."""
    atoms = toy.structure(2, pbc=True)
    atoms.pbc = pbc
    atoms.calc = Repulsion()
    with pytest.raises(RunError, match=r"step \d+: the structure blew up: .* below 1e\+09 Å"):
        run_md(atoms, tmp_path / "s", settings(3000, timestep=2.0), model=model_file)
    assert StreamReader(tmp_path / "s").n_frames > 3


class Breaks(toy.Potential):
    """Raises an error, or gives no number, from the tenth call on."""

    def __init__(self, how):
        super().__init__()
        self.how = how

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        if self.n_calls < 10:
            return
        if self.how == "forces":
            self.results["forces"][4, 1] = np.nan
        elif self.how == "energy":
            self.results["energy"] = math.inf
        else:
            raise self.how


@pytest.mark.parametrize("wrapped", [True, False])
@pytest.mark.parametrize(
    ("how", "message"),
    [
        (KeyError("no such\nelement"), r"step 9: .*KeyError: 'no such\\nelement'"),
        (ValueError(), r"step 9: .*ValueError"),
        (RuntimeError("CUDA error: device lost"), "step 9: .*RuntimeError: CUDA error: device"),
        ("forces", r"step \d+: .*(forces of .* first that on atom 4 \(H\) at|found nan)"),
        ("energy", r"step \d+: .*energy"),
    ],
)
def test_a_potential_that_breaks_ends_the_run_in_words(tmp_path, how, message, wrapped):
    atoms = start()
    atoms.calc = APTCalculator(toy.Tensors(), Breaks(how)) if wrapped else Breaks(how)
    model = None if wrapped else toy.Tensors()
    options = {"checkpoint": tmp_path / "c.npz", "model": model}
    with pytest.raises(RunError, match=message) as caught:
        run_md(atoms, tmp_path / "s", settings(40), **options)
    assert "\n" not in str(caught.value)
    reader = StreamReader(tmp_path / "s")
    assert reader.step.tolist() == [0, 3, 6] or isinstance(how, str)
    assert np.isfinite(reader.dipole_rate()).all()
    # what is there goes on with a potential that works
    run_md(start(), tmp_path / "s", settings(12), restart=True, checkpoint=tmp_path / "c.npz")
    assert StreamReader(tmp_path / "s").step.tolist() == [0, 3, 6, 9, 12]


@pytest.mark.parametrize("what", ["raises", "nan"])
def test_a_model_that_breaks_ends_the_run_in_words(tmp_path, what):
    calls = []

    def model(atoms):
        calls.append(1)
        if len(calls) < 4:
            return np.tile(np.eye(3), (len(atoms), 1, 1))
        if what == "raises":
            raise IndexError("list index out of range")
        return np.full((len(atoms), 3, 3), np.nan)

    atoms = start()
    atoms.calc = toy.Potential()
    message = "IndexError: list index" if what == "raises" else "APTs of .* first that of atom 0"
    with pytest.raises(RunError, match=rf"step \d+: model model.*{message}"):
        run_md(atoms, tmp_path / "s", settings(40), model=model)
    assert StreamReader(tmp_path / "s").step.tolist() == [0, 3, 6]


@pytest.fixture
def model_file(tmp_path):
    model = fresh_model("ace", "apt", (1, 8, 17), SMALL_ACE, seed=3)
    sample = [
        build_graph(toy.structure(3, pbc=True, seed=s), model.config.cutoff) for s in range(9)
    ]
    model.network.fit_scales([model.geometry(graph) for graph in sample])
    checkpoint = ModelFile("ace", model.settings, "apt", (model.state_dict(),))
    write_model_file(tmp_path / "model.pt", checkpoint)
    return tmp_path / "model.pt"


def test_command_runs_and_goes_on(tmp_path, model_file, capsys):
    """The command with a model file and a calculator by name against the library and a frame."""
    atoms = toy.structure(3, pbc=True)
    ase.io.write(tmp_path / "start.xyz", atoms)
    command = ["md", tmp_path / "start.xyz", "--potential", "helpers.toy_molecules:Potential"]
    command += ["--model", model_file, "--stream", tmp_path / "run.zarr", "--stride", 5]
    command += ["--thermostat", "langevin", "--seed", 4, "--groups", "element"]
    command += ["--efield", 0.01, 0.0, -0.02]
    command = [str(word) for word in command]
    assert main([*command, "--ps", "0.02"]) == 0
    assert "steps 0 to 40" in capsys.readouterr().out
    assert main([*command, "--ps", "0.05"]) == 2
    assert "run.checkpoint.npz: checkpoint: found a file" in capsys.readouterr().err
    assert main([*command, "--ps", "0.05", "--restart"]) == 0
    printed = capsys.readouterr().out
    assert "steps 40 to 100" in printed
    assert f"aptnn-md spectrum ir {tmp_path / 'run.zarr'}" in printed
    reader = StreamReader(tmp_path / "run.zarr")
    assert reader.step.tolist() == list(range(0, 101, 5))
    assert reader.header.groups == ("H", "O", "Cl")
    assert reader.header.model == "model"
    # the last frame again, from the checkpoint
    state = DynamicsState.read(tmp_path / "run.checkpoint.npz")
    atoms.positions, velocities = state.positions, state.momenta / atoms.get_masses()[:, None]
    apt = Predictor.from_file(model_file)(atoms)
    expected = dipole_rate(apt, velocities * units.fs, Groups.by_element(atoms))
    np.testing.assert_allclose(reader.dipole_rate()[-1], expected, atol=1e-9)


def test_calculator_from_a_module_beside_the_input(tmp_path, model_file, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "my_calculators.py").write_text(
        "from helpers.toy_molecules import Potential as Mine\n"
    )
    ase.io.write("start.xyz", toy.structure(3, pbc=True))
    command = ["md", "start.xyz", "--potential", "my_calculators:Mine", "--stream", "s"]
    command += ["--ps", "0.005", "--model", str(model_file)]
    assert main(command) == 0, capsys.readouterr().err


def test_command_names_what_is_wrong(tmp_path, capsys):
    def error(*arguments, code=2):
        assert main(["md", *map(str, arguments)]) == code
        return capsys.readouterr().err

    common = [
        "--potential",
        "helpers.toy_molecules:Potential",
        "--stream",
        tmp_path / "s",
        "--ps",
        "1",
    ]
    assert "no.xyz: file: found nothing" in error(tmp_path / "no.xyz", *common)
    (tmp_path / "bad.xyz").write_text("two\n\nH 0 0 0\n")
    assert "bad.xyz: file: found" in error(tmp_path / "bad.xyz", *common)
    ase.io.write(tmp_path / "good.xyz", toy.structure())
    assert "timestep: found -1.0" in error(tmp_path / "good.xyz", *common, "--timestep", "-1")
    common[1] = "helpers.toy_molecules:Nothing"
    assert "Nothing" in error(tmp_path / "good.xyz", *common)
    assert not (tmp_path / "s").exists()
