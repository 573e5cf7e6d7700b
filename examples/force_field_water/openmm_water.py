"""The same water in OpenMM, with the stream reporter."""

import sys

import ase.io
import numpy as np
from openmm import (
    HarmonicAngleForce,
    HarmonicBondForce,
    LangevinMiddleIntegrator,
    NonbondedForce,
    System,
)
from openmm.app import Element, Simulation, Topology

from aptnn_md import StreamReporter

stream, n_steps = sys.argv[1], int(sys.argv[2])
atoms = ase.io.read("water.data", format="lammps-data", units="real", atom_style="full")
KCAL = 4.184  # kJ

system, topology = System(), Topology()
box = atoms.cell.array / 10.0
system.setDefaultPeriodicBoxVectors(*box)
bonds, angles, pairs = HarmonicBondForce(), HarmonicAngleForce(), NonbondedForce()
pairs.setNonbondedMethod(NonbondedForce.PME)
pairs.setCutoffDistance(0.6)
pairs.setUseDispersionCorrection(False)
chain = topology.addChain()
for o in range(0, len(atoms), 3):
    residue = topology.addResidue("HOH", chain)
    for symbol in ("O", "H", "H"):
        element = Element.getBySymbol(symbol)
        topology.addAtom(symbol, element, residue)
        system.addParticle({"O": 15.999, "H": 1.008}[symbol])
    pairs.addParticle(-0.82, 0.3165492, 0.1554253 * KCAL)
    for _ in range(2):
        pairs.addParticle(0.41, 0.1, 0.0)
    for h in (o + 1, o + 2):
        bonds.addBond(o, h, 0.1012, 1059.162 * KCAL * 100.0)
    angles.addAngle(o + 1, o, o + 2, np.radians(113.24), 75.90 * KCAL)
    for i, j in ((o, o + 1), (o, o + 2), (o + 1, o + 2)):
        pairs.addException(i, j, 0.0, 0.1, 0.0)
for force in (bonds, angles):
    force.setUsesPeriodicBoundaryConditions(True)
for force in (bonds, angles, pairs):
    system.addForce(force)

integrator = LangevinMiddleIntegrator(300, 1.0, 0.0005)
integrator.setRandomNumberSeed(7)
simulation = Simulation(topology, system, integrator)
simulation.context.setPositions(atoms.positions / 10.0)
simulation.context.setVelocitiesToTemperature(300, 7)
with StreamReporter("water-apt", stream, stride=4, groups="element") as reporter:
    simulation.reporters.append(reporter)
    simulation.step(n_steps + 1)  # a frame is complete one step later
