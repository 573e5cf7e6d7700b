"""Fluoromethanol by PySCF, RHF/6-31G: a molecule whose Hessian and APTs another program made."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

import numpy as np
from ase import Atoms
from scipy import constants

from aptnn_md.arrays import FloatArray
from helpers.paths import DATA


class Fluoromethanol(NamedTuple):
    """What PySCF gave, converted from atomic units.

    Attributes
    ----------
    atoms : at the minimum, with PySCF's masses
    hessian : (18, 18), eV/Å²
    apt : (6, 3, 3), e, ``[i, dipole, displacement]``
    data : the file, with PySCF's own wavenumbers and intensities
    """

    atoms: Atoms
    hessian: FloatArray
    apt: FloatArray
    data: dict[str, Any]


def fluoromethanol() -> Fluoromethanol:
    """Read the file that ``tests/data/fluoromethanol_pyscf.py`` makes."""
    data = json.loads((DATA / "fluoromethanol_pyscf.json").read_text())
    bohr = data["bohr_in_angstrom"]
    atoms = Atoms(data["symbols"], np.array(data["positions"]) * bohr)
    atoms.set_masses(data["masses_amu"])
    hessian = np.array(data["hessian[i,j,x,y]"]).transpose(0, 2, 1, 3).reshape(18, 18)
    hartree = constants.physical_constants["Hartree energy in eV"][0]
    apt = np.array(data["dipole_derivative[i,displacement,dipole]"]).transpose(0, 2, 1)
    return Fluoromethanol(atoms, hessian * hartree / bohr**2, apt, data)
