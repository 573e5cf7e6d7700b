"""An analytic system to test against: flexible H-O-Cl molecules with a dipole of their own.

Three elements, and polar tensors that are neither symmetric nor constant: the charge on each bond
depends on both bonds and on the angle, so an index transposition changes every result.
"""

from __future__ import annotations

import numpy as np
from ase import Atoms, units
from ase.calculators.calculator import Calculator, all_changes

LENGTH_OH, LENGTH_OCL, COS_ANGLE = 0.97, 1.69, -0.22
DOT = LENGTH_OH * LENGTH_OCL * COS_ANGLE
STIFFNESS_OH, STIFFNESS_OCL, STIFFNESS_DOT, CUBIC_OH = 48.0, 24.0, 2.0, -60.0
# charges on the bonds: constant, by the own length, by the other length, by the dot product
CHARGE_OH = (0.35, 0.30, 0.45, -0.25)
CHARGE_OCL = (-0.12, -0.80, 0.40, 0.15)


def bonds(positions):
    """Vectors O->H and O->Cl of molecules in the order O, H, Cl."""
    molecules = positions.reshape(-1, 3, 3)
    return molecules[:, 1] - molecules[:, 0], molecules[:, 2] - molecules[:, 0]


def energy_forces_virial(positions):
    first, second = bonds(positions)
    r1, r2 = np.linalg.norm(first, axis=1), np.linalg.norm(second, axis=1)
    x1, x2, x3 = r1 - LENGTH_OH, r2 - LENGTH_OCL, (first * second).sum(1) - DOT
    energy = 0.5 * (STIFFNESS_OH * x1**2 + STIFFNESS_OCL * x2**2 + STIFFNESS_DOT * x3**2)
    energy += CUBIC_OH * x1**3
    slope1 = (STIFFNESS_OH * x1 + 3 * CUBIC_OH * x1**2) / r1
    on_first = -slope1[:, None] * first - (STIFFNESS_DOT * x3)[:, None] * second
    on_second = -(STIFFNESS_OCL * x2 / r2)[:, None] * second - (STIFFNESS_DOT * x3)[:, None] * first
    forces = np.stack([-on_first - on_second, on_first, on_second], axis=1).reshape(-1, 3)
    virial = np.einsum("ma,mb->ab", first, on_first) + np.einsum("ma,mb->ab", second, on_second)
    return float(energy.sum()), forces, virial


def _charges(first, second):
    r1, r2 = np.linalg.norm(first, axis=1), np.linalg.norm(second, axis=1)
    x1, x2, x3 = r1 - LENGTH_OH, r2 - LENGTH_OCL, (first * second).sum(1) - DOT
    charge1 = CHARGE_OH[0] + CHARGE_OH[1] * x1 + CHARGE_OH[2] * x2 + CHARGE_OH[3] * x3
    charge2 = CHARGE_OCL[0] + CHARGE_OCL[1] * x2 + CHARGE_OCL[2] * x1 + CHARGE_OCL[3] * x3
    return charge1[:, None], charge2[:, None]


def dipole(positions):
    """M (3,), e Å."""
    first, second = bonds(positions)
    charge1, charge2 = _charges(first, second)
    return (charge1 * first + charge2 * second).sum(0)


def polar_tensors(positions):
    """∂M_α/∂r_iβ (n_atoms, 3, 3), e."""
    first, second = bonds(positions)
    charge1, charge2 = _charges(first, second)
    unit1 = first / np.linalg.norm(first, axis=1)[:, None]
    unit2 = second / np.linalg.norm(second, axis=1)[:, None]

    def outer(dipole_direction, gradient):
        return dipole_direction[:, :, None] * gradient[:, None, :]

    of_h = charge1[..., None] * np.eye(3)
    of_h = of_h + outer(first, CHARGE_OH[1] * unit1 + CHARGE_OH[3] * second)
    of_h = of_h + outer(second, CHARGE_OCL[2] * unit1 + CHARGE_OCL[3] * second)
    of_cl = charge2[..., None] * np.eye(3)
    of_cl = of_cl + outer(first, CHARGE_OH[2] * unit2 + CHARGE_OH[3] * first)
    of_cl = of_cl + outer(second, CHARGE_OCL[1] * unit2 + CHARGE_OCL[3] * first)
    return np.stack([-of_h - of_cl, of_h, of_cl], axis=1).reshape(-1, 3, 3)


class Tensors:
    """The analytic tensors as a predictor that counts its calls."""

    name = "toy"

    def __init__(self, transposed=False):
        self.n_calls, self.transposed = 0, transposed

    def __call__(self, atoms):
        self.n_calls += 1
        apt = polar_tensors(atoms.positions)
        return apt.transpose(0, 2, 1) if self.transposed else apt


class Committee(Tensors):
    """Three members that differ in their charges by a factor."""

    name = "toy-committee"
    n_members = 3
    factors = np.array([0.8, 1.0, 1.3])

    def members(self, atoms):
        self.n_calls += 1
        return self.factors[:, None, None, None] * polar_tensors(atoms.positions)

    def __call__(self, atoms):
        return self.members(atoms).mean(0)


class Potential(Calculator):
    """The analytic potential; counts its calls."""

    implemented_properties = ["energy", "free_energy", "forces", "stress", "dipole"]  # noqa: RUF012

    def __init__(self):
        super().__init__()
        self.n_calls = 0

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        assert self.atoms is not None
        self.n_calls += 1
        energy, forces, virial = energy_forces_virial(self.atoms.positions)
        self.results = {"energy": energy, "free_energy": energy, "forces": forces}
        self.results["dipole"] = dipole(self.atoms.positions)
        if self.atoms.cell.rank == 3:
            stress = -virial / self.atoms.get_volume()
            self.results["stress"] = stress[[0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]]


class StrongBonds(Potential):
    """The same with O-H bonds that do not break, whatever zero-point motion they have."""

    quartic = 80.0

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        assert self.atoms is not None
        first, _ = bonds(self.atoms.positions)
        length = np.linalg.norm(first, axis=1)
        stretch = length - LENGTH_OH
        force = (4.0 * self.quartic * stretch**3 / length)[:, None] * first
        self.results["energy"] += self.quartic * float((stretch**4).sum())
        self.results["free_energy"] = self.results["energy"]
        forces = self.results["forces"].reshape(-1, 3, 3)
        forces[:, 0] += force
        forces[:, 1] -= force
        self.results.pop("stress", None)


def structure(n_molecules=1, temperature=300.0, seed=0, pbc=False) -> Atoms:
    """Randomly turned molecules on a grid, with thermal velocities."""
    rng = np.random.default_rng(seed)
    angle = np.arccos(COS_ANGLE)
    one = np.array(
        [[0, 0, 0], [LENGTH_OH, 0, 0], [LENGTH_OCL * COS_ANGLE, LENGTH_OCL * np.sin(angle), 0]]
    )
    positions = []
    for n in range(n_molecules):
        turn = np.linalg.qr(rng.normal(size=(3, 3)))[0]
        positions.append(one @ turn + [5.0 * n, 0.3 * n, 1.0])
    atoms = Atoms("OHCl" * n_molecules, positions=np.concatenate(positions))
    if pbc:
        atoms.set_cell([[5.0 * n_molecules, 0, 0], [1.0, 9.0, 0], [-2.0, 1.5, 8.0]])
        atoms.pbc = True
    width = np.sqrt(units.kB * temperature * atoms.get_masses())
    momenta = rng.normal(size=(len(atoms), 3)) * width[:, None]
    drift = momenta.sum(axis=0) / atoms.get_masses().sum()
    atoms.set_momenta(momenta - atoms.get_masses()[:, None] * drift)
    return atoms


def timestep(femtoseconds: float) -> float:
    """In the units of ASE."""
    return femtoseconds * units.fs
