"""What an OpenMM simulation says of its particles: which are atoms, what they weigh, what moves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from ase import Atoms

from aptnn_md.arrays import FloatArray, IntArray
from aptnn_md.errors import InputError
from aptnn_md.structures import Mobility
from aptnn_md.units import AMU_A2_PER_FS2_EV, BOLTZMANN_EV_PER_K

PER_NM, PER_PS = 10.0, 1e-3
"""Å of 1 nm, and Å/fs of 1 Å/ps."""


@dataclass(frozen=True)
class Particles:
    """The atoms among the particles of a simulation.

    Attributes
    ----------
    index : (n_atoms,), of atoms among the particles; virtual sites are no atoms
    numbers, masses : (n_atoms,), atomic numbers and amu; an atom of mass 0, which OpenMM does not
        move, has the mass of its element
    mobility : what constraints and masses of 0 let move
    periodic : whether there is a cell
    changes_cell : whether a barostat changes it
    """

    index: IntArray
    numbers: IntArray
    masses: FloatArray
    mobility: Mobility
    periodic: bool
    changes_cell: bool

    @classmethod
    def of(cls, simulation: Any) -> Particles:
        """Particles of an ``openmm.app.Simulation``.

        Raises
        ------
        InputError
            Particles without an element that are no virtual sites, or charges on springs.
        """
        system, topology = simulation.system, simulation.topology
        kinds = [type(force).__name__ for force in system.getForces()]
        if "DrudeForce" in kinds:
            expected = "none: the current of charges on springs is not that of the atoms"
            raise InputError("OpenMM system", "forces", "DrudeForce", expected)
        listed = list(topology.atoms())
        if len(listed) != system.getNumParticles():
            found, expected = f"{len(listed)} atoms", f"{system.getNumParticles()} particles"
            raise InputError("OpenMM topology", "atoms", found, f"{expected}, as in the system")
        index = [k for k in range(len(listed)) if not system.isVirtualSite(k)]
        for k in index:
            if listed[k].element is None:
                found = f"none for particle {k} ({listed[k].name}), which is no virtual site"
                raise InputError("OpenMM topology", "element", found, "an element of each atom")
        numbers = np.array([listed[k].element.atomic_number for k in index], dtype=np.int64)
        masses = np.array([system.getParticleMass(k)._value for k in index], dtype=np.float64)
        standard = Atoms(numbers).get_masses()
        return cls(
            np.array(index, dtype=np.int64),
            numbers,
            np.where(masses > 0.0, masses, standard),
            _mobility(system, masses, "CMMotionRemover" in kinds),
            bool(system.usesPeriodicBoundaryConditions()),
            any("Barostat" in kind for kind in kinds),
        )

    def atoms(self, positions: FloatArray, cell: FloatArray | None) -> Atoms:
        """The atoms as a structure.

        Parameters
        ----------
        positions : (n_atoms, 3), Å
        cell : (3, 3), Å, or None
        """
        return Atoms(
            numbers=self.numbers,
            positions=positions,
            cell=cell,
            pbc=cell is not None,
            masses=self.masses,
        )

    def temperature(self, velocities: FloatArray) -> float:
        """Kinetic temperature, K, of what can move, relative to the centre of mass where all can.

        Parameters
        ----------
        velocities : (n_atoms, 3), Å/fs
        """
        velocities = self.mobility.allowed(velocities)
        kinetic = float((self.masses[:, None] * velocities**2).sum())
        freedom = self.mobility.degrees_of_freedom
        if len(velocities) > 1 and (self.mobility.atoms > 0.5).all():
            momentum = (self.masses[:, None] * velocities).sum(axis=0)
            kinetic -= float((momentum**2).sum()) / float(self.masses.sum())
            freedom -= 0.0 if self.mobility.mass_fractions is not None else 3.0
        return kinetic * AMU_A2_PER_FS2_EV / (freedom * BOLTZMANN_EV_PER_K) if freedom > 0 else 0.0


def _mobility(system: Any, masses: FloatArray, held: bool) -> Mobility:
    """Atoms of mass 0 are fixed; constraints between others couple them."""
    moves = masses > 0.0
    n_coupled = 0
    for k in range(system.getNumConstraints()):
        first, second, _ = system.getConstraintParameters(k)
        if system.getParticleMass(first)._value or system.getParticleMass(second)._value:
            n_coupled += 1
    fractions = None
    if held and moves.all():
        fractions = np.tile(masses[:, None] / masses.sum(), 3)
    unaccounted = (f"{n_coupled} rigid bonds",) if n_coupled else ()
    projectors = np.where(moves[:, None, None], np.eye(3), 0.0)
    return Mobility(projectors, fractions, n_coupled, unaccounted)
