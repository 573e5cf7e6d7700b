"""Runs with constraints: f-sum, temperature and degrees of freedom are of what can move."""

from __future__ import annotations

import helpers.toy_molecules as toy
import numpy as np
import pytest
from ase import units
from ase.constraints import FixAtoms, FixBondLengths, FixCartesian, FixInternals, Hookean
from ase.md.verlet import VelocityVerlet

from aptnn_md.engines.ase.calculator import APTCalculator
from aptnn_md.engines.ase.dynamics import make_dynamics
from aptnn_md.engines.ase.md import MDSettings, run_md
from aptnn_md.engines.ase.observer import StreamObserver, temperature
from aptnn_md.spectra.velocities.of_streams import velocity_spectrum_of_streams
from aptnn_md.spectra.velocities.report import report_velocities
from aptnn_md.stream import StreamReader
from aptnn_md.units import AMU_A2_PER_FS2_EV, BOLTZMANN_EV_PER_K

KELVIN = 300.0


def run(path, *constraints, n_molecules=6, n_steps=7000, **options):
    atoms = toy.structure(n_molecules, temperature=KELVIN, pbc=True)
    atoms.calc = APTCalculator(toy.Tensors(), toy.Potential())
    atoms.set_constraint(list(constraints))
    settings = MDSettings(
        picoseconds=n_steps * 5e-4, thermostat="langevin", friction=30.0, stride=3, seed=5
    )
    run_md(atoms, path, settings, **options)
    return atoms


def f_sum_ratio(path):
    """⟨|Ṁ|²⟩ over what the f-sum says it is, and its standard error from 30 blocks."""
    reader = StreamReader(path)
    squares = (reader.dipole_rate().sum(axis=1) ** 2).sum(axis=1)
    strength = reader.read("f_sum").sum(axis=1).mean()
    scale = 3.0 * BOLTZMANN_EV_PER_K * KELVIN / AMU_A2_PER_FS2_EV * strength
    blocks = np.array([block.mean() for block in np.array_split(squares[100:], 30)]) / scale
    return blocks.mean(), blocks.std(ddof=1) / np.sqrt(len(blocks))


@pytest.mark.thorough
@pytest.mark.parametrize(
    "constraint",
    [
        FixAtoms(range(9)),
        pytest.param(
            FixCartesian([0, 1, 3, 4, 7, 10, 13], (True, False, True)), marks=pytest.mark.slow
        ),
    ],
    ids=["half the atoms fixed", "some directions fixed"],
)
def test_f_sum_and_degrees_of_freedom_are_of_what_can_move(tmp_path, constraint):
    run(tmp_path / "s", constraint, velocities=True, groups="element")
    ratio, error = f_sum_ratio(tmp_path / "s")
    assert error < 0.1
    assert abs(ratio - 1.0) < 4.0 * error
    if not isinstance(constraint, FixAtoms):
        return
    spectrum = velocity_spectrum_of_streams([tmp_path / "s"], resolution=100.0)
    found = spectrum.total_freedom
    assert found.expected == 27.0
    assert abs(found.found - 27.0) < max(4.0 * found.standard_error, 0.05 * 27.0)
    assert {spectrum.freedom[label].expected for label in ("H", "O", "Cl")} == {9.0}
    assert "9 atoms are fixed: their degrees of freedom are not expected" in spectrum.notes


def test_temperature_is_of_what_can_move(tmp_path):
    atoms = run(tmp_path / "s", FixAtoms(range(9)), n_steps=6)
    kinetic = 0.5 * (atoms.get_momenta() ** 2 / atoms.get_masses()[:, None]).sum()
    assert temperature(atoms) == pytest.approx(2.0 * kinetic / (27 * units.kB))


def test_velocities_that_atoms_had_before_they_were_fixed_do_not_count(tmp_path):
    """ASE takes them away with the first step only."""
    atoms = toy.structure(2)
    atoms.calc = toy.Potential()
    atoms.set_constraint(FixAtoms(range(3)))
    assert np.abs(atoms.get_velocities()[:3]).max() > 0.0
    moving = 0.5 * (atoms.get_momenta()[3:] ** 2 / atoms.get_masses()[3:, None]).sum()
    dynamics = VelocityVerlet(atoms, toy.timestep(0.5))
    with StreamObserver(
        *(dynamics, tmp_path / "s", toy.Tensors()),
        groups="molecule",
        velocities=True,
        dipole_calculator=toy.Potential(),
    ) as observer:
        dynamics.attach(observer)
        dynamics.run(3)
    reader = StreamReader(tmp_path / "s")
    for estimator in reader.header.estimators:
        rate = reader.dipole_rate(estimator)
        np.testing.assert_array_equal(rate[:, 0], 0.0)
        assert np.abs(rate[:, 1]).min() > 0.0
    np.testing.assert_array_equal(reader.read("velocity")[:, :3], 0.0)
    assert reader.read("temperature")[0] == pytest.approx(2.0 * moving / (9 * units.kB))


@pytest.mark.parametrize(
    ("constraint", "n_removed"),
    [
        (FixBondLengths([[0, 1], [3, 5]]), 2),
        (Hookean(a1=0, a2=4, rt=2.0, k=0.1), 0),
        (FixInternals(bonds=[[None, [0, 2]]]), 1),
    ],
)
def test_constraints_of_distances_leave_the_centre_of_mass_free(constraint, n_removed, tmp_path):
    """It has no part in the temperature, whether it rests or not; md lets it rest."""
    atoms = toy.structure(3)
    atoms.calc = toy.Potential()
    atoms.set_constraint(constraint)
    atoms.set_momenta(atoms.get_momenta())
    momenta, masses = atoms.get_momenta(), atoms.get_masses()[:, None]
    still = momenta - masses / masses.sum() * momenta.sum(axis=0)
    kinetic = 0.5 * float((still**2 / masses).sum())
    expected = 2.0 * kinetic / ((27 - 3 - n_removed) * units.kB)
    assert temperature(atoms) == pytest.approx(expected)
    drifting = atoms.copy()
    drifting.set_momenta(momenta + 0.7 * masses, apply_constraint=False)
    assert temperature(drifting) == pytest.approx(expected)
    dynamics = make_dynamics(atoms, MDSettings(picoseconds=0.01, thermostat="bussi", seed=1))
    dynamics.run(5)
    np.testing.assert_allclose(atoms.get_momenta().sum(axis=0), 0.0, atol=1e-9)
    assert atoms.get_number_of_degrees_of_freedom() == 27 - 3 - n_removed


def test_a_spring_to_a_point_acts_on_the_centre_of_mass():
    atoms = toy.structure(2)
    atoms.calc = toy.Potential()
    atoms.set_constraint(Hookean(a1=0, a2=(0.0, 0.0, 0.0), rt=0.1, k=1.0))
    make_dynamics(atoms, MDSettings(picoseconds=0.01, thermostat="bussi", seed=1))
    assert atoms.get_number_of_degrees_of_freedom() == 18


def test_a_held_centre_of_mass_is_accounted_for_in_a_charged_system(tmp_path):
    class Ions:
        name = "ions"

        def __call__(self, atoms):
            return toy.polar_tensors(atoms.positions) + np.eye(3) / 3.0  # a charge e a molecule

    atoms = toy.structure(2, temperature=KELVIN, pbc=True)
    atoms.calc = APTCalculator(Ions(), toy.Potential())
    run_md(atoms, tmp_path / "s", MDSettings(picoseconds=0.003, stride=1, seed=1))
    found = StreamReader(tmp_path / "s").read("f_sum")[-1, 0]
    apt, masses = Ions()(atoms), atoms.get_masses()
    free = (apt**2 / masses[:, None, None]).sum() / 3.0
    assert found == pytest.approx(free - 2.0**2 / masses.sum(), rel=1e-5)  # Q²/M


@pytest.mark.thorough
def test_rigid_bonds_have_no_f_sum_and_a_sentence_says_so(tmp_path, caplog):
    bonds = FixBondLengths([[3 * k, 3 * k + 1] for k in range(6)])
    run(tmp_path / "s", bonds, n_steps=600, velocities=True)
    assert "FixBondLengths: the f-sum of what can move is not known" in caplog.text
    assert "f_sum" not in StreamReader(tmp_path / "s").arrays
    spectrum = velocity_spectrum_of_streams([tmp_path / "s"], resolution=600.0)
    assert spectrum.total_freedom.expected is None
    assert any("rigid bonds" in line for line in report_velocities(spectrum))
