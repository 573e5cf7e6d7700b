"""Harmonic spectra against PySCF, the analytic toy and hand calculations; files of others."""

from __future__ import annotations

import importlib.util
import json
import math
from pathlib import Path

import ase.io
import helpers.toy_molecules as toy
import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule
from ase.calculators.calculator import Calculator, all_changes
from ase.calculators.emt import EMT
from ase.vibrations import VibrationsData
from helpers.fluoromethanol import fluoromethanol
from helpers.paths import TESTS
from scipy import constants
from scipy.integrate import trapezoid

from aptnn_md.atoms.rates import f_sum
from aptnn_md.cli import main
from aptnn_md.errors import InputError, RunError
from aptnn_md.normal_modes import (
    LineShape,
    finite_difference_hessian,
    infrared_modes,
    normal_modes,
    read_hessian,
    read_polar_tensors,
    relaxed,
    wavenumber_grid,
)
from aptnn_md.units import F_SUM_PREFACTOR, KM_PER_MOL, PER_CM2_PER_KM_PER_MOL


@pytest.fixture
def rng():
    return np.random.default_rng(2)


def test_frequencies_and_intensities_of_pyscf():
    atoms, hessian, apt, data = fluoromethanol()
    modes = normal_modes(hessian, atoms.get_masses(), atoms.positions)
    infrared = infrared_modes(modes, apt)
    assert len(modes) == 12
    assert len(modes.rigid) == 6
    np.testing.assert_allclose(modes.wavenumber, data["wavenumber"], rtol=2e-6)
    np.testing.assert_allclose(infrared.intensity, data["km_per_mol"], rtol=1e-5)
    # the test sees the order of the indices: the other one is wrong by more than a factor
    swapped = infrared_modes(modes, apt.transpose(0, 2, 1)).intensity
    assert np.abs(swapped / infrared.intensity - 1).max() > 0.5


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("pyscf") is None, reason="needs PySCF")
def test_pyscf_itself():
    """The stored Hessian, and the polar tensors from its dipoles in small displacements."""
    from pyscf import gto, scf

    _, _, _, data = fluoromethanol()
    places = np.array(data["positions"])

    def solved(positions):
        mol = gto.M(
            atom=list(zip(data["symbols"], positions, strict=True)),
            unit="Bohr",
            basis="6-31G",
            verbose=0,
        )
        return scf.RHF(mol).set(conv_tol=1e-12).run()

    np.testing.assert_allclose(
        solved(places).Hessian().kernel(), data["hessian[i,j,x,y]"], atol=1e-6
    )
    for atom, axis in ((1, 0), (5, 2)):
        shift = np.zeros_like(places)
        shift[atom, axis] = 2e-3
        dipoles = [solved(places + s * shift).dip_moment(unit="AU", verbose=0) for s in (1, -1)]
        found = (dipoles[0] - dipoles[1]) / 4e-3
        known = np.array(data["dipole_derivative[i,displacement,dipole]"])[atom, axis]
        np.testing.assert_allclose(found, known, atol=2e-5)


def test_diatomic_by_hand():
    """Charges ±q on a spring k: ω = √(k/μ), |∂M/∂Q|² = q²/μ, along the bond only."""
    masses, k, q = np.array([1.008, 35.45]), 32.0, 0.18
    mu = masses.prod() / masses.sum()
    axis = np.array([1.0, -2.0, 0.5]) / math.sqrt(5.25)
    positions = np.array([[0.3, 0.1, -0.2], [0.3, 0.1, -0.2] + 1.28 * axis])
    spring = k * np.outer(axis, axis)
    hessian = np.block([[spring, -spring], [-spring, spring]])
    modes = normal_modes(hessian, masses, positions)
    infrared = infrared_modes(modes, np.array([q, -q])[:, None, None] * np.eye(3))
    assert len(modes) == 1
    omega = math.sqrt(k * constants.e * 1e20 / (mu * constants.atomic_mass))
    wavenumber = omega / (2 * math.pi * constants.c * 100)
    assert modes.wavenumber[0] == pytest.approx(wavenumber, rel=1e-9)
    # the literature's 42.2561 km/mol for 1 (D/Å)²/amu
    debye = 0.20819434
    assert infrared.intensity[0] == pytest.approx(42.2561 * (q / debye) ** 2 / mu, rel=1e-5)
    np.testing.assert_allclose(
        np.abs(infrared.dipole_derivative[0]), q / math.sqrt(mu) * np.abs(axis), rtol=1e-9
    )
    np.testing.assert_allclose(modes.rigid, 0.0, atol=1e-4)


def relaxed_toy():
    """One H-O-Cl molecule of the toy at rest, turned, with its potential."""
    atoms = toy.structure(1, seed=4)
    atoms.set_momenta(np.zeros((3, 3)))
    atoms.calc = toy.Potential()
    return atoms


def test_finite_differences_of_the_toy():
    """Tensors against differences of the analytic dipole along the normal coordinates."""
    atoms = relaxed_toy()
    found = finite_difference_hessian(atoms, delta=1e-3)
    assert found.largest_force < 1e-8
    assert found.asymmetry < 1e-4
    modes = normal_modes(found.matrix, atoms.get_masses(), atoms.positions)
    infrared = infrared_modes(modes, toy.polar_tensors(atoms.positions))
    assert len(modes) == 3
    np.testing.assert_allclose(modes.rigid, 0.0, atol=6.0)
    h = 1e-4
    for mode in range(3):
        step = h * modes.displacements[mode]
        dipoles = [toy.dipole(atoms.positions + s * step) for s in (1, -1)]
        derivative = (dipoles[0] - dipoles[1]) / (2 * h)
        np.testing.assert_allclose(derivative, infrared.dipole_derivative[mode], atol=1e-7)
        energies = [toy.energy_forces_virial(atoms.positions + s * step)[0] for s in (1, 0, -1)]
        curvature = (energies[0] - 2 * energies[1] + energies[2]) / h**2
        omega = math.sqrt(curvature * constants.e * 1e20 / constants.atomic_mass)
        assert modes.wavenumber[mode] == pytest.approx(
            omega / (200 * math.pi * constants.c), rel=1e-4
        )


def test_wavenumbers_of_ase():
    """The same Hessian through ase.vibrations, and rigid motions that it does not take out."""
    places = [[0, 0, 0], [2.6, 0.1, 0], [1.1, 2.3, 0.2], [1.4, 0.9, 2.2], [3.3, 2.1, 1.6]]
    atoms = Atoms("CuAgAuNiPt", positions=places)
    atoms.calc = EMT()
    found = finite_difference_hessian(atoms, relax=1e-6)
    atoms.positions = found.positions
    modes = normal_modes(found.matrix, atoms.get_masses(), atoms.positions)
    frequencies = VibrationsData.from_2d(atoms, found.matrix).get_frequencies()
    signed = np.sort(frequencies.real - frequencies.imag)
    rigid = np.sort(np.abs(signed))[:6]
    assert rigid.max() < 2.0
    np.testing.assert_allclose(
        np.sort(modes.wavenumber), np.sort(signed[np.abs(signed) > 2.0]), rtol=1e-5
    )


def test_all_motions_share_the_f_sum(rng):
    """Intensities of all 3 N motions add up to the integral that classical charges give."""
    atoms = molecule("CH3OH")
    n = len(atoms)
    apt, masses = rng.normal(size=(n, 3, 3)), atoms.get_masses()
    root = rng.normal(size=(3 * n, 3 * n))
    crystal = normal_modes(root @ root.T, masses, atoms.positions, pbc=True)
    assert (len(crystal), len(crystal.rigid)) == (3 * n - 3, 3)
    volume = 77.0
    infrared = infrared_modes(crystal, apt, volume)
    of_centre = (apt.sum(0) ** 2).sum() / masses.sum()
    whole = infrared.intensity.sum() + KM_PER_MOL * of_centre
    assert whole == pytest.approx(3 * KM_PER_MOL * f_sum(apt, masses)[0], rel=1e-10)
    expected = F_SUM_PREFACTOR / volume * f_sum(apt, masses)[0]
    assert whole * PER_CM2_PER_KM_PER_MOL / volume == pytest.approx(expected, rel=1e-10)
    np.testing.assert_allclose(
        infrared.absorption, infrared.intensity * PER_CM2_PER_KM_PER_MOL / volume
    )


@pytest.mark.parametrize("shape", ["lorentzian", "gaussian"])
def test_broadened_lines_keep_their_area_and_width(shape):
    atoms, hessian, apt, _ = fluoromethanol()
    infrared = infrared_modes(normal_modes(hessian, atoms.get_masses(), atoms.positions), apt)
    x = np.linspace(-40_000, 48_000, 88_001)
    curve = infrared.broadened(x, LineShape(12.0, shape))
    assert trapezoid(curve, x) == pytest.approx(infrared.intensity.sum(), rel=1e-3)
    last = infrared.modes.wavenumber[-1]
    near = infrared.broadened(last + np.array([0.0, -6.0, 6.0]), LineShape(12.0, shape))
    np.testing.assert_allclose(near[1:] / near[0], 0.5, rtol=2e-3)
    assert wavenumber_grid(infrared, 12.0)[-1] > last + 24.0
    with pytest.raises(InputError, match="width"):
        LineShape(-1.0)
    with pytest.raises(InputError, match="shape"):
        LineShape(12.0, "box")


def test_polarizability_gradients_by_the_same_contraction(rng):
    """What Raman activities need: ∂a/∂Q by differences of a polarizability linear in r."""
    atoms, hessian, _, _ = fluoromethanol()
    modes = normal_modes(hessian, atoms.get_masses(), atoms.positions)
    gradient = rng.normal(size=(6, 3, 3, 3))
    found = modes.derivative(gradient)
    assert found.shape == (12, 3, 3)
    moved = np.einsum("iabc,ic->ab", gradient, modes.displacements[4])
    np.testing.assert_allclose(found[4], moved, rtol=1e-12)


class Counting(toy.Potential):
    """Stops after a number of evaluations, as a killed run does."""

    def __init__(self, limit=math.inf):
        super().__init__()
        self.limit = limit

    def calculate(self, *arguments, **keywords):
        if self.n_calls >= self.limit:
            raise KeyboardInterrupt
        super().calculate(*arguments, **keywords)


def test_interrupted_differences_go_on(tmp_path):
    path = tmp_path / "h.npz"
    start = toy.structure(2, seed=3)
    start.positions += 0.02 * np.random.default_rng(0).normal(size=(6, 3))
    start.calc = toy.Potential()
    whole = finite_difference_hessian(start, relax=1e-4)
    start.calc = Counting(35)
    with pytest.raises(KeyboardInterrupt):
        finite_difference_hessian(start, relax=1e-4, checkpoint=path, potential="toy")
    first = start.calc.n_calls
    with pytest.raises(InputError, match="of 37, expected a finished calculation"):
        read_hessian(path, start)
    start.calc = Counting()
    found = finite_difference_hessian(start, relax=1e-4, checkpoint=path, potential="toy")
    assert 0 < start.calc.n_calls < 37
    np.testing.assert_allclose(found.matrix, whole.matrix, atol=1e-7)
    assert first + start.calc.n_calls < 80
    again = Counting(0)
    start.calc = again
    np.testing.assert_array_equal(
        finite_difference_hessian(start, relax=1e-4, checkpoint=path, potential="toy").matrix,
        found.matrix,
    )
    for changes, message in [
        ({"potential": "another"}, "potential: found toy, expected another"),
        ({"potential": "toy", "delta": 0.02}, "delta: found 0.01, expected 0.02"),
    ]:
        with pytest.raises(InputError, match=message):
            finite_difference_hessian(start, checkpoint=path, **changes)
    moved = start.copy()
    moved.positions[0, 0] += 0.1
    moved.calc = again
    with pytest.raises(InputError, match="positions: found others"):
        finite_difference_hessian(moved, checkpoint=path, potential="toy")
    at_minimum = start.copy()
    at_minimum.positions = found.positions
    np.testing.assert_array_equal(read_hessian(path, at_minimum), found.matrix)
    with pytest.raises(InputError, match="positions: found others"):
        read_hessian(path, start)


def phonopy_text(hessian, n):
    blocks = hessian.reshape(n, 3, n, 3).transpose(0, 2, 1, 3)
    lines = [f"{n:4d} {n:4d}"]
    for i in range(n):
        for j in range(n):
            lines.append(f"{i + 1} {j + 1}")
            lines += ["".join(f"{v:22.15f}" for v in row) for row in blocks[i, j]]
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("n_molecules", [2, 40])  # 40: too many atoms for the matrix of BFGS
def test_small_and_large_structures_relax(n_molecules):
    start = toy.structure(n_molecules)
    start.rattle(0.03, seed=1)
    start.calc = toy.Potential()
    found = relaxed(start, 1e-3)
    assert np.linalg.norm(found.get_forces(), axis=1).max() <= 1e-3
    assert found.get_potential_energy() == pytest.approx(0.0, abs=1e-4)
    assert start.get_potential_energy() > 0.1


def test_hessians_and_tensors_of_files(tmp_path, rng):
    atoms, _, apt, _ = fluoromethanol()
    n = len(atoms)
    root = rng.normal(size=(3 * n, 3 * n))
    hessian = root + root.T
    np.save(tmp_path / "flat.npy", hessian)
    np.save(tmp_path / "blocks.npy", hessian.reshape(n, 3, n, 3))
    (tmp_path / "FORCE_CONSTANTS").write_text(phonopy_text(hessian, n))
    VibrationsData.from_2d(atoms, hessian).write(tmp_path / "ase.json")
    for name in ("flat.npy", "blocks.npy", "FORCE_CONSTANTS", "ase.json"):
        np.testing.assert_allclose(read_hessian(tmp_path / name, atoms), hessian, atol=1e-13)
    frame = atoms.copy()
    frame.arrays["apt"] = apt.reshape(n, 9)
    ase.io.write(tmp_path / "apt.xyz", frame, format="extxyz")
    np.save(tmp_path / "apt.npy", apt)
    for name in ("apt.xyz", "apt.npy"):
        np.testing.assert_allclose(read_polar_tensors(tmp_path / name, atoms), apt, atol=1e-7)
    other = atoms[:-1]
    (tmp_path / "half").write_text(phonopy_text(hessian, n)[:900])
    (tmp_path / "compact").write_text(phonopy_text(hessian, n).replace("6    6", "3   12", 1))
    (tmp_path / "broken.npz").write_bytes(b"no")
    for name, structure, message in [
        ("flat.npy", other, r"found shape \(18, 18\), expected \(15, 15\)"),
        ("FORCE_CONSTANTS", other, "found shape"),
        ("ase.json", other, "atoms: found"),
        ("half", atoms, "numbers for 6 x 6 pairs"),
        ("compact", atoms, "compact"),
        ("broken.npz", atoms, "differences of forces"),
        ("none", atoms, "no such file"),
    ]:
        with pytest.raises(InputError, match=message):
            read_hessian(tmp_path / name, structure)
    moved = atoms.copy()
    moved.positions[1, 1] += 0.1
    for read, name in ((read_hessian, "ase.json"), (read_polar_tensors, "apt.xyz")):
        with pytest.raises(InputError, match=r"positions: found up to 0\.1"):
            read(tmp_path / name, moved)
    with pytest.raises(InputError, match="apt: found shape"):
        read_polar_tensors(tmp_path / "apt.npy", other)


class Saddle(Calculator):
    """U = Σ ½ k x² with a negative k for one coordinate."""

    implemented_properties = ("energy", "forces")

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        k = np.array([[3.0, 2.0, -1.0], [5.0, 7.0, 4.0]])
        x = self.atoms.positions - [[0, 0, 0], [2.0, 0, 0]]
        self.results = {"energy": float((0.5 * k * x**2).sum()), "forces": -k * x}


def test_relaxation_that_does_not_end_is_an_error():
    atoms = Atoms("NaCl", positions=[[0.1, 0, 0.1], [2.1, 0.1, 0.0]])
    atoms.calc = Saddle()
    with pytest.raises(RunError, match="relaxation: largest force"):
        finite_difference_hessian(atoms, relax=1e-3)


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(TESTS))
    return tmp_path


def test_command(here, capsys):
    """Relaxed toy, tensors of a file; the table, JSON, broadened spectrum and picture."""
    start = toy.structure(1, seed=4)
    start.positions[1] *= 1.03
    ase.io.write("start.xyz", start)
    rest = relaxed_toy()
    rest.calc = toy.Potential()
    # differences of the potential away from the minimum are noticed
    np.save("apt.npy", toy.polar_tensors(rest.positions))
    common = [
        "spectrum",
        "normal-modes",
        "start.xyz",
        "--potential",
        "helpers.toy_molecules:Potential",
    ]
    assert main([*common, "--apt", "apt.npy", "--checkpoint", "unrelaxed.npz"]) == 0
    assert "not an energy minimum" in capsys.readouterr().out
    options = ["--relax", "--fmax", "1e-5", "--apt", "apt.npy", "--width", "15"]
    outputs = ["--out", "m.csv", "--broadened", "b.csv", "--plot", "m.png"]
    assert main([*common, *options, *outputs]) == 0
    out = capsys.readouterr().out
    assert "warning" not in out
    assert "start.hessian.npz" in out
    columns = np.loadtxt("m.csv", delimiter=",")
    found = finite_difference_hessian(rest)
    modes = normal_modes(found.matrix, rest.get_masses(), rest.positions)
    np.testing.assert_allclose(columns[:, 0], modes.wavenumber, rtol=1e-4)
    curve = np.loadtxt("b.csv", delimiter=",")
    assert trapezoid(curve[:, 1], curve[:, 0]) == pytest.approx(columns[:, 1].sum(), rel=0.03)
    assert Path("m.png").stat().st_size > 10_000
    # the forces are known now: the same command with another output needs no evaluation
    assert main([*common, *options, "--out", "m.json"]) == 0
    facts = json.loads(Path("m.json").read_text())
    np.testing.assert_allclose(facts["wavenumber"], columns[:, 0], rtol=1e-8)
    assert np.shape(facts["displacements"]) == (3, 3, 3)
    assert f"{columns[0, 0]:.2f}" in capsys.readouterr().out


def test_a_charge_that_is_not_the_calculators_is_refused_before_the_work(here, capsys):
    start = toy.structure(1, seed=4)
    start.info["charge"] = 1
    ase.io.write("start.extxyz", start)
    lines = ["from helpers import toy_molecules", "class Neutral(toy_molecules.Potential):"]
    Path("neutral.py").write_text("\n".join([*lines, "    charge = 0.0", ""]))
    command = ["spectrum", "normal-modes", "start.extxyz", "--potential", "neutral:Neutral"]
    assert main(command) == 2
    assert "1 e by 'charge' of the frame and 0 e by the calculator" in capsys.readouterr().err
    assert not Path("start.hessian.npz").exists()


def test_command_with_a_crystal_and_the_bundled_model(here, capsys):
    """A box of water: 3 N - 3 modes, n·α, Hessian from a file."""
    atoms = molecule("H2O")
    atoms.set_cell([6.0, 7.0, 8.0])
    atoms.pbc = True
    ase.io.write("box.xyz", atoms)
    root = np.random.default_rng(3).normal(size=(9, 9))
    np.save("h.npy", root @ root.T - 3.0 * np.eye(9))
    command = ["spectrum", "normal-modes", "box.xyz", "--hessian", "h.npy"]
    assert main([*command, "--out", "m.csv", "--plot", "m.pdf", "--shape", "gaussian"]) == 0
    out = capsys.readouterr().out
    assert "∫nα dν̃" in out
    assert "imaginary" in out
    assert "rigid motions" in out
    columns = np.loadtxt("m.csv", delimiter=",")
    assert columns.shape == (6, 6)
    np.testing.assert_allclose(
        columns[:, 5], columns[:, 1] * PER_CM2_PER_KM_PER_MOL / 336.0, rtol=1e-8
    )
    assert main([*command, "--range", "300", "200"]) == 2
    assert main([*command[:3], "--hessian", "none.npy"]) == 2
