"""What the file of a frequency calculation of a molecule holds."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ase import Atoms

from aptnn_md.arrays import FloatArray
from aptnn_md.atomic_units import BOHR, HARTREE
from aptnn_md.errors import InputError
from aptnn_md.labels.frame_labels import Labels

HESSIAN_UNIT = HARTREE / BOHR**2
"""Hartree/bohr² in eV/Å²."""


@dataclass(frozen=True, eq=False)
class Molecule:
    """A molecule with what was calculated for it.

    Attributes
    ----------
    atoms : with the masses of the file, and ``charge`` in its info if it is known
    labels : its tensors, dipole and polarizability, as far as there are any
    hessian : (3 n_atoms, 3 n_atoms), eV/Å², or None
    wavenumbers : (n_modes,) cm⁻¹ as the program printed them, imaginary ones negative, or None
    """

    atoms: Atoms
    labels: Labels
    hessian: FloatArray | None = None
    wavenumbers: FloatArray | None = None


def check_masses(path: Path, field: str, masses: FloatArray) -> FloatArray:
    """The masses, amu, checked.

    Raises
    ------
    InputError
        One that is not positive: a ghost atom or a point charge.
    """
    for atom, mass in enumerate(masses):
        if not mass > 0.0:
            found = f"{mass:g} amu for atom {atom + 1}"
            raise InputError(path, field, found, "masses of atoms; ghost atoms cannot be used")
    return masses
