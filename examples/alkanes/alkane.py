"""n-Alkanes, all bonds anti: structures of any length.

python alkane.py 16 C16H34.xyz
"""

from __future__ import annotations

import sys

import ase.io
import numpy as np
from ase import Atoms

CC, CH = 1.53, 1.09  # Å
CCC, HCH = np.radians(112.5), np.radians(107.0)


def alkane(n_carbons: int) -> Atoms:
    """CₙH₂ₙ₊₂ as a flat zigzag along x, in open space; carbons first."""
    rise = 0.5 * CC * np.cos(0.5 * CCC)
    along = CC * np.sin(0.5 * CCC)
    carbons = np.array([[k * along, rise * (-1) ** k, 0.0] for k in range(n_carbons)])
    hydrogens = []
    for k, place in enumerate(carbons):
        outward = np.array([0.0, (-1.0) ** k, 0.0])
        for side in (-1.0, 1.0):
            direction = np.cos(0.5 * HCH) * outward + np.sin(0.5 * HCH) * np.array([0, 0, side])
            hydrogens.append(place + CH * direction)
        for end, sign in ((0, -1), (n_carbons - 1, 1)):
            if k == end:
                missing = np.array([sign * along, -2.0 * rise * (-1) ** k, 0.0])
                hydrogens.append(place + CH * missing / np.linalg.norm(missing))
    symbols = "C" * n_carbons + "H" * len(hydrogens)
    return Atoms(symbols, np.concatenate([carbons, hydrogens]))


if __name__ == "__main__":
    ase.io.write(sys.argv[2], alkane(int(sys.argv[1])))
