"""Long chains to compare labels with, all bonds anti, each atom moved at random.

    python rattled.py out.extxyz 16 64 --n 1

Atoms are moved by 0.05 Å (standard deviation of each coordinate): dynamics of 194 atoms with xTB
would take hours.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import ase.io
import numpy as np
from alkane import alkane

DISPLACEMENT = 0.05  # Å


def main() -> None:
    """Write structures of all lengths."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("chains", type=int, nargs="+")
    parser.add_argument("--n", type=int, default=1)
    options = parser.parse_args()
    frames = []
    for n_carbons in options.chains:
        for number in range(options.n):
            atoms = alkane(n_carbons)
            rng = np.random.default_rng([n_carbons, number])
            atoms.positions += rng.normal(scale=DISPLACEMENT, size=atoms.positions.shape)
            frames.append(atoms)
    ase.io.write(options.out, frames)


if __name__ == "__main__":
    main()
