"""Raman intensities of molecules: harmonic trajectories, and an independent program's numbers."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from helpers.engine_labels import engine_labels
from helpers.fluoromethanol import fluoromethanol
from helpers.oscillators import angular_frequency
from helpers.raman_oscillators import mean_and_anisotropy, thermal_energy
from scipy import constants
from scipy.spatial.transform import Rotation

from aptnn_md.atoms.rates import polarizability_rate
from aptnn_md.cli import main
from aptnn_md.labels.schemes import Scheme
from aptnn_md.normal_modes import normal_modes, raman_modes
from aptnn_md.spectra import raman_of_streams, read_table
from aptnn_md.stream import StreamHeader, StreamWriter

T, SPACING, STEPS = 300.0, 2.0, 5200
ENERGIES = -np.log((np.arange(4) + 0.5) / 4)  # quarters of a canonical distribution
ENERGIES /= ENERGIES.mean()


def gradients(n_atoms: int) -> np.ndarray:
    """PGTs without any symmetry but that in the first two indices, of sum zero."""
    pgt = np.random.default_rng(12).normal(size=(n_atoms, 3, 3, 3))
    pgt = pgt + pgt.transpose(0, 2, 1, 3)
    return np.asarray(pgt - pgt.mean(axis=0))


def write_trajectories(folder: Path) -> tuple[list[str], object]:
    """Streams of a molecule that vibrates harmonically, in four fixed orientations.

    Each vibration has the four energies of a canonical distribution's quarters in turn, and random
    phases; so the average over the streams is that at the temperature, without statistical error.
    """
    atoms, hessian, *_ = fluoromethanol()
    modes = normal_modes(hessian, atoms.get_masses(), atoms.positions)
    pgt, rng = gradients(len(atoms)), np.random.default_rng(7)
    time = SPACING * np.arange(STEPS)
    omega = np.array([angular_frequency(nu) for nu in modes.wavenumber])
    order = np.argsort(rng.random((len(modes), 4)), axis=1)
    header = StreamHeader(timestep=0.5, stride=4, groups=("C", "others"), temperature=T, volume=1e3)
    paths = []
    for run in range(4):
        amplitude = np.sqrt(2 * thermal_energy(T) * ENERGIES[order[:, run]])
        phases = rng.uniform(0, 2 * np.pi, len(modes))
        rate_of_q = amplitude * np.cos(time[:, None] * omega + phases)
        turn = Rotation.random(rng=rng).as_matrix()
        velocities = np.einsum("tk,kic->tic", rate_of_q, modes.displacements) @ turn.T
        turned = np.einsum("ax,by,cz,ixyz->iabc", turn, turn, turn, pgt)
        first = np.arange(len(atoms)) == 0
        many = np.broadcast_to(turned, (STEPS, *turned.shape))
        groups = [polarizability_rate(many[:, m], velocities[:, m])[:, 0] for m in (first, ~first)]
        path = folder / f"turn{run}.stream"
        with StreamWriter(path, header) as writer:
            for k, rates in enumerate(np.stack(groups, axis=1)):
                nothing = {"bead": np.zeros((2, 3))}
                writer.append(4 * k, SPACING * k, nothing, polarizability_rates={"bead": rates})
        paths.append(str(path))
    return paths, raman_modes(modes, pgt)


@pytest.fixture(scope="module")
def trajectories(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[str], object]:
    return write_trajectories(tmp_path_factory.mktemp("molecule"))


def bands(wavenumber: np.ndarray) -> list[tuple[np.ndarray, float, float]]:
    """Modes that are near each other, and a range around them."""
    splits = np.flatnonzero(np.diff(wavenumber) > 70) + 1
    return [
        (k, wavenumber[k[0]] - 35, wavenumber[k[-1]] + 35) for k in np.split(np.arange(12), splits)
    ]


def test_stream_has_the_intensities_of_the_normal_modes(trajectories) -> None:  # type: ignore[no-untyped-def]
    """Isotropic and anisotropic apart, and ρ, of each band."""
    paths, raman = trajectories
    spectrum = raman_of_streams(paths, 12.0, window="blackman-harris")
    groups = bands(raman.modes.wavenumber)
    assert len(groups) >= 8
    for numbers, low, high in groups:
        # by eigenvalues, not by the code that is tested
        of_modes = [mean_and_anisotropy(raman.polarizability_derivative[k]) for k in numbers]
        isotropic, anisotropic = np.sum(of_modes, axis=0)
        assert spectrum.total.isotropic.integral(low, high)[0] == pytest.approx(isotropic, rel=1e-4)
        assert spectrum.total.anisotropic.integral(low, high)[0] == pytest.approx(
            anisotropic, rel=1e-4
        )
        rho = 3 * anisotropic / (isotropic + 4 * anisotropic)
        assert spectrum.total.band_depolarisation(low, high)[0] == pytest.approx(rho, abs=1e-4)
        activity = raman.activity[numbers].sum()
        assert spectrum.blocks.integral(low, high)[0] == pytest.approx(activity, rel=1e-4)
    # a sum over bands would not see that one takes from another
    ratio = [raman.isotropic[n].sum() / raman.anisotropic[n].sum() for n, *_ in groups]
    assert max(ratio) > 10 * min(ratio)


def test_measured_bands_are_cross_sections_of_modes(trajectories) -> None:  # type: ignore[no-untyped-def]
    from aptnn_md.spectra import cross_sections

    paths, raman = trajectories
    spectrum = cross_sections(raman_of_streams(paths, 12.0, window="blackman-harris"), 18797.0)
    expected = raman.cross_section(18797.0, T)
    for numbers, low, high in bands(raman.modes.wavenumber):
        found = spectrum.blocks.integral(low, high)[0]
        assert found == pytest.approx(expected[numbers].sum(), rel=0.03)


def polarizability(method, mol) -> np.ndarray:  # type: ignore[no-untyped-def]
    """(3, 3) analytic static polarizability of RHF by coupled-perturbed equations, a.u."""
    from pyscf.scf import cphf

    filled = method.mo_occ > 0
    occupied, empty = method.mo_coeff[:, filled], method.mo_coeff[:, ~filled]
    h1 = np.array([empty.T @ d @ occupied for d in mol.intor_symmetric("int1e_r", comp=3)])
    response = method.gen_response(mo_coeff=method.mo_coeff, mo_occ=method.mo_occ, hermi=1)

    def induced(mo1):  # type: ignore[no-untyped-def]
        amplitudes = mo1.reshape(-1, empty.shape[1], occupied.shape[1])
        density = np.array([2 * empty @ x @ occupied.T for x in amplitudes])
        potential = response(density + density.transpose(0, 2, 1))
        return np.array([empty.T @ v @ occupied for v in potential]).ravel()

    mo1 = cphf.solve(induced, method.mo_energy, method.mo_occ, h1, tol=1e-11)[0]
    return np.asarray(-4 * np.einsum("xpi,ypi->xy", h1, mo1.reshape(h1.shape)))


def of_pyscf(symbols: str, positions: np.ndarray, basis: str) -> tuple[np.ndarray, ...]:
    """Wavenumbers, activities (Å⁴/amu), ρ, and Hessian (eV/Å²), by PySCF alone."""
    from pyscf import gto, scf
    from pyscf.hessian import thermo

    def solved(places):  # type: ignore[no-untyped-def]
        atom = list(zip(symbols, places, strict=True))
        mol = gto.M(atom=atom, unit="Bohr", basis=basis, verbose=0)
        return scf.RHF(mol).set(conv_tol=1e-13, conv_tol_grad=1e-9).run(), mol

    bohr = constants.physical_constants["Bohr radius"][0] * 1e10
    places = positions / bohr
    method, mol = solved(places)
    hessian = method.Hessian().kernel()
    found = thermo.harmonic_analysis(mol, hessian)
    activities, ratios = [], []
    for mode in found["norm_mode"]:
        step = 2e-3 * mode / np.linalg.norm(mode)
        sides = [polarizability(*solved(places + sign * step)) for sign in (1, -1)]
        # Å³ per Å √amu
        derivative = (sides[0] - sides[1]) / (2 * 2e-3 / np.linalg.norm(mode)) * bohr**2
        isotropic, anisotropic = mean_and_anisotropy(derivative)
        activities.append(isotropic + 7 * anisotropic)
        ratios.append(3 * anisotropic / (isotropic + 4 * anisotropic))
    hartree = constants.physical_constants["Hartree energy in eV"][0]
    n = positions.size
    flat = hessian.transpose(0, 2, 1, 3).reshape(n, n) * hartree / bohr**2
    masses = mol.atom_mass_list(isotope_avg=True)
    return np.array(found["freq_wavenumber"]), np.array(activities), np.array(ratios), flat, masses


def of_labels(atoms: Atoms, basis: str, scratch: Path) -> np.ndarray:
    """PGTs by the 13 points of the field scheme."""
    targets, chosen = ("apt", "pgt"), np.ones(len(atoms), bool)
    assert len(Scheme("field", targets, 1.0, 1.0).points(chosen)) == 13
    spec = f'pyscf {{"xc": "hf", "basis": "{basis}"}}'
    pgt = engine_labels(scratch, spec, atoms, "field", targets, chosen).tensors["pgt"]
    assert pgt is not None
    return pgt


def check_against_pyscf(atoms: Atoms, basis: str, tmp_path: Path) -> None:
    symbols = atoms.get_chemical_symbols()
    wavenumber, activity, ratio, hessian, masses = of_pyscf(symbols, atoms.positions, basis)
    atoms.set_masses(masses)
    modes = normal_modes(hessian, atoms.get_masses(), atoms.positions)
    np.testing.assert_allclose(modes.wavenumber, wavenumber.real, rtol=1e-5)
    pgt = of_labels(atoms, basis, tmp_path)
    found = raman_modes(modes, pgt)
    np.testing.assert_allclose(found.activity, activity, rtol=5e-3, atol=5e-3 * activity.min())
    np.testing.assert_allclose(found.depolarisation, ratio, atol=2e-3)
    # the test sees the order of the indices
    wrong = np.array(
        [
            mean_and_anisotropy(0.5 * (d + d.T))
            for d in np.einsum("iabc,mia->mbc", pgt, modes.displacements)
        ]
    ) @ [1, 7]
    assert np.abs(wrong / activity - 1).max() > 0.1


@pytest.mark.thorough
def test_activities_of_hypofluorous_acid(tmp_path: Path) -> None:
    """HOF without symmetry in its frame; PySCF's analytic polarizabilities, along its modes."""
    pytest.importorskip("pyscf")
    places = [[0.1, -0.2, 0.05], [0.72, 0.48, 0.31], [-0.85, 0.81, 0.45]]
    check_against_pyscf(Atoms("OHF", positions=places), "6-31g", tmp_path)


@pytest.mark.slow
def test_activities_of_fluoromethanol(tmp_path: Path) -> None:
    """CH2FOH in its asymmetric minimum, twelve modes."""
    pytest.importorskip("pyscf")
    check_against_pyscf(fluoromethanol().atoms, "6-31g", tmp_path)


def test_command_gives_infrared_and_raman(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Tensors of a labelled file and of arrays; table, JSON, broadened spectrum and picture."""
    pytest.importorskip("torch")
    import ase.io

    monkeypatch.chdir(tmp_path)
    atoms, hessian, *_ = fluoromethanol()
    n = len(atoms)
    pgt, apt = gradients(n), np.random.default_rng(3).normal(size=(n, 3, 3))
    np.save("h.npy", hessian)
    np.save("apt.npy", apt)
    np.save("pgt.npy", pgt)
    ase.io.write("plain.xyz", atoms, format="extxyz")
    for name, columns in (("apt", apt), ("pgt", pgt)):
        atoms.arrays[name] = columns.reshape(n, -1)
    ase.io.write("labelled.xyz", atoms, format="extxyz")
    raman = raman_modes(normal_modes(hessian, atoms.get_masses(), atoms.positions), pgt)
    common = ["spectrum", "normal-modes", "plain.xyz", "--hessian", "h.npy"]
    options = ["--out", "m.csv", "--broadened", "b.csv", "--plot", "m.png", "--width", "15"]
    assert main([*common, "--apt", "labelled.xyz", *options]) == 0
    printed = capsys.readouterr().out
    assert "Raman act.   depol." in printed
    columns, _ = read_table("m.csv")
    np.testing.assert_allclose(columns["Raman activity (A^4/amu)"], raman.activity, rtol=1e-5)
    np.testing.assert_allclose(columns["depolarisation ratio"], raman.depolarisation, rtol=1e-5)
    rows = [row.split() for row in printed.splitlines() if row[:4].strip().isdigit()]
    np.testing.assert_allclose([float(row[3]) for row in rows], raman.activity, atol=1e-3)
    curve, _ = read_table("b.csv")
    area = np.trapezoid(curve["Raman activity (A^4/amu per cm^-1)"], curve["wavenumber (cm^-1)"])
    assert area == pytest.approx(raman.activity.sum(), rel=0.02)
    assert Path("m.png").read_bytes().startswith(b"\x89PNG")
    assert main([*common, "--apt", "apt.npy", "--pgt", "pgt.npy", "--out", "m.json"]) == 0
    facts = json.loads(Path("m.json").read_text())
    np.testing.assert_allclose(facts["raman_activity"], columns["Raman activity (A^4/amu)"], 1e-5)
    capsys.readouterr()
    assert main([*common, "--apt", "apt.npy"]) == 0
    assert "Raman" not in capsys.readouterr().out
    np.save("wrong.npy", np.random.default_rng(0).normal(size=(n, 3, 3, 3)))
    assert main([*common, "--apt", "apt.npy", "--pgt", "wrong.npy"]) == 2
    assert "pgt: found polarizabilities whose xy and yx differ" in capsys.readouterr().err
    assert main([*common, "--apt", "apt.npy", "--pgt", "plain.xyz"]) == 2
    assert "plain.xyz, frame 0: pgt: found no such array" in capsys.readouterr().err
