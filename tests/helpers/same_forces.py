"""One system with the same forces in ASE, LAMMPS and OpenMM: H-O-Cl molecules of harmonic bonds,
between which Lennard-Jones forces act, in a triclinic cell.

Polar tensors are those of :mod:`helpers.toy_molecules`, which need molecules in one piece.
"""

from __future__ import annotations

import itertools

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes
from ase.data import chemical_symbols

from aptnn_md.atoms.snapshot import nearest_images
from helpers import toy_molecules

BONDS = {(0, 1): (40.0, 0.97), (0, 2): (20.0, 1.69), (1, 2): (6.0, 2.1)}
"""Atoms of a molecule -> stiffness k in k (r - r0)²/2, eV/Å², and r0, Å."""

EPSILON, SIGMA, CUTOFF = 0.006, 2.6, 3.5
TYPES = (1, 8, 17)


def structure(n_molecules=4, temperature=300.0, seed=1) -> Atoms:
    """Molecules in a periodic triclinic cell, with thermal velocities."""
    return toy_molecules.structure(n_molecules, temperature, seed, pbc=True)


def bonds(n_atoms: int) -> list[tuple[int, int, float, float]]:
    """First and second atom, stiffness and length of all bonds."""
    return [
        (start + i, start + j, *BONDS[i, j]) for start in range(0, n_atoms, 3) for i, j in BONDS
    ]


class Potential(Calculator):
    """The forces by the plainest sums."""

    implemented_properties = ["energy", "forces"]  # noqa: RUF012 as in ASE

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        assert self.atoms is not None
        x, n = self.atoms.positions, len(self.atoms)
        forces, energy = np.zeros((n, 3)), 0.0
        for i, j, stiffness, length in bonds(n):
            bond = x[j] - x[i]
            r = float(np.linalg.norm(bond))
            energy += 0.5 * stiffness * (r - length) ** 2
            forces[i] += stiffness * (r - length) * bond / r
            forces[j] -= stiffness * (r - length) * bond / r
        pairs = [(i, j) for i, j in itertools.combinations(range(n), 2) if i // 3 != j // 3]
        i, j = np.array(pairs).T
        vectors = nearest_images(x[j] - x[i], self.atoms.cell.array, (True, True, True))
        r = np.linalg.norm(vectors, axis=1)
        power = np.where(r < CUTOFF, (SIGMA / r) ** 6, 0.0)
        energy += float((4.0 * EPSILON * (power**2 - power)).sum())
        push = (24.0 * EPSILON * (2.0 * power**2 - power) / r**2)[:, None] * vectors
        np.add.at(forces, j, push)
        np.add.at(forces, i, -push)
        self.results = {"energy": energy, "forces": forces}


def lammps_data(atoms: Atoms) -> str:
    """A data file in units metal, atom style molecular, with velocities; without labels."""
    cell, n = atoms.cell.array, len(atoms)
    assert not np.any(np.triu(cell, 1)), "the frame of LAMMPS"
    kinds = [TYPES.index(z) + 1 for z in atoms.numbers]
    velocities = atoms.get_velocities() * 98.22694788464062  # of ASE to Å/ps
    masses = dict(zip(kinds, atoms.get_masses(), strict=True))
    sections = {
        "Masses": [f"{kind} {masses[kind]:.10g}" for kind in sorted(masses)],
        "Atoms # molecular": [
            f"{k + 1} {k // 3 + 1} {kinds[k]} {x:.16g} {y:.16g} {z:.16g}"
            for k, (x, y, z) in enumerate(atoms.positions)
        ],
        "Velocities": [
            f"{k + 1} {x:.16g} {y:.16g} {z:.16g}" for k, (x, y, z) in enumerate(velocities)
        ],
        "Bonds": [f"{k + 1} {k % 3 + 1} {i + 1} {j + 1}" for k, (i, j, *_) in enumerate(bonds(n))],
    }
    head = [
        "H-O-Cl molecules",
        "",
        f"{n} atoms",
        f"{n} bonds",
        f"{len(TYPES)} atom types",
        f"{len(BONDS)} bond types",
        f"0 {cell[0, 0]:.16g} xlo xhi",
        f"0 {cell[1, 1]:.16g} ylo yhi",
        f"0 {cell[2, 2]:.16g} zlo zhi",
        f"{cell[1, 0]:.16g} {cell[2, 0]:.16g} {cell[2, 1]:.16g} xy xz yz",
    ]
    for title, lines in sections.items():
        head += ["", title, "", *lines]
    return "\n".join(head) + "\n"


FORCES = "\n".join(
    [
        f"pair_style lj/cut {CUTOFF}",
        f"pair_coeff * * {EPSILON} {SIGMA}",
        "bond_style harmonic",
        *(f"bond_coeff {k + 1} {0.5 * b[0]} {b[1]}" for k, b in enumerate(BONDS.values())),
        "special_bonds lj 0 0 0",
        "neighbor 1.0 bin",
    ]
)
"""Commands of LAMMPS, units metal."""


def symbols() -> list[str]:
    """Element of each type of LAMMPS."""
    return [chemical_symbols[z] for z in TYPES]
