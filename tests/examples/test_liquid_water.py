"""The scripts of the headline figures, on small made-up streams."""

from __future__ import annotations

import importlib
import re
import runpy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.oscillators import langevin_velocities
from helpers.paths import EXAMPLES
from matplotlib.image import imread

from aptnn_md.spectra.analysis.error_parts import committee_error
from aptnn_md.stream import StreamHeader, StreamWriter

EXAMPLE = EXAMPLES / "liquid_water"
LINES = ((180.0, 120.0), (600.0, 250.0), (1643.0, 90.0), (3392.0, 300.0))


def stream(path: Path, estimators: tuple[str, ...], n_beads: int, seed: int) -> Path:
    header = StreamHeader(
        timestep=0.5,
        stride=4,
        groups=("translation", "libration", "vibration"),
        estimators=estimators,
        n_beads=n_beads,
        temperature=300.0,
        volume=1920.0,
    )
    signals = [
        langevin_velocities((3000, 3), 2.0, *line, seed=seed + k) for k, line in enumerate(LINES)
    ]
    signals[2:] = [signals[2] + 2.0 * signals[3]]
    with StreamWriter(path, header) as writer:
        for k, rate in enumerate(np.stack(signals, axis=1)):
            values = {name: rate * 0.9**i for i, name in enumerate(estimators)}
            # xx = yy = zz, and as much of xy: 45 : 3 of isotropic : anisotropic, ρ = 9/57
            rates = rate[:, [0, 0, 0, 1, 1, 1]] * np.array([1, 1, 1, 0, 0, 1])
            polarizability = {name: rates * 0.9**i for i, name in enumerate(estimators)}
            writer.append(
                4 * k,
                2.0 * k,
                values,
                f_sum=[1.0, 1.0, 5.0],
                polarizability_rates=polarizability,
            )
    return path


def run(script: str, words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    path = str(EXAMPLE / script)
    monkeypatch.setattr("sys.argv", [path, *words])
    runpy.run_path(path, run_name="__main__")


@pytest.mark.thorough
def test_figure_and_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    classical = stream(tmp_path / "classical.zarr", ("bead",), 1, 0)
    names = ("bead", "centroid-apt", "apt-at-centroid")
    trpmd = stream(tmp_path / "trpmd.zarr", names, 8, 10)
    nu = np.linspace(1.0, 4300.0, 900)
    rows = "\n".join(f"{x:.3f},{2e4 * np.exp(-(((x - 3392) / 200) ** 2)):.6g}" for x in nu)
    table, picture = tmp_path / "measured.csv", tmp_path / "figure.png"
    table.write_text(f"wavenumber,n_alpha\n{rows}\n")
    words = ["--classical", str(classical), "--trpmd", str(trpmd), "--resolution", "40"]
    words += ["--experiment", str(table), "--out", str(picture)]
    run("figure.py", words, monkeypatch)
    printed = capsys.readouterr().out
    for text in (
        "TRPMD: 6 ps, path integral of 8 beads",
        "classical: 6 ps, classical nuclei with the harmonic quantum correction",
        "OH stretch, 2800-4000 cm⁻¹",
        "3392 ± 17",
        "TRPMD - classical",
        "translation × vibration",
        "apt-at-centroid - bead",
    ):
        assert text in printed
    assert imread(picture).shape[:2] == (1360, 1440)
    measured = [line for line in printed.splitlines() if "position (" in line][-1]
    assert "3392" in measured.replace("3392 ± 17", "")


@pytest.mark.thorough
def test_raman_figure_and_tables(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    classical = stream(tmp_path / "classical.zarr", ("bead",), 1, 0)
    trpmd = stream(tmp_path / "trpmd.zarr", ("bead",), 8, 10)
    picture = tmp_path / "raman.png"
    words = ["--classical", str(classical), "--trpmd", str(trpmd), "--out", str(picture)]
    run("raman.py", words, monkeypatch)
    printed = capsys.readouterr().out
    assert printed.count("Raman spectrum: 6 ps") == 2
    assert "of each of 64 molecules" in printed
    ratios = [line.split() for line in printed.splitlines() if line.startswith("depolarisation")]
    for words in ratios:
        assert float(words[-3]) == pytest.approx(9 / 57, abs=0.05)
    assert len(ratios) == 2
    assert imread(picture).shape[:2] == (1200, 1440)
    scale = absolute_scale(classical)
    found = re.search(r"classical: scattering .* at 488 nm ([\d.]+) ±", printed)
    assert found is not None
    assert float(found[1]) == pytest.approx(scale, rel=0.02)


def absolute_scale(stream: Path) -> float:
    """The scattering coefficient from the invariants, 10⁻⁴ m⁻¹, in SI units of its own."""
    from scipy import constants

    from aptnn_md.spectra import raman_of_streams

    curves = raman_of_streams([stream], 80.0, n_molecules=64).total
    nu = curves.isotropic.wavenumber
    inside = (nu >= 2800.0) & (nu <= 4000.0)
    activity = (curves.isotropic.mean + 10.0 * curves.anisotropic.mean)[inside]  # Å⁴/amu a cm⁻¹
    shift, laser = 100.0 * nu[inside], 1.0 / 488e-9
    bose = 1.0 - np.exp(-constants.h * constants.c * shift / (constants.k * 300.0))
    light = 16.0 * np.pi**4 * (laser - shift) ** 4
    amplitude = constants.h / (8.0 * np.pi**2 * constants.c * shift * bose)
    si = activity * 1e-40 / constants.atomic_mass
    # a cross section of a molecule, m², in all directions
    total = 8.0 * np.pi / 3.0 * np.trapezoid(light * amplitude * si / 45.0, nu[inside])
    return float(1e4 * total * 0.0333e30)


def test_all_directions_and_polarisations() -> None:
    """8π/3 (VV + 2 VH) of freely turning molecules is the integral over all directions."""
    rng = np.random.default_rng(6)
    a = rng.normal(size=(3, 3))
    a += a.T
    quaternions = rng.normal(size=(40000, 4))
    from scipy.spatial.transform import Rotation

    turned = Rotation.from_quat(quaternions).as_matrix()
    induced = turned @ a @ turned.transpose(0, 2, 1) @ [0.0, 0.0, 1.0]
    # light in all directions by the induced dipole: 8π/3 of its square
    whole = 8.0 * np.pi / 3.0 * (induced**2).sum(axis=1).mean()
    mean = np.trace(a) / 3.0
    gamma = 1.5 * ((a - mean * np.eye(3)) ** 2).sum()
    vv, vh = (45.0 * mean**2 + 4.0 * gamma) / 45.0, 3.0 * gamma / 45.0
    assert 8.0 * np.pi / 3.0 * (vv + 2.0 * vh) == pytest.approx(whole, rel=0.02)


@pytest.mark.thorough
def test_table_with_the_error_of_a_committee(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = {}
    for name, n_beads in (("classical", 1), ("trpmd", 8)):
        runs[name] = tmp_path / name
        runs[name].mkdir()
        for run_number in (1, 2):
            for end, names in (("", ("bead",)), ("-members", ("bead", "member-1", "member-2"))):
                place = runs[name] / f"run-{run_number:03d}{end}.zarr"
                stream(place, names, n_beads, 10 * run_number)
    words = ["--classical", str(runs["classical"]), "--trpmd", str(runs["trpmd"])]
    run("figure.py", [*words, "--markdown"], monkeypatch)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("|  | classical, 12 ps | TRPMD, 12 ps | experiment")
    rows = [line for line in lines if "OH stretch" in line]
    assert len(rows) == 1
    numbers = re.findall(r"(\d+)\S* ± \S+ \(± ([\de.-]+)\)", rows[0])
    assert len(numbers) == 2
    for centroid, spread in numbers:
        assert float(centroid) == pytest.approx(3390, abs=30)
        assert float(spread) < 1e-6  # members are the same but for a factor
    integral = lines[lines.index(rows[0]) + 1]
    for value, spread in re.findall(r"(\d+) ± \d+ \(± (\d+)\)", integral):
        # they have 0.81 and 0.66 of it
        members = float(value) * np.array([0.9**2, 0.9**4])
        assert float(spread) == pytest.approx(committee_error(members), rel=0.1)
    assert len({line.count("|") for line in lines}) == 1


def test_levels_of_a_morse_oscillator(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(EXAMPLE))
    module: Any = importlib.import_module("oh_levels")
    depth, decay, length, mass = 5.0, 2.2, 0.97, 0.948
    r = module.LENGTHS
    energies = 3.0 + depth * (1.0 - np.exp(-decay * (r - length))) ** 2
    harmonic = module.HBAR * decay * np.sqrt(2.0 * depth / mass) / module.PER_CM
    anharmonic = (module.HBAR * decay) ** 2 / (2.0 * mass) / module.PER_CM
    quantum, classical = module.wavenumbers(r, energies, mass)
    assert quantum == pytest.approx(harmonic - 2.0 * anharmonic, abs=0.2)
    # ⟨V″⟩ is smaller than at the bottom by a little
    assert harmonic - 15.0 < classical < harmonic
