"""Replicas: their integrator against ASE's, their temperature, when they stop, how they resume."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest
from ase import Atoms, units
from ase.constraints import FixAtoms, FixBondLength
from ase.md.langevin import Langevin
from ase.md.verlet import VelocityVerlet
from helpers.tiers import thorough_but
from helpers.toy_molecules import Potential, energy_forces_virial, structure

from aptnn_md.errors import InputError
from aptnn_md.learning import replicas as module
from aptnn_md.learning.bonds import BondGraph
from aptnn_md.learning.replicas import ReplicaSettings, force_spread, run_replicas


class Springs:
    """Each atom on a spring of its own; members that differ by ``differ`` in their stiffness."""

    def __init__(self, stiffness: float = 2.0, differ: float = 0.0) -> None:
        self.stiffness, self.differ = stiffness, differ
        self.sizes: list[list[int]] = []

    def evaluate(self, structures):
        self.sizes.append([len(atoms) for atoms in structures])
        results = []
        for atoms in structures:
            forces = -self.stiffness * atoms.positions
            members = forces * (1.0 + self.differ * np.array([-1.0, 0.0, 1.0])[:, None, None])
            energy = 0.5 * self.stiffness * float((atoms.positions**2).sum())
            results.append({"energy": energy, "forces": forces, "member_forces": members})
        return results


class Killed(Exception):
    """Ends a run in the middle."""


class Mortal(Springs):
    def __init__(self, calls: int, **options) -> None:
        super().__init__(**options)
        self.calls = calls

    def evaluate(self, structures):
        self.calls -= 1
        if self.calls < 0:
            raise Killed
        return super().evaluate(structures)


def test_without_friction_it_is_velocity_verlet(tmp_path):
    starts = [structure(2, temperature=300.0, seed=1), structure(1, temperature=500.0, seed=2)]
    starts[0].set_masses([15.999, 2.014, 34.969, 17.999, 1.008, 36.966])
    settings = ReplicaSettings(steps=60, every=20, timestep=0.4, friction=0.0)
    found = run_replicas(starts, [300, 500], Potential(), settings, tmp_path / "s.npz", 0)
    for start, replica in zip(starts, found, strict=True):
        atoms = start.copy()
        atoms.calc = Potential()
        dynamics = VelocityVerlet(atoms, 0.4 * units.fs)
        assert len(replica.frames) == 4
        for frame in replica.frames:
            assert frame.positions == pytest.approx(atoms.positions, abs=1e-10)
            assert frame.get_momenta() == pytest.approx(atoms.get_momenta(), abs=1e-9)
            dynamics.run(20)
        energy = energy_forces_virial(start.positions)[0] + start.get_kinetic_energy()
        last = replica.frames[-1]
        after = energy_forces_virial(last.positions)[0] + last.get_kinetic_energy()
        assert after == pytest.approx(energy, rel=0.02)
        assert last.get_kinetic_energy() != pytest.approx(start.get_kinetic_energy(), rel=1e-2)


@pytest.mark.thorough
def test_equipartition_in_positions_and_momenta(tmp_path):
    """⟨k x²⟩ = ⟨p²/m⟩ = k_B T for each element and temperature."""
    rng = np.random.default_rng(3)
    stiffness, temperatures = 2.0, [150.0, 600.0]
    starts = [Atoms("OHCl" * 60, rng.normal(size=(180, 3)) * 0.1) for _ in temperatures]
    settings = ReplicaSettings(steps=4000, every=40, timestep=1.0, friction=20.0)
    springs = Springs(stiffness)
    found = run_replicas(starts, temperatures, springs, settings, tmp_path / "s.npz", 1)
    assert springs.sizes[0] == [180, 180]
    for replica, temperature in zip(found, temperatures, strict=True):
        late = replica.frames[20:]
        positions = np.array([frame.positions for frame in late])
        momenta = np.array([frame.get_momenta() for frame in late])
        masses = late[0].get_masses()[:, None]
        kt = units.kB * temperature
        for element in (1, 8, 17):
            which = late[0].numbers == element
            # 80 frames of 180 numbers, correlated over a few frames: a standard error of 2 %
            potential = (stiffness * positions[:, which] ** 2).mean()
            assert potential == pytest.approx(kt, rel=0.07)
            assert (momenta**2 / masses)[:, which].mean() == pytest.approx(kt, rel=0.05)


def test_friction_is_that_of_ases_langevin(tmp_path):
    """Correlation of a free particle's momentum: exp(-γ t) in both, by the same estimator."""
    friction, timestep, n_steps = 15.0, 2.0, 40
    rng = np.random.default_rng(0)
    start = Atoms("O" * 3000, np.zeros((3000, 3)) + np.arange(3000)[:, None] * 10.0)
    start.set_momenta(rng.normal(size=(3000, 3)) * np.sqrt(units.kB * 300.0 * 15.999))
    settings = ReplicaSettings(steps=n_steps, every=n_steps, timestep=timestep, friction=friction)
    (replica,) = run_replicas([start], [300], Springs(0.0), settings, tmp_path / "s.npz", 5)
    ours = correlation(start, replica.frames[-1])

    class Free(Potential):
        def calculate(self, atoms=None, properties=(), system_changes=()):
            self.results = {"energy": 0.0, "forces": np.zeros((len(atoms), 3))}

    atoms = start.copy()
    atoms.calc = Free()
    gamma = friction * 1e-3 / units.fs
    Langevin(atoms, timestep * units.fs, temperature_K=300, friction=gamma, fixcm=False).run(
        n_steps
    )
    theirs = correlation(start, atoms)
    expected = np.exp(-friction * 1e-3 * timestep * n_steps)
    # 9000 numbers: a standard error of 0.01
    assert ours == pytest.approx(expected, abs=0.035)
    assert theirs == pytest.approx(ours, abs=0.05)


def correlation(first: Atoms, last: Atoms) -> float:
    a, b = first.get_momenta().ravel(), last.get_momenta().ravel()
    return float(a @ b / (a @ a))


def test_random_numbers_do_not_depend_on_other_replicas(tmp_path):
    settings = ReplicaSettings(steps=15, every=5)
    starts = [Atoms("OH", np.eye(3)[:2] * k) for k in (1.0, 0.3, 0.7)]

    def run(n):
        return run_replicas(starts[:n], [300] * n, Springs(), settings, tmp_path / f"{n}.npz", 9)

    three, two = run(3), run(2)
    for a, b in zip(three, two, strict=False):
        assert np.array_equal(a.frames[-1].positions, b.frames[-1].positions)
    assert not np.allclose(three[0].frames[0].get_momenta(), three[1].frames[0].get_momenta())


def test_stops_at_the_upper_bound(tmp_path):
    """The spread of springs is proportional to the distance: two of three go too far."""
    starts = [Atoms("OH", np.zeros((2, 3))) for _ in range(3)]
    for start, speed in zip(starts, (0.02, 2.0, 4.0), strict=True):
        start.set_velocities(np.array([[0, 0, 0], [speed, 0, 0]]) * 0.1)
    settings = ReplicaSettings(steps=60, every=7, timestep=1.0, friction=0.0, upper_bound=0.1)
    springs = Springs(2.0, differ=0.5)
    slow, fast, faster = run_replicas(starts, [300] * 3, springs, settings, tmp_path / "s.npz", 0)
    assert (slow.stopped, fast.stopped, faster.stopped) == ("", "upper bound", "upper bound")
    assert len(slow.frames) == 1 + 60 // 7
    for replica in (slow, fast, faster):
        # members k (1 ± 0.5) and k: a standard deviation of √(2/3) 0.5 k x
        distances = [np.linalg.norm(frame.positions, axis=1) for frame in replica.frames]
        expected = np.sqrt(2 / 3) * 0.5 * 2.0 * np.array(distances)
        assert replica.force_spread == pytest.approx(expected, abs=1e-12)
        assert replica.force_spread.max() <= 0.1
    assert len(faster.frames) == len(fast.frames) == 2
    # the last frame is one step before the bound: the next step is over it
    last = fast.frames[-1]
    step = last.get_velocities()[1, 0] * 1.0 * units.fs
    assert np.sqrt(2 / 3) * (last.positions[1, 0] + step) > 0.098


def test_bound_by_the_median(tmp_path, monkeypatch):
    """Five times the median where that is above the smallest bound."""
    monkeypatch.setattr(module, "SMALLEST_BOUND", 0.01)
    start = Atoms("OH", [[0.1, 0, 0], [-0.1, 0, 0]])
    start.set_velocities([[0.05, 0, 0], [0, 0, 0]])
    settings = ReplicaSettings(steps=400, every=4000, timestep=0.5, friction=0.0)
    springs = Springs(1e-6, differ=1e6 / np.sqrt(2 / 3))  # a spread of 1 eV/Å for each Å
    (replica,) = run_replicas([start], [300], springs, settings, tmp_path / "s.npz", 0)
    assert replica.stopped == "upper bound"
    assert replica.frames[-1].positions[0, 0] == pytest.approx(0.5, abs=0.02)


def test_stops_where_a_bond_breaks(tmp_path):
    start = Atoms("OHH", [[0, 0, 0], [0.96, 0, 0], [-0.24, 0.93, 0]])
    start.set_velocities([[0, 0, 0], [0.5, 0, 0], [0, 0, 0]])
    settings = ReplicaSettings(steps=200, every=50, timestep=0.5, friction=0.0)
    free = Springs(1e-9)
    graphs = [BondGraph.of(start), None]
    broken, kept = run_replicas(
        [start] * 2, [300] * 2, free, settings, tmp_path / "s.npz", 0, graphs
    )
    assert (broken.stopped, kept.stopped) == ("bonds", "")
    assert graphs[0].intact(broken.frames[-1].positions)
    assert np.linalg.norm(broken.frames[-1].positions[1]) == pytest.approx(1.6 * 0.97, abs=0.03)
    assert np.linalg.norm(kept.frames[-1].positions[1]) > 2.0


@pytest.mark.parametrize("calls", thorough_but([1, 2, 13, 24, 31], 13))
def test_killed_and_resumed_is_as_unbroken(tmp_path, monkeypatch, calls):
    monkeypatch.setattr(module, "SAVED_EVERY", 0.0)
    starts = [Atoms("OH", np.eye(3)[:2] * k) for k in (0.2, 0.3)] + [Atoms("H", [[1.1, 0, 0]])]
    starts[2].set_velocities([[1.0, 0, 0]])
    settings = ReplicaSettings(steps=30, every=4, upper_bound=0.75)
    whole = run_replicas(
        starts, [300, 500, 400], Springs(differ=0.4), settings, tmp_path / "a.npz", 2
    )
    broken = tmp_path / "b.npz"
    with contextlib.suppress(Killed):
        run_replicas(starts, [300, 500, 400], Mortal(calls, differ=0.4), settings, broken, 2)
    springs = Springs(differ=0.4)
    resumed = run_replicas(starts, [300, 500, 400], springs, settings, broken, 2)
    assert len(springs.sizes) <= 31 - calls + 1
    assert "upper bound" in [replica.stopped for replica in whole]
    same(whole, resumed)
    # after the end nothing is evaluated, and more steps continue
    same(whole, run_replicas(starts, [300, 500, 400], Mortal(0), settings, broken, 2))
    more = ReplicaSettings(steps=40, every=4, upper_bound=0.75)
    longer = run_replicas(starts, [300, 500, 400], Springs(differ=0.4), more, broken, 2)
    same(
        longer, run_replicas(starts, [300, 500, 400], Springs(differ=0.4), more, tmp_path / "c", 2)
    )


def same(first, second) -> None:
    for a, b in zip(first, second, strict=True):
        assert a.stopped == b.stopped
        assert np.array_equal(a.force_spread, b.force_spread)
        assert len(a.frames) == len(b.frames)
        for one, other in zip(a.frames, b.frames, strict=True):
            assert np.array_equal(one.positions, other.positions)
            assert np.array_equal(one.get_momenta(), other.get_momenta())


def test_refusals(tmp_path):
    start = Atoms("OH", np.eye(3)[:2])
    state, settings = tmp_path / "s.npz", ReplicaSettings(steps=2)
    run_replicas([start], [300], Springs(), settings, state, 0)
    with pytest.raises(InputError, match=r"s\.npz: seed: found 0 instead of 1"):
        run_replicas([start], [300], Springs(), settings, state, 1)
    with pytest.raises(InputError, match="temperatures"):
        run_replicas([start], [310], Springs(), settings, state, 0)
    moved = start.copy()
    moved.positions[0, 0] += 1e-9
    with pytest.raises(InputError, match="starts"):
        run_replicas([moved], [300], Springs(), settings, state, 0)
    with pytest.raises(InputError, match="as many"):
        run_replicas([start], [300, 400], Springs(), settings, state, 0)
    content = state.read_bytes()
    for damaged in (content[:200], b"", content.replace(b"forces", b"farces")):
        state.write_bytes(damaged)
        with pytest.raises(InputError, match="remove it to begin again"):
            run_replicas([start], [300], Springs(), settings, state, 0)
    start.set_constraint(FixBondLength(0, 1))
    with pytest.raises(InputError, match="FixBondLength"):
        run_replicas([start], [300], Springs(), settings, tmp_path / "new.npz", 0)


def test_fixed_atoms_stay(tmp_path):
    start = Atoms("OHCl", np.eye(3) * 0.3)
    start.set_constraint(FixAtoms([1]))
    settings = ReplicaSettings(steps=20, every=10)
    (replica,) = run_replicas([start], [300], Springs(), settings, tmp_path / "s.npz", 0)
    last = replica.frames[-1]
    assert np.array_equal(last.positions[1], start.positions[1])
    assert (np.abs(last.positions - start.positions).max(axis=1)[[0, 2]] > 1e-3).all()
    assert not last.get_momenta()[1].any()


def test_spread_without_members():
    assert force_spread({"forces": np.ones((2, 3))}, 2).tolist() == [0.0, 0.0]


def test_a_replica_without_forces_stops_and_the_others_go_on(tmp_path):
    class Failing(Springs):
        def evaluate(self, structures):
            results = super().evaluate(structures)
            for atoms, result in zip(structures, results, strict=True):
                if atoms.positions[0, 0] > 0.1:
                    result["forces"] = np.full((len(atoms), 3), np.nan)
            return results

    starts = [Atoms("O", [[x, 0.0, 0.0]]) for x in (-0.5, 0.05, 0.3)]
    for atoms in starts:
        atoms.set_momenta([[10.0, 0.0, 0.0]])
    settings = ReplicaSettings(steps=40, every=5, friction=0.0)
    temperatures = [300.0] * 3
    left, right, never = run_replicas(
        starts, temperatures, Failing(), settings, tmp_path / "s.npz", 0
    )
    assert [r.stopped for r in (left, right, never)] == ["no forces"] * 3
    assert len(never.frames) == 1
    assert len(left.frames) > len(right.frames)
    for replica in (left, right):
        assert all(atoms.positions[0, 0] <= 0.1 for atoms in replica.frames)
    again = run_replicas(starts, temperatures, Failing(), settings, tmp_path / "s.npz", 0)
    assert [len(r.frames) for r in again] == [len(r.frames) for r in (left, right, never)]
