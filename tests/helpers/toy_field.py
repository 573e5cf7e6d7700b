"""The analytic O-H-Cl molecules of toy_molecules in an electric field, as an ASE calculator.

The energy is E₀ − M·E − ½ E·α·E − ⅙ c Σ (E·d)³ with d from O to H, analytic forces, a
polarizability that depends on both bonds, and tensors without any symmetry.
"""

from __future__ import annotations

import os
import time

import numpy as np
from ase.calculators.calculator import Calculator, all_changes

from aptnn_md.atomic_units import VOLT_ANGSTROM
from helpers import toy_molecules

# e Å²/V: along the first bond, the second, mixed, and how the mixed one depends on the angle
OWN, OTHER, MIXED, BY_ANGLE = 0.05, 0.03, 0.02, 0.4


def _alpha(positions):
    first, second = toy_molecules.bonds(positions)
    own = np.einsum("ma,mb->mab", first, first)
    other = np.einsum("ma,mb->mab", second, second)
    mixed = np.einsum("ma,mb->mab", first, second)
    mixed = mixed + mixed.transpose(0, 2, 1)
    growth = 1.0 + BY_ANGLE * (first * second).sum(1)
    total = OWN * own + OTHER * other + MIXED * growth[:, None, None] * mixed
    return first, second, mixed, growth, total


def polarizability(positions):
    """(3, 3), Å³."""
    return _alpha(positions)[-1].sum(0) * VOLT_ANGSTROM


def gradients(positions):
    """∂a_αβ/∂r_iγ (n_atoms, 3, 3, 3), Å²."""
    first, second, mixed, growth, _ = _alpha(positions)
    one = np.eye(3)

    def of_product(vector):
        part = np.einsum("ac,mb->mabc", one, vector)
        return part + part.transpose(0, 2, 1, 3)

    factor = MIXED * growth[:, None, None, None]
    of_h = OWN * of_product(first) + factor * of_product(second)
    of_h = of_h + MIXED * BY_ANGLE * np.einsum("mab,mc->mabc", mixed, second)
    of_cl = OTHER * of_product(second) + factor * of_product(first)
    of_cl = of_cl + MIXED * BY_ANGLE * np.einsum("mab,mc->mabc", mixed, first)
    of_all = np.stack([-of_h - of_cl, of_h, of_cl], axis=1)
    return of_all.reshape(-1, 3, 3, 3) * VOLT_ANGSTROM


class FieldPotential(Calculator):
    """Energy, forces and dipole in a field.

    Parameters
    ----------
    hyper : c of the term of third order
    longest : an O-H bond longer than this makes the SCF fail, Å
    log : file that gets a line for every calculation
    delay : seconds a calculation takes
    """

    implemented_properties = ["energy", "forces", "dipole"]  # noqa: RUF012 as in ASE

    def __init__(self, hyper=0.0, longest=10.0, log=None, delay=0.0):
        super().__init__()
        self.hyper, self.longest, self.log, self.delay = hyper, longest, log, delay
        self.field = np.zeros(3)

    def set_electric_field(self, field):
        self.field = field

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        assert self.atoms is not None
        positions, field = self.atoms.positions, self.field
        first, _, _, _, alpha = _alpha(positions)
        if np.linalg.norm(first, axis=1).max() > self.longest:
            raise RuntimeError("SCF did not converge in 50 cycles\nmore about it")
        time.sleep(self.delay)
        energy, forces, _ = toy_molecules.energy_forces_virial(positions)
        along = first @ field
        dipole = toy_molecules.dipole(positions) + alpha.sum(0) @ field
        dipole = dipole + 0.5 * self.hyper * (along**2) @ first
        energy -= toy_molecules.dipole(positions) @ field + 0.5 * field @ alpha.sum(0) @ field
        energy -= self.hyper / 6.0 * (along**3).sum()
        forces = forces + np.einsum("iab,a->ib", toy_molecules.polar_tensors(positions), field)
        gradient = gradients(positions) / VOLT_ANGSTROM
        forces = forces + 0.5 * np.einsum("iabc,a,b->ic", gradient, field, field)
        third = 0.5 * self.hyper * along[:, None] ** 2 * field
        forces = forces + np.stack([-third, third, 0 * third], axis=1).reshape(-1, 3)
        self.results = {"energy": float(energy), "forces": forces, "dipole": dipole}
        if self.log:
            descriptor = os.open(self.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
            os.write(descriptor, f"{positions.tobytes().hex()[-16:]} {field.tolist()}\n".encode())
            os.close(descriptor)


class DipolePotential(FieldPotential):
    """Knows no field."""

    def __getattribute__(self, name):
        if name == "set_electric_field":
            raise AttributeError(name)
        return super().__getattribute__(name)


class PeriodicDipole(DipolePotential):
    """Its dipole jumps by whole lattice vectors, as a Berry phase does."""

    def calculate(self, *arguments, **keywords):
        super().calculate(*arguments, **keywords)
        assert self.atoms is not None
        fractions = self.results["dipole"] @ np.linalg.inv(self.atoms.cell.array)
        jumps = np.round(1e4 * self.atoms.positions[0]) % 3 - 1
        self.results["dipole"] = (fractions - np.round(fractions) + jumps) @ self.atoms.cell.array
