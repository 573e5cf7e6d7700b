"""The example that moves ring polymers on a GPU, on a processor: dynamics, forces, restarts."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from ase import units
from helpers.paths import EXAMPLES
from numpy.typing import NDArray

from aptnn_md.bundled import bundled_path
from aptnn_md.units import KELVIN_PER_WAVENUMBER

EXAMPLE = EXAMPLES / "water_gpu"


@pytest.fixture
def modules(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(EXAMPLE))
    import ring_polymers

    return ring_polymers


class Wells:
    """Each atom in a well of its own about the origin, harmonic and quartic."""

    def __init__(self, stiffness: NDArray[np.float64], quartic: float = 0.0) -> None:
        self.k, self.quartic = torch.as_tensor(stiffness)[:, None], quartic

    def __call__(self, q: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        energy = (0.5 * self.k * q**2 + 0.25 * self.quartic * q**4).sum(dim=(1, 2))
        return energy, -self.k * q - self.quartic * q**3


def stiffness(wavenumber: float, masses: NDArray[np.float64]) -> NDArray[np.float64]:
    omega = KELVIN_PER_WAVENUMBER * wavenumber * units.kB  # ħω, eV
    hbar = units._hbar / units._e * 1e15 * units.fs
    return masses * (omega / hbar) ** 2


@pytest.mark.parametrize("n_beads", [1, 2, 5, 8])
def test_normal_modes_are_those_of_a_ring(modules: Any, n_beads: int) -> None:
    modes = modules.normal_modes(n_beads)
    np.testing.assert_allclose(modes @ modes.T, np.eye(n_beads), atol=1e-12)
    j = np.arange(n_beads)
    springs = np.zeros((n_beads, n_beads))
    # Σ (q_j - q_j+1)² as a quadratic form
    np.add.at(springs, (j, j), 1.0)
    np.add.at(springs, ((j + 1) % n_beads, (j + 1) % n_beads), 1.0)
    np.add.at(springs, (j, (j + 1) % n_beads), -1.0)
    np.add.at(springs, ((j + 1) % n_beads, j), -1.0)
    found = np.diag(modes @ springs @ modes.T)
    np.testing.assert_allclose(modes @ springs @ modes.T, np.diag(found), atol=1e-12)
    np.testing.assert_allclose(found, 4.0 * np.sin(j * np.pi / n_beads) ** 2, atol=1e-12)


def test_free_rings_move_exactly(modules: Any) -> None:
    """Against the matrix exponential of the equations of motion of beads, not of modes."""
    from scipy.linalg import expm

    rng, n_beads, masses = np.random.default_rng(3), 5, np.array([1.008, 15.999])
    bath = modules.Bath(temperature=310.0, timestep=0.7, tau=np.inf, scale=0.0)
    start = rng.normal(scale=0.1, size=(2, n_beads, 2, 3))
    zero = Wells(np.zeros(2))
    polymers = modules.RingPolymers(start, masses, zero, bath, "cpu", 4)
    first = polymers.beads()[1].numpy() / units.fs
    for _ in range(3):
        polymers.step()
    q, v = (t.numpy() for t in polymers.beads())
    hbar = units._hbar / units._e * 1e15 * units.fs
    spring = (n_beads * units.kB * 310.0 / hbar) ** 2
    ring = 2 * np.eye(n_beads) - np.eye(n_beads, k=1) - np.eye(n_beads, k=-1)
    ring[0, -1] = ring[-1, 0] = -1.0
    nothing = np.zeros((n_beads, n_beads))
    motion = np.block([[nothing, np.eye(n_beads)], [-spring * ring, nothing]])
    later = expm(3 * 0.7 * units.fs * motion)
    both = np.concatenate([start, first], axis=1)
    expected = np.einsum("ij,rjax->riax", later, both)
    np.testing.assert_allclose(q, expected[:, :n_beads], atol=1e-10)
    np.testing.assert_allclose(v / units.fs, expected[:, n_beads:], atol=1e-9)


@pytest.mark.thorough
@pytest.mark.parametrize(("n_beads", "local"), [(1, False), (5, True)])
def test_quantum_harmonic_oscillators(modules: Any, n_beads: int, local: bool) -> None:
    """⟨q²⟩ and kinetic energy of P beads are known exactly."""
    # the last one is free, and so heavy that the centre of mass, which rests, is its own
    masses = np.array([1.008] * 6 + [15.999] * 6 + [1e6])
    wavenumber, kelvin = np.repeat([1500.0, 400.0], 6), 300.0
    bath = modules.Bath(kelvin, 0.25, 20.0, 0.5, local)
    k = stiffness(wavenumber, masses[:-1])
    wells = Wells(np.append(k, 0.0))
    start = np.zeros((400, n_beads, len(masses), 3))
    polymers = modules.RingPolymers(start, masses, wells, bath, "cpu", 8)
    if not local:
        # a global thermostat does not bring harmonic oscillators to equilibrium by itself
        warm = modules.Bath(kelvin, 0.25, 20.0, 0.5, True)
        before = modules.RingPolymers(start, masses, wells, warm, "cpu", 9)
        for _ in range(500):
            before.step()
        polymers.resume(before.state())
    squares, kinetic, n = np.zeros(len(k)), 0.0, 0
    for step in range(700):
        polymers.step()
        if step % 60 == 59 and (step > 400 or not local):
            q = polymers.beads()[0].numpy()
            squares += (q[:, :, :-1] ** 2).mean(axis=(0, 1, 3))
            kinetic += float(polymers.observed()["kinetic"].mean())
            n += 1
    x = KELVIN_PER_WAVENUMBER * wavenumber / kelvin
    springs = (2 * n_beads * np.sin(np.arange(n_beads) * np.pi / n_beads)) ** 2
    share = (1.0 / (x[:, None] ** 2 + springs)).sum(axis=1)  # of kT-scaled squares
    expected = units.kB * kelvin * x**2 * share / k
    found = (squares / n).reshape(2, 6).mean(axis=1)
    np.testing.assert_allclose(found, expected.reshape(2, 6).mean(axis=1), rtol=0.04)
    exact = 0.5 * units.kB * kelvin * 3 * (x**2 * share).sum()
    assert kinetic / n == pytest.approx(exact, rel=0.04)


@pytest.mark.slow
def test_conserved_quantity(modules: Any) -> None:
    """Exact in a harmonic well but for the step; worse with a longer step on a quartic one."""
    masses = np.array([1.008] * 8)
    drifts = []
    for timestep in (0.25, 0.5):
        bath = modules.Bath(300.0, timestep, 500.0, 0.5)
        wells = Wells(stiffness(np.full(8, 3500.0), masses), quartic=3000.0)
        start = np.zeros((200, 8, 8, 3))
        polymers = modules.RingPolymers(start, masses, wells, bath, "cpu", 2)
        for _ in range(round(100 / timestep)):
            polymers.step()
        first = polymers.observed()["conserved"].mean()
        for _ in range(round(250 / timestep)):
            polymers.step()
        drifts.append(float(polymers.observed()["conserved"].mean() - first) / 6)
    # eV of each oscillator in 1 ps
    assert abs(drifts[0]) < 2e-3
    assert drifts[1] > 5 * abs(drifts[0])


def test_a_state_of_another_kind_of_device(modules: Any) -> None:
    """Its random numbers cannot be continued: others follow, always the same ones."""
    masses = np.array([1.008] * 4)
    start = np.random.default_rng(1).normal(scale=0.05, size=(2, 4, 4, 3))

    def polymers(seed: int) -> Any:
        wells = Wells(stiffness(np.full(4, 2000.0), masses))
        return modules.RingPolymers(start, masses, wells, modules.Bath(), "cpu", seed)

    state = polymers(1).state()
    results = []
    for seed, random in ((2, 7), (3, 7), (4, 8)):
        state["random"] = torch.full((16,), random, dtype=torch.uint8)  # as long as a GPU's
        resumed = polymers(seed)
        resumed.resume(state)
        torch.testing.assert_close(resumed.p, state["p"])
        for _ in range(3):
            resumed.step()
        results.append(resumed.p)
    torch.testing.assert_close(results[0], results[1], rtol=0, atol=0)
    assert (results[0] - results[2]).abs().max() > 1e-3


@pytest.mark.thorough
@pytest.mark.mace
def test_forces_are_those_of_the_potential(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neighbours, walls and sums over pairs, of atoms outside the cell and close together."""
    monkeypatch.syspath_prepend(str(EXAMPLE))
    import ase.io
    from copies import Copies

    from aptnn_md.potentials.loading import load_potential

    atoms, rng = ase.io.read(bundled_path("water64.extxyz")), np.random.default_rng(0)
    frames = [atoms.copy() for _ in range(2)]
    for frame in frames:
        frame.positions += rng.normal(scale=0.04, size=(len(atoms), 3))
    frames[0].positions[5] += [2 * 12.429, 0.0, -12.429]
    frames[1].positions[3] = frames[1].positions[0] + [1.0, 1.7, 0.9]  # inside a wall
    copies = Copies("water-mace", atoms, 2, "cpu")
    energies, forces = copies(torch.tensor(np.stack([frame.positions for frame in frames])))
    expected = load_potential("water-mace").evaluate(frames)  # type: ignore[attr-defined]
    for k, result in enumerate(expected):
        assert float(energies[k]) == pytest.approx(result["energy"], abs=1e-4)
        np.testing.assert_allclose(forces[k].numpy(), result["forces"], atol=1e-4)
    copies.check()
    assert float(copies.nearest[64]) < 2.25  # where the wall begins
    small = Copies("water-mace", atoms, 2, "cpu", width=30)
    small(torch.tensor(np.stack([frame.positions for frame in frames])))
    with pytest.raises(SystemExit, match="there is room for"):
        small.check()


@pytest.mark.mace
@pytest.mark.slow
def test_a_run_that_is_resumed_is_the_same(tmp_path: Path) -> None:
    from aptnn_md.stream import StreamReader

    def run(name: str, steps: int) -> None:
        words = ["dynamics", "--start", str(bundled_path("water64.extxyz")), "--beads", "2"]
        words += ["--equilibrate", "0.001", "--ps", str(steps * 2.5e-4), "--stride", "2"]
        words += ["--save", "4", "--device", "cpu", "--model", "water-apt", "--members"]
        words += ["--out", name]
        subprocess.run([sys.executable, str(EXAMPLE / "run.py"), *words], cwd=tmp_path, check=True)

    run("whole", 12)
    run("parts", 6)
    run("parts", 12)
    whole, parts = (StreamReader(tmp_path / name / "run-001.zarr") for name in ("whole", "parts"))
    assert len(whole.read("dipole_rate/bead")) == 7
    assert whole.header.potential == "water-mace"
    np.testing.assert_allclose(
        parts.read("dipole_rate/bead"), whole.read("dipole_rate/bead"), atol=1e-6
    )
    logs = [(tmp_path / name / "log.csv").read_text().splitlines() for name in ("whole", "parts")]
    assert [line.split(",")[0] for line in logs[0]] == [line.split(",")[0] for line in logs[1]]
