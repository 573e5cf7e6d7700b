"""Continue the motion of frames with GFN2-xTB: distances and angles that a force field lacks.

    python xtb_motion.py FRAMES.extxyz OUT.extxyz [--more 2] [--first 0] [--every 1]

Each frame is written, and after it --more frames of the dynamics that continues it at its
temperature, 30 fs apart, as long as it stays whole. Random numbers follow from the frame's number.
With --first and --every several processes share the frames.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import ase.io
import numpy as np
from ase import Atoms, units
from tblite.interface import Calculator
from thermal import Array, is_sound, langevin

from aptnn_md.progress import Progress

STEPS = 30


def main() -> None:
    """Move frames and write them."""
    parser = argparse.ArgumentParser()
    parser.add_argument("frames", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--more", type=int, default=2)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--every", type=int, default=1)
    arguments = parser.parse_args()
    frames = ase.io.read(arguments.frames, ":")[arguments.first :: arguments.every]
    written = []
    with Progress(len(frames), "motion", "frame") as progress:
        for atoms in frames:
            written += [atoms, *continued(atoms, arguments.more)]
            progress.update()
    ase.io.write(arguments.out, written)


def continued(atoms: Atoms, more: int) -> list[Atoms]:
    """Frames that follow one."""
    random = np.random.default_rng([20261127, atoms.info["number"]])
    forces = _forces(atoms, atoms.info["charge"])
    masses, temperature = atoms.get_masses(), atoms.info["temperature"]
    positions, found = atoms.positions, []
    for _ in range(more):
        try:
            positions = langevin(positions, masses, forces, temperature, STEPS, random)
        except RuntimeError:  # its SCF does not converge
            break
        frame = atoms.copy()
        frame.positions = np.round(positions - positions.mean(axis=0), 4)
        if not is_sound(frame):
            break
        frame.info["motion"] = "GFN2-xTB"
        found.append(frame)
    return found


def _forces(atoms: Atoms, charge: int) -> Callable[[Array], Array]:
    """Forces by GFN2-xTB, eV/Å."""
    calculator = Calculator("GFN2-xTB", atoms.numbers, atoms.positions / units.Bohr, charge)
    calculator.set("verbosity", 0)
    earlier = None

    def forces(positions: Array) -> Array:
        nonlocal earlier
        calculator.update(positions / units.Bohr)
        earlier = calculator.singlepoint(earlier)
        return -np.asarray(earlier.get("gradient")) * units.Hartree / units.Bohr

    return forces


if __name__ == "__main__":
    main()
