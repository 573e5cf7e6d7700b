"""torch-sim's reporter: one stream for each system, velocities of the positions' time, restarts."""

from __future__ import annotations

import itertools
import logging

import numpy as np
import pytest
from ase.md.verlet import VelocityVerlet
from helpers import same_forces
from helpers import toy_molecules as toy

pytest.importorskip("torch_sim")

import torch
import torch_sim
from helpers import torch_sim_runs as runs

from aptnn_md.engines.ase.observer import StreamObserver
from aptnn_md.engines.torch_sim.reporter import TorchSimReporter
from aptnn_md.errors import InputError, RunError
from aptnn_md.prediction.callable_model import CallableModel
from aptnn_md.stream import StreamReader, stream_exists
from aptnn_md.testing.engines import LinearDipole, check_engine

TIMESTEP, STRIDE = 0.5, 3
new_versions = pytest.mark.skipif(runs.OLD, reason="torch-sim 0.6")


def systems():
    """Of different sizes."""
    return [same_forces.structure(4), same_forces.structure(2, seed=5)]


def run(paths, n_steps, structures=None, model=None, **options):
    """A run in a loop of its own; the reporter's options and the integrator's."""
    of_states = ("name", "timestep", "forces", "constraints", "begin")
    of_states += ("gamma", "tau", "external_pressure")  # of torch-sim's integrators
    given = {k: options.pop(k) for k in of_states if k in options}
    timestep = given.get("timestep", TIMESTEP)
    if "forces" in given:
        given["model"] = given.pop("forces")
    reported = options.pop("reported", timestep)
    model = runs.Tensors() if model is None else model
    with TorchSimReporter(model, paths, timestep=reported, **options) as reporter:
        found = runs.states(structures or systems(), **given)
        for step, state in enumerate(itertools.islice(found, n_steps + 1)):
            reporter.report(state, step)
    return [StreamReader(path) for path in reporter._all]


def report_all(path, states, stride):
    """Report states that were kept."""
    with TorchSimReporter(runs.Tensors(), path, stride, timestep=TIMESTEP) as reporter:
        for step, state in enumerate(states):
            reporter.report(state, step)


def of_ase(directory, atoms, n_steps):
    """The stream of ASE's velocity Verlet."""
    atoms.calc = same_forces.Potential()
    dynamics = VelocityVerlet(atoms, toy.timestep(TIMESTEP))
    path = directory / f"ase-{len(atoms)}"
    with StreamObserver(
        dynamics, path, toy.Tensors(), stride=STRIDE, groups="element", velocities=True
    ) as observer:
        dynamics.attach(observer, interval=STRIDE)
        dynamics.run(n_steps)
    return StreamReader(path)


def test_each_system_of_a_batch_has_the_stream_of_its_own_run_in_ase(tmp_path):
    paths = [tmp_path / "a", tmp_path / "b"]
    streams = run(paths, 61, stride=STRIDE, groups="element", velocities=True, temperature=[300, 5])
    for atoms, found, kelvin in zip(systems(), streams, (300.0, 5.0), strict=True):
        expected = of_ase(tmp_path, atoms, 60)
        assert found.step.tolist() == expected.step.tolist() == list(range(0, 61, STRIDE))
        # only ASE tells the conserved energy
        assert {*found.arrays, "conserved_energy"} == set(expected.arrays)
        for name in ("groups", "formula", "system", "n_atoms", "timestep", "stride"):
            assert getattr(found.header, name) == getattr(expected.header, name)
        assert found.header.volume == pytest.approx(expected.header.volume, rel=1e-12)
        assert found.header.temperature == kelvin
        rates, others = expected.dipole_rate(), found.dipole_rate()
        largest = np.abs(rates).max()
        # the state is the same: ASE's and torch-sim's constants are of CODATA 2014
        np.testing.assert_allclose(others[0], rates[0], atol=1e-8 * largest)
        np.testing.assert_allclose(others, rates, atol=1e-6 * largest)
        for name in ("f_sum", "motion_temperature", "temperature", "time", "velocity"):
            values = expected.read(name)
            np.testing.assert_allclose(found.read(name), values, atol=2e-6 * np.abs(values).max())
    assert streams[0].header.run_id != streams[1].header.run_id


def _number(value):
    return torch.tensor(value, dtype=torch.float64)


# by default thermostats act within some steps, here of 0.001 fs
INTEGRATORS = {
    "nve": ("nve", {}),
    "langevin": ("nvt_langevin", {"gamma": _number(1e-12)}),
    "nose-hoover": ("nvt_nose_hoover", {"begin": {"tau": _number(10.0)}}),
    "v-rescale": ("nvt_vrescale", {"tau": _number(1e12)}),
}


@pytest.mark.parametrize("kind", INTEGRATORS)
def test_rates_are_central_differences_of_a_fine_run(kind, tmp_path):
    name, options = INTEGRATORS[kind]
    if runs.OLD and name not in ("nve", "nvt_langevin"):
        pytest.skip("torch-sim 0.6")
    model = LinearDipole()
    (reader,) = run(
        tmp_path / "s", 40, [same_forces.structure()], model, stride=1, timestep=1e-3, name=name,
        **options,
    )  # fmt: skip
    rates = reader.dipole_rate().sum(axis=1)
    changes = model.changes(1, reader.n_frames)
    central = (changes[1:] + changes[:-1]) / 2e-3
    error = np.abs(rates[1:-1] - central).max() / np.abs(central).max()
    assert error < 1e-6


@new_versions
@pytest.mark.parametrize("name", [i.value for i in torch_sim.Integrator] if not runs.OLD else [])
def test_no_integrator_of_torch_sim_is_refused_and_volumes_are_written(name, tmp_path):
    from ase.build import bulk
    from torch_sim.models.lennard_jones import LennardJonesModel

    argon = bulk("Ar", "fcc", a=5.3, cubic=True) * (2, 2, 2)
    argon.rattle(0.05, seed=1)
    argon.set_momenta(np.random.default_rng(1).normal(size=(len(argon), 3)))
    forces = LennardJonesModel(3.405, 0.0104, cutoff=5.2, compute_stress=True)
    changes = name.startswith("npt")
    options = {"external_pressure": _number(0.0)} if changes else {}
    (reader,) = run(
        tmp_path / "s", 30, [argon], LinearDipole(), stride=1, timestep=2.0, name=name,
        forces=forces, **options,
    )  # fmt: skip
    assert reader.n_frames == 31
    assert ("volume" in reader.arrays) == changes
    assert (reader.header.volume is None) == changes
    if changes:
        assert 0.0 < np.ptp(reader.read("volume")) < 0.5 * argon.get_volume()


def test_it_passes_the_check_of_engines_in_a_continued_run(tmp_path):
    first = itertools.islice(runs.states([same_forces.structure()]), 61)
    states = [state if runs.OLD else state.clone() for state in map(_copied, first)]

    def report(model, path, steps, **options):
        with TorchSimReporter(model, path, 2, timestep=TIMESTEP, **options) as reporter:
            for step in steps:
                reporter.report(states[step], step)

    check_engine(
        lambda model, path: report(model, path, range(31)),
        tmp_path / "s",
        lambda model, path: report(model, path, range(31, 61), resume_at=30),
    )
    assert StreamReader(tmp_path / "s").step.tolist() == list(range(0, 61, 2))


def _copied(state):
    """The state of a step, which torch-sim's integrators change in place."""
    if hasattr(state, "clone"):
        return state.clone()
    import copy

    return copy.deepcopy(state)


def test_frames_after_the_state_that_is_continued_are_replaced(tmp_path):
    states = [_copied(s) for s in itertools.islice(runs.states(systems()), 41)]
    paths = [tmp_path / "a", tmp_path / "b"]

    def report(paths, steps, offset=0, **options):
        with TorchSimReporter(runs.Tensors(), paths, 3, timestep=TIMESTEP, **options) as reporter:
            for step in steps:
                reporter.report(states[step], step - offset)

    report(paths, range(0, 26))
    with pytest.raises(InputError, match="resume_at"):
        report(paths, range(21, 41))
    # the state of step 20 was kept; counted from 1 anew as torch-sim 0.3 does
    report(paths, range(21, 41), offset=20, resume_at=20, groups="all")
    whole = [tmp_path / "c", tmp_path / "d"]
    report(whole, range(0, 41))
    for broken, unbroken in zip(paths, whole, strict=True):
        found, expected = StreamReader(broken), StreamReader(unbroken)
        assert found.step.tolist() == expected.step.tolist() == list(range(0, 41, 3))
        np.testing.assert_array_equal(found.dipole_rate(), expected.dipole_rate())


@pytest.mark.parametrize(("reported", "message"), [(5e-4, "0.5 fs, by which"), (1.0, "0.5 fs, by")])
def test_a_wrong_time_step_is_found_and_nothing_is_written(reported, message, tmp_path):
    with pytest.raises(InputError, match=message):
        run(tmp_path / "s", 10, [same_forces.structure()], stride=1, reported=reported)
    assert not stream_exists(tmp_path / "s")


@pytest.mark.parametrize(("shift", "side"), [(-0.5, "before"), (0.5, "after")])
def test_velocities_at_half_steps_are_refused(shift, side, tmp_path):
    dt = TIMESTEP * runs.FS * float(torch_sim.units.MetalUnits.time)
    states = []
    for state in itertools.islice(runs.states([same_forces.structure()]), 8):
        states.append(_copied(state))
        states[-1].momenta = state.momenta + shift * dt * state.forces
    with pytest.raises(InputError, match=f"0.5 steps {side}"):
        report_all(tmp_path / "s", states, 1)
    assert not stream_exists(tmp_path / "s")


@new_versions
def test_fixed_atoms_and_a_held_centre_of_mass(tmp_path, caplog):
    from torch_sim.constraints import FixAtoms, FixCom

    # atoms 1, of the first system, and 14, the third of the second one, do not move
    fixed = FixAtoms(atom_idx=[1, 14])
    structures = systems()
    for atoms, k in zip(structures, (1, 2), strict=True):
        momenta = atoms.get_momenta()
        momenta[k] = 0.0
        atoms.set_momenta(momenta)
    paths = [tmp_path / "a", tmp_path / "b"]
    for k, reader in zip(
        (1, 2), run(paths, 20, structures, stride=5, velocities=True, constraints=[fixed]),
        strict=True,
    ):  # fmt: skip
        freedom = np.array(reader.header.atom_freedom)
        assert freedom[k] == 0.0
        assert np.delete(freedom, k).tolist() == [3.0] * (len(freedom) - 1)
        assert np.abs(reader.read("velocity")[:, k]).max() == 0.0
    held = [tmp_path / "c", tmp_path / "d"]
    free, whole = [tmp_path / "e", tmp_path / "f"], systems()
    (c, _), (e, _) = (
        run(held, 5, systems(), stride=5, constraints=[FixCom([0])]),
        run(free, 5, whole, stride=5),
    )
    # APTs of molecules without charge add up to zero, so holding the centre of mass changes nothing
    np.testing.assert_allclose(c.read("f_sum"), e.read("f_sum"), rtol=1e-8)


@new_versions
def test_the_charge_of_a_system_is_that_of_its_state(tmp_path):
    charges = []

    class Model:
        name = "charges"

        def __call__(self, atoms):
            charges.append(atoms.info.get("charge"))
            return np.zeros((len(atoms), 3, 3))

    states = itertools.islice(runs.states(systems()), 3)
    paths = [tmp_path / "a", tmp_path / "b"]
    with TorchSimReporter(Model(), paths, 2, timestep=TIMESTEP) as reporter:
        for step, state in enumerate(states):
            if not state.has_extras("charge"):
                state.system_extras["charge"] = torch.tensor([1.0, -2.0])
            reporter.report(state, step)
    assert charges == [1.0, -2.0] * 2


def integrate(structures, reporter, n_steps, **options):
    return torch_sim.integrate(
        system=runs.batch(structures),
        model=runs.Forces(),
        integrator=runs.integrator("nve"),
        n_steps=n_steps,
        temperature=300.0,
        timestep=TIMESTEP * runs.FS,
        trajectory_reporter=reporter,
        **options,
    )


def test_it_is_a_reporter_of_integrate_beside_trajectories(tmp_path):
    from torch_sim.trajectory import TorchSimTrajectory, TrajectoryReporter

    files = [str(tmp_path / "a.h5"), str(tmp_path / "b.h5")]
    stored = {"save_velocities": True}
    trajectory = TrajectoryReporter(files, state_frequency=5, state_kwargs=stored)
    paths = [tmp_path / "a", tmp_path / "b"]
    reporter = TorchSimReporter(
        runs.Tensors(), paths, 5, timestep=TIMESTEP, velocities=True, trajectory=trajectory
    )
    integrate(systems(), reporter, 22)
    for path, file, atoms in zip(paths, files, systems(), strict=True):
        reader = StreamReader(path)
        # version 0.3 does not report the start
        first = 5 if runs.OLD else 0
        assert reader.step.tolist() == list(range(first, 23, 5))
        assert reader.header.formula == atoms.get_chemical_formula()
        with TorchSimTrajectory(file, mode="r") as opened:
            velocities = opened.get_array("velocities")[opened.get_steps("velocities") % 5 == 0]
        per_fs = float(torch_sim.units.MetalUnits.time) * 1e-3
        np.testing.assert_allclose(
            reader.read("velocity"), velocities[: reader.n_frames] * per_fs, rtol=1e-5, atol=1e-8
        )


@new_versions
def test_a_run_is_continued_where_its_trajectory_ends(tmp_path):
    from torch_sim.trajectory import TorchSimTrajectory, TrajectoryReporter

    files = [str(tmp_path / "a.h5"), str(tmp_path / "b.h5")]
    paths = [tmp_path / "a", tmp_path / "b"]

    def reporter(mode):
        trajectory = TrajectoryReporter(
            files,
            state_frequency=4,
            state_kwargs={"save_velocities": True},
            trajectory_kwargs={"mode": mode, "coerce_to_float32": False},
        )
        return TorchSimReporter(runs.Tensors(), paths, 2, timestep=TIMESTEP, trajectory=trajectory)

    integrate(systems(), reporter("w"), 12)
    structures = systems()
    for file, atoms in zip(files, structures, strict=True):
        with TorchSimTrajectory(file, mode="r") as stored:
            atoms.positions = stored.get_array("positions")[-1]
    integrate(structures, reporter("a"), 8)
    for path in paths:
        assert StreamReader(path).step.tolist() == list(range(0, 21, 2))


@new_versions
def test_batches_one_after_the_other(tmp_path):
    from torch_sim.autobatching import BinningAutoBatcher

    structures = [same_forces.structure(n, seed=n) for n in (2, 4, 3)]
    paths = [tmp_path / f"{k}" for k in range(3)]
    batcher = BinningAutoBatcher(
        model=runs.Forces(), memory_scales_with="n_atoms", max_memory_scaler=15
    )
    reporter = TorchSimReporter(runs.Tensors(), paths, 4, timestep=TIMESTEP)
    integrate(structures, reporter, 10, autobatcher=batcher)
    for path, atoms in zip(paths, structures, strict=True):
        reader = StreamReader(path)
        assert reader.header.formula == atoms.get_chemical_formula()
        assert reader.step.tolist() == [0, 4, 8]


def test_other_mistakes_are_sentences(tmp_path):
    model = runs.Tensors()
    with pytest.raises(InputError, match="all different"):
        TorchSimReporter(model, [tmp_path / "a", tmp_path / "a"], timestep=0.5)
    with pytest.raises(InputError, match="temperature"):
        TorchSimReporter(model, [tmp_path / "a"], timestep=0.5, temperature=[1.0, 2.0])
    with pytest.raises(InputError, match="2, one for each system"):
        run([tmp_path / "a"], 3)
    reporter = TorchSimReporter(model, tmp_path / "a", timestep=0.5)
    with pytest.raises(InputError, match="no momenta"):
        reporter.report(runs.batch([same_forces.structure()]), 0)
    with pytest.raises(InputError, match="no optimization"):
        reporter.report(runs.batch([same_forces.structure()]), [0, 3])


def test_a_cell_that_changes_without_a_barostat_ends_the_run(tmp_path):
    states = [_copied(s) for s in itertools.islice(runs.states([same_forces.structure()]), 12)]
    for state in states[7:]:
        state.cell = state.cell * 1.01
    with pytest.raises(RunError, match="volume changed"):
        report_all(tmp_path / "s", states, 2)
    assert StreamReader(tmp_path / "s").step.tolist() == [0, 2, 4, 6]


def test_several_systems_are_evaluated_in_one_call(tmp_path):
    sizes = []

    class Model(CallableModel):
        def evaluate(self, structures):
            sizes.append(len(structures))
            return super().evaluate(structures)

    run([tmp_path / "a", tmp_path / "b"], 6, model=Model(runs.Tensors()), stride=2)
    assert sizes == [2] * 4


def test_rigid_constraints_have_no_f_sum(tmp_path, caplog):
    caplog.set_level(logging.WARNING)

    states = itertools.islice(runs.states([same_forces.structure()]), 6)
    with TorchSimReporter(runs.Tensors(), tmp_path / "s", 1, timestep=TIMESTEP) as reporter:
        for step, state in enumerate(states):
            shown = _Constrained(state)
            reporter.report(shown, step)
    assert "FixSymmetry: the f-sum" in caplog.text
    assert "f_sum" not in StreamReader(tmp_path / "s").arrays


class FixSymmetry:
    """A constraint of which nothing is known."""


class _Constrained:
    """A state with a constraint of another kind."""

    def __init__(self, state):
        self._state = state
        self.constraints = [FixSymmetry()]

    def __getattr__(self, name):
        return getattr(self._state, name)
