"""A box of liquid methanol, frames of it, and of droplets with energies and forces of GFN2-xTB.

    python methanol.py box BOX.extxyz --molecules 32 --potential potential.json
    python methanol.py droplets FRAMES.extxyz --droplets 5 --molecules 12
    python methanol.py liquid FRAMES.extxyz --start BOX.extxyz --potential first.json --frames 14
    python methanol.py divide CLUSTERS.extxyz
    python methanol.py last START.extxyz --start FRAMES.extxyz

The box is periodic and has the density of the liquid at 298 K; molecules are at random places,
turned at random, and relaxed with the potential, if there is one. A droplet begins so in open
space, is relaxed with xTB and moved by Langevin dynamics at 350 K for 0.9 ps. Its frames are those
of the relaxation, so that a potential learns how atoms repel each other, and one every 10 fs of the
dynamics. Frames of the liquid, to cut clusters from, are 0.25 ps apart, after 2 ps of equilibration
at 300 K; "last" takes the last of them. "divide" writes CLUSTERS-train.extxyz and, the last
seventh, CLUSTERS-test.extxyz. A file that is there is not made again.
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
from ase.md.velocitydistribution import MaxwellBoltzmannDistribution
from ase.optimize import BFGS, FIRE
from tblite.ase import TBLite

from aptnn_md.potentials.loading import load_potential
from aptnn_md.progress import Progress

DENSITY = 0.7866  # g/cm³, at 298 K
GRAM_PER_CM3 = 1e-3 * units.kg / 1e24  # amu/Å³
NEAREST = 1.75  # Å, between atoms of different molecules
TRIES = 20_000  # for a molecule, before the box is begun anew
TEMPERATURE, TIMESTEP, FRICTION = 350.0, 1.0, 10.0  # K, fs, 1/ps
RELAXATION, STEPS, EVERY = 40, 900, 10
LARGEST_FORCE = 0.3  # eV/Å, in a relaxed box
LIQUID, FIRST, APART = 300.0, 4000, 500  # K, steps of 0.5 fs


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


def relaxed_box(n_molecules: int, seed: int, potential: str) -> Atoms:
    """A box from which dynamics can begin."""
    atoms = box(n_molecules, seed)
    atoms.calc = load_potential(potential)
    FIRE(atoms, logfile=None, maxstep=0.1).run(fmax=LARGEST_FORCE, steps=200)
    atoms.calc = None
    return atoms


def langevin(
    atoms: Atoms, timestep: float, temperature: float, rng: np.random.Generator
) -> Langevin:
    """Dynamics with a time step in fs at a temperature in K."""
    friction = FRICTION / (1000 * units.fs)
    return Langevin(
        atoms,
        timestep * units.fs,
        temperature_K=temperature,
        friction=friction,
        fixcm=False,
        rng=rng,
    )


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
    dynamics = langevin(atoms, TIMESTEP, TEMPERATURE, np.random.default_rng(seed))
    with Progress(STEPS, f"droplet {seed}", "step") as progress:
        for _ in range(STEPS // EVERY):
            dynamics.run(EVERY)
            keep()
            progress.update(EVERY)
    return frames


def liquid(start: Path, potential: str, n_frames: int, seed: int) -> list[Atoms]:
    """Frames of a periodic box that the potential moves."""
    atoms = ase.io.read(start)
    atoms.calc = load_potential(potential)
    rng = np.random.default_rng(seed)
    MaxwellBoltzmannDistribution(atoms, temperature_K=LIQUID, rng=rng)
    dynamics = langevin(atoms, 0.5, LIQUID, rng)
    frames = []
    with Progress(FIRST + n_frames * APART, "liquid", "step") as progress:
        for steps in [FIRST] + n_frames * [APART]:
            for _ in range(steps // 100):
                dynamics.run(100)
                progress.update(100)
            frames.append(Atoms(atoms.numbers, atoms.positions, cell=atoms.cell, pbc=True))
    return frames[1:]


def divide(path: Path) -> None:
    """The last seventh of the clusters, which are of the last frames, is for the test."""
    clusters = ase.io.read(path, ":")
    n_train = len(clusters) - max(1, len(clusters) // 7)
    write(path.with_stem(f"{path.stem}-train"), clusters[:n_train])
    write(path.with_stem(f"{path.stem}-test"), clusters[n_train:])


def write(path: Path, frames: list[Atoms]) -> None:
    """Whole or not at all."""
    partial = path.with_suffix(".partial.extxyz")
    ase.io.write(partial, frames)
    partial.replace(path)


def main() -> None:
    """One of the commands."""
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=("box", "droplets", "liquid", "divide", "last"))
    parser.add_argument("out", type=Path)
    parser.add_argument("--molecules", type=int, default=32)
    parser.add_argument("--droplets", type=int, default=5)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--potential")
    parser.add_argument("--start", type=Path)
    parser.add_argument("--frames", type=int, default=14)
    options = parser.parse_args()
    if options.what == "divide":
        divide(options.out)
        return
    if options.out.exists():
        return
    if options.what == "box":
        start = options.molecules, options.seed
        frames = [relaxed_box(*start, options.potential) if options.potential else box(*start)]
    elif options.what == "liquid":
        frames = liquid(options.start, options.potential, options.frames, options.seed)
    elif options.what == "last":
        frames = [ase.io.read(options.start, -1)]
    else:
        seeds = range(options.seed, options.seed + options.droplets)
        frames = [frame for seed in seeds for frame in droplet(options.molecules, seed)]
    write(options.out, frames)


if __name__ == "__main__":
    main()
