"""Temperatures of translation, libration and vibration: of thermal velocities all are the same."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule
from ase.constraints import FixAtoms, FixCom

from aptnn_md.arrays import FloatArray
from aptnn_md.atoms.motion_temperature import MotionTemperatures
from aptnn_md.atoms.snapshot import Snapshot
from aptnn_md.structures import Mobility
from aptnn_md.units import AMU_A2_PER_FS2_EV, BOLTZMANN_EV_PER_K

T, N = 350.0, 4000


def droplet(rng: np.random.Generator, cell: FloatArray | None = None) -> Atoms:
    """Water, heavy water, methanol, CO2 and an ion, isotopes included, in a triclinic cell."""
    parts = Atoms()
    for n, name in enumerate(["H2O", "CH3OH", "CO2", "H2O"]):
        part = molecule(name)
        part.rotate(rng.uniform(0, 360), rng.normal(size=3))
        part.translate([4.0 * n, 1.5 * n, 2.0] - part.get_center_of_mass())
        parts += part
    masses = parts.get_masses()
    masses[1:3] = 2.014
    parts.set_masses(masses)
    parts += Atoms("Na", positions=[[6.0, 8.0, 7.0]])
    parts.positions += 0.02 * rng.normal(size=(len(parts), 3))
    if cell is not None:
        parts.set_cell(cell)
        parts.pbc = True
    return parts


def thermal(
    rng: np.random.Generator, masses: FloatArray, n_beads: int = 1, size: int = N
) -> FloatArray:
    """(size, n_beads, n_atoms, 3) velocities at T; of beads at n_beads T, as i-PI's are."""
    deviation = np.sqrt(BOLTZMANN_EV_PER_K * T * n_beads / (AMU_A2_PER_FS2_EV * masses))
    return deviation[:, None] * rng.normal(size=(size, n_beads, len(masses), 3))


def without_rotation(atoms: Atoms, velocities: FloatArray) -> FloatArray:
    """Velocities less the rotation about the centre of mass, by least squares in the metric."""
    m = np.repeat(atoms.get_masses(), 3)
    r = atoms.positions - atoms.get_center_of_mass()
    basis = np.cross(np.eye(3)[:, None, :], r).reshape(3, -1).T * np.sqrt(m)[:, None]
    q = np.linalg.svd(basis, full_matrices=False)
    kept = q.U[:, 0.03 * q.S[0] < q.S]
    flat = velocities.reshape(len(velocities), -1) * np.sqrt(m)
    flat = flat - flat @ kept @ kept.T
    return (flat / np.sqrt(m)).reshape(velocities.shape)


@pytest.mark.parametrize("n_beads", [1, 4])
@pytest.mark.parametrize("drift", [0.0, 0.05])
def test_thermal_velocities(n_beads: int, drift: float) -> None:
    """Whatever the common centre of mass does, and in a cell that cuts molecules."""
    rng = np.random.default_rng(3)
    cell = np.array([[14.0, 0.0, 0.0], [6.0, 11.0, 0.0], [-5.0, 4.5, 9.0]])
    atoms = droplet(rng, cell)
    motions = MotionTemperatures.of(atoms)
    assert motions is not None
    assert motions.freedom.tolist() == [3 * 5 - 3, 3 + 3 + 2 + 3, 3 * 16 - 15 - 11]
    beads = atoms.positions + 0.01 * rng.normal(size=(n_beads, len(atoms), 3))
    shifts = rng.integers(-1, 2, size=(len(atoms), 3)) @ cell
    snapshot = Snapshot(beads + shifts, cell, (True, True, True))
    velocities = thermal(rng, atoms.get_masses(), n_beads) + drift
    found = np.array([motions.of_instant(v, snapshot) for v in velocities])
    error = T * np.sqrt(2 / motions.freedom / N)
    assert np.all(np.abs(found.mean(axis=0) - T) < 3.5 * error)
    np.testing.assert_allclose(found.var(axis=0), N * error**2, rtol=0.15)
    # kinetic energies add up
    mean = velocities[0].mean(axis=0)
    relative = mean - np.average(mean, axis=0, weights=atoms.get_masses())
    kinetic = AMU_A2_PER_FS2_EV * (atoms.get_masses()[:, None] * relative**2).sum()
    assert found[0] @ motions.freedom * BOLTZMANN_EV_PER_K == pytest.approx(kinetic)


@pytest.mark.parametrize("which", ["droplet", "CH3OH", "CO2"])
def test_rotation_of_the_whole_removed(which: str) -> None:
    rng = np.random.default_rng(4)
    atoms = droplet(rng) if which == "droplet" else molecule(which)
    motions = MotionTemperatures.of(atoms, rotation_removed=True)
    if which != "droplet":
        # one molecule without rotation only vibrates
        assert motions is None
        free = MotionTemperatures.of(atoms)
        assert free is not None
        turns = 3 if which == "CH3OH" else 2
        assert free.freedom.tolist() == [0.0, turns, 3 * len(atoms) - 3 - turns]
        return
    assert motions is not None
    assert motions.freedom.sum() == pytest.approx(3 * len(atoms) - 6)
    assert 9.0 < motions.freedom[0] < 11.0  # of 12: most of the rotation is that of the centres
    velocities = without_rotation(atoms, thermal(rng, atoms.get_masses()))
    snapshot = Snapshot.of(atoms)
    found = np.array([motions.of_instant(v[0], snapshot) for v in velocities])
    assert np.all(np.abs(found.mean(axis=0) - T) < 3.5 * T * np.sqrt(2 / motions.freedom / N))


def test_a_molecule_that_breaks_is_still_thermal() -> None:
    rng = np.random.default_rng(5)
    atoms = droplet(rng)
    motions = MotionTemperatures.of(atoms)
    assert motions is not None
    positions = atoms.positions + 3.0 * rng.normal(size=(len(atoms), 3))
    snapshot = Snapshot(positions)
    found = np.array([motions.of_instant(v[0], snapshot) for v in thermal(rng, atoms.get_masses())])
    assert np.all(np.abs(found.mean(axis=0) - T) < 3.5 * T * np.sqrt(2 / motions.freedom / N))


def test_where_there_is_nothing_to_compare() -> None:
    argon = Atoms("Ar4", positions=np.arange(12.0).reshape(4, 3) * 3)
    assert MotionTemperatures.of(argon) is None
    assert MotionTemperatures.of(argon[:1]) is None
    water = molecule("H2O")
    assert MotionTemperatures.of(water, Mobility.of(water)) is not None
    water.set_constraint(FixCom())
    assert MotionTemperatures.of(water, Mobility.of(water)) is not None
    water.set_constraint(FixAtoms([0]))
    assert MotionTemperatures.of(water, Mobility.of(water)) is None
