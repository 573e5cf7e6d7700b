"""Harmonic sticks beside spectra, and bands in files."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path

import ase
import matplotlib as mpl
import numpy as np
import pytest
from helpers.oscillators import langevin_velocities
from helpers.raman_oscillators import six

from aptnn_md.cli import main
from aptnn_md.errors import InputError
from aptnn_md.normal_modes import infrared_modes, normal_modes, raman_modes, write_modes
from aptnn_md.spectra.analysis.sticks import Sticks, bands_of_sticks
from aptnn_md.spectra.output.harmonic import read_harmonic
from aptnn_md.spectra.raman.scattering import cross_section_factor
from aptnn_md.stream import StreamHeader, StreamWriter
from aptnn_md.units import PER_CM2_PER_KM_PER_MOL

T, SPACING = 300.0, 2.0
POSITIONS = np.array([[0.0, 0.0, 0.0], [0.96, 0.1, 0.0], [-0.3, 0.9, 0.2]])
ATOMS = ase.Atoms("OHH", POSITIONS, masses=[15.999, 1.008, 2.014])


@pytest.fixture(scope="module")
def molecule(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Modes as CSV and JSON, with and without Raman activities, and streams of a molecule that
    moves in these modes, with and without a volume."""
    folder = tmp_path_factory.mktemp("molecule")
    rng = np.random.default_rng(5)
    hessian = np.zeros((3, 3, 3, 3))
    for (i, j), k in {(0, 1): 45.0, (0, 2): 38.0, (1, 2): 9.0}.items():
        along = POSITIONS[i] - POSITIONS[j]
        block = k * np.outer(along, along) / (along @ along)
        for a, b, sign in ((i, i, 1), (j, j, 1), (i, j, -1), (j, i, -1)):
            hessian[a, :, b, :] += sign * block
    modes = normal_modes(hessian.reshape(9, 9), ATOMS.get_masses(), POSITIONS)
    apt, pgt = rng.normal(size=(3, 3, 3)), rng.normal(size=(3, 3, 3, 3))
    pgt = pgt + pgt.transpose(0, 2, 1, 3)
    infrared, raman = infrared_modes(modes, apt), raman_modes(modes, pgt)
    write_modes(folder / "modes.csv", infrared, ATOMS, raman=raman)
    write_modes(folder / "modes.json", infrared, ATOMS, raman=raman)
    write_modes(folder / "ir-only.csv", infrared, ATOMS)
    n_frames = 12_000
    dipole, polar = np.zeros((n_frames, 3)), np.zeros((n_frames, 6))
    for k, nu in enumerate(modes.wavenumber):
        q = langevin_velocities((n_frames, 1), SPACING, nu, 20.0, T, 1.0, seed=k)
        dipole += q @ infrared.dipole_derivative[k : k + 1]
        polar += q @ six(raman.polarizability_derivative[k : k + 1])
    for name, volume in (("alone", None), ("box", 1000.0)):
        header = StreamHeader(timestep=2.0, temperature=T, volume=volume)
        with StreamWriter(folder / name, header) as writer:
            for frame in range(n_frames):
                polarizability = {"bead": polar[frame][None]}
                writer.append(
                    frame,
                    2.0 * frame,
                    {"bead": dipole[frame][None]},
                    polarizability_rates=polarizability,
                )
    return folder


@pytest.mark.thorough
def test_files_are_read(molecule: Path) -> None:
    table, other = read_harmonic(molecule / "modes.csv"), read_harmonic(molecule / "modes.json")
    for name in ("wavenumber", "intensity", "activity"):
        np.testing.assert_allclose(getattr(table, name), getattr(other, name), rtol=1e-9)
    assert len(table.wavenumber) == 3
    without = read_harmonic(molecule / "ir-only.csv")
    assert without.activity is None
    with pytest.raises(InputError, match=r"Raman activity: found none, .*polarizability gradients"):
        without.raman()


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.csv", "# x,y\n1,2\n3,4\n"),
        ("a.csv", "no table"),
        ("a.json", '{"wavenumber": [1.0, 2.0], "intensity": [3.0]}'),
        ("a.json", '{"wavenumber": ["a"], "intensity": [3.0]}'),
        ("a.json", "[]"),
        ("a.json", "{"),
        ("a.csv", "# wavenumber (cm^-1),intensity (km/mol)\n1,nan\n"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError) as caught:
        read_harmonic(tmp_path / name)
    assert "\n" not in str(caught.value)
    with pytest.raises(InputError):
        read_harmonic(tmp_path / "nowhere.csv")


def test_imaginary_modes_are_no_sticks(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("# wavenumber (cm^-1),intensity (km/mol)\n-300,7\n900,5\n1000,15\n")
    sticks = read_harmonic(path).infrared(2.0)
    assert list(sticks.area) == [10.0, 30.0]
    one, none = bands_of_sticks(sticks, {"both": (800.0, 1100.0), "none": (1.0, 100.0)})
    assert (one.integral, one.position, one.centroid) == (40.0, 1000.0, 975.0)
    assert one.spread == pytest.approx(100 * math.sqrt(0.25 * 0.75))
    assert none.integral == 0.0
    assert math.isnan(none.centroid)
    assert (
        bands_of_sticks(Sticks("x", np.zeros(0), np.zeros(0)), {"a": (0.0, 1.0)})[0].integral == 0
    )


def bands_in(path: Path) -> dict[str, list[dict[str, str]]]:
    found: dict[str, list[dict[str, str]]] = {}
    with path.open() as file:
        for row in csv.DictReader(file):
            found.setdefault(row["spectrum"], []).append(row)
    return found


def test_sums_beside_bands(
    molecule: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each band of the simulation has the sum of its sticks beside it, in the same unit."""
    modes = read_harmonic(molecule / "modes.csv")
    factors = {"alone": 1.0, "box": PER_CM2_PER_KM_PER_MOL * 2 / 1000.0}
    for name, factor in factors.items():
        words = ["spectrum", "ir", str(molecule / name), "--harmonic", str(molecule / "modes.csv")]
        words += ["--bands", "auto", "--band-table", str(tmp_path / "b.csv"), "--n-molecules"]
        assert main([*words, "1" if name == "alone" else "2"]) == 0
        bands = bands_in(tmp_path / "b.csv")
        unit = "km/mol" if name == "alone" else "cm^-2"
        sums = [float(row[f"integral ({unit})"]) for row in bands["harmonic"]]
        np.testing.assert_allclose(sums, factor * modes.intensity, rtol=1e-8)
        places = [float(row["position (cm^-1)"]) for row in bands["harmonic"]]
        np.testing.assert_allclose(places, modes.wavenumber, rtol=1e-8)
        assert "harmonic" in capsys.readouterr().out
        if name == "alone":
            for row, intensity in zip(bands["simulation"], modes.intensity, strict=True):
                value, error = (float(row[f"integral{e} (km/mol)"]) for e in ("", " error"))
                assert value == pytest.approx(intensity, abs=3 * error + 0.03 * intensity)
                assert row["height error (km/mol per cm^-1)"]


@pytest.mark.thorough
def test_sums_beside_bands_of_several_spectra(
    molecule: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As beside the first spectrum alone, of which they are."""
    pytest.importorskip("plotly")
    modes, box = str(molecule / "modes.csv"), str(molecule / "box")
    more = ["--harmonic", modes, "--n-molecules", "2", "--bands", "auto", "--band-table"]
    assert main(["spectrum", "ir", box, *more, str(tmp_path / "one.csv")]) == 0
    capsys.readouterr()
    words = ["spectrum", "compare", box, box, "--skip", "1", "--names", "a", "b"]
    picture = ["--plot", str(tmp_path / "a.svg"), "--html", str(tmp_path / "a.html")]
    with mpl.rc_context({"svg.fonttype": "none"}):
        assert main([*words, *more, str(tmp_path / "both.csv"), *picture]) == 0
    (titles,) = [x for x in capsys.readouterr().out.splitlines() if x.startswith("band of n·α")]
    assert titles.split()[3:] == ["a", "b", "harmonic"]
    both, one = bands_in(tmp_path / "both.csv"), bands_in(tmp_path / "one.csv")
    assert list(both) == ["a", "b", "harmonic"]
    name = "integral (cm^-2)"
    factor = PER_CM2_PER_KM_PER_MOL * 2 / 1000.0
    sums = [float(row[name]) for row in both["harmonic"]]
    np.testing.assert_allclose(sums, factor * read_harmonic(modes).intensity, rtol=1e-8)
    assert sums == [float(row[name]) for row in one["harmonic"]]
    for mine, alone in zip(both["a"], one["simulation"], strict=True):
        assert float(mine[name]) == pytest.approx(float(alone[name]), rel=0.1)
    assert "sticks: harmonic intensity" in (tmp_path / "a.svg").read_text()
    assert '"name": "harmonic"' in (tmp_path / "a.html").read_text()
    words[-1] = "harmonic"
    assert main([*words, *more, str(tmp_path / "c.csv")]) == 2
    assert "harmonic: name: found that of two curves" in capsys.readouterr().err
    assert not (tmp_path / "c.csv").exists()


def test_bands_as_json(molecule: Path, tmp_path: Path) -> None:
    path = tmp_path / "b.json"
    words = ["spectrum", "ir", str(molecule / "alone"), "--harmonic", str(molecule / "modes.json")]
    assert main([*words, "--band-table", str(path), "--resolution", "30"]) == 0
    facts = json.loads(path.read_text())
    assert facts["quantity"] == "molar absorption"
    assert facts["units"]["integral"] == "km/mol"
    assert len(facts["bands"]) == 6
    for row in facts["bands"]:
        assert (row["centroid_error"] is None) == (row["spectrum"] == "harmonic")
        assert row["low"] < row["centroid"] < row["high"]


@pytest.mark.thorough
def test_pictures(molecule: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.svg"
    with mpl.rc_context({"svg.fonttype": "none"}):
        words = ["spectrum", "ir", str(molecule / "alone"), "--plot", str(path)]
        assert main(words) == 0
        assert "sticks" not in path.read_text()
        assert main([*words, "--harmonic", str(molecule / "modes.csv")]) == 0
        assert "sticks: harmonic intensity" in path.read_text()
        words[1] = "raman"
        assert main([*words, "--harmonic", str(molecule / "modes.csv")]) == 0
        assert "sticks: harmonic activity" in path.read_text()


def test_raman(molecule: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Activities beside the reduced form, cross sections beside the measured one; bands of a
    molecule are found by themselves."""
    modes = read_harmonic(molecule / "modes.csv")
    assert modes.activity is not None
    laser = 1e7 / 532.0
    measured = modes.activity * cross_section_factor(modes.wavenumber, laser, T) / 1e-30
    words = [
        "spectrum",
        "raman",
        str(molecule / "alone"),
        "--harmonic",
        str(molecule / "modes.csv"),
    ]
    for more, expected in (([], modes.activity), (["--laser", "532nm"], measured)):
        assert main([*words, *more]) == 0
        lines = capsys.readouterr().out.splitlines()
        (row,) = [line for line in lines if line.startswith("harmonic, unpolarised")]
        (bands,) = [line for line in lines if line.startswith("band ")]
        assert bands.count("cm⁻¹") == 3
        np.testing.assert_allclose([float(w) for w in row.split()[-3:]], expected, rtol=2e-3)
    assert main([*words, "--bands", "x:3000-3500"]) == 0
    assert main(["spectrum", "raman", str(molecule / "box")]) == 0
    assert "band " not in capsys.readouterr().out.split("x, 3000")[-1]
    assert main([*words[:-1], str(molecule / "ir-only.csv")]) == 2
