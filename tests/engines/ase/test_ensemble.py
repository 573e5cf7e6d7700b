"""Ensembles: canonical starts, runs that conserve what they must, resumption, refusals."""

from __future__ import annotations

import math
import signal

import ase.io
import helpers.toy_molecules as toy
import numpy as np
import pytest
from ase import Atoms, units
from ase.constraints import FixAtoms
from helpers.tiers import slow
from scipy.stats import chi2, kstest

from aptnn_md.atoms.groups import Groups
from aptnn_md.atoms.motion import MotionGroups
from aptnn_md.atoms.rotation import WholeRotation
from aptnn_md.atoms.snapshot import Snapshot
from aptnn_md.cli import main
from aptnn_md.engines.ase.calculator import APTCalculator
from aptnn_md.engines.ase.dynamics import make_dynamics
from aptnn_md.engines.ase.ensemble_state import EnsembleState
from aptnn_md.engines.ase.md import run_md
from aptnn_md.engines.ase.observer import temperature
from aptnn_md.engines.ase.settings import MDSettings
from aptnn_md.errors import InputError
from aptnn_md.prediction.loading import as_model
from aptnn_md.spectra.convergence.monitor import Monitor
from aptnn_md.spectra.options import InfraredOptions
from aptnn_md.spectra.velocities.of_streams import velocity_spectrum_of_streams
from aptnn_md.stream import StreamReader
from aptnn_md.stream.ensemble import complete_runs, run_path
from aptnn_md.units import AMU_A2_PER_FS2_EV, BOLTZMANN_EV_PER_K

KELVIN = 300.0
KT = BOLTZMANN_EV_PER_K * KELVIN
STIFFNESS = (toy.STIFFNESS_OH, toy.STIFFNESS_OCL, toy.STIFFNESS_DOT)


class Recorder(toy.Tensors):
    """The analytic tensors; keeps positions and velocities (Å/fs) of each frame."""

    def __init__(self):
        super().__init__()
        self.positions, self.velocities = [], []

    def __call__(self, atoms):
        self.positions.append(atoms.positions.copy())
        self.velocities.append(atoms.get_velocities() * units.fs)
        return super().__call__(atoms)


def at_the_minimum(n_molecules=1, model=None):
    """Molecules that do not feel each other, in open space, at rest."""
    atoms = toy.structure(n_molecules, seed=4)
    atoms.set_momenta(np.zeros((len(atoms), 3)))
    atoms.calc = APTCalculator(model or toy.Tensors(), toy.Potential())
    return atoms


def short(n_runs, n_steps, **options):
    known = {"stride": 4, "seed": 7, "sampling_friction": 50.0, "sampling": 0.06}
    picoseconds = n_runs * n_steps * 5e-4
    return MDSettings(picoseconds, n_runs=n_runs, **(known | {"equilibrate": 0.3} | options))


def deviations(positions):
    """x of each internal coordinate: (n_molecules, 3); the energy is Σ k x² / 2."""
    first, second = toy.bonds(positions)
    lengths = [np.linalg.norm(vectors, axis=1) for vectors in (first, second)]
    equilibrium = (toy.LENGTH_OH, toy.LENGTH_OCL, toy.DOT)
    return np.stack([*lengths, (first * second).sum(1)], axis=1) - np.array(equilibrium)


def motion_temperatures(atoms, positions, velocities):
    """Of translation, rotation and vibration of the molecules in each frame, (frames, 3), K."""
    motions, masses = MotionGroups(Groups.all_atoms(atoms), atoms), atoms.get_masses()
    found = []
    for where, moving in zip(positions, velocities, strict=True):
        parts = motions.velocity_parts(moving, Snapshot(where))
        kinetic = 0.5 * AMU_A2_PER_FS2_EV * (masses[:, None] * parts**2).sum(axis=(1, 2))
        found.append(2.0 * kinetic / (len(atoms) * BOLTZMANN_EV_PER_K))
    return np.array(found)


def frames(recorder, n_runs):
    """Positions and velocities, (n_runs, frames, n_atoms, 3) each."""
    both = np.array(recorder.positions), np.array(recorder.velocities)
    return [values.reshape(n_runs, -1, *values.shape[1:]) for values in both]


@pytest.fixture(scope="module")
def canonical(tmp_path_factory):
    """12 short runs of 30 molecules from the minimum."""
    recorder = Recorder()
    atoms = at_the_minimum(30, recorder)
    path = tmp_path_factory.mktemp("canonical") / "runs"
    summary = run_md(atoms, path, short(12, 60))
    return atoms, *frames(recorder, 12), summary, path


def kelvin_of_coordinates(positions):
    """k⟨x²⟩/k_B of each internal coordinate, (frames, 3)."""
    squares = np.array([(deviations(where) ** 2).mean(0) for where in positions])
    return np.array(STIFFNESS) * squares / BOLTZMANN_EV_PER_K


@pytest.mark.thorough
def test_starts_are_canonical_in_positions(canonical):
    """Each coordinate has k⟨x²⟩ = k_B T, from a start in which all are zero."""
    _, positions, *_ = canonical
    found = kelvin_of_coordinates(positions[:, 0])
    mean, error = found.mean(0), found.std(0, ddof=1) / math.sqrt(len(found))
    assert error.max() < 30.0
    assert (np.abs(mean - KELVIN) < 4.0 * error).all(), (mean, error)


@pytest.mark.thorough
def test_every_motion_has_the_temperature(canonical):
    """Translation, rotation and vibration of the molecules, in all frames of the runs."""
    atoms, positions, velocities, summary, _ = canonical
    found = np.array(
        [
            motion_temperatures(atoms, where, moving).mean(0)
            for where, moving in zip(positions, velocities, strict=True)
        ]
    )
    mean, error = found.mean(0), found.std(0, ddof=1) / math.sqrt(len(found))
    assert error.max() < 25.0
    assert (np.abs(mean - KELVIN) < 4.0 * error).all(), (mean, error)
    assert abs(summary.mean_temperature - KELVIN) < 4.0 * summary.temperature_error
    assert 1.0 < summary.temperature_error < 15.0


@pytest.mark.thorough
def test_a_global_thermostat_from_the_minimum_fails_these_checks(tmp_path, caplog):
    """What was the default: vibrations stay cold, rotation and translation get hot."""
    recorder = Recorder()
    atoms = at_the_minimum(30, recorder)
    settings = MDSettings(0.6, stride=20, thermostat="bussi", tau=20.0, seed=7)
    summary = run_md(atoms, tmp_path / "s", settings)
    assert "bussi is wrong for 90 atoms in open space" in caplog.text
    positions, velocities = recorder.positions[30:], recorder.velocities[30:]
    translation, rotation, vibration = motion_temperatures(atoms, positions, velocities).mean(0)
    assert abs(summary.mean_temperature - KELVIN) < 30.0, "which is all that it sees"
    assert min(translation, rotation) > 330.0
    assert vibration < 240.0
    assert (kelvin_of_coordinates(positions).mean(0) < 250.0).all()


@pytest.mark.thorough
def test_momenta_are_canonical_and_independent_of_positions(canonical):
    """Σ p²/(m k_B T) of each molecule has the chi-squared distribution of nine degrees."""
    atoms, positions, velocities, *_ = canonical
    squares = atoms.get_masses()[:, None] * velocities[:, 0] ** 2 * AMU_A2_PER_FS2_EV / KT
    of_molecules = squares.reshape(12 * 30, 9).sum(axis=1)
    assert kstest(of_molecules, chi2(9.0).cdf).pvalue > 0.01
    potential = np.array([(deviations(where) ** 2 * STIFFNESS).sum(1) for where in positions[:, 0]])
    assert abs(np.corrcoef(potential.ravel(), of_molecules)[0, 1]) < 4.0 / math.sqrt(360)


FREEDOM = [
    (Atoms("Ar", positions=[[1.0, 2.0, 3.0]]), "keep", 3),
    (Atoms("HCl", positions=[[0, 0, 0], [0.7, 0.6, 0.9]]), "keep", 3),
    (Atoms("HCl", positions=[[0, 0, 0], [0.7, 0.6, 0.9]]), "remove", 1),
    (Atoms("OCO", positions=[[0, 0, -1.1], [0, 0.01, 0], [0, 0, 1.2]]), "keep", 6),
    (Atoms("OCO", positions=[[0, 0, -1.1], [0, 0.01, 0], [0, 0, 1.2]]), "remove", 4),
    (toy.structure(1), "keep", 6),
    (toy.structure(1), "remove", 3),
    (toy.structure(2), "remove", 12),
]


@pytest.mark.thorough
@pytest.mark.parametrize(("atoms", "rotation", "freedom"), FREEDOM)
def test_temperature_counts_what_is_free(atoms, rotation, freedom):
    """Momenta as they are drawn: f T/T₀ is distributed as χ² with f degrees of freedom."""
    rng = np.random.default_rng(2)
    whole = WholeRotation.of(atoms) if rotation == "remove" else None
    kelvin = []
    for _ in range(600):
        moving = atoms.copy()
        moving.set_momenta(np.zeros((len(atoms), 3)))
        make_dynamics(moving, MDSettings(1.0, thermostat="none"), rng, begin=False)
        if whole is not None:
            still = whole.removed_from(moving.positions, moving.get_velocities())
            moving.set_momenta(still * moving.get_masses()[:, None], apply_constraint=False)
        kelvin.append(temperature(moving, whole))
    assert kstest(freedom * np.array(kelvin) / KELVIN, chi2(freedom).cdf).pvalue > 0.005


def f_sum_ratios(path):
    """⟨|Ṁ|²⟩ over what the f-sum says it is, for each run."""
    found = []
    for run in complete_runs(path):
        reader = StreamReader(run)
        squares = (reader.dipole_rate().sum(axis=1) ** 2).sum(axis=1).mean()
        strength = reader.read("f_sum").sum(axis=1).mean()
        found.append(squares * AMU_A2_PER_FS2_EV / (3.0 * KT * strength))
    return np.array(found)


@pytest.mark.thorough
@pytest.mark.parametrize("rotation", slow(["keep", "remove"], "remove"))
def test_runs_conserve_and_fulfil_the_f_sum_rule(tmp_path, rotation):
    """One molecule, with a dipole that depends on all coordinates."""
    n_runs, recorder = 40, Recorder()
    atoms = at_the_minimum(1, recorder)
    path = tmp_path / "runs"
    settings = short(n_runs, 60, rotation=rotation, sampling=0.02, stride=3)
    summary = run_md(atoms, path, settings, groups="element", velocities=True)
    assert summary.n_runs == n_runs
    ratios = f_sum_ratios(path)
    error = ratios.std(ddof=1) / math.sqrt(n_runs)
    assert error < 0.2
    assert abs(ratios.mean() - 1.0) < 3.5 * error, (ratios.mean(), error)
    assert abs(summary.mean_temperature - KELVIN) < 3.5 * summary.temperature_error
    masses = atoms.get_masses()[:, None]
    for positions, velocities in zip(*frames(recorder, n_runs), strict=True):
        kinetic = 0.5 * AMU_A2_PER_FS2_EV * (masses * velocities**2).sum(axis=(1, 2))
        energy = kinetic + [toy.energy_forces_virial(where)[0] for where in positions]
        assert np.ptp(energy) < 0.05 * max(energy.mean(), KT)
        momenta = masses * velocities
        np.testing.assert_allclose(momenta.sum(axis=1), 0.0, atol=1e-9)
        centre = (masses * positions).sum(axis=1, keepdims=True) / masses.sum()
        angular = np.cross(positions - centre, momenta).sum(axis=1)
        size = np.sqrt(KT / AMU_A2_PER_FS2_EV * 10.0)  # of thermal rotation, amu Å²/fs
        assert np.ptp(angular, axis=0).max() < 1e-9 * size
        assert (np.abs(angular).max() < 1e-9 * size) == (rotation == "remove")
    header = StreamReader(run_path(path, 1)).header
    assert header.rotation == {"keep": "kept", "remove": "removed"}[rotation]
    assert "one of an ensemble of runs from canonical starts" in header.ensemble
    assert header.temperature == KELVIN
    ids = {StreamReader(run).header.run_id for run in complete_runs(path)}
    assert len(ids) == n_runs
    spectrum = velocity_spectrum_of_streams([path], resolution=1700.0)
    freedom = spectrum.total_freedom
    assert freedom.expected == pytest.approx({"keep": 6.0, "remove": 3.0}[rotation])
    assert abs(freedom.found - freedom.expected) < 4.0 * freedom.standard_error


@pytest.mark.thorough
def test_a_molecule_without_rotation_has_no_libration(tmp_path):
    """Neither in its rate nor in its f-sum; the parts add up to what is without groups."""
    for groups in ("all", "motion"):
        run_md(at_the_minimum(), tmp_path / groups, short(1, 16, rotation="remove"), groups=groups)
    total, parts = (StreamReader(run_path(tmp_path / name, 1)) for name in ("all", "motion"))
    rates, f_sums = parts.dipole_rate(), parts.read("f_sum")
    still = [parts.header.groups.index(name) for name in ("translation", "libration")]
    size = np.abs(rates).max()
    np.testing.assert_allclose(rates[:, still], 0.0, atol=1e-10 * size)
    np.testing.assert_allclose(f_sums[:, still], 0.0, atol=1e-10)
    np.testing.assert_allclose(f_sums.sum(axis=1), total.read("f_sum")[:, 0], rtol=1e-10)
    np.testing.assert_allclose(
        rates.sum(axis=1), total.dipole_rate()[:, 0], rtol=0, atol=1e-10 * size
    )


@pytest.mark.thorough
def test_a_cluster_with_fixed_atoms(tmp_path):
    """What is fixed stays, and the temperature is that of the others."""
    recorder = Recorder()
    atoms = at_the_minimum(20, recorder)
    atoms.set_constraint(FixAtoms(range(30)))
    fixed = atoms.positions[:30].copy()
    summary = run_md(atoms, tmp_path / "runs", short(10, 8))
    assert all((where[:30] == fixed).all() for where in recorder.positions)
    assert abs(summary.mean_temperature - KELVIN) < 4.0 * summary.temperature_error < 80.0
    assert StreamReader(run_path(tmp_path / "runs", 1)).header.rotation == ""
    with pytest.raises(InputError, match="remove, and constraints, which do not let it turn"):
        run_md(atoms, tmp_path / "more", short(1, 8, rotation="remove"))


@pytest.mark.thorough
def test_a_chain_without_rotation_has_the_temperature(tmp_path, monkeypatch):
    """Equipartition on the Langevin chain itself, among what its projection leaves."""
    kelvin = []
    original = EnsembleCheckpointSpy.of(monkeypatch, kelvin)
    options = {"rotation": "remove", "equilibrate": 2.5, "sampling_friction": 100.0}
    run_md(at_the_minimum(), tmp_path / "runs", short(1, 4, **options))
    assert original.called > 1000
    values = np.array(kelvin[200:])
    blocks = values[: len(values) // 20 * 20].reshape(20, -1).mean(1)
    error = blocks.std(ddof=1) / math.sqrt(20)
    assert error < 40.0
    assert abs(blocks.mean() - KELVIN) < 4.0 * error


class EnsembleCheckpointSpy:
    """Notes the temperature wherever the chain could be written down."""

    called = 0

    @classmethod
    def of(cls, monkeypatch, kelvin):
        spy = cls()

        def keep_chain(_, dynamics):
            spy.called += 1
            whole = WholeRotation.of(dynamics.atoms)
            kelvin.append(temperature(dynamics.atoms, whole))

        path = "aptnn_md.engines.ase.ensemble_state.EnsembleCheckpoint.keep_chain"
        monkeypatch.setattr(path, keep_chain)
        return spy


# ---------------------------------------------------------------------- choices


def header_of(atoms, path, settings):
    run_md(atoms, path, settings)
    single = (path / "zarr.json").exists()
    return StreamReader(path if single else run_path(path, 1)).header


@pytest.mark.thorough
def test_a_molecule_gets_an_ensemble_and_a_periodic_system_does_not(tmp_path, caplog):
    caplog.set_level("INFO")
    coarse = {"timestep": 2.0, "stride": 2, "seed": 1, "equilibrate": 0.02, "sampling": 0.02}
    atoms = toy.structure(1)
    atoms.calc = APTCalculator(toy.Tensors(), toy.Potential())
    monitor = None
    summary = run_md(atoms, tmp_path / "runs", MDSettings(7.3, **coarse), until=monitor)
    assert summary.n_runs == 3
    assert "3 atoms in open space are no bath for each other: an ensemble" in caplog.text
    assert "only 3: standard errors need 8 runs or more" in caplog.text
    assert "too short" not in caplog.text
    header = StreamReader(run_path(tmp_path / "runs", 1)).header
    assert header.volume is None
    assert header.ensemble.startswith("NVE, one of an ensemble")
    periodic = toy.structure(2, pbc=True)
    periodic.calc = APTCalculator(toy.Tensors(), toy.Potential())
    found = header_of(periodic, tmp_path / "box", MDSettings(0.01, seed=1))
    assert found.ensemble == "NVT, stochastic velocity rescaling, 1000 fs"
    assert found.rotation == ""


@pytest.mark.thorough
def test_what_is_asked_for_wins(tmp_path, caplog):
    found = header_of(at_the_minimum(), tmp_path / "a", MDSettings(0.01, n_runs=0))
    assert found.ensemble == "NVT, Langevin, 1 /ps"
    assert "bussi" not in caplog.text
    found = header_of(at_the_minimum(), tmp_path / "b", MDSettings(0.01, thermostat="bussi"))
    assert found.ensemble.startswith("NVT, stochastic")
    assert "bussi is wrong for 3 atoms" in caplog.text
    found = header_of(at_the_minimum(40), tmp_path / "c", MDSettings(0.01))
    assert found.ensemble.startswith("NVT, stochastic"), "120 atoms"
    assert found.rotation == "kept"
    found = header_of(at_the_minimum(), tmp_path / "d", short(1, 4))
    assert found.ensemble.startswith("NVE, one of an ensemble")
    assert "runs of 0.002 ps are too short for spectra of the default resol" in caplog.text


def test_rotation_of_a_single_run_is_removed(tmp_path):
    recorder = Recorder()
    atoms = at_the_minimum(1, recorder)
    settings = MDSettings(0.02, thermostat="none", rotation="remove", equilibrate=0.01, seed=3)
    found = header_of(atoms, tmp_path / "s", settings)
    assert found.rotation == "removed"
    whole = WholeRotation.of(atoms)
    for positions, velocities in zip(recorder.positions, recorder.velocities, strict=True):
        np.testing.assert_allclose(whole.angular_velocity(positions, velocities), 0.0, atol=1e-12)


@pytest.mark.parametrize(
    ("options", "pbc", "message"),
    [
        ({"n_runs": 4, "thermostat": "bussi"}, False, "n_runs: found 4 runs, and the thermostat"),
        ({"n_runs": -1}, False, "n_runs: found -1, expected a whole number from 0 to 9999"),
        ({"rotation": "remove"}, True, "remove, and a periodic structure, which does not turn"),
        ({"rotation": "remove", "thermostat": "langevin"}, False, "whose noise turns it"),
        ({"rotation": "no"}, False, "rotation: found 'no', expected one of keep, remove"),
    ],
)
def test_refusals(tmp_path, options, pbc, message):
    atoms = toy.structure(1, pbc=pbc)
    atoms.calc = APTCalculator(toy.Tensors(), toy.Potential())
    with pytest.raises(InputError, match=message):
        run_md(atoms, tmp_path / "s", MDSettings(0.1, **options))
    assert not (tmp_path / "s").exists()


# ---------------------------------------------------------------------- resumption


def rates(path):
    return [StreamReader(run).dipole_rate() for run in complete_runs(path)]


@pytest.mark.thorough
def test_more_runs_continue_an_ensemble(tmp_path):
    """The chain goes on: six runs are those of four and two more, bit by bit."""
    files = {"checkpoint": tmp_path / "c.npz"}
    run_md(at_the_minimum(), tmp_path / "runs", short(4, 8), **files)
    more = run_md(at_the_minimum(), tmp_path / "runs", short(6, 8), restart=True, **files)
    assert (more.first_step, more.last_step, more.n_runs) == (32, 48, 6)
    run_md(at_the_minimum(), tmp_path / "whole", short(6, 8))
    for found, expected in zip(rates(tmp_path / "runs"), rates(tmp_path / "whole"), strict=True):
        np.testing.assert_array_equal(found, expected)
    again = run_md(at_the_minimum(), tmp_path / "runs", short(6, 8), restart=True, **files)
    assert (again.first_step, again.last_step) == (48, 48)


@pytest.mark.parametrize("begun_with", [None, False])
def test_all_runs_have_the_members_that_the_first_has(tmp_path, begun_with):
    """Whatever the default is when more runs are added."""
    files = {"checkpoint": tmp_path / "c.npz", "model": toy.Committee()}
    run_md(at_the_minimum(), tmp_path / "runs", short(1, 8), members=begun_with, **files)
    run_md(at_the_minimum(), tmp_path / "runs", short(3, 8), restart=True, **files)
    names = ("bead",) if begun_with is False else ("bead", "member-1", "member-2", "member-3")
    found = [StreamReader(run).header.estimators for run in complete_runs(tmp_path / "runs")]
    assert found == [names] * 3
    other = begun_with is False
    with pytest.raises(InputError, match=r"estimators: found with.* the rates of members"):
        run_md(
            at_the_minimum(), tmp_path / "runs", short(4, 8), restart=True, members=other, **files
        )


@pytest.mark.thorough
def test_a_signal_in_chain_or_run_ends_it_and_it_resumes(tmp_path):
    whole = short(3, 16, rotation="remove")
    run_md(at_the_minimum(), tmp_path / "whole", whole)
    n_calls, seen = 0, set()

    class Interrupted(toy.Potential):
        def calculate(self, *arguments):
            nonlocal n_calls
            n_calls += 1
            if n_calls % 170 == 0:
                signal.raise_signal(signal.SIGTERM)
            super().calculate(*arguments)

    for _ in range(40):
        atoms = at_the_minimum()
        atoms.calc = APTCalculator(toy.Tensors(), Interrupted())
        files = {"checkpoint": tmp_path / "c.npz", "restart": True}
        summary = run_md(atoms, tmp_path / "runs", whole, **files)
        if summary.finished:
            break
        seen.add(EnsembleState.read(tmp_path / "c.npz").run is None)
        n_calls += 9
    assert summary.n_runs == 3
    assert True in seen
    for found, expected in zip(rates(tmp_path / "runs"), rates(tmp_path / "whole"), strict=True):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.thorough
def test_it_stops_when_the_spectrum_has_converged(tmp_path):
    options = InfraredOptions(resolution=1400.0)
    path = tmp_path / "runs"

    def monitor(tolerance):
        return Monitor(path, tolerance, (0.0, 2000.0), options)

    files = {"checkpoint": tmp_path / "c.npz"}
    found = run_md(at_the_minimum(), path, short(30, 80), until=monitor(1.0), **files)
    assert "converged" in found.convergence, found
    assert 2 <= found.n_runs < 30
    assert found.finished
    files["restart"] = True
    again = run_md(at_the_minimum(), path, short(30, 80), until=monitor(1.0), **files)
    assert again.n_runs == found.n_runs
    more = run_md(at_the_minimum(), path, short(found.n_runs + 1, 80), until=monitor(1e-3), **files)
    assert more.n_runs == found.n_runs + 1
    assert "expected after" in more.convergence


@pytest.mark.thorough
def test_what_does_not_belong_together_is_refused(tmp_path):
    path, files = tmp_path / "runs", {"checkpoint": tmp_path / "c.npz"}
    run_md(at_the_minimum(), path, short(2, 8), **files)
    with pytest.raises(InputError, match="checkpoint: found a file, expected no such file"):
        run_md(at_the_minimum(), path, short(2, 8), **files)
    with pytest.raises(InputError, match="found something there already, expected a new dir"):
        run_md(at_the_minimum(), path, short(2, 8))
    files["restart"] = True
    expected = "length of runs: found 5 frames a run, expected 3, as in those there: --ensemble "
    with pytest.raises(InputError, match=expected + r"\d+ --ps 0\.0\d+"):
        run_md(at_the_minimum(), path, short(2, 16), **files)
    with pytest.raises(InputError, match=r"temperature: found 300.0, expected 310.0"):
        run_md(at_the_minimum(), path, short(3, 8, temperature=310.0), **files)
    with pytest.raises(InputError, match="rotation: found kept, expected removed"):
        run_md(at_the_minimum(), path, short(3, 8, rotation="remove"), **files)
    with pytest.raises(InputError, match=r"format: found aptnn_md.dynamics.ensemble, expected"):
        run_md(at_the_minimum(), path, MDSettings(0.01, thermostat="none"), **files)
    assert len(complete_runs(path)) == len(list(path.glob("run-*"))) == 2, "nothing is left of it"
    assert run_md(at_the_minimum(), path, short(3, 8), **files).n_runs == 3
    single = {"checkpoint": tmp_path / "single.npz"}
    run_md(at_the_minimum(), tmp_path / "s", MDSettings(0.01, thermostat="none"), **single)
    with pytest.raises(InputError, match="a single run resumes with its --thermostat"):
        run_md(at_the_minimum(), tmp_path / "s", short(3, 8), restart=True, **single)
    (tmp_path / "c.npz").unlink()
    with pytest.raises(InputError, match="no such file, but runs in"):
        run_md(at_the_minimum(), path, short(3, 8), **files)


@pytest.mark.thorough
def test_command(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model = as_model(toy.Tensors())
    monkeypatch.setattr("aptnn_md.engines.ase.calculator.as_model", lambda *_, **__: model)
    ase.io.write("start.xyz", toy.structure(1))
    command = ["md", "start.xyz", "--potential", "helpers.toy_molecules:Potential"]
    command += ["--model", "toy", "--stream", "runs", "--sampling", "0.02", "--equilibrate", "0.1"]
    command += ["--ensemble", "3", "--ps", "0.18", "--rotation", "remove", "--seed", "1"]
    assert main(command) == 0
    printed = capsys.readouterr().out
    assert "3 complete runs" in printed
    assert " ± " in printed
    assert "spectrum ir runs --out" in printed
    assert main(["info", "runs"]) == 0
    assert "3 complete, 3 planned" in capsys.readouterr().out
    words = ["spectrum", "ir", "runs", "--resolution", "900", "--volume", "1e8", "--plot", "a.png"]
    assert main(words) == 0
    printed = capsys.readouterr().out
    assert "in 3 runs" in printed
    assert "without rotation of the whole" in printed
    words = [
        "spectrum",
        "compare",
        "runs",
        "runs/run-001.zarr,runs/run-002.zarr",
        "--volume",
        "1e8",
    ]
    assert main([*words, "--resolution", "900", "--names", "all", "two"]) == 0
    assert main([*command, "--thermostat", "bussi", "--restart"]) == 2
    assert "--ensemble: found 3 runs, and the thermostat bussi" in capsys.readouterr().err
