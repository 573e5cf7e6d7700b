"""Heavy water has heavy water's wavenumbers, in whatever way a file says that it is heavy."""

from __future__ import annotations

import csv

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.constraints import FixAtoms, FixCartesian

from aptnn_md.cli import main
from aptnn_md.errors import InputError
from aptnn_md.normal_modes import finite_difference_hessian, normal_modes, read_hessian
from aptnn_md.structures import Mobility

LENGTH, ANGLE = 0.9572, np.radians(104.52)
MDYN_PER_A = 6.241509  # eV/Å²
# quadratic force field of water (A. R. Hoy, I. M. Mills, G. Strey, Mol. Phys. 24, 1265 (1972)),
# mdyn/Å with the bend as an angle times the bond length
STRETCH, STRETCH_STRETCH, STRETCH_BEND, BEND = 8.454, -0.101, 0.219 / LENGTH, 0.697 / LENGTH**2
HARMONIC = {"H2O": (1648.5, 3832.2, 3942.5), "D2O": (1206.4, 2763.8, 2888.8)}
"""Harmonic wavenumbers of the same paper's water, cm⁻¹ (bend, symmetric, antisymmetric)."""


def water():
    sine, cosine = np.sin(ANGLE / 2), np.cos(ANGLE / 2)
    positions = LENGTH * np.array([[0, 0, 0], [sine, cosine, 0], [-sine, cosine, 0]])
    return Atoms("OHH", positions=positions)


def internal(positions):
    first, second = positions[1] - positions[0], positions[2] - positions[0]
    r1, r2 = np.linalg.norm(first), np.linalg.norm(second)
    return np.array([r1, r2, LENGTH * np.arccos(first @ second / (r1 * r2))])


def hessian():
    """BᵀFB at the minimum, eV/Å²."""
    start, b, step = water().positions, np.zeros((3, 9)), 1e-5
    for k in range(9):
        shift = np.zeros(9)
        shift[k] = step
        shift = shift.reshape(3, 3)
        b[:, k] = (internal(start + shift) - internal(start - shift)) / (2 * step)
    f = np.array(
        [
            [STRETCH, STRETCH_STRETCH, STRETCH_BEND],
            [STRETCH_STRETCH, STRETCH, STRETCH_BEND],
            [STRETCH_BEND, STRETCH_BEND, BEND],
        ]
    )
    return b.T @ (f * MDYN_PER_A) @ b


def with_column(path, name, values):
    atoms = water()
    atoms.arrays[name] = np.array(values)
    ase.io.write(path, atoms, format="extxyz")


def with_symbol(path, comment):
    rows = [
        f"{symbol} {x:.10f} {y:.10f} {z:.10f}"
        for symbol, (x, y, z) in zip("ODD", water().positions, strict=True)
    ]
    path.write_text("\n".join(["3", comment, *rows]) + "\n")


def with_masses(path):
    atoms = water()
    atoms.set_masses([15.999, 2.014, 2.014])
    ase.io.write(path, atoms)


WAYS = {
    "column mass": lambda path: with_column(path, "mass", [15.999, 2.014, 2.014]),
    "column masses": lambda path: with_column(path, "masses", [15.999, 2.014, 2.014]),
    "masses of ASE": with_masses,
    "symbol D in extxyz": lambda path: with_symbol(path, "Properties=species:S:1:pos:R:3"),
    "symbol D in plain xyz": lambda path: with_symbol(path, "heavy water"),
    "symbol D of i-PI": lambda path: with_symbol(
        path, "# CELL(abcABC): 20 20 20 90 90 90 positions{angstrom} cell{angstrom}"
    ),
}


def wavenumbers(tmp_path, structure, *options):
    np.save(tmp_path / "hessian.npy", hessian())
    np.save(tmp_path / "apt.npy", np.multiply.outer([-0.6, 0.3, 0.3], np.eye(3)))
    files = ["--hessian", tmp_path / "hessian.npy", "--apt", tmp_path / "apt.npy"]
    table = tmp_path / "modes.csv"
    arguments = ["spectrum", "normal-modes", structure, *files, "--out", table, *options]
    assert main([str(a) for a in arguments]) in (0, None)
    lines = [line for line in table.read_text().splitlines() if not line.startswith("#")]
    return sorted(float(row[0]) for row in csv.reader(lines))[-3:]


def test_light_water(tmp_path):
    ase.io.write(tmp_path / "h2o.xyz", water())
    assert wavenumbers(tmp_path, tmp_path / "h2o.xyz") == pytest.approx(HARMONIC["H2O"], rel=0.01)


@pytest.mark.parametrize("way", WAYS)
def test_heavy_water(tmp_path, way):
    structure = tmp_path / "d2o.xyz"
    WAYS[way](structure)
    found = wavenumbers(tmp_path, structure)
    assert found == pytest.approx(HARMONIC["D2O"], rel=0.01)
    masses = np.array([15.999, 2.014, 2.014])
    assert found == pytest.approx(
        normal_modes(hessian(), masses, water().positions).wavenumber, rel=1e-4
    )


# ---------------------------------------------------------------------- fixed atoms


class Harmonic:
    """A calculator of the harmonic energy."""

    implemented_properties = ("energy", "forces")

    def __init__(self):
        self.n_calls = 0

    def get_property(self, name, atoms, allow_calculation=True):
        self.n_calls += 1
        shift = (atoms.positions - water().positions).ravel()
        return -(hessian() @ shift).reshape(-1, 3)

    def get_forces(self, atoms):
        return self.get_property("forces", atoms)

    def calculation_required(self, atoms, properties):
        return True


def test_fixed_atoms_are_not_displaced_and_stay_out_of_the_modes():
    atoms = water()
    atoms.set_constraint(FixAtoms([0, 1]))
    atoms.calc = Harmonic()
    found = finite_difference_hessian(atoms)
    assert atoms.calc.n_calls == 1 + 6  # of the one atom that moves
    assert found.matrix[6:, 6:] == pytest.approx(hessian()[6:, 6:], abs=1e-5)
    assert not found.matrix[:6].any()
    modes = normal_modes(
        found.matrix, atoms.get_masses(), atoms.positions, False, Mobility.of(atoms)
    )
    assert not modes.eigenvectors[:, :2].any()
    # the turn about the bond of the two that are fixed is rigid
    assert (len(modes), len(modes.rigid)) == (2, 1)
    heavy = np.array([1e9, 1e9, 1.008])
    expected = normal_modes(hessian(), heavy, water().positions).wavenumber[-2:]
    assert modes.wavenumber == pytest.approx(expected, rel=1e-4)


def test_only_rigid_motions_that_fixed_atoms_allow_are_taken_out():
    def modes(*constraints, pbc=False):
        atoms = water()
        atoms.set_constraint(list(constraints))
        masses = atoms.get_masses()
        return normal_modes(hessian(), masses, atoms.positions, pbc, Mobility.of(atoms))

    assert (len(modes()), len(modes().rigid)) == (3, 6)
    # about one fixed atom the molecule still turns
    assert (len(modes(FixAtoms([0]))), len(modes(FixAtoms([0])).rigid)) == (3, 3)
    assert (len(modes(FixAtoms([0]), pbc=True)), len(modes(FixAtoms([0]), pbc=True).rigid)) == (
        6,
        0,
    )
    # in its plane: two translations and one turn
    plane = FixCartesian([0, 1, 2], (False, False, True))
    assert (len(modes(plane)), len(modes(plane).rigid)) == (3, 3)
    assert modes(plane).wavenumber == pytest.approx(modes().wavenumber)


def test_a_resumed_calculation_knows_which_atoms_were_fixed(tmp_path):
    atoms = water()
    atoms.calc = Harmonic()
    atoms.set_constraint(FixAtoms([0]))
    finite_difference_hessian(atoms, checkpoint=tmp_path / "h.npz")
    assert read_hessian(tmp_path / "h.npz", atoms)[3:, 3:] == pytest.approx(
        hessian()[3:, 3:], abs=1e-5
    )
    atoms.set_constraint()
    with pytest.raises(InputError, match="fixed atoms: found others"):
        finite_difference_hessian(atoms, checkpoint=tmp_path / "h.npz")
