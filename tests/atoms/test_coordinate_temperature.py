"""Kinetic temperatures of bonds and angles: gradients, and the mean of thermal velocities."""

from __future__ import annotations

import ase.build
import numpy as np
import pytest
from ase import Atoms
from ase.constraints import FixAtoms

from aptnn_md.atoms.coordinate_temperature import CoordinateTemperatures
from aptnn_md.atoms.snapshot import Snapshot
from aptnn_md.units import AMU_A2_PER_FS2_EV, BOLTZMANN_EV_PER_K


def methanol(isotopes: bool = False) -> Atoms:
    atoms = ase.build.molecule("CH3OH")
    atoms.positions += np.random.default_rng(3).normal(scale=0.03, size=(6, 3))
    if isotopes:
        masses = atoms.get_masses()
        masses[3] = 2.014
        atoms.set_masses(masses)
    return atoms


def inertia(atoms: Atoms) -> np.ndarray:
    r, m = atoms.positions - atoms.get_center_of_mass(), atoms.get_masses()
    return np.sum(m * np.sum(r**2, axis=1)) * np.eye(3) - (m[:, None] * r).T @ r


def test_kinds_are_bonds_and_then_angles():
    found = CoordinateTemperatures.of(methanol())
    assert found is not None
    vibrations = ("C-O", "C-H", "H-O", "H-C-O", "H-C-H", "C-O-H", "H-C-O-H")
    assert found.kinds == (*vibrations, "rotation 1", "rotation 2", "rotation 3")
    assert np.bincount(found.kind_of).tolist() == [1, 3, 1, 3, 3, 1, 3]
    still = CoordinateTemperatures.of(methanol(), turns=False)
    assert still is not None
    assert still.kinds == vibrations
    two = CoordinateTemperatures.of(Atoms("OH", [[0, 0, 0], [0, 0, 0.97]]))
    assert two is not None
    assert two.kinds == ("H-O", "rotation 1", "rotation 2")


def test_periodic_and_constrained_structures_have_none():
    periodic, held = methanol(), methanol()
    periodic.set_cell([9.0] * 3)
    periodic.pbc = (True, False, False)
    held.set_constraint(FixAtoms([0]))
    for atoms in (periodic, held, Atoms("He"), Atoms()):
        assert CoordinateTemperatures.of(atoms) is None


def test_rates_are_differences_of_the_coordinates():
    """q̇²/G of one coordinate, with G by differences, too."""
    atoms = methanol(isotopes=True)
    found = CoordinateTemperatures.of(atoms)
    assert found is not None
    velocities = np.random.default_rng(5).normal(scale=0.01, size=(6, 3))
    step = 1e-5

    def slope(measure, direction):
        moved = atoms.copy()
        moved.positions = atoms.positions + step * direction
        later = measure(moved)
        moved.positions = atoms.positions - step * direction
        return (later - measure(moved)) / (2.0 * step)

    def expected(measure):
        gradients = [
            [slope(measure, np.eye(18)[3 * i + k].reshape(6, 3)) for k in range(3)]
            for i in range(6)
        ]
        g = np.sum(np.array(gradients) ** 2 / atoms.get_masses()[:, None])
        return slope(measure, velocities) ** 2 / g

    each = dict.fromkeys(found.kinds[: len(found.kinds) - found.n_axes], 0.0)
    for number, (i, j) in enumerate(found.bonds):
        each[found.kinds[found.kind_of[number]]] += expected(lambda a: a.get_distance(i, j))  # noqa: B023
    for number, (i, k, j) in enumerate(found.angles, len(found.bonds)):
        kind = found.kinds[found.kind_of[number]]
        each[kind] += expected(lambda a: np.radians(a.get_angle(i, k, j)))  # noqa: B023
    for number, four in enumerate(found.torsions, len(found.bonds) + len(found.angles)):
        kind = found.kinds[found.kind_of[number]]
        each[kind] += expected(lambda a: np.radians(a.get_dihedral(*four)))  # noqa: B023
    counts = np.bincount(found.kind_of)
    kelvin = AMU_A2_PER_FS2_EV / BOLTZMANN_EV_PER_K * np.array(list(each.values())) / counts
    temperatures = found.of_instant(velocities, Snapshot.of(atoms))
    np.testing.assert_allclose(temperatures[: len(kelvin)], kelvin, rtol=1e-5)
    # the rotation: what velocities of a rotating body give, about its own axes
    moments, axes = np.linalg.eigh(inertia(atoms))
    turning = np.cross(0.01 * axes[:, 1], atoms.positions - atoms.get_center_of_mass())
    of_axes = found.of_instant(turning, Snapshot.of(atoms))[-3:]
    expected_kelvin = AMU_A2_PER_FS2_EV / BOLTZMANN_EV_PER_K * 1e-4 * moments[1]
    np.testing.assert_allclose(of_axes, [0.0, expected_kelvin, 0.0], atol=1e-6 * expected_kelvin)


@pytest.mark.parametrize("name", ["CH3OH", "CO2", "C2H2", "H2O2"])
def test_of_thermal_velocities_all_have_the_temperature(name):
    """Also of linear molecules, which bend by thermal motion, and with a centre at rest."""
    atoms = ase.build.molecule(name)
    rng = np.random.default_rng(7)
    atoms.positions += rng.normal(scale=0.05, size=atoms.positions.shape)
    found = CoordinateTemperatures.of(atoms)
    assert found is not None
    masses = atoms.get_masses()[:, None]
    width = np.sqrt(BOLTZMANN_EV_PER_K * 300.0 / (AMU_A2_PER_FS2_EV * masses))
    n = 20_000
    snapshot, total = Snapshot.of(atoms), np.zeros(len(found.kinds))
    for _ in range(n):
        velocities = width * rng.normal(size=atoms.positions.shape)
        velocities -= (masses * velocities).sum(axis=0) / masses.sum()
        total += found.of_instant(velocities, snapshot)
    # the square of a Gaussian scatters by sqrt(2); several coordinates of a kind by less
    assert total / n == pytest.approx(300.0, abs=300.0 * 5.0 * np.sqrt(2.0 / n))


def test_the_temperature_is_that_of_any_turned_molecule():
    atoms = methanol()
    velocities = np.random.default_rng(1).normal(scale=0.02, size=(6, 3))
    found = CoordinateTemperatures.of(atoms)
    assert found is not None
    turn, _ = np.linalg.qr(np.random.default_rng(2).normal(size=(3, 3)))
    vibrations = slice(len(found.kinds) - found.n_axes)
    before = found.of_instant(velocities, Snapshot.of(atoms))[vibrations]
    atoms.positions = atoms.positions @ turn + [1.0, 2.0, 3.0]
    # a common velocity and a common rotation change no coordinate
    turned = velocities @ turn + 0.1 + np.cross([0.01, -0.02, 0.005], atoms.positions)
    after = found.of_instant(turned, Snapshot.of(atoms))[vibrations]
    np.testing.assert_allclose(after, before, rtol=1e-9)
