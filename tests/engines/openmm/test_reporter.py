"""OpenMM's reporter: velocities of the positions' time, restarts, virtual sites, constraints."""

from __future__ import annotations

import numpy as np
import pytest
from ase import units
from helpers import same_forces, toy_molecules
from helpers.processes import killed_after

pytest.importorskip("openmm")

import openmm
from helpers.openmm_runs import simulation_of, system_of, topology_of
from openmm import app

from aptnn_md import StreamReader, StreamReporter
from aptnn_md.errors import InputError, RunError
from aptnn_md.testing.engines import LinearDipole, check_engine

FS = 1e-3  # ps


def velocity_verlet(timestep):
    """An integrator of a user, with velocities at the positions' time."""
    integrator = openmm.CustomIntegrator(timestep)
    integrator.addPerDofVariable("x1", 0)
    integrator.addUpdateContextState()
    integrator.addComputePerDof("v", "v+0.5*dt*f/m")
    integrator.addComputePerDof("x", "x+dt*v")
    integrator.addComputePerDof("v", "v+0.5*dt*f/m")
    return integrator


def leapfrog(timestep):
    """Another one, with velocities half a step before the positions."""
    integrator = openmm.CustomIntegrator(timestep)
    integrator.addComputePerDof("v", "v+dt*f/m")
    integrator.addComputePerDof("x", "x+dt*v")
    return integrator


def half_a_step_late(timestep):
    """Velocities half a step after the positions, which no mean of what follows mends."""
    integrator = openmm.CustomIntegrator(timestep)
    integrator.addComputePerDof("x", "x+dt*v")
    integrator.addComputePerDof("v", "v+dt*f/m")
    return integrator


def multiple_steps(timestep):
    system_forces = [(0, 1)]
    return openmm.MTSIntegrator(timestep, system_forces)


def compound(timestep):
    integrator = openmm.CompoundIntegrator()
    integrator.addIntegrator(openmm.VerletIntegrator(2 * timestep))
    integrator.addIntegrator(openmm.VerletIntegrator(timestep))
    integrator.setCurrentIntegrator(1)
    return integrator


def seeded(integrator):
    integrator.setRandomNumberSeed(7)
    return integrator


INTEGRATORS = {
    "Verlet": openmm.VerletIntegrator,
    "LangevinMiddle": lambda dt: seeded(openmm.LangevinMiddleIntegrator(300, 1e-9, dt)),
    "Langevin": lambda dt: seeded(openmm.LangevinIntegrator(300, 1e-9, dt)),
    "NoseHoover": lambda dt: openmm.NoseHooverIntegrator(300, 1.0, dt),
    "velocity-verlet": velocity_verlet,
    "leapfrog": leapfrog,
    "MTS": multiple_steps,
    "compound": compound,
}


def run(model, path, integrator, n_steps, stride=1, **options):
    """A new run from the start; the simulation."""
    simulation = simulation_of(integrator)
    with StreamReporter(model, path, stride, **options) as reporter:
        simulation.reporters.append(reporter)
        simulation.step(n_steps)
    return simulation


@pytest.mark.parametrize("name", INTEGRATORS)
def test_rates_are_central_differences_of_a_fine_run(name, tmp_path):
    model = LinearDipole()
    run(model, tmp_path / "s", INTEGRATORS[name](1e-3 * FS), 40)
    reader = StreamReader(tmp_path / "s")
    rates, n = reader.dipole_rate().sum(axis=1), reader.n_frames
    assert n >= 40
    changes = model.changes(1, n)
    central = (changes[1:] + changes[:-1]) / 2e-3
    assert np.abs(rates[1:-1] - central).max() / np.abs(central).max() < 1e-6


@pytest.mark.parametrize("name", ["Verlet", "velocity-verlet"])
def test_with_verlet_they_are_equal_in_any_run(name, tmp_path):
    """Its velocity is the central difference, however long the step."""
    model = LinearDipole()
    run(model, tmp_path / "s", INTEGRATORS[name](0.5 * FS), 40)
    rates = StreamReader(tmp_path / "s").dipole_rate().sum(axis=1)
    changes = model.changes(1, len(rates))
    central = (changes[1:] + changes[:-1]) / 1.0
    np.testing.assert_allclose(rates[1:-1], central, atol=1e-9 * np.abs(rates).max())


@pytest.mark.parametrize("name", ["Verlet", "LangevinMiddle", "velocity-verlet"])
def test_positions_and_velocities_belong_together_and_no_step_is_lost(name, tmp_path):
    def begin(model, path):
        simulation = run(model, path, INTEGRATORS[name](0.5 * FS), 30)
        simulation.saveCheckpoint(str(tmp_path / "chk"))

    def resume(model, path):
        simulation = simulation_of(INTEGRATORS[name](0.5 * FS))
        simulation.loadCheckpoint(str(tmp_path / "chk"))
        with StreamReporter(model, path, 1, restart=True) as reporter:
            simulation.reporters.append(reporter)
            simulation.step(25)

    check_engine(begin, tmp_path / "s", resume)


@pytest.mark.thorough
@pytest.mark.parametrize("stride", [1, 3, 4])
@pytest.mark.parametrize("interval", [1, 5, 8])
def test_killed_after_a_checkpoint_it_resumes_without_a_gap(stride, interval, tmp_path):
    chk = tmp_path / "chk"
    killed_after(_killed, tmp_path / "s", chk, stride, interval)
    simulation = simulation_of(openmm.VerletIntegrator(0.5 * FS))
    simulation.loadCheckpoint(str(chk))
    assert simulation.currentStep == 27 // interval * interval
    with StreamReporter(toy_molecules.Tensors(), tmp_path / "s", stride, restart=True) as reporter:
        simulation.reporters.append(reporter)
        simulation.step(41 - simulation.currentStep)
    whole = tmp_path / "whole"
    run(toy_molecules.Tensors(), whole, openmm.VerletIntegrator(0.5 * FS), 41, stride)
    found, expected = StreamReader(tmp_path / "s"), StreamReader(whole)
    assert found.step.tolist() == expected.step.tolist() == list(range(0, 41, stride))
    np.testing.assert_array_equal(found.dipole_rate(), expected.dipole_rate())


def test_streams_beside_one_simulation_are_of_one_run(tmp_path):
    simulation = simulation_of(openmm.VerletIntegrator(0.5 * FS))
    first, second = (
        StreamReporter(toy_molecules.Tensors(), tmp_path / name, stride)
        for name, stride in (("a", 2), ("b", 3))
    )
    with first, second:
        simulation.reporters += [first, second]
        simulation.step(13)
    ids = [StreamReader(tmp_path / name).header.run_id for name in ("a", "b")]
    assert ids[0] == ids[1] != ""


def test_without_its_checkpoint_a_run_is_not_begun_anew(tmp_path):
    """Its frames would be replaced."""

    def begin_again(with_checkpoints):
        simulation = simulation_of(openmm.VerletIntegrator(0.5 * FS))
        with StreamReporter(toy_molecules.Tensors(), tmp_path / "s", 2, restart=True) as reporter:
            simulation.reporters.append(reporter)
            if with_checkpoints:
                simulation.reporters.append(app.CheckpointReporter(str(tmp_path / "c"), 20))
            simulation.step(9)

    run(toy_molecules.Tensors(), tmp_path / "s", openmm.VerletIntegrator(0.5 * FS), 13, 2)
    with pytest.raises(InputError, match="frames to step 12, and a simulation that begins at ste"):
        begin_again(with_checkpoints=False)
    assert StreamReader(tmp_path / "s").n_frames == 7
    begin_again(with_checkpoints=True)  # as if it had been killed before the first of them
    assert StreamReader(tmp_path / "s").step.tolist() == [0, 2, 4, 6, 8]


def _killed(path, chk, stride, interval):
    simulation = simulation_of(openmm.VerletIntegrator(0.5 * FS))
    simulation.reporters.append(StreamReporter(toy_molecules.Tensors(), path, stride))
    simulation.reporters.append(app.CheckpointReporter(str(chk), interval))
    simulation.step(27)
    return simulation


def test_steps_in_pieces_are_one_run(tmp_path):
    simulation = simulation_of(openmm.VerletIntegrator(0.5 * FS))
    with StreamReporter(toy_molecules.Tensors(), tmp_path / "s", 4) as reporter:
        simulation.reporters.append(reporter)
        for n in (3, 1, 1, 7, 20, 9):
            simulation.step(n)
    run(toy_molecules.Tensors(), tmp_path / "t", openmm.VerletIntegrator(0.5 * FS), 41, 4)
    found, expected = StreamReader(tmp_path / "s"), StreamReader(tmp_path / "t")
    assert found.step.tolist() == list(range(0, 41, 4))
    np.testing.assert_array_equal(found.dipole_rate(), expected.dipole_rate())


def test_measuring_the_integrator_leaves_no_trace(tmp_path):
    """A run whose integrator was measured is the same to the bit as one without a reporter."""
    integrator = velocity_verlet(0.5 * FS)
    alone = simulation_of(velocity_verlet(0.5 * FS))
    alone.step(20)
    streamed = run(toy_molecules.Tensors(), tmp_path / "s", integrator, 20)
    states = [s.context.getState(getPositions=True, getVelocities=True) for s in (alone, streamed)]
    for get in ("getPositions", "getVelocities"):
        first, second = (np.array(getattr(s, get)(asNumpy=True)._value) for s in states)
        np.testing.assert_array_equal(first, second)
    assert streamed.currentStep == 20


@pytest.mark.parametrize(
    ("integrator", "message"),
    [
        (half_a_step_late, "off the change of positions by"),
        (lambda dt: openmm.BrownianIntegrator(300, 1.0, dt), "has no velocities"),
        (lambda dt: openmm.VariableVerletIntegrator(dt), "a constant time step"),
        (lambda dt: openmm.RPMDIntegrator(4, 300, 1.0, dt), "aptnn-md ipi streams path integrals"),
    ],
)
def test_velocities_that_cannot_be_used_are_refused(integrator, message, tmp_path):
    with pytest.raises(InputError, match=message):
        run(LinearDipole(), tmp_path / "s", integrator(0.5 * FS), 20)
    assert not (tmp_path / "s").exists()


def test_a_header_says_what_ran(tmp_path):
    run(
        toy_molecules.Tensors(),
        tmp_path / "s",
        seeded(openmm.LangevinMiddleIntegrator(310, 1.0, 0.5 * FS)),
        9,
        4,
        groups="element",
        velocities=True,
    )
    reader = StreamReader(tmp_path / "s")
    header, atoms = reader.header, same_forces.structure()
    assert (header.timestep, header.stride) == (pytest.approx(0.5), 4)
    assert header.temperature == pytest.approx(310.0)
    assert header.groups == ("H", "O", "Cl")
    assert header.formula == atoms.get_chemical_formula()
    assert header.volume == pytest.approx(atoms.get_volume())
    assert header.ensemble == "LangevinMiddleIntegrator"
    np.testing.assert_allclose(reader.time, [0.0, 2.0, 4.0, 6.0, 8.0][: reader.n_frames])
    assert np.abs(reader.read("velocity")).max() < 0.1


def test_a_barostat_streams_volumes(tmp_path):
    system = system_of(same_forces.structure())
    # at the pressure of a gas the box does not get too small for its cutoff
    barostat = openmm.MonteCarloBarostat(1.0, 300, 2)
    barostat.setRandomNumberSeed(7)
    system.addForce(barostat)
    simulation = simulation_of(openmm.VerletIntegrator(0.5 * FS), system=system)
    with StreamReporter(toy_molecules.Tensors(), tmp_path / "s", 2) as reporter:
        simulation.reporters.append(reporter)
        simulation.step(201)
    reader = StreamReader(tmp_path / "s")
    assert reader.header.volume is None
    assert np.ptp(reader.read("volume")) > 1e-3


@pytest.mark.skipif(not hasattr(openmm, "PythonForce"), reason="needs OpenMM 8.5")
@pytest.mark.parametrize("integrator", [openmm.VerletIntegrator, velocity_verlet])
def test_forces_of_python_code(integrator, tmp_path):
    """As openmm-ml's potentials are; the same stream as with OpenMM's own forces."""
    atoms = same_forces.structure()
    calculator = same_forces.Potential()

    def compute(state):
        moved = atoms.copy()
        moved.positions = state.getPositions(asNumpy=True)._value * 10.0
        calculator.calculate(moved)
        forces = calculator.results["forces"] * units.mol / units.kJ * 10.0
        return calculator.results["energy"] * units.mol / units.kJ, forces

    system = openmm.System()
    system.setDefaultPeriodicBoxVectors(*(atoms.cell.array / 10.0))
    for mass in atoms.get_masses():
        system.addParticle(float(mass))
    force = openmm.PythonForce(compute)
    force.setUsesPeriodicBoundaryConditions(True)
    system.addForce(force)
    simulation = simulation_of(integrator(0.5 * FS), atoms, system)
    with StreamReporter(toy_molecules.Tensors(), tmp_path / "s", 2) as reporter:
        simulation.reporters.append(reporter)
        simulation.step(21)
    run(toy_molecules.Tensors(), tmp_path / "t", integrator(0.5 * FS), 21, 2)
    found, expected = StreamReader(tmp_path / "s"), StreamReader(tmp_path / "t")
    assert found.header.volume == expected.header.volume
    rates = expected.dipole_rate()
    np.testing.assert_allclose(found.dipole_rate(), rates, atol=1e-7 * np.abs(rates).max())


def test_virtual_sites_are_no_atoms(tmp_path):
    """The model sees the same atoms, and the stream is the same as without them."""
    atoms = same_forces.structure(2)
    system = system_of(atoms)
    system.addParticle(0.0)
    system.setVirtualSite(6, openmm.ThreeParticleAverageSite(0, 1, 2, 0.8, 0.1, 0.1))
    forces = next(f for f in system.getForces() if hasattr(f, "addExclusion"))
    forces.addParticle([])
    for k in range(6):
        forces.addExclusion(6, k)
    site = atoms.positions[[0]] / 10.0
    for name, given in (("with", (system, [site[0]])), ("without", (system_of(atoms), []))):
        integrator = openmm.VerletIntegrator(0.5 * FS)
        simulation = simulation_of(integrator, atoms, given[0], given[1])
        with StreamReporter(toy_molecules.Tensors(), tmp_path / name, 2) as reporter:
            simulation.reporters.append(reporter)
            simulation.step(21)
    found, expected = StreamReader(tmp_path / "with"), StreamReader(tmp_path / "without")
    assert found.header.formula == "H2Cl2O2"
    np.testing.assert_allclose(found.dipole_rate(), expected.dipole_rate(), rtol=1e-9)
    np.testing.assert_allclose(found.read("f_sum"), expected.read("f_sum"), rtol=1e-9)


def test_atoms_of_mass_0_are_fixed(tmp_path):
    """Whatever velocities they had before; OpenMM keeps them."""
    atoms = same_forces.structure()
    system = system_of(atoms)
    for k in range(3):
        system.setParticleMass(k, 0.0)
    simulation = simulation_of(openmm.VerletIntegrator(0.5 * FS), system=system)
    simulation.context.setVelocities(atoms.get_velocities() * 10.0)
    model, options = toy_molecules.Tensors(), {"velocities": True, "groups": "index:0-2"}
    with StreamReporter(model, tmp_path / "s", **options) as reporter:
        simulation.reporters.append(reporter)
        simulation.step(9)
    reader = StreamReader(tmp_path / "s")
    np.testing.assert_array_equal(reader.dipole_rate()[:, 0], 0.0)
    np.testing.assert_array_equal(reader.read("velocity")[:, :3], 0.0)
    assert reader.header.atom_freedom == (0.0,) * 3 + (3.0,) * 9
    apt = toy_molecules.polar_tensors(atoms.positions)
    moving = (apt[3:] ** 2).sum(axis=(1, 2)) / (3.0 * atoms.get_masses()[3:])
    assert reader.read("f_sum")[0].sum() == pytest.approx(moving.sum(), rel=1e-9)
    velocities = reader.read("velocity")[0]
    kinetic = (atoms.get_masses()[:, None] * velocities**2).sum() * 103.642697
    assert reader.read("temperature")[0] == pytest.approx(kinetic / (27.0 * 8.617333e-5), rel=1e-5)


def test_rigid_bonds_have_no_f_sum_and_right_velocities(tmp_path):
    atoms = same_forces.structure()
    system = system_of(atoms)
    for k in range(0, 12, 3):
        system.addConstraint(k, k + 1, 0.097)
    integrator = openmm.VerletIntegrator(0.5 * FS)
    integrator.setConstraintTolerance(1e-10)
    simulation = simulation_of(integrator, system=system)
    simulation.context.applyConstraints(1e-10)
    simulation.context.applyVelocityConstraints(1e-10)
    model = LinearDipole()
    with StreamReporter(model, tmp_path / "s", 1) as reporter:
        simulation.reporters.append(reporter)
        simulation.step(41)
    reader = StreamReader(tmp_path / "s")
    assert "f_sum" not in reader.arrays
    rates = reader.dipole_rate().sum(axis=1)
    changes = model.changes(1, len(rates))
    central = (changes[1:] + changes[:-1]) / 1.0
    np.testing.assert_allclose(rates[2:-1], central[1:], atol=1e-6 * np.abs(rates).max())


def test_what_is_refused(tmp_path):
    simulation = simulation_of(openmm.VerletIntegrator(0.5 * FS))
    simulation.reporters.append(app.CheckpointReporter(str(tmp_path / "chk"), 10))
    simulation.reporters.append(StreamReporter(LinearDipole(), tmp_path / "s"))
    with pytest.raises(InputError, match="the StreamReporter first"):
        simulation.step(1)
    run(LinearDipole(), tmp_path / "t", openmm.VerletIntegrator(0.5 * FS), 3)
    with pytest.raises(InputError, match="restart=True to continue it"):
        StreamReporter(LinearDipole(), tmp_path / "t")
    system = system_of(same_forces.structure())
    system.addParticle(1.0)
    forces = next(f for f in system.getForces() if hasattr(f, "addExclusion"))
    forces.addParticle([])
    simulation = simulation_of(
        openmm.VerletIntegrator(0.5 * FS), system=system, extra=[np.array([3.0, 0.0, 0.0])]
    )
    simulation.reporters.append(StreamReporter(LinearDipole(), tmp_path / "u"))
    with pytest.raises(InputError, match=r"particle 12 \(M\), which is no virtual site"):
        simulation.step(1)


def test_systems_that_are_refused(tmp_path):
    system = system_of(same_forces.structure())
    system.addForce(openmm.DrudeForce())
    simulation = simulation_of(openmm.VerletIntegrator(0.5 * FS), system=system)
    simulation.reporters.append(StreamReporter(LinearDipole(), tmp_path / "s"))
    with pytest.raises(InputError, match="charges on springs"):
        simulation.step(1)
    simulation = simulation_of(openmm.VerletIntegrator(0.5 * FS))
    simulation.topology = topology_of(["H", "O"])
    simulation.reporters.append(StreamReporter(LinearDipole(), tmp_path / "s"))
    with pytest.raises(InputError, match="found 2 atoms, expected 12 particles"):
        simulation.step(1)


def test_jumps_and_other_time_steps_end_a_stream(tmp_path):
    simulation = simulation_of(openmm.VerletIntegrator(0.5 * FS))
    simulation.reporters.append(StreamReporter(LinearDipole(), tmp_path / "s", 2))
    simulation.step(5)
    simulation.integrator.setStepSize(1.0 * FS)
    with pytest.raises(RunError, match=r"the time step is 1 fs, it was 0\.5 fs"):
        simulation.step(5)
    simulation = simulation_of(openmm.VerletIntegrator(0.5 * FS))
    simulation.reporters.append(StreamReporter(LinearDipole(), tmp_path / "t", 2))
    simulation.step(5)
    simulation.currentStep = 100
    with pytest.raises(RunError, match="set to step 100, expected"):
        simulation.step(5)


def test_a_molecule_without_a_cell_keeps_its_rotation(tmp_path):
    atoms = same_forces.structure(1)
    system = openmm.System()
    bonds = openmm.HarmonicBondForce()
    for mass in atoms.get_masses():
        system.addParticle(float(mass))
    for i, j, _, length in same_forces.bonds(len(atoms)):
        bonds.addBond(i, j, length / 10.0, 1e5)
    system.addForce(bonds)
    simulation = simulation_of(openmm.VerletIntegrator(0.5 * FS), atoms, system)
    with StreamReporter(LinearDipole(), tmp_path / "s", 2) as reporter:
        simulation.reporters.append(reporter)
        simulation.step(8)
    header = StreamReader(tmp_path / "s").header
    assert (header.rotation, header.volume) == ("kept", None)
    run(LinearDipole(), tmp_path / "periodic", openmm.VerletIntegrator(0.5 * FS), 8)
    assert StreamReader(tmp_path / "periodic").header.rotation == ""
