"""Atomic units in those of the package: who talks to a program in atomic units converts here.

Programs differ in the eighth digit. With a server's own constants a position that a user wrote in Å
comes to the network as it was written; with others it would be off by 2 in 10⁸.
"""

from __future__ import annotations

from dataclasses import dataclass

from ase import units


@dataclass(frozen=True)
class AtomicUnits:
    """Values of the atomic units of length, Å, and energy, eV."""

    bohr: float
    hartree: float

    @property
    def force(self) -> float:
        """Of force, eV/Å; also that of the electric field, V/Å."""
        return self.hartree / self.bohr


IPI = AtomicUnits(1.0 / 1.8897261, 1.0 / 0.036749326)
"""i-PI's own, of eight digits, bit for bit as in ``ipi.utils.units.UnitMap``; a test compares
them."""

CODATA = AtomicUnits(float(units.Bohr), float(units.Hartree))
"""ASE's, of CODATA 2014; also those of CP2K to ten digits."""

BOHR: float = CODATA.bohr
"""Å."""

HARTREE: float = CODATA.hartree
"""eV."""

TIME: float = float(units._aut * 1e15)
"""Atomic unit of time, fs."""

VELOCITY: float = BOHR / TIME
"""Atomic unit of velocity, Å/fs."""

FORCE: float = CODATA.force
"""Atomic unit of force, eV/Å."""

FIELD: float = CODATA.force
"""Atomic unit of the electric field, V/Å."""

DEBYE: float = float(units.Debye)
"""e Å."""

VOLT_ANGSTROM: float = HARTREE * BOHR
"""e/(4πε₀), V Å: a polarizability in e Å²/V times this is a polarizability volume in Å³, and a
force of second order in the field, in e Å/V, a polarizability gradient in Å²."""
