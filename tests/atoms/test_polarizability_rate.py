"""ȧ: index order, groups, motions and path-integral estimators, with PGTs without symmetry."""

from __future__ import annotations

import numpy as np
import pytest
from helpers import toy_field, toy_molecules
from helpers.estimates import estimate

from aptnn_md.atoms.groups import Groups
from aptnn_md.atoms.motion import MOTIONS
from aptnn_md.atoms.partition import parse_groups
from aptnn_md.atoms.rates import polarizability_rate
from aptnn_md.atoms.snapshot import Snapshot
from aptnn_md.errors import InputError
from aptnn_md.stream.frame import ESTIMATORS

COMPONENTS = ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))


def in_full(pgt, velocities):
    """Components xx, yy, zz, yz, xz, xy of Σᵢγ ∂a_αβ/∂r_iγ v_iγ, by the definition."""
    tensor = sum(p @ v for p, v in zip(pgt, velocities, strict=True))
    return np.array([tensor[a, b] for a, b in COMPONENTS])


@pytest.fixture
def rng():
    return np.random.default_rng(7)


@pytest.fixture
def atoms():
    return toy_molecules.structure(3, seed=2, pbc=True)


def test_last_index_is_the_displacement_and_components_are_in_order():
    for number, (row, column) in enumerate(COMPONENTS):
        pgt = np.zeros((2, 3, 3, 3))
        pgt[1, row, column, 2] = pgt[1, column, row, 2] = 0.5
        velocities = np.zeros((2, 3))
        velocities[1] = (7.0, 11.0, 2.0)
        assert polarizability_rate(pgt, velocities).tolist() == [np.eye(6)[number].tolist()]


def test_it_is_the_derivative_of_the_polarizability(atoms, rng):
    positions, velocities = atoms.positions, rng.normal(size=(9, 3))
    found = polarizability_rate(toy_field.gradients(positions), velocities)[0]
    step = 1e-5
    ends = [toy_field.polarizability(positions + sign * step * velocities) for sign in (1, -1)]
    derivative = (ends[0] - ends[1]) / (2 * step)
    assert np.abs(found).min() > 1e-3 * np.abs(found).max()
    expected = [derivative[a, b] for a, b in COMPONENTS]
    np.testing.assert_allclose(found, expected, rtol=1e-8, atol=1e-9 * np.abs(found).max())


def test_groups_add_up_and_each_is_its_own_atoms(rng):
    pgt, velocities = rng.normal(size=(2, 9, 3, 3, 3)), rng.normal(size=(2, 9, 3))
    pgt = pgt + pgt.swapaxes(-3, -2)
    groups = Groups.by_labels(list("abcabcabb"))
    parts = polarizability_rate(pgt, velocities, groups)
    assert parts.shape == (2, 3, 6)
    np.testing.assert_allclose(
        parts.sum(1), polarizability_rate(pgt, velocities)[:, 0], rtol=1e-12, atol=1e-13
    )
    for n in range(2):
        for label in range(3):
            chosen = groups.index == label
            expected = in_full(pgt[n, chosen], velocities[n, chosen])
            np.testing.assert_allclose(parts[n, label], expected, rtol=1e-12, atol=1e-13)


def test_motions_are_those_of_the_velocities(atoms, rng):
    """Each part is the rate of the velocities that belong to that motion."""
    groups = parse_groups("element+motion", atoms)
    pgt, velocities = toy_field.gradients(atoms.positions), rng.normal(size=(9, 3))
    snapshot = Snapshot.of(atoms)
    parts = polarizability_rate(pgt, velocities, groups, snapshot)
    elements = Groups.by_element(atoms)
    by_motion = groups.velocity_parts(velocities, snapshot)
    for number, element in enumerate(elements.labels):
        for motion, name in enumerate(MOTIONS):
            expected = polarizability_rate(pgt, by_motion[motion], elements)[number]
            assert groups.labels[3 * number + motion] == f"{element} {name}"
            np.testing.assert_allclose(parts[3 * number + motion], expected, atol=1e-13)
            assert np.abs(expected).max() > 1e-4


def test_turning_a_molecule_turns_its_polarizability(atoms):
    """All of libration is ω × a: the rate of a tensor in a rigid rotation."""
    positions, omega = atoms.positions[:3], np.array([0.3, -0.2, 0.5])
    velocities = np.cross(omega, positions - positions[0])
    generator = np.cross(omega, np.eye(3)).T  # generator @ r = ω × r
    np.testing.assert_allclose(generator @ positions[1], np.cross(omega, positions[1]))
    alpha = toy_field.polarizability(positions)
    expected = generator @ alpha - alpha @ generator
    found = polarizability_rate(toy_field.gradients(positions), velocities)[0]
    np.testing.assert_allclose(found, [expected[a, b] for a, b in COMPONENTS], atol=1e-13)


@pytest.mark.parametrize("groups", ["all", "element", "element+motion"])
def test_estimators(groups, atoms, rng):
    beads = atoms.positions + 0.05 * rng.normal(size=(4, 9, 3))
    velocities = rng.normal(size=(4, 9, 3))
    pgt = np.array([toy_field.gradients(q) for q in beads])
    centroid = toy_field.gradients(beads.mean(0))
    snapshot = Snapshot(beads, atoms.cell.array, (True, True, True))
    parsed = parse_groups(groups, atoms)
    found = {
        name: estimate(name, pgt, velocities, centroid, parsed, snapshot).sum(0)
        for name in ESTIMATORS
    }
    mean = velocities.mean(0)
    expected = {
        "bead": np.mean([in_full(p, v) for p, v in zip(pgt, velocities, strict=True)], axis=0),
        "centroid-apt": in_full(pgt.mean(0), mean),
        "apt-at-centroid": in_full(centroid, mean),
    }
    assert np.abs(expected["bead"] - expected["centroid-apt"]).max() > 1e-3
    for name in ESTIMATORS:
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-10, atol=1e-12)


def test_one_bead_is_classical(atoms, rng):
    pgt, velocities = toy_field.gradients(atoms.positions), rng.normal(size=(9, 3))
    groups = Groups.by_element(atoms)
    expected = polarizability_rate(pgt, velocities, groups)
    for name in ESTIMATORS:
        found = estimate(name, pgt[None], velocities[None], pgt, groups)
        np.testing.assert_allclose(found, expected, rtol=1e-13, atol=1e-15)


@pytest.mark.parametrize("shape", [(3, 3, 3), (4, 3, 3, 3), (3, 3, 6)])
def test_what_does_not_fit_is_refused(shape):
    with pytest.raises(InputError, match=r"pgt: found shape .*, expected \(3, 3, 3, 3\)"):
        polarizability_rate(np.ones(shape), np.ones((3, 3)))
