"""A water, a methanol, and both in one complex: water.xyz, methanol.xyz, complex.xyz.

python structures.py
"""

from __future__ import annotations

import ase.io
from ase import Atoms
from ase.build import molecule
from ase.optimize import BFGS
from tblite.ase import TBLite


def main() -> None:
    """Relax by GFN2-xTB and write."""
    water, methanol = molecule("H2O"), molecule("CH3OH")
    far = water.copy()
    far.positions += methanol.positions[1] - far.positions[0] + [0.6, 2.8, 0.4]
    for name, atoms in (("water", water), ("methanol", methanol), ("complex", methanol + far)):
        atoms.calc = TBLite(method="GFN2-xTB", verbosity=0)
        BFGS(atoms, logfile=None).run(fmax=0.01, steps=300)
        plain = Atoms(atoms.symbols, atoms.positions - atoms.get_center_of_mass())
        ase.io.write(f"{name}.xyz", plain, format="extxyz")


if __name__ == "__main__":
    main()
