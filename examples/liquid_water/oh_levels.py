"""Exact levels of single OH bonds of a potential: the quantum shift without any dynamics.

    python oh_levels.py [start.extxyz ...] [--bonds 30] [--potential water-mace]

Each bond is stretched with all other atoms and its centre of mass held, and the one-dimensional
Schrödinger equation is solved in that well. Printed are the wavenumber of 0 → 1, that of classical
nuclei at 300 K (the root mean square of the velocity's spectrum, √(⟨V″⟩/μ)) and their difference.
"""

from __future__ import annotations

import argparse
from typing import Any

import ase.io
import numpy as np
from ase import Atoms, units
from scipy.interpolate import CubicSpline

from aptnn_md.potentials.interface import as_batched
from aptnn_md.potentials.loading import load_potential

KELVIN, LENGTHS = 300.0, np.linspace(0.70, 1.55, 26)  # Å
HBAR = units._hbar / units._e * 1e15 * units.fs
PER_CM = units.invcm  # eV


def stretched(atoms: Atoms, o: int, h: int) -> list[Atoms]:
    """The structure with an OH bond of each length; the centre of mass of the bond rests."""
    bond = atoms.get_distance(o, h, mic=True, vector=True)
    share = atoms.get_masses()[[h, o]] / atoms.get_masses()[[o, h]].sum()
    frames = []
    for length in LENGTHS:
        frames.append(atoms.copy())
        change = bond * (length / np.linalg.norm(bond) - 1.0)
        frames[-1].positions[[o, h]] += share[:, None] * [-change, change]
    return frames


def wavenumbers(lengths: np.ndarray, energies: np.ndarray, mass: float) -> tuple[float, float]:
    """Quantum 0 → 1 and classical wavenumber, cm⁻¹, in a well (Å, eV) for a mass (amu)."""
    well = CubicSpline(lengths, energies - energies.min())
    # the tail of the wave function reaches a little beyond the shortest length
    r = np.linspace(lengths[0] - 0.1, lengths[-1], 240)
    # sinc basis: Colbert and Miller, J. Chem. Phys. 96, 1982 (1992)
    n, step = np.arange(len(r)), r[1] - r[0]
    apart = n[:, None] - n
    sign = np.where(apart % 2, -1.0, 1.0)
    kinetic = np.where(apart == 0, np.pi**2 / 3, 2 * sign / np.where(apart, apart, 1) ** 2)
    hamiltonian = HBAR**2 / (2 * mass * step**2) * kinetic + np.diag(well(r))
    levels = np.linalg.eigvalsh(hamiltonian)[:2]
    weight = np.exp(-well(r) / (units.kB * KELVIN))
    curvature = (weight @ well(r, 2)) / weight.sum()
    return (levels[1] - levels[0]) / PER_CM, HBAR * np.sqrt(curvature / mass) / PER_CM


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("frames", nargs="*", default=["start.extxyz"])
    parser.add_argument("--bonds", type=int, default=30)
    parser.add_argument("--potential", default="water-mace")
    options = parser.parse_args()
    potential: Any = as_batched(load_potential(options.potential))
    structures = [atoms for name in options.frames for atoms in ase.io.read(name, ":")]
    found = []
    for k in range(options.bonds):
        atoms, rng = structures[k % len(structures)], np.random.default_rng(k)
        h = int(rng.choice(np.flatnonzero(atoms.numbers == 1)))
        oxygen = np.flatnonzero(atoms.numbers == 8)
        o = int(oxygen[atoms.get_distances(h, oxygen, mic=True).argmin()])
        energies = [each["energy"] for each in potential.evaluate(stretched(atoms, o, h))]
        m = atoms.get_masses()
        found.append(wavenumbers(LENGTHS, np.array(energies), m[o] * m[h] / (m[o] + m[h])))
    table = np.array(found).T
    for name, values in zip(
        ("quantum, 0 to 1", "classical, 300 K", "shift"),
        (*table, table[0] - table[1]),
        strict=True,
    ):
        error = values.std(ddof=1) / np.sqrt(len(values)) if len(values) > 1 else np.nan
        print(f"{name:18s} {values.mean():7.0f} ± {error:.0f} cm⁻¹  ({len(values)} OH bonds)")


if __name__ == "__main__":
    main()
