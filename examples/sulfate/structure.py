"""Sulfate with twelve waters: start.xyz, relaxed by GFN2-xTB.

    python structure.py

Three waters at each oxygen of the ion, with a hydrogen towards it. The file is in this folder: run
this only to make it again.
"""

from __future__ import annotations

import ase.io
import numpy as np
from ase import Atoms
from ase.optimize import BFGS
from tblite.ase import TBLite

CHARGE, FORCE = -2, 0.05  # e, eV/Å
SO, OH, HYDROGEN_BOND = 1.49, 0.97, 2.8  # Å
TILT, HOH = np.radians(65.0), np.radians(104.5)


def cluster() -> Atoms:
    """The first guess."""
    corners = np.array([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]]) / np.sqrt(3.0)
    found = Atoms("SO4", [[0, 0, 0], *(SO * corners)])
    for corner in corners:
        first = np.cross(corner, [0.3, -0.5, 0.8])
        first /= np.linalg.norm(first)
        second = np.cross(corner, first)
        for azimuth in np.radians([0.0, 120.0, 240.0]):
            across = np.cos(azimuth) * first + np.sin(azimuth) * second
            away = np.cos(TILT) * corner + np.sin(TILT) * across
            oxygen = SO * corner + HYDROGEN_BOND * away
            turn = np.cross(away, corner) / np.linalg.norm(np.cross(away, corner))
            free = -np.cos(HOH) * away + np.sin(HOH) * turn
            found += Atoms("OHH", [oxygen, oxygen - OH * away, oxygen + OH * free])
    return found


def main() -> None:
    """Relax and write."""
    atoms = cluster()
    atoms.calc = TBLite(method="GFN2-xTB", charge=CHARGE, verbosity=0)
    BFGS(atoms, logfile="-").run(fmax=FORCE, steps=400)
    plain = Atoms(atoms.symbols, atoms.positions - atoms.get_center_of_mass())
    plain.info["charge"] = CHARGE
    ase.io.write("start.xyz", plain, format="extxyz")


if __name__ == "__main__":
    main()
