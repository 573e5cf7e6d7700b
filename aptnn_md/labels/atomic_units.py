"""Atomic units in those of the package, for engines, fields and polarizabilities."""

from __future__ import annotations

from ase import units

BOHR: float = float(units.Bohr)
"""Å."""

HARTREE: float = float(units.Hartree)
"""eV."""

FORCE: float = HARTREE / BOHR
"""Atomic unit of force, eV/Å; also that of the electric field, V/Å."""

FIELD: float = HARTREE / BOHR
"""Atomic unit of the electric field, V/Å."""

DEBYE: float = float(units.Debye)
"""e Å."""

VOLT_ANGSTROM: float = HARTREE * BOHR
"""e/(4πε₀), V Å: a polarizability in e Å²/V times this is a polarizability volume in Å³, and a
force of second order in the field, in e Å/V, a polarizability gradient in Å²."""
