"""The system of :mod:`helpers.same_forces` in OpenMM."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms, units
from ase.units import kJ, mol

from aptnn_md import StreamReporter
from helpers import same_forces, toy_molecules

try:
    import openmm
    from openmm import app
except ImportError:  # pragma: no cover
    openmm = app = None

_ENERGY = mol / kJ  # kJ/mol of an eV


def system_of(atoms: Atoms) -> Any:
    """Forces and masses."""
    system = openmm.System()
    system.setDefaultPeriodicBoxVectors(*(atoms.cell.array / 10.0))
    for mass in atoms.get_masses():
        system.addParticle(float(mass))
    bonds = openmm.HarmonicBondForce()
    bonds.setUsesPeriodicBoundaryConditions(True)
    for i, j, stiffness, length in same_forces.bonds(len(atoms)):
        bonds.addBond(i, j, length / 10.0, stiffness * _ENERGY * 100.0)
    pairs = openmm.CustomNonbondedForce("4*epsilon*((sigma/r)^12-(sigma/r)^6)")
    pairs.addGlobalParameter("epsilon", same_forces.EPSILON * _ENERGY)
    pairs.addGlobalParameter("sigma", same_forces.SIGMA / 10.0)
    pairs.setNonbondedMethod(openmm.CustomNonbondedForce.CutoffPeriodic)
    pairs.setCutoffDistance(same_forces.CUTOFF / 10.0)
    for _ in range(len(atoms)):
        pairs.addParticle([])
    for i, j, *_ in same_forces.bonds(len(atoms)):
        pairs.addExclusion(i, j)
    system.addForce(bonds)
    system.addForce(pairs)
    return system


def topology_of(symbols: list[str | None]) -> Any:
    """One residue of all particles; None: no element."""
    topology = app.Topology()
    residue = topology.addResidue("ALL", topology.addChain())
    for symbol in symbols:
        element = None if symbol is None else app.Element.getBySymbol(symbol)
        topology.addAtom(symbol or "M", element, residue)
    return topology


def simulation_of(
    integrator: Any,
    atoms: Atoms | None = None,
    system: Any = None,
    extra: Any = (),
) -> Any:
    """A simulation at the start of :mod:`helpers.same_forces`, or of ``atoms``.

    ``extra``: positions (nm) of particles after the atoms that are none.
    """
    atoms = same_forces.structure() if atoms is None else atoms
    system = system_of(atoms) if system is None else system
    topology = topology_of([*atoms.get_chemical_symbols(), *[None] * len(extra)])
    platform = openmm.Platform.getPlatformByName("Reference")
    simulation = app.Simulation(topology, system, integrator, platform)
    velocities = atoms.get_velocities() * units.fs * 100.0  # nm/ps
    rest = np.zeros((len(extra), 3))
    simulation.context.setPositions(np.vstack([atoms.positions / 10.0, *extra]))
    simulation.context.setVelocities(np.vstack([velocities, rest]))
    return simulation


# ---------------------------------------------------------------------- a run that is killed


class SlowTensors(toy_molecules.Tensors):
    """Polar tensors that take a millisecond."""

    def __call__(self, atoms):
        """Wait, then evaluate."""
        time.sleep(1e-3)
        return super().__call__(atoms)


def resumed(directory: Path, n_steps: int = 900) -> None:
    """Begin a run with a checkpoint every 20 steps, or resume it."""
    checkpoint = directory / "run.chk"
    integrator = openmm.LangevinMiddleIntegrator(300, 1.0, 5e-4)
    integrator.setRandomNumberSeed(7)
    simulation = simulation_of(integrator)
    if checkpoint.exists():
        simulation.loadCheckpoint(str(checkpoint))
    with StreamReporter(
        SlowTensors(), directory / "stream", 3, groups="element", restart=True
    ) as reporter:
        simulation.reporters += [reporter, app.CheckpointReporter(str(checkpoint), 20)]
        # the frame of the last step is complete one step later
        simulation.step(n_steps + 1 - simulation.currentStep)
