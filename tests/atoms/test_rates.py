"""Ṁ and the f-sum: index order, groups, path-integral estimators."""

from __future__ import annotations

import numpy as np
import pytest
from helpers.estimates import estimate

from aptnn_md.atoms.groups import Groups
from aptnn_md.atoms.rates import dipole_rate, f_sum
from aptnn_md.errors import InputError
from aptnn_md.stream.frame import ESTIMATORS
from aptnn_md.units import AMU_A2_PER_FS2_EV, BOLTZMANN_EV_PER_K


@pytest.fixture
def rng():
    return np.random.default_rng(7)


def test_row_is_the_dipole_and_column_the_displacement():
    apt = np.zeros((2, 3, 3))
    apt[1, 0, 2] = 0.5  # moving atom 1 along z changes the dipole along x
    velocities = np.zeros((2, 3))
    velocities[1] = (7.0, 11.0, 2.0)
    assert dipole_rate(apt, velocities).tolist() == [[1.0, 0.0, 0.0]]


def test_groups_add_up_and_each_is_its_own_atoms(rng):
    apt, velocities = rng.normal(size=(9, 3, 3)), rng.normal(size=(9, 3))
    groups = Groups.by_labels(list("abcabcabb"))
    parts = dipole_rate(apt, velocities, groups)
    assert parts.shape == (3, 3)
    np.testing.assert_allclose(parts.sum(0), dipole_rate(apt, velocities)[0], rtol=1e-13)
    chosen = groups.index == 1
    np.testing.assert_allclose(
        parts[1], dipole_rate(apt[chosen], velocities[chosen])[0], rtol=1e-13
    )
    masses = rng.uniform(1, 20, 9)
    strengths = f_sum(apt, masses, groups)
    np.testing.assert_allclose(strengths.sum(), f_sum(apt, masses)[0], rtol=1e-13)
    np.testing.assert_allclose(strengths[1], f_sum(apt[chosen], masses[chosen])[0], rtol=1e-13)


def test_f_sum_of_fixed_charges():
    charges, masses = np.array([-0.8, 0.4, 0.4]), np.array([15.999, 1.008, 1.008])
    apt = charges[:, None, None] * np.eye(3)
    np.testing.assert_allclose(f_sum(apt, masses), (charges**2 / masses).sum(), rtol=1e-14)


def test_f_sum_is_the_mean_square_rate_of_thermal_velocities(rng):
    """⟨|Ṁ|²⟩ = 3 kT f_sum for Maxwell-Boltzmann velocities and asymmetric tensors."""
    apt, masses, temperature = rng.normal(size=(6, 3, 3)), rng.uniform(1, 40, 6), 310.0
    width = np.sqrt(BOLTZMANN_EV_PER_K * temperature / (masses * AMU_A2_PER_FS2_EV))
    velocities = rng.normal(size=(200_000, 6, 3)) * width[:, None]
    rates = dipole_rate(apt, velocities)[:, 0]
    expected = 3 * BOLTZMANN_EV_PER_K * temperature / AMU_A2_PER_FS2_EV * f_sum(apt, masses)[0]
    np.testing.assert_allclose((rates**2).sum(1).mean(), expected, rtol=0.01)


def test_estimators_agree_for_one_bead_and_differ_for_several(rng):
    groups = Groups.by_labels(list("aabb"))
    apt, velocities = rng.normal(size=(3, 4, 3, 3)), rng.normal(size=(3, 4, 3))
    centroid = rng.normal(size=(4, 3, 3))
    classical = dipole_rate(centroid, velocities[0], groups)
    for name in ESTIMATORS:
        one = estimate(name, centroid[None], velocities[:1], centroid, groups)
        np.testing.assert_allclose(one, classical, rtol=1e-14)
    bead = sum(dipole_rate(apt[k], velocities[k], groups) for k in range(3)) / 3
    np.testing.assert_allclose(estimate("bead", apt, velocities, None, groups), bead, rtol=1e-13)
    mean_velocity = velocities.mean(0)
    np.testing.assert_allclose(
        estimate("centroid-apt", apt, velocities, None, groups),
        dipole_rate(apt.mean(0), mean_velocity, groups),
        rtol=1e-13,
    )
    np.testing.assert_allclose(
        estimate("apt-at-centroid", None, velocities, centroid, groups),
        dipole_rate(centroid, mean_velocity, groups),
        rtol=1e-13,
    )


def test_bead_estimator_is_the_derivative_of_the_bead_dipole(rng):
    """Finite difference of (1/P) Σ M(q_k) for a dipole that is not linear."""
    matrix, cubic = rng.normal(size=(2, 3, 3))
    beads, velocities = rng.normal(size=(5, 1, 3)), rng.normal(size=(5, 1, 3))

    def mean_dipole(q):
        return np.mean([matrix @ r[0] + cubic @ r[0] ** 3 for r in q], axis=0)

    apt = matrix + 3 * cubic * beads[:, :, None, :] ** 2
    step = 1e-5
    derivative = mean_dipole(beads + step * velocities) - mean_dipole(beads - step * velocities)
    np.testing.assert_allclose(
        estimate("bead", apt, velocities)[0], derivative / (2 * step), rtol=1e-8
    )


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: dipole_rate(np.ones((2, 3, 3)), np.ones((3, 3))), r"apt: found shape \(2, 3, 3\)"),
        (
            lambda: dipole_rate(np.ones((3, 3, 3)), np.ones((3, 3)), Groups.by_labels("ab")),
            "atoms: found 2, expected 3",
        ),
        (lambda: estimate("beads", np.ones((1, 2, 3, 3)), np.ones((1, 2, 3))), "one of bead, cen"),
        (
            lambda: estimate("apt-at-centroid", None, np.ones((1, 2, 3))),
            "at_centroid: found nothing",
        ),
    ],
)
def test_what_does_not_fit_is_refused(call, message):
    with pytest.raises(InputError, match=message):
        call()
