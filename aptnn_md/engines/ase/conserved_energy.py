"""The energy that ASE's integrators conserve."""

from __future__ import annotations

from ase import units
from ase.md.bussi import Bussi
from ase.md.md import MolecularDynamics
from ase.md.verlet import VelocityVerlet

_CONSERVING = (VelocityVerlet, Bussi)


def conserves_energy(dynamics: MolecularDynamics) -> bool:
    """Whether a run has a conserved energy that is known.

    It is one of ``VelocityVerlet`` or ``Bussi`` themselves, since classes derived from them may do
    anything, and its forces are the derivatives of an energy: those of an electric field have none.
    """
    calculator = dynamics.atoms.calc
    has_energy = "energy" in getattr(calculator, "implemented_properties", ())
    in_a_field = getattr(calculator, "efield", None) is not None
    return type(dynamics) in _CONSERVING and has_energy and not in_a_field


def conserved_energy(dynamics: MolecularDynamics) -> float:
    """Potential and kinetic energy less the energy that a Bussi thermostat has put in, eV.

    Of integrators for which :func:`conserves_energy` is False it is the energy of the atoms.
    """
    atoms = dynamics.atoms
    energy = float(atoms.get_potential_energy()) + float(atoms.get_kinetic_energy())
    return energy - float(getattr(dynamics, "transferred_energy", 0.0))


def thermostat_time(dynamics: MolecularDynamics) -> float | None:
    """Time constant of a Bussi thermostat, fs; None of other integrators."""
    return float(dynamics.taut) / units.fs if type(dynamics) is Bussi else None
