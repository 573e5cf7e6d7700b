"""Constant distances in stored trajectories: what is found, and the temperature that follows."""

from __future__ import annotations

from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase import Atoms, units
from ase.build import molecule
from helpers.stored_runs import stream_of
from scipy.spatial.transform import Rotation

from aptnn_md.errors import RunError
from aptnn_md.stream import StreamReader

CELL = np.array([[14.0, 0.0, 0.0], [4.0, 13.0, 0.0], [-3.0, 2.0, 12.0]])
SPACING = 2.0  # fs
N_MOLECULES = 4


def charges(atoms: Atoms) -> np.ndarray:
    """Tensors of point charges."""
    return 0.1 * np.eye(3)[None] * (atoms.numbers - atoms.numbers.mean())[:, None, None]


def turning(name: str) -> list[Atoms]:
    """Rigid molecules that turn about axes of their own and drift, wrapped into a triclinic
    cell."""
    rng = np.random.default_rng(0)
    one = molecule(name)
    arms = one.positions - one.get_center_of_mass()
    starts = Rotation.random(N_MOLECULES, random_state=0)
    spins = rng.normal(scale=0.02, size=(N_MOLECULES, 3))  # rad/fs
    drift = rng.normal(scale=2e-3, size=(N_MOLECULES, 1, 3))  # Å/fs
    places = rng.uniform(size=(N_MOLECULES, 1, 3)) @ CELL
    frames = []
    for time in SPACING * np.arange(24):
        turned = np.array(
            [
                (Rotation.from_rotvec(spin * time) * start).apply(arms)
                for spin, start in zip(spins, starts, strict=True)
            ]
        )
        velocities = np.cross(spins[:, None], turned) + drift
        atoms = Atoms(one.get_chemical_symbols() * N_MOLECULES, cell=CELL, pbc=True)
        atoms.positions = (turned + places + drift * time).reshape(-1, 3)
        atoms.wrap()
        atoms.set_velocities(velocities.reshape(-1, 3) / units.fs)
        frames.append(atoms)
    return frames


def twisting() -> list[Atoms]:
    """Biphenyl of two rigid rings that turn about the bond between them, each at its own pace."""
    ring = molecule("C6H6")
    x = ring.positions - ring.positions[ring.symbols == "C"].mean(axis=0)
    gone = int(np.flatnonzero(ring.symbols == "H")[0])
    axis = x[gone] / np.linalg.norm(x[gone])
    normal = np.linalg.svd(x)[2][2]
    keep = np.arange(12) != gone
    half = x[keep] @ np.array([np.cross(normal, axis), normal, axis]).T
    half -= [0.0, 0.0, half[ring.symbols[keep] == "C", 2].max() + 0.745]
    other = half * np.array([1.0, 1.0, -1.0])
    spins, drift = np.array([[0.0, 0.0, 0.013], [0.0, 0.0, -0.017]]), np.array([2e-3, 1e-3, 0.0])
    frames = []
    for time in SPACING * np.arange(24):
        parts = [
            Rotation.from_rotvec(spin * time + start).apply(body)
            for spin, start, body in zip(
                spins, ([0, 0, 0], [0, 0, 0.7]), (half, other), strict=True
            )
        ]
        velocities = [np.cross(spin, part) for spin, part in zip(spins, parts, strict=True)]
        atoms = Atoms(list(ring.symbols[keep]) * 2, np.concatenate(parts) + drift * time)
        atoms.set_velocities((np.concatenate(velocities) + drift) / units.fs)
        frames.append(atoms)
    return frames


def bending(n_frames: int = 24, stretch: float = 0.0) -> list[Atoms]:
    """Water whose bonds keep their lengths while the angle opens; the second one vibrates by
    ``stretch``, Å, from half of the time on."""
    frames = []
    for k in range(n_frames):
        time, by = k * SPACING, stretch * (k >= n_frames // 2)
        half, rate = 0.9 + 0.05 * np.sin(0.02 * time), 0.05 * 0.02 * np.cos(0.02 * time)
        length, growth = 0.96 + by * np.sin(0.1 * time), 0.1 * by * np.cos(0.1 * time)
        out, across = np.array([[np.cos(half), np.sin(half), 0], [-np.sin(half), np.cos(half), 0]])
        mirror = np.array([1.0, -1.0, 1.0])
        atoms = Atoms("OHH", [np.zeros(3), 0.96 * out, length * out * mirror])
        second = (length * rate * across + growth * out) * mirror
        atoms.set_velocities(np.array([[0.01, 0.0, 0.0]] * 3) / units.fs)
        atoms.positions[:, 0] += 0.01 * time  # an atom that never moves would count as fixed
        internal = np.array([np.zeros(3), 0.96 * rate * across, second])
        atoms.set_velocities(atoms.get_velocities() + internal / units.fs)
        frames.append(atoms)
    return frames


def stored(frames: list[Atoms], folder: Path, decimals: int = 8) -> Path:
    path = folder / "frames.extxyz"
    for atoms in frames:
        atoms.positions = atoms.positions.round(decimals)
    ase.io.write(path, frames, columns=["symbols", "positions", "momenta"])
    return path


def stream(frames: list[Atoms], folder: Path, decimals: int = 8) -> StreamReader:
    path = stored(frames, folder, decimals)
    found: StreamReader = stream_of(folder / "s", [path], charges, timestep=SPACING, groups="all")
    return found


def temperature(frames: list[Atoms], freedom: float) -> np.ndarray:
    """Kinetic energy about the centre of mass, over so many degrees of freedom."""
    found = []
    for atoms in frames:
        drift = atoms.get_momenta().sum(axis=0) / atoms.get_masses().sum()
        velocities = atoms.get_velocities() - drift
        kinetic = 0.5 * (atoms.get_masses()[:, None] * velocities**2).sum()
        found.append(2.0 * kinetic / (freedom * units.kB))
    return np.array(found)


@pytest.mark.parametrize(
    ("name", "of_each"),
    [("H2O", 6), ("N2", 5), ("CO2", 5), ("C2H2", 5), ("CH4", 6), ("C2H4", 6), ("C6H6", 6)],
)
def test_rigid_molecules_have_the_degrees_of_freedom_of_bodies(
    tmp_path: Path, name: str, of_each: int
) -> None:
    frames = turning(name)
    reader = stream(frames, tmp_path)
    expected = temperature(frames, of_each * N_MOLECULES - 3)
    np.testing.assert_allclose(reader.read("temperature"), expected, rtol=1e-5)
    assert reader.f_sum is None


def test_positions_of_few_digits(tmp_path: Path) -> None:
    frames = turning("H2O")
    expected = temperature(frames, 6 * N_MOLECULES - 3)
    found = stream(frames, tmp_path, decimals=3).read("temperature")
    np.testing.assert_allclose(found, expected, rtol=1e-5)


@pytest.mark.parametrize(("stretch", "removed"), [(0.0, 2), (0.003, 1)])
def test_single_bonds(tmp_path: Path, stretch: float, removed: int) -> None:
    """One that vibrates by thousandths of an ångström, as at a few kelvin, is not held."""
    frames = bending(stretch=stretch)
    found = stream(frames, tmp_path).read("temperature")
    np.testing.assert_allclose(found, temperature(frames, 6 - removed), rtol=1e-5)


def test_planar_bodies_with_a_joint(tmp_path: Path) -> None:
    """Seven degrees of freedom, three of which are those of the centre of mass."""
    frames = twisting()
    found = stream(frames, tmp_path).read("temperature")
    np.testing.assert_allclose(found, temperature(frames, 7 - 3), rtol=1e-5)


def test_some_of_many_bonds_that_hardly_vibrate_are_not_held(tmp_path: Path) -> None:
    frames = turning("N2")
    for number, atoms in enumerate(frames):
        time = number * SPACING
        for k in range(N_MOLECULES - 1):  # all but one
            vector = atoms.get_distance(2 * k, 2 * k + 1, mic=True, vector=True)
            along = vector / np.linalg.norm(vector)
            velocities = atoms.get_velocities() * units.fs
            atoms.positions[2 * k + 1] += 0.02 * np.sin(0.2 * time) * along
            velocities[2 * k + 1] += 0.004 * np.cos(0.2 * time) * along
            atoms.set_velocities(velocities / units.fs)
    reader = stream(frames, tmp_path)
    assert reader.f_sum is not None
    expected = temperature(frames, 6 * N_MOLECULES - 3)
    np.testing.assert_allclose(reader.read("temperature"), expected, rtol=1e-5)


def test_bonds_that_are_held_for_a_while(tmp_path: Path) -> None:
    """They are found where they move first, among frames that were not looked at."""
    frames = bending(400)
    at = 200
    frames[at] = bending(400, stretch=0.03)[at + 1]
    with pytest.raises(RunError, match=r"frame 200: atoms 0 and 2 are .* apart, 0\.9600 Å in all"):
        stream(frames, tmp_path)
    assert StreamReader(tmp_path / "s").n_frames == at
