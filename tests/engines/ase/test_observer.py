"""Streaming from ASE: physics, any MD class, groups, restart, committee."""

from __future__ import annotations

import warnings
from importlib import import_module
from importlib.util import find_spec

import helpers.toy_molecules as toy
import numpy as np
import pytest
from ase import units
from ase.constraints import FixAtoms, FixBondLength
from ase.md import nose_hoover_chain
from ase.md.andersen import Andersen
from ase.md.bussi import Bussi
from ase.md.langevin import Langevin
from ase.md.npt import NPT
from ase.md.nptberendsen import NPTBerendsen
from ase.md.nvtberendsen import NVTBerendsen
from ase.md.velocitydistribution import ZeroRotation
from ase.md.verlet import VelocityVerlet
from ase.optimize import BFGS
from helpers.observed_runs import stream_run

from aptnn_md.atoms.groups import Groups
from aptnn_md.atoms.partition import parse_groups
from aptnn_md.atoms.rates import dipole_rate, f_sum
from aptnn_md.atoms.snapshot import Snapshot
from aptnn_md.domain import Domain
from aptnn_md.engines.ase.calculator import APTCalculator
from aptnn_md.engines.ase.observer import StreamObserver, temperature
from aptnn_md.errors import InputError, RunError
from aptnn_md.prediction.loading import as_model
from aptnn_md.stream import StreamReader

NEWER_ASE = pytest.mark.skipif(find_spec("ase.md.langevinbaoab") is None, reason="needs ASE 3.28")


def error_of_the_integral(path, dt, transposed):
    """Largest |∫Ṁ dt - ΔM| over 40 fs, e Å, relative to the largest |ΔM|."""
    atoms = toy.structure(3, temperature=400.0, seed=5)
    atoms.calc = toy.Potential()
    reader, positions = stream_run(path, atoms, dt, round(40 / dt), toy.Tensors(transposed))
    rate = reader.dipole_rate().sum(axis=1)
    integral = np.cumsum(0.5 * (rate[1:] + rate[:-1]) * reader.spacing, axis=0)
    moments = np.array([toy.dipole(p) for p in positions])
    change = moments[1:] - moments[0]
    return np.abs(integral - change).max() / np.abs(change).max()


def test_integral_of_the_stream_is_the_change_of_the_dipole(tmp_path):
    """To the second order of velocity Verlet; with the tensors' indices swapped it is not."""
    errors = [error_of_the_integral(tmp_path / f"{dt}", dt, False) for dt in (0.5, 0.25, 0.125)]
    assert errors[2] < 5e-4
    ratios = np.array(errors[:-1]) / np.array(errors[1:])
    np.testing.assert_allclose(ratios, 4.0, rtol=0.1)
    swapped = [error_of_the_integral(tmp_path / f"t{dt}", dt, True) for dt in (0.5, 0.125)]
    assert min(swapped) > 0.2


def test_frames_times_and_groups(tmp_path):
    atoms = toy.structure(4, pbc=True)
    atoms.calc = toy.Potential()
    groups = Groups.by_labels(list("aabbbabababa"))
    reader, positions = stream_run(
        tmp_path / "s", atoms, 0.5, 30, toy.Tensors(), stride=3, groups=groups, temperature=300.0
    )
    assert reader.step.tolist() == list(range(0, 31, 3))
    np.testing.assert_allclose(reader.time, 1.5 * np.arange(11), rtol=1e-12)
    assert reader.header.groups == ("a", "b")
    assert reader.header.timestep == pytest.approx(0.5)
    assert reader.header.model == "toy"
    assert reader.header.volume == pytest.approx(atoms.get_volume())
    assert (reader.temperature, reader.volume) == (300.0, pytest.approx(atoms.get_volume()))
    last = toy.polar_tensors(positions[-1])
    velocities = atoms.get_velocities() * units.fs
    for number in range(2):
        chosen = groups.index == number
        expected = np.einsum("nab,nb->a", last[chosen], velocities[chosen])
        np.testing.assert_allclose(reader.dipole_rate()[-1, number], expected, rtol=1e-12)
    strengths = (last**2).sum((1, 2)) / 3 / atoms.get_masses()
    np.testing.assert_allclose(reader.read("f_sum")[-1].sum(), strengths.sum(), rtol=1e-12)


@pytest.mark.parametrize("groups", ["element+motion", "motion-each-step"])
def test_groups_by_motion(tmp_path, groups):
    """Parts of the last frame by its own velocities; mean committee and deviation as well."""
    atoms = toy.structure(4, pbc=True)
    atoms.calc = toy.Potential()
    reader, _ = stream_run(tmp_path / "s", atoms, 0.5, 8, toy.Committee(), stride=2, groups=groups)
    labels = reader.header.groups
    assert labels[-3:] == parse_groups(groups, atoms).labels[-3:]
    apt = toy.polar_tensors(atoms.positions) * toy.Committee.factors.mean()
    velocities = atoms.get_velocities() * units.fs
    expected = dipole_rate(apt, velocities, parse_groups(groups, atoms), Snapshot.of(atoms))
    np.testing.assert_allclose(reader.dipole_rate()[-1], expected, rtol=1e-11, atol=1e-15)
    vibration = [n for n, label in enumerate(labels) if label.endswith("vibration")]
    assert np.abs(expected[vibration]).max() > 1e-4
    np.testing.assert_allclose(
        reader.read("f_sum")[-1].sum(), f_sum(apt, atoms.get_masses())[0], rtol=1e-12
    )
    ratio = toy.Committee.factors.std(ddof=1) / toy.Committee.factors.mean()
    np.testing.assert_allclose(
        reader.read("dipole_rate_std"), np.abs(reader.dipole_rate()) * ratio, rtol=1e-9, atol=1e-15
    )


@pytest.mark.parametrize(
    ("change", "rotation"),
    [
        (lambda atoms: None, "kept"),
        (ZeroRotation, ""),  # it was taken out by somebody else
        (lambda atoms: atoms.set_constraint(FixAtoms([0])), ""),
        (lambda atoms: atoms.set_constraint(FixBondLength(0, 1)), "kept"),
        (lambda atoms: atoms.set_pbc(True), ""),
    ],
)
def test_what_became_of_the_rotation_is_said(tmp_path, change, rotation):
    atoms = toy.structure(1, temperature=300.0, seed=2)
    atoms.set_cell([20, 20, 20])
    change(atoms)
    atoms.calc = toy.Potential()
    dynamics = VelocityVerlet(atoms, 0.5 * units.fs)
    with StreamObserver(dynamics, tmp_path / "s", toy.Tensors()) as observer:
        assert observer.writer.header.rotation == rotation


def test_velocities_on_request(tmp_path):
    atoms = toy.structure(3)
    atoms.calc = toy.Potential()
    dyn = VelocityVerlet(atoms, toy.timestep(0.5))
    kept = []
    groups = parse_groups("element+motion", atoms)
    options = {"stride": 2, "groups": groups, "velocities": True}
    with StreamObserver(dyn, tmp_path / "s", toy.Tensors(), **options) as observer:
        dyn.attach(observer, interval=2)
        dyn.attach(lambda: kept.append(atoms.get_velocities() * units.fs), interval=2)
        dyn.run(10)
    reader = StreamReader(tmp_path / "s")
    found = reader.read("velocity")
    assert (found.dtype, found.shape) == (np.float32, (6, 9, 3))
    np.testing.assert_allclose(found, kept, rtol=1e-6)
    header = reader.header
    assert header.atom_numbers == tuple(atoms.numbers)
    assert header.atom_masses == tuple(atoms.get_masses())
    assert header.atom_labels == ("H", "O", "Cl")
    assert [header.atom_labels[g] for g in header.atom_groups] == atoms.get_chemical_symbols()
    assert next(reader.pieces("velocity", 4, 1)).shape == (4, 9, 3)


def md(name, atoms, dt):
    rng = np.random.default_rng(2)
    ps = 1000 * units.fs
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return {
            "VelocityVerlet": lambda: VelocityVerlet(atoms, dt),
            "Langevin": lambda: Langevin(
                atoms, dt, temperature_K=300, friction=1e-6 / units.fs, fixcm=False, rng=rng
            ),
            "Bussi": lambda: Bussi(atoms, dt, 300, 500 * ps, rng=rng),
            "NoseHooverChainNVT": lambda: nose_hoover_chain.NoseHooverChainNVT(
                atoms, dt, 300, 1 * ps
            ),
            "NVTBerendsen": lambda: NVTBerendsen(atoms, dt, temperature_K=300, taut=50 * ps),
            "Andersen": lambda: Andersen(atoms, dt, 300, 0.0, rng=rng),
            "NPT": lambda: NPT(
                atoms, dt, temperature_K=300, externalstress=0.0, ttime=1 * ps, pfactor=1e5
            ),
            "NPTBerendsen": lambda: NPTBerendsen(
                atoms, dt, temperature_K=300, pressure_au=0, taut=50 * ps, compressibility_au=1e-4
            ),
            "IsotropicMTKNPT": lambda: nose_hoover_chain.IsotropicMTKNPT(
                atoms, dt, 300, 0.0, tdamp=1 * ps, pdamp=10 * ps
            ),
            "LangevinBAOAB": lambda: import_module("ase.md.langevinbaoab").LangevinBAOAB(
                atoms, dt, temperature_K=300, T_tau=1e6 * units.fs, rng=rng
            ),
        }[name]()


@pytest.mark.parametrize(
    "name",
    [
        "VelocityVerlet",
        "Langevin",
        "Bussi",
        "NoseHooverChainNVT",
        "NVTBerendsen",
        "Andersen",
        "NPT",
        "NPTBerendsen",
        pytest.param("IsotropicMTKNPT", marks=NEWER_ASE),
        pytest.param("LangevinBAOAB", marks=NEWER_ASE),
    ],
)
def test_velocities_are_full_step_in_every_class(tmp_path, name):
    """Ṁ of a frame against (M(t + dt) - M(t - dt)) / 2 dt; half-step velocities would be off by
    dt/2 times the acceleration, ten times the tolerance. The thermostats are nearly off.
    """
    dt = 0.1
    atoms = toy.structure(2, temperature=300.0, seed=1)
    atoms.set_cell([[20, 0, 0], [0, 20, 0], [0, 0, 20]])
    atoms.pbc = True
    atoms.calc = toy.Potential()
    dyn = md(name, atoms, toy.timestep(dt))
    moments, accelerations = [], []
    with StreamObserver(dyn, tmp_path / "s", toy.Tensors()) as observer:
        dyn.attach(observer, interval=1)
        dyn.attach(lambda: moments.append(toy.dipole(atoms.positions)), interval=1)
        dyn.attach(lambda: accelerations.append(atoms.get_forces()), interval=1)
        dyn.run(60)
    reader = StreamReader(tmp_path / "s")
    rate, moments = reader.dipole_rate().sum(1), np.array(moments)
    central = (moments[2:] - moments[:-2]) / (2 * dt)
    error = np.sqrt(((rate[1:-1] - central) ** 2).mean())
    half_step = np.sqrt((((rate[1:] - rate[:-1]) / 2) ** 2).mean())
    assert error < 0.1 * half_step
    assert ("volume" in reader.arrays) == ("NPT" in name)
    if name == "NPT":
        assert np.ptp(reader.read("volume")) > 0
        np.testing.assert_allclose(reader.read("volume")[-1], atoms.get_volume())


def continue_run(path, atoms, n_steps, counted, stride=2):
    dyn = VelocityVerlet(atoms, toy.timestep(0.5))
    first_step = counted
    with StreamObserver(dyn, path, toy.Tensors(), stride=stride, first_step=first_step) as observer:
        dyn.attach(observer, interval=stride)
        dyn.run(n_steps)


def test_second_dynamics_goes_on_without_duplicate_or_gap(tmp_path):
    whole, parts = toy.structure(), toy.structure()
    whole.calc, parts.calc = toy.Potential(), toy.Potential()
    expected, _ = stream_run(tmp_path / "whole", whole, 0.5, 40, toy.Tensors(), stride=2)
    stream_run(tmp_path / "parts", parts, 0.5, 12, toy.Tensors(), stride=2)
    saved = parts.copy()
    saved.calc = toy.Potential()
    continue_run(tmp_path / "parts", parts, 18, counted=12)
    # and once more from the older state, which replaces what came after it
    continue_run(tmp_path / "parts", saved, 28, counted=12)
    reader = StreamReader(tmp_path / "parts")
    np.testing.assert_array_equal(reader.step, expected.step)
    np.testing.assert_array_equal(reader.time, expected.time)
    np.testing.assert_array_equal(reader.dipole_rate(), expected.dipole_rate())


def test_restored_counter_goes_on_with_the_next_frame(tmp_path):
    atoms = toy.structure()
    atoms.calc = toy.Potential()
    stream_run(tmp_path / "s", atoms, 0.5, 9, toy.Tensors(), stride=4)
    dyn = VelocityVerlet(atoms, toy.timestep(0.5))
    dyn.nsteps = 9
    with StreamObserver(dyn, tmp_path / "s", toy.Tensors(), stride=4, first_step=0) as observer:
        assert observer.last_step == 8
        dyn.attach(observer, interval=4)
        dyn.run(11)
        dyn.run(4)
    assert StreamReader(tmp_path / "s").step.tolist() == [0, 4, 8, 12, 16, 20, 24]


def test_what_would_spoil_the_stream_is_refused(tmp_path):
    atoms = toy.structure()
    atoms.calc = toy.Potential()
    stream_run(tmp_path / "s", atoms, 0.5, 8, toy.Tensors(), stride=4)
    dyn = VelocityVerlet(atoms, toy.timestep(0.5))
    with pytest.raises(InputError, match="expected no such path"):
        StreamObserver(dyn, tmp_path / "s", toy.Tensors(), stride=4)
    with pytest.raises(InputError, match="stride"):
        StreamObserver(dyn, tmp_path / "s", toy.Tensors(), stride=2, first_step=8)
    with pytest.raises(InputError, match=r"found 8 as the last before 16"):
        StreamObserver(dyn, tmp_path / "s", toy.Tensors(), stride=4, first_step=16)
    other = VelocityVerlet(toy.structure(2), toy.timestep(0.5))
    with pytest.raises(InputError, match="formula"):
        StreamObserver(other, tmp_path / "s", toy.Tensors(), stride=4, first_step=12)
    with pytest.raises(InputError, match="groups: found 6 atoms, expected 3 atoms"):
        StreamObserver(dyn, tmp_path / "n", toy.Tensors(), groups=Groups.by_labels("aabbcc"))
    with pytest.raises(InputError, match="model: found None, with Potential, expected a model, or"):
        StreamObserver(dyn, tmp_path / "n", stride=4)


def test_a_class_that_calls_observers_late(tmp_path):
    """NPT of ASE up to 3.24 calls them from its first step on, not before."""
    atoms = toy.structure()
    atoms.calc = toy.Potential()
    dyn = VelocityVerlet(atoms, toy.timestep(0.5))
    with StreamObserver(dyn, tmp_path / "s", toy.Tensors(), stride=4) as observer:
        dyn.run(0)
        dyn.attach(observer, interval=4)
        dyn.nsteps = 1
        dyn.run(15)
    assert StreamReader(tmp_path / "s").step.tolist() == [4, 8, 12, 16]


def test_a_run_of_no_steps_before_the_run(tmp_path):
    """ASE calls observers at the first step in each of them."""
    atoms = toy.structure()
    atoms.calc = toy.Potential()
    dyn = VelocityVerlet(atoms, toy.timestep(0.5))
    with StreamObserver(dyn, tmp_path / "s", toy.Tensors(), stride=4) as observer:
        dyn.attach(observer, interval=4)
        dyn.run(0)
        dyn.run(8)
    assert StreamReader(tmp_path / "s").step.tolist() == [0, 4, 8]
    dyn = VelocityVerlet(atoms, toy.timestep(0.5))
    with StreamObserver(dyn, tmp_path / "moved", toy.Tensors(), stride=4) as observer:
        dyn.attach(observer, interval=4)
        dyn.run(0)
        atoms.positions[0] += 0.01
        with pytest.raises(InputError, match="a call at step 0 where 4 is next"):
            dyn.run(8)


def test_an_optimizer_is_no_dynamics(tmp_path):
    atoms = toy.structure()
    atoms.calc = toy.Potential()
    with pytest.raises(InputError, match="found BFGS, expected molecular dynamics of ASE"):
        StreamObserver(BFGS(atoms, logfile=None), tmp_path / "s", toy.Tensors())


@pytest.mark.parametrize("interval", [1, 2, 8])
def test_interval_must_be_the_stride(tmp_path, interval):
    atoms = toy.structure()
    atoms.calc = toy.Potential()
    dyn = VelocityVerlet(atoms, toy.timestep(0.5))
    with StreamObserver(dyn, tmp_path / "s", toy.Tensors(), stride=4) as observer:
        dyn.attach(observer, interval=interval)
        with pytest.raises(InputError, match=r"dynamics.attach\(observer, interval=4\)"):
            dyn.run(20)
    assert StreamReader(tmp_path / "s").step.tolist() == [0]


def test_cell_that_changes_unexpectedly_stops_the_run(tmp_path):
    atoms = toy.structure(2, pbc=True)
    atoms.calc = toy.Potential()
    dyn = VelocityVerlet(atoms, toy.timestep(0.5))
    with StreamObserver(dyn, tmp_path / "s", toy.Tensors()) as observer:
        dyn.attach(observer)
        dyn.attach(lambda: atoms.set_cell(atoms.cell.array * 1.001), interval=1)
        with pytest.raises(RunError, match="variable_cell=True"):
            dyn.run(3)
    assert StreamReader(tmp_path / "s").n_frames == 1


def test_error_in_the_run_leaves_all_frames(tmp_path):
    atoms = toy.structure()
    atoms.calc = toy.Potential()
    dyn = VelocityVerlet(atoms, toy.timestep(0.5))

    def fail():
        if dyn.nsteps == 7:
            raise ZeroDivisionError

    dyn.attach(fail)

    def run():
        with StreamObserver(dyn, tmp_path / "s", toy.Tensors()) as observer:
            dyn.attach(observer)
            dyn.run(20)

    with pytest.raises(ZeroDivisionError):
        run()
    assert StreamReader(tmp_path / "s").step.tolist() == list(range(7))


def test_tensors_of_the_calculator_are_used_once(tmp_path):
    atoms = toy.structure()
    model = toy.Tensors()
    atoms.calc = APTCalculator(model, toy.Potential(), efield=(0.1, 0.0, 0.2))
    reader, positions = stream_run(tmp_path / "s", atoms, 0.5, 10, None)
    assert model.n_calls == 11
    assert reader.header.model == "toy"
    rate = np.einsum(
        "nab,nb->a", toy.polar_tensors(positions[-1]), atoms.get_velocities() * units.fs
    )
    np.testing.assert_allclose(reader.dipole_rate()[-1, 0], rate, rtol=1e-12)


def test_any_calculator_with_polar_tensors_will_do(tmp_path):
    class Polar(toy.Potential):
        implemented_properties = (*toy.Potential.implemented_properties, "born_effective_charges")

        def calculate(self, *arguments, **keywords):
            super().calculate(*arguments, **keywords)
            self.results["born_effective_charges"] = toy.polar_tensors(self.atoms.positions)

    atoms, same = toy.structure(), toy.structure()
    atoms.calc, same.calc = Polar(), toy.Potential()
    found, _ = stream_run(tmp_path / "s", atoms, 0.5, 6, None)
    expected, _ = stream_run(tmp_path / "t", same, 0.5, 6, toy.Tensors())
    np.testing.assert_array_equal(found.dipole_rate(), expected.dipole_rate())
    assert found.header.model == "polar"


def test_conserved_quantity_in_a_field(tmp_path):
    """U + K - E·∫Ṁ dt is constant to second order, U + K is not."""
    field = np.array([0.5, -0.4, 0.8])
    spread = []
    for dt in (0.4, 0.2):
        atoms = toy.structure(2, seed=3)
        atoms.calc = APTCalculator(toy.Tensors(), toy.Potential(), efield=field)
        dyn = VelocityVerlet(atoms, toy.timestep(dt))
        energies = []
        with StreamObserver(dyn, tmp_path / f"{dt}") as observer:
            dyn.attach(observer)
            dyn.attach(lambda a=atoms, e=energies: e.append(a.get_total_energy()))
            dyn.run(round(60 / dt))
        rate = StreamReader(tmp_path / f"{dt}").dipole_rate().sum(1) @ field
        work = np.concatenate([[0.0], np.cumsum(0.5 * (rate[1:] + rate[:-1]) * dt)])
        spread.append((np.ptp(np.array(energies) - work), np.ptp(energies)))
    assert spread[1][0] < 0.02 * spread[1][1]
    assert spread[0][0] / spread[1][0] == pytest.approx(4.0, rel=0.2)


@pytest.mark.parametrize("in_calculator", [False, True])
def test_committee_deviation_is_that_of_the_rate(tmp_path, in_calculator):
    atoms = toy.structure(2)
    model = committee = toy.Committee()
    atoms.calc = toy.Potential()
    if in_calculator:
        model, atoms.calc = None, APTCalculator(committee, toy.Potential(), efield=(0.1, 0.2, 0.0))
    groups = Groups.by_molecule(atoms)
    reader, positions = stream_run(tmp_path / "s", atoms, 0.5, 4, model, groups=groups)
    assert committee.n_calls == 5
    factors = toy.Committee.factors
    np.testing.assert_allclose(
        reader.read("dipole_rate_std"),
        np.abs(reader.dipole_rate()) * factors.std(ddof=1) / factors.mean(),
        rtol=1e-10,
    )
    size = np.sqrt((toy.polar_tensors(positions[-1]) ** 2).mean((1, 2))).max()
    np.testing.assert_allclose(reader.read("extrapolation")[-1], size * factors.std(ddof=1))


@pytest.mark.parametrize("in_calculator", [False, True])
def test_how_far_a_committee_is_from_what_it_knows(tmp_path, in_calculator, caplog):
    """Half of the chlorine atoms' spread is known, and all of the others'."""
    atoms = toy.structure(2)
    sizes = toy.Committee.factors.std(ddof=1) * np.sqrt(
        (toy.polar_tensors(atoms.positions) ** 2).mean((1, 2))
    )
    known = {symbol: 2.0 * sizes[atoms.symbols == symbol].max() for symbol in ("H", "O")}
    known["Cl"] = 0.5 * sizes[atoms.symbols == "Cl"].max()
    model = as_model(toy.Committee())
    model.domain = Domain("toy", {"apt": known})
    atoms.calc = APTCalculator(model, toy.Potential()) if in_calculator else toy.Potential()
    reader, positions = stream_run(tmp_path / "s", atoms, 0.5, 4, None if in_calculator else model)
    limits = np.array([1.5 * known[symbol] for symbol in atoms.symbols])
    expected = [
        (np.sqrt((toy.polar_tensors(q) ** 2).mean((1, 2))) / limits).max()
        * toy.Committee.factors.std(ddof=1)
        for q in positions
    ]
    np.testing.assert_allclose(reader.read("spread_ratio"), expected, rtol=1e-9)
    assert expected[0] == pytest.approx(1 / 0.75)
    assert sum("(Cl) at step 0 (APT by" in message for message in caplog.messages) == 1


def test_temperature_counts_the_degrees_of_freedom():
    rng = np.random.default_rng(0)
    values = {"resting": [], "moving": [], "fixed": []}
    for seed in range(1500):
        atoms = toy.structure(1, temperature=300.0, seed=seed)
        values["resting"].append(temperature(atoms))
        width = np.sqrt(units.kB * 300.0 * atoms.get_masses())
        atoms.set_momenta(rng.normal(size=(3, 3)) * width[:, None])
        values["moving"].append(temperature(atoms))
        atoms.set_constraint(FixAtoms([0]))
        atoms.set_momenta(atoms.get_momenta())
        values["fixed"].append(temperature(atoms))
    for name, found in values.items():
        error = np.std(found) / np.sqrt(len(found))
        assert abs(np.mean(found) - 300.0) < 3.5 * error, name
        assert error < 6.0
