"""One system with the same forces in ASE, LAMMPS and OpenMM: the same stream."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest
from ase.md.verlet import VelocityVerlet
from helpers import same_forces
from helpers import toy_molecules as toy
from helpers.lammps_runs import needs_lammps, stream_of, write_script

from aptnn_md.engines.ase.observer import StreamObserver
from aptnn_md.stream import StreamReader

TIMESTEP, N_STEPS, STRIDE = 0.5, 60, 3
needs_openmm = pytest.mark.skipif(importlib.util.find_spec("openmm") is None, reason="needs OpenMM")


def of_ase(directory):
    atoms = same_forces.structure()
    atoms.calc = same_forces.Potential()
    dynamics = VelocityVerlet(atoms, toy.timestep(TIMESTEP))
    path = directory / "ase"
    with StreamObserver(
        dynamics, path, toy.Tensors(), stride=STRIDE, groups="element", velocities=True
    ) as observer:
        dynamics.attach(observer, interval=STRIDE)
        dynamics.run(N_STEPS)
    return StreamReader(path)


def of_lammps(directory):
    write_script(directory, f"run {N_STEPS}", timestep=TIMESTEP)
    stream_of(directory, toy.Tensors(), stride=STRIDE, groups="element", velocities=True)
    return StreamReader(directory / "s.zarr")


def of_openmm(directory):
    import openmm
    from helpers.openmm_runs import simulation_of

    from aptnn_md import StreamReporter

    atoms = same_forces.structure()
    atoms.calc = same_forces.Potential()
    # leapfrog begins half a step before
    accelerations = atoms.get_forces() / atoms.get_masses()[:, None]
    atoms.set_velocities(atoms.get_velocities() - 0.5 * toy.timestep(TIMESTEP) * accelerations)
    simulation = simulation_of(openmm.VerletIntegrator(TIMESTEP * 1e-3), atoms)
    path = directory / "openmm"
    with StreamReporter(toy.Tensors(), path, STRIDE, groups="element", velocities=True) as reporter:
        simulation.reporters.append(reporter)
        simulation.step(N_STEPS + 1)
    return StreamReader(path)


@pytest.mark.parametrize(
    "engine",
    [pytest.param(of_lammps, marks=needs_lammps), pytest.param(of_openmm, marks=needs_openmm)],
)
def test_rates_are_those_of_ase(engine, tmp_path):
    expected, found = of_ase(tmp_path), engine(tmp_path)
    assert found.step.tolist() == expected.step.tolist()
    # only ASE tells the conserved energy
    assert {*found.arrays, "conserved_energy"} == set(expected.arrays)
    for name in ("groups", "formula", "system", "n_atoms"):
        assert getattr(found.header, name) == getattr(expected.header, name)
    assert found.header.volume == pytest.approx(expected.header.volume, rel=1e-12)
    rates, others = expected.dipole_rate(), found.dipole_rate()
    largest = np.abs(rates).max()
    # of the first frame the state is the same to the last digits
    np.testing.assert_allclose(others[0], rates[0], atol=1e-9 * largest)
    np.testing.assert_allclose(others, rates, atol=1e-6 * largest)
    for name in ("f_sum", "motion_temperature", "temperature", "time", "velocity"):
        values = expected.read(name)
        np.testing.assert_allclose(found.read(name), values, atol=2e-6 * np.abs(values).max())


def test_the_forces_are_the_derivative_of_the_energy():
    atoms = same_forces.structure(3)
    atoms.rattle(0.05, seed=3)
    atoms.calc = same_forces.Potential()
    forces = atoms.get_forces()
    for atom, axis in ((0, 0), (4, 1), (8, 2)):
        energies = []
        for shift in (1e-5, -1e-5):
            moved = atoms.copy()
            moved.positions[atom, axis] += shift
            moved.calc = same_forces.Potential()
            energies.append(moved.get_potential_energy())
        assert forces[atom, axis] == pytest.approx((energies[1] - energies[0]) / 2e-5, rel=1e-6)
