"""Frames of n-alkanes to be labelled: Langevin dynamics with GFN2-xTB at 500 K.

    python frames.py frames.extxyz 4 5 6 8 --n 25

So many frames of each chain, one every 50 fs after 0.5 ps: at 500 K chains fold. A file that is
there is not made again.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import ase.io
import numpy as np
from alkane import alkane
from ase import Atoms, units
from ase.md.langevin import Langevin
from tblite.ase import TBLite

from aptnn_md.progress import Progress

TEMPERATURE, TIMESTEP, FRICTION = 500.0, 1.0, 10.0  # K, fs, 1/ps
EVERY, FIRST = 50, 500


def sample(n_carbons: int, n_frames: int) -> list[Atoms]:
    """Frames of one chain."""
    atoms = alkane(n_carbons)
    atoms.calc = TBLite(method="GFN2-xTB", verbosity=0)
    dynamics = Langevin(
        atoms,
        TIMESTEP * units.fs,
        temperature_K=TEMPERATURE,
        friction=FRICTION / (1000 * units.fs),
        fixcm=False,
        rng=np.random.default_rng(n_carbons),
    )
    dynamics.run(FIRST)
    frames = []
    with Progress(n_frames, f"C{n_carbons}", "frame") as progress:
        for _ in range(n_frames):
            dynamics.run(EVERY)
            frame = atoms.copy()
            frame.positions -= frame.get_center_of_mass()
            frame.info["chain"] = n_carbons
            del frame.arrays["momenta"]
            frames.append(frame)
            progress.update()
    return frames


def main() -> None:
    """Write the frames of all chains."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("chains", type=int, nargs="+")
    parser.add_argument("--n", type=int, default=25)
    options = parser.parse_args()
    if options.out.exists():
        return
    frames = [frame for n in options.chains for frame in sample(n, options.n)]
    partial = options.out.with_suffix(".partial.extxyz")
    ase.io.write(partial, frames)
    partial.replace(options.out)


if __name__ == "__main__":
    main()
