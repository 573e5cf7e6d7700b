"""Ṁ by motion: translation, libration and vibration of molecules in any cell."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule
from helpers.estimates import estimate

from aptnn_md.atoms.groups import Groups
from aptnn_md.atoms.molecules import Molecules, molecules
from aptnn_md.atoms.motion import MOTIONS, MotionGroups
from aptnn_md.atoms.partition import parse_groups
from aptnn_md.atoms.rates import dipole_rate, f_sum
from aptnn_md.atoms.snapshot import Snapshot, nearest_images
from aptnn_md.errors import InputError
from aptnn_md.stream.frame import ESTIMATORS
from aptnn_md.units import AMU_A2_PER_FS2_EV, BOLTZMANN_EV_PER_K

SKEWED = np.array([[14.0, 0.0, 0.0], [6.0, 11.0, 0.0], [-5.0, 4.5, 9.0]])


@pytest.fixture
def rng():
    return np.random.default_rng(11)


def mixture(rng, shuffled=True) -> Atoms:
    """Water, methanol, CO2, HCl and an ion: 3, 2 and no axes to turn about, atoms shuffled."""
    parts = Atoms()
    for n, name in enumerate(["H2O", "CH3OH", "CO2", "HCl", "H2O"]):
        part = molecule(name)
        part.rotate(rng.uniform(0, 360), rng.normal(size=3))
        part.translate([4.5 * n, 0.5 * n, 2.0] - part.get_center_of_mass())
        parts += part
    parts += Atoms("Na", positions=[[6.0, 8.0, 7.0]])
    parts.positions += 0.02 * rng.normal(size=(len(parts), 3))
    return parts[rng.permutation(len(parts))] if shuffled else parts


def split(atoms, velocities, **options):
    """Velocities of translation, libration and vibration, and of which molecule atoms are."""
    groups = MotionGroups(Groups.all_atoms(atoms), atoms, **options)
    return groups.velocity_parts(velocities, Snapshot.of(atoms)), molecules(atoms)


def inertia(masses, relative):
    return sum(
        m * (r @ r * np.eye(3) - np.outer(r, r)) for m, r in zip(masses, relative, strict=True)
    )


def test_known_motions_are_told_apart(rng):
    """A turning rigid rotor, a vibrating diatomic and a travelling ion, each on top of a drift."""
    water = molecule("H2O")
    water.rotate(40, (1, 2, 3))
    ion = Atoms("K", positions=[[5.0, 6.0, -4.0]])
    diatomic = Atoms("HCl", positions=[[9.0, 0.0, 0.0], [9.3, 0.8, 0.95]])
    atoms = water + ion + diatomic
    masses = atoms.get_masses()
    drift = np.array([[0.01, -0.02, 0.005]] * 3 + [[0.03, 0.0, -0.01]] + [[0.0, 0.015, 0.02]] * 2)
    omega = np.array([0.02, -0.05, 0.03])
    turning = np.zeros((6, 3))
    turning[:3] = np.cross(omega, water.positions - water.get_center_of_mass())
    axis = diatomic.positions[1] - diatomic.positions[0]
    stretching = np.zeros((6, 3))
    stretching[4], stretching[5] = -axis / masses[4], axis / masses[5]
    expected = [drift, turning, stretching]
    parts, _ = split(atoms, sum(expected))
    for found, known, name in zip(parts, expected, MOTIONS, strict=True):
        np.testing.assert_allclose(found, known, atol=1e-15, err_msg=name)


def test_linear_molecules_turn_about_two_axes(rng):
    """Bending CO2 stays bending though its shape is not quite linear; the rest is rigid."""
    atoms = molecule("CO2")  # C, O, O along z
    masses = atoms.get_masses()
    atoms.positions[0] += [0.05, 0.02, 0.0]
    relative = atoms.positions - atoms.get_center_of_mass()
    # angular motion of the bend: the carbon circles about the axis, the oxygens opposite
    circling = np.zeros((3, 3))
    circling[:, :2] = np.stack([-relative[:, 1], relative[:, 0]], axis=1)
    tumbling = np.cross([0.01, 0.02, 0.0], relative)
    parts, _ = split(atoms, circling)
    kinetic = (masses[None, :, None] * parts**2).sum((1, 2))
    assert kinetic[2] > 0.99 * kinetic.sum()
    parts, _ = split(atoms, tumbling)
    np.testing.assert_allclose(parts[1], tumbling, atol=3e-4)
    kinetic = (masses[None, :, None] * parts**2).sum((1, 2))
    assert kinetic[1] > 0.99 * kinetic.sum()
    straight = molecule("CO2")
    straight.rotate(35, (1, 1, 0))
    velocities = rng.normal(size=(3, 3))
    parts, _ = split(straight, velocities)
    assert np.isfinite(parts).all()
    axis = straight.positions[1] - straight.positions[2]
    assert abs(np.cross(straight.positions, parts[2] * masses[:, None]).sum(0)).max() < 1e-12
    np.testing.assert_allclose((parts[1] @ axis), 0.0, atol=1e-13)


def test_parts_are_projections_in_the_metric_of_the_masses(rng):
    atoms = mixture(rng)
    masses, velocities = atoms.get_masses(), rng.normal(size=(len(atoms), 3))
    parts, index = split(atoms, velocities)
    np.testing.assert_allclose(parts.sum(0), velocities, rtol=0, atol=1e-14)
    overlap = np.einsum("anx,bnx,n->ab", parts, parts, masses)
    np.testing.assert_allclose(overlap, np.diag(np.diag(overlap)), atol=1e-12 * overlap.max())
    for name, part, again in zip(MOTIONS, parts, np.eye(3), strict=True):
        twice, _ = split(atoms, part)
        np.testing.assert_allclose(twice, again[:, None, None] * part, atol=1e-13, err_msg=name)
    for m in np.unique(index):
        i = index == m
        centre = masses[i] @ atoms.positions[i] / masses[i].sum()
        relative, momenta = atoms.positions[i] - centre, masses[i, None] * parts[:, i]
        momentum = momenta.sum(1)
        spin = np.cross(relative, momenta).sum(1)
        np.testing.assert_allclose(momentum[0], masses[i] @ velocities[i], atol=1e-13)
        np.testing.assert_allclose(momentum[1:], 0.0, atol=1e-13)
        # of a molecule that counts as linear, what turns about its line is left to the vibration
        if Molecules.of(atoms).turns[m] == 3:
            total = np.cross(relative, masses[i, None] * velocities[i]).sum(0)
            np.testing.assert_allclose(spin[1], total, atol=1e-12)
            np.testing.assert_allclose(spin[[0, 2]], 0.0, atol=1e-12)
            omega = np.linalg.solve(inertia(masses[i], relative), total)
            np.testing.assert_allclose(parts[1, i], np.cross(omega, relative), atol=1e-12)


@pytest.mark.parametrize("base", ["all", "element", "molecule", "molecule-kind", "index:0-4"])
def test_rates_add_up_and_are_those_of_the_velocity_parts(rng, base):
    """Beads and members of a committee as leading axes; tensors without any symmetry."""
    atoms = mixture(rng)
    atoms.set_cell(SKEWED * 2)
    atoms.pbc = True
    n = len(atoms)
    beads = atoms.positions + 0.03 * rng.normal(size=(4, n, 3))
    velocities, apt = rng.normal(size=(4, n, 3)), rng.normal(size=(2, 4, n, 3, 3))
    plain, groups = parse_groups(base, atoms), parse_groups(f"{base}+motion", atoms)
    snapshot = Snapshot(beads, atoms.cell.array, (True, True, True))
    found = dipole_rate(apt, velocities, groups, snapshot)
    assert found.shape == (2, 4, 3 * len(plain), 3)
    total = dipole_rate(apt, velocities, plain)
    np.testing.assert_allclose(
        found.reshape(2, 4, len(plain), 3, 3).sum(3), total, rtol=0, atol=1e-12
    )
    parts = groups.velocity_parts(velocities, snapshot)
    for number, label in enumerate(groups.labels):
        part = parts[:, MOTIONS.index(label.split()[-1])]
        group = plain.labels.index(label.rpartition(" ")[0] or "all")
        expected = dipole_rate(apt, part, plain)[..., group, :]
        np.testing.assert_allclose(found[..., number, :], expected, atol=1e-12, err_msg=label)


def test_labels():
    atoms = molecule("CH3OH") + Atoms("Na", positions=[[0, 0, 6.0]])
    assert parse_groups("motion", atoms).labels == MOTIONS
    assert parse_groups("all+motion-each-step", atoms).labels == MOTIONS
    labels = parse_groups("molecule+motion", atoms).labels
    assert labels[:3] == ("CH4O-1 translation", "CH4O-1 libration", "CH4O-1 vibration")
    assert len(labels) == 6
    labels = parse_groups("molecule-kind+motion-each-step", atoms).labels
    assert labels[-3:] == ("other translation", "other libration", "other vibration")
    with pytest.raises(InputError, match="molecules that may not last"):
        parse_groups("molecule+motion-each-step", atoms)


@pytest.mark.parametrize("base", ["all", "element", "molecule-kind"])
def test_f_sum_is_the_mean_square_of_thermal_rates(rng, base):
    """⟨|Ṁ_part|²⟩ = 3 kT f_sum for each label, by sampling; the labels add up exactly."""
    atoms = mixture(rng)
    masses, temperature, n_samples = atoms.get_masses(), 330.0, 40_000
    apt = rng.normal(size=(len(atoms), 3, 3))
    groups, snapshot = parse_groups(f"{base}+motion", atoms), Snapshot.of(atoms)
    strengths = f_sum(apt, masses, groups, snapshot)
    np.testing.assert_allclose(strengths.sum(), f_sum(apt, masses)[0], rtol=1e-12)
    width = np.sqrt(BOLTZMANN_EV_PER_K * temperature / (masses * AMU_A2_PER_FS2_EV))
    velocities = rng.normal(size=(n_samples, len(atoms), 3)) * width[:, None]
    squares = (dipole_rate(apt, velocities, groups, snapshot) ** 2).sum(-1)
    thermal = 3 * BOLTZMANN_EV_PER_K * temperature / AMU_A2_PER_FS2_EV
    error = squares.std(0) / np.sqrt(n_samples) / thermal
    assert (error < 0.03 * strengths.sum()).all()
    np.testing.assert_array_less(abs(squares.mean(0) / thermal - strengths), 4.5 * error + 1e-14)


def test_cut_molecules_are_made_whole_in_a_triclinic_cell(rng):
    atoms = mixture(rng)
    velocities, apt = rng.normal(size=(len(atoms), 3)), rng.normal(size=(len(atoms), 3, 3))
    expected, _ = split(atoms, velocities)
    masses = atoms.get_masses()
    strengths = f_sum(apt, masses, parse_groups("element+motion", atoms), Snapshot.of(atoms))
    n_cut = 0
    for _ in range(12):
        moved = atoms.copy()
        moved.set_cell(SKEWED * 2)
        moved.pbc = True
        moved.positions += rng.uniform(-40, 40, 3)
        moved.wrap()
        n_cut += len(set(molecules(Atoms(moved.numbers, moved.positions)))) > 6
        groups = parse_groups("element+motion", moved)
        parts = groups.velocity_parts(velocities, Snapshot.of(moved))
        np.testing.assert_allclose(parts, expected, atol=1e-12)
        np.testing.assert_allclose(
            f_sum(apt, masses, groups, Snapshot.of(moved)), strengths, rtol=1e-11, atol=1e-13
        )
    assert n_cut >= 4, "the cell must cut molecules, or the test tests nothing"


def test_molecule_longer_than_the_box():
    """A zigzag chain of 12 Å in a box of 7 Å across; its ends see images of each other."""
    chain = Atoms("C10", positions=[[1.25 * n, 0.45 * (-1) ** n, 0.5 * n] for n in range(10)])
    drift, omega = np.array([0.3, 0.2, 0.1]), np.array([0.1, 0.2, 0.3])
    velocities = drift + np.cross(omega, chain.positions)
    expected, _ = split(chain, velocities)
    np.testing.assert_allclose(expected[2], 0.0, atol=1e-14)
    boxed = chain.copy()
    boxed.set_cell([[7.0, 0, 0], [2.5, 16.0, 0], [-3.0, 4.0, 15.0]])
    boxed.pbc = True
    boxed.wrap()
    assert Molecules.of(boxed).turns.tolist() == [3]
    parts, _ = split(boxed, velocities)
    np.testing.assert_allclose(parts, expected, atol=1e-13)


def test_endless_networks_do_not_turn(rng):
    crystal = Atoms("SiC", positions=[[0, 0, 0], [1.1, 1.1, 1.1]], pbc=True)
    crystal.set_cell([[0.0, 2.2, 2.2], [2.2, 0.0, 2.2], [2.2, 2.2, 0.0]])
    assert Molecules.of(crystal).turns.tolist() == [0]
    parts, _ = split(crystal, rng.normal(size=(2, 3)))
    assert (parts[1] == 0).all()
    assert abs(parts[2]).max() > 0.1


def test_nearest_image_in_cells_of_any_shape(rng):
    """Against all images near the origin, in cells so lopsided that rounding is not enough."""
    n = np.arange(-6, 7)
    steps = np.stack(np.meshgrid(n, n, n), axis=-1).reshape(-1, 3)
    for cell in (SKEWED, np.array([[5.0, 0, 0], [12.0, 4.0, 0], [3.0, 9.0, 6.0]])):
        vectors = rng.uniform(-1, 1, (60, 3)) @ cell
        for pbc in ((True, True, True), (True, False, True), (False, False, False)):
            images = vectors[:, None] + (steps * np.array(pbc)) @ cell
            shortest = np.linalg.norm(images, axis=-1).min(1)
            found = nearest_images(vectors, cell, pbc)
            np.testing.assert_allclose(np.linalg.norm(found, axis=-1), shortest, rtol=1e-10)
            shift = (vectors - found) @ np.linalg.inv(cell)
            np.testing.assert_allclose(shift, np.round(shift) * pbc, atol=1e-10)


def test_molecules_that_react(rng):
    """A proton changes its oxygen: molecules of the start, and those of each frame."""
    oxonium = Atoms("OH3", positions=[[0, 0, 0], [0.98, 0, 0.1], [-0.5, 0.85, 0], [-0.5, -0.8, 0]])
    water = Atoms("OHH", positions=[[2.6, 0.1, 0.2], [3.2, 0.8, 0.1], [3.1, -0.7, 0.4]])
    before = oxonium + water
    after = before.copy()
    after.positions[1] = [1.65, 0.05, 0.1]
    velocities, apt = rng.normal(size=(7, 3)), rng.normal(size=(7, 3, 3))
    kinds = parse_groups("molecule-kind+motion-each-step", before)
    assert [name.split()[0] for name in kinds.labels[::3]] == ["H3O", "H2O", "other"]
    for atoms, of_oxonium in ((before, [0, 1, 2, 3]), (after, [4, 5, 6, 1])):
        rates = dipole_rate(apt, velocities, kinds, Snapshot.of(atoms))
        alone = atoms[of_oxonium]
        expected = dipole_rate(
            apt[of_oxonium],
            velocities[of_oxonium],
            parse_groups("motion", alone),
            Snapshot.of(alone),
        )
        np.testing.assert_allclose(rates[:3], expected, atol=1e-12)
        np.testing.assert_allclose(rates[6:], 0.0, atol=0)
        np.testing.assert_allclose(rates.sum(0), dipole_rate(apt, velocities)[0], atol=1e-12)
    apart = after.copy()
    apart.positions[1] = [1.3, 4.0, 0.0]
    rates = dipole_rate(apt, velocities, kinds, Snapshot.of(apart))
    np.testing.assert_allclose(rates[6], apt[1] @ velocities[1], atol=1e-13)
    fixed = parse_groups("molecule-kind+motion", before)
    same = dipole_rate(apt, velocities, fixed, Snapshot.of(after))
    chosen = [0, 1, 2, 3]
    np.testing.assert_allclose(
        same[:3].sum(0), dipole_rate(apt[chosen], velocities[chosen])[0], atol=1e-12
    )


@pytest.mark.parametrize("each_step", ["", "-each-step"])
def test_path_integrals(rng, each_step):
    """The bead estimator is the mean over beads, the others use the centroid's geometry."""
    atoms = mixture(rng)
    atoms.set_cell(SKEWED * 2)
    atoms.pbc = True
    n = len(atoms)
    beads = atoms.positions + 0.03 * rng.normal(size=(5, n, 3))
    velocities, apt = rng.normal(size=(5, n, 3)), rng.normal(size=(5, n, 3, 3))
    at_centroid = rng.normal(size=(n, 3, 3))
    groups = parse_groups(f"element+motion{each_step}", atoms)
    # beads may lie in different cells
    shifts = rng.integers(-1, 2, (5, n, 3)) @ atoms.cell.array
    snapshot = Snapshot(beads + shifts, atoms.cell.array, (True, True, True))
    one_by_one = [
        dipole_rate(a, v, groups, Snapshot(q, atoms.cell.array, (True, True, True)))
        for a, v, q in zip(apt, velocities, beads, strict=True)
    ]
    mean = Snapshot(beads.mean(0), atoms.cell.array, (True, True, True))
    expected = {
        "bead": np.mean(one_by_one, axis=0),
        "centroid-apt": dipole_rate(apt.mean(0), velocities.mean(0), groups, mean),
        "apt-at-centroid": dipole_rate(at_centroid, velocities.mean(0), groups, mean),
    }
    for name in ESTIMATORS:
        found = estimate(name, apt, velocities, at_centroid, groups, snapshot)
        np.testing.assert_allclose(found, expected[name], atol=1e-12, err_msg=name)


def test_solvation_shell_that_exchanges(rng):
    """A water enters the shell of an ion through the boundary; by centroids, and by motion."""
    atoms = Atoms("Na", positions=[[0.5, 0.5, 0.5]], cell=SKEWED * 1.2, pbc=True)
    for shift in ([2.4, 0.3, 0.0], [7.0, 6.0, 5.0]):
        atoms += Atoms("OHH", positions=np.add(molecule("H2O").positions, shift))
    after = atoms.copy()
    after.positions[4:] += [0.5, -1.8, 0.5] - atoms.positions[4] + after.cell[1] + after.cell[2]
    velocities, apt = rng.normal(size=(7, 3)), rng.normal(size=(7, 3, 3))
    fixed = parse_groups("within:2.8:element:Na", atoms)
    moving = parse_groups("within:2.8:element:Na+each-step", atoms)
    for structure, expected in ((atoms, [0, 1, 2, 3]), (after, list(range(7)))):
        snapshot = Snapshot.of(structure)
        assert np.flatnonzero(fixed.index_in(snapshot) == 0).tolist() == [0, 1, 2, 3]
        assert np.flatnonzero(moving.index_in(snapshot) == 0).tolist() == expected
        found = dipole_rate(apt, velocities, moving, snapshot)
        alone = dipole_rate(apt[expected], velocities[expected])[0]
        np.testing.assert_allclose(found[0], alone, atol=1e-13)
        np.testing.assert_allclose(found.sum(0), dipole_rate(apt, velocities)[0], atol=1e-13)
        masses = structure.get_masses()
        np.testing.assert_allclose(
            f_sum(apt, masses, moving, snapshot)[0], f_sum(apt[expected], masses[expected])[0]
        )
        parts = parse_groups("within:2.8:element:Na+each-step+motion", atoms)
        assert parts.labels[:3] == tuple(f"selected {motion}" for motion in MOTIONS)
        by_motion = dipole_rate(apt, velocities, parts, snapshot)
        np.testing.assert_allclose(by_motion[:3].sum(0), found[0], atol=1e-12)
    beads = np.stack([atoms.positions, 2 * after.positions - atoms.positions])
    snapshot = Snapshot(beads, atoms.cell.array, (True, True, True))
    two = dipole_rate(np.stack([apt, apt]), np.stack([velocities] * 2), moving, snapshot)
    assert two.shape == (2, 2, 3)
    with pytest.raises(InputError, match="snapshot: found None"):
        dipole_rate(apt, velocities, moving)


def test_what_does_not_fit_is_refused(rng):
    atoms = mixture(rng)
    n = len(atoms)
    groups = parse_groups("motion", atoms)
    apt, velocities = np.ones((n, 3, 3)), np.ones((n, 3))
    with pytest.raises(InputError, match="by motion: snapshot: found None"):
        dipole_rate(apt, velocities, groups)
    with pytest.raises(InputError, match=f"found {n}, expected 3 as in the snapshot"):
        dipole_rate(apt, velocities, groups, Snapshot(np.zeros((3, 3))))
    with pytest.raises(InputError, match="masses"):
        f_sum(apt, np.ones(n), groups, Snapshot.of(atoms))
    with pytest.raises(InputError, match="snapshot: cell: found None"):
        Snapshot(atoms.positions, None, (True, False, False))
    with pytest.raises(InputError, match="positions: found shape"):
        Snapshot(np.zeros(3))


def test_a_snapshot_stays_what_it_is(rng):
    atoms = mixture(rng)
    snapshot = Snapshot.of(atoms)
    before = snapshot.positions.copy()
    atoms.positions += 1.0
    np.testing.assert_array_equal(snapshot.positions, before)
