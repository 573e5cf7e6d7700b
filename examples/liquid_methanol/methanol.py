"""A box of liquid methanol, and frames of droplets with energies and forces of GFN2-xTB.

    python methanol.py box BOX.extxyz --molecules 32
    python methanol.py droplets FRAMES.extxyz --droplets 5 --molecules 12

The box is periodic and has the density of the liquid at 298 K; molecules are at random places
and turned at random. A droplet begins so in open space, is relaxed with xTB and moved by
Langevin dynamics at 350 K for 0.9 ps. Its frames are those of the relaxation, so that a potential
learns how atoms repel each other, and one every 10 fs of the dynamics. A file that is there is not
made again.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import ase.io
import numpy as np
from ase import Atoms, units
from ase.build import molecule
from ase.calculators.singlepoint import SinglePointCalculator
from ase.geometry import get_distances
from ase.md.langevin import Langevin
from ase.optimize import BFGS
from tblite.ase import TBLite

from aptnn_md.progress import Progress

DENSITY = 0.7866  # g/cm³, at 298 K
GRAM_PER_CM3 = 1e-3 * units.kg / 1e24  # amu/Å³
NEAREST = 1.75  # Å, between atoms of different molecules
TRIES = 20_000  # for a molecule, before the box is begun anew
TEMPERATURE, TIMESTEP, FRICTION = 350.0, 1.0, 10.0  # K, fs, 1/ps
RELAXATION, STEPS, EVERY = 40, 900, 10


def box(n_molecules: int, seed: int) -> Atoms:
    """Molecules at random places of a periodic cube."""
    rng = np.random.default_rng(seed)
    one = molecule("CH3OH")
    one.positions -= one.get_center_of_mass()
    volume = n_molecules * one.get_masses().sum() / (DENSITY * GRAM_PER_CM3)
    empty = Atoms(cell=[volume ** (1.0 / 3.0)] * 3, pbc=True)
    atoms, tries = empty.copy(), 0
    while len(atoms) < n_molecules * len(one):
        turn, _ = np.linalg.qr(rng.normal(size=(3, 3)))
        places = one.positions @ turn * np.linalg.det(turn) + rng.random(3) * empty.cell.lengths()
        if len(atoms):
            _, distances = get_distances(places, atoms.positions, cell=atoms.cell, pbc=True)
        if not len(atoms) or distances.min() > NEAREST:
            atoms += Atoms(one.numbers, places)
            tries = 0
        elif (tries := tries + 1) > TRIES:
            atoms, tries = empty.copy(), 0
    return atoms


def droplet(n_molecules: int, seed: int) -> list[Atoms]:
    """Frames of a droplet with energies and forces."""
    atoms = box(n_molecules, seed)
    atoms.set_cell(None)
    atoms.pbc = False
    atoms.calc = TBLite(method="GFN2-xTB", verbosity=0)
    frames: list[Atoms] = []

    def keep() -> None:
        frame = Atoms(atoms.numbers, atoms.positions - atoms.get_center_of_mass())
        energy, forces = atoms.get_potential_energy(), atoms.get_forces()
        frame.calc = SinglePointCalculator(frame, energy=energy, forces=forces)
        frames.append(frame)

    relaxation = BFGS(atoms, logfile=None)
    relaxation.attach(keep, interval=EVERY // 2)
    relaxation.run(fmax=0.1, steps=RELAXATION)
    dynamics = Langevin(
        atoms,
        TIMESTEP * units.fs,
        temperature_K=TEMPERATURE,
        friction=FRICTION / (1000 * units.fs),
        fixcm=False,
        rng=np.random.default_rng(seed),
    )
    with Progress(STEPS, f"droplet {seed}", "step") as progress:
        for _ in range(STEPS // EVERY):
            dynamics.run(EVERY)
            keep()
            progress.update(EVERY)
    return frames


def main() -> None:
    """One of the two commands."""
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=("box", "droplets"))
    parser.add_argument("out", type=Path)
    parser.add_argument("--molecules", type=int, default=32)
    parser.add_argument("--droplets", type=int, default=5)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    if options.out.exists():
        return
    frames = [box(options.molecules, options.seed)]
    if options.what == "droplets":
        seeds = range(options.seed, options.seed + options.droplets)
        frames = [frame for seed in seeds for frame in droplet(options.molecules, seed)]
    partial = options.out.with_suffix(".partial.extxyz")
    ase.io.write(partial, frames)
    partial.replace(options.out)


if __name__ == "__main__":
    main()
