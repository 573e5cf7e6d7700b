"""Rotation of the whole: what is taken out, and what of f-sum and freedom remains."""

from __future__ import annotations

import helpers.toy_molecules as toy
import numpy as np
import pytest
from ase import Atoms

from aptnn_md.atoms.rotation import WholeRotation

LINEAR = Atoms("OCO", positions=[[0.0, 0.1, -1.1], [0.02, 0.0, 0.1], [0.0, 0.05, 1.3]])
STRUCTURES = {
    "bent molecule": (toy.structure(1, seed=2), 3),
    "cluster": (toy.structure(2, seed=5), 3),
    "linear": (LINEAR, 2),
    "diatomic": (Atoms("HCl", positions=[[0, 0, 0], [0.7, 0.6, 0.9]]), 2),
    "atom": (Atoms("Ar", positions=[[1.0, 2.0, 3.0]]), 0),
}


@pytest.mark.parametrize(("atoms", "n_axes"), STRUCTURES.values(), ids=STRUCTURES)
def test_projection(atoms, n_axes):
    """A projector in the metric of the masses that takes away as many directions as axes."""
    whole, masses = WholeRotation.of(atoms), atoms.get_masses()
    assert whole.n_axes == n_axes
    n = len(atoms)
    # columns: what becomes of a unit of each mass-weighted velocity
    unit = np.eye(3 * n).reshape(3 * n, n, 3) / np.sqrt(masses)[:, None]
    matrix = (whole.removed_from(atoms.positions, unit) * np.sqrt(masses)[:, None]).reshape(
        3 * n, -1
    )
    np.testing.assert_allclose(matrix, matrix.T, atol=1e-12)
    np.testing.assert_allclose(matrix @ matrix, matrix, atol=1e-12)
    assert np.trace(matrix) == pytest.approx(3 * n - n_axes)
    share = 3.0 - np.diag(matrix).reshape(n, 3).sum(axis=1)
    np.testing.assert_allclose(whole.share(atoms.positions), share, atol=1e-12)
    # translations are left alone
    moved = np.broadcast_to([0.3, -0.2, 0.7], (n, 3))
    np.testing.assert_allclose(whole.removed_from(atoms.positions, moved), moved, atol=1e-12)


@pytest.mark.parametrize("name", ["bent molecule", "cluster"])
def test_angular_momentum_is_gone(name):
    atoms = STRUCTURES[name][0]
    rng, masses = np.random.default_rng(3), atoms.get_masses()
    velocities = rng.normal(size=(4, len(atoms), 3))
    positions = atoms.positions + 0.1 * rng.normal(size=velocities.shape)
    found = WholeRotation.of(atoms).removed_from(positions, velocities)
    centre = np.einsum("n,bna->ba", masses, positions) / masses.sum()
    momenta = masses[:, None] * found
    angular = np.cross(positions - centre[:, None, :], momenta).sum(axis=1)
    np.testing.assert_allclose(angular, 0.0, atol=1e-10)


@pytest.mark.parametrize(("atoms", "n_axes"), STRUCTURES.values(), ids=STRUCTURES)
def test_restricted_tensors_act_as_on_what_is_left(atoms, n_axes):
    """P'·v = P·(v without rotation), and Σ|P'|²/m is the variance of thermal velocities of that."""
    whole, masses = WholeRotation.of(atoms), atoms.get_masses()
    rng = np.random.default_rng(8)
    apt = rng.normal(size=(2, len(atoms), 3, 3))  # beads; not symmetric, no sum rule
    restricted = whole.restrict(apt, atoms.positions)
    velocities = rng.normal(size=(200_000, len(atoms), 3)) / np.sqrt(masses)[:, None]
    left = whole.removed_from(atoms.positions, velocities)
    expected = np.einsum("nab,vnb->va", apt[0], left)
    np.testing.assert_allclose(np.einsum("nab,vnb->va", restricted[0], velocities), expected)
    strength = (restricted[0] ** 2 / masses[:, None, None]).sum()
    assert (expected**2).sum(axis=1).mean() == pytest.approx(strength, rel=0.01, abs=1e-12)
    free = (apt[0] ** 2 / masses[:, None, None]).sum()
    assert (strength < 0.999 * free) == (n_axes > 0)
