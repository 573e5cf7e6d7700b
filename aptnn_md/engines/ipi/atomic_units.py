"""Atomic units as the servers have them; the clients of this subpackage convert here only.

i-PI has constants of its own with eight digits. With them a position that a user wrote in Å comes
to the network as it was written; with others it would be off by 2 in 10⁸.
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
        """Of force, eV/Å."""
        return self.hartree / self.bohr


IPI = AtomicUnits(1.0 / 1.8897261, 1.0 / 0.036749326)
"""i-PI's own; a test compares them."""

CODATA = AtomicUnits(float(units.Bohr), float(units.Hartree))
"""ASE's, of CODATA 2014; also those of CP2K to ten digits."""
