"""Frames of n-alkanes to be labelled: Langevin dynamics with GFN2-xTB at 500 K.

    python frames.py frames.extxyz 4 5 6 8 --n 20 --forces forces.extxyz

So many frames of each chain, one every 50 fs after 0.5 ps: at 500 K chains fold. The potential can
also learn from what the dynamics calculates in between: with --forces, energy and forces every
10 fs. A file that is there is not made again.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import ase.io
import numpy as np
from alkane import alkane
from ase import Atoms, units
from ase.calculators.singlepoint import SinglePointCalculator
from ase.md.langevin import Langevin
from tblite.ase import TBLite

from aptnn_md.progress import Progress

TEMPERATURE, TIMESTEP, FRICTION = 500.0, 1.0, 10.0  # K, fs, 1/ps
EVERY, FIRST = 50, 500  # steps
FORCES_EVERY, FORCES_FIRST = 10, 200


def sample(n_carbons: int, n_frames: int) -> tuple[list[Atoms], list[Atoms]]:
    """Frames of one chain, and those between them with energy and forces."""
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
    frames, between = [], []
    n_steps = FIRST + EVERY * n_frames
    with Progress(n_steps, f"C{n_carbons}", "step") as progress:
        for step in range(FORCES_EVERY, n_steps + 1, FORCES_EVERY):
            dynamics.run(FORCES_EVERY)
            progress.update(FORCES_EVERY)
            if step > FIRST and step % EVERY == 0:
                frames.append(bare(atoms, n_carbons))
            elif step > FORCES_FIRST:
                frame = bare(atoms, n_carbons)
                energy, forces = atoms.get_potential_energy(), atoms.get_forces()
                frame.calc = SinglePointCalculator(frame, energy=energy, forces=forces)
                between.append(frame)
    return frames, between


def bare(atoms: Atoms, n_carbons: int) -> Atoms:
    """Where the atoms are, without momenta."""
    places = atoms.positions - atoms.get_center_of_mass()
    return Atoms(atoms.symbols, places, info={"chain": n_carbons})


def write(path: Path, frames: list[Atoms]) -> None:
    """Write all frames or none."""
    partial = path.with_suffix(".partial.extxyz")
    ase.io.write(partial, frames)
    partial.replace(path)


def main() -> None:
    """Write the frames of all chains."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("chains", type=int, nargs="+")
    parser.add_argument("--n", type=int, default=20)
    parser.add_argument("--forces", type=Path)
    options = parser.parse_args()
    if options.out.exists():
        return
    sampled = [sample(n, options.n) for n in options.chains]
    if options.forces:
        write(options.forces, [frame for _, between in sampled for frame in between])
    write(options.out, [frame for frames, _ in sampled for frame in frames])


if __name__ == "__main__":
    main()
