"""``aptnn-md spectrum``: quantities, bands, experiments, parts, and runs beside each other."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from helpers.oscillators import langevin_velocities

from aptnn_md.cli import main
from aptnn_md.spectra import read_table
from aptnn_md.stream import StreamHeader, StreamWriter

N_FRAMES = 3000
MOTIONS = ("translation", "libration", "vibration")
LINES = ((180.0, 120.0), (600.0, 250.0), (1643.0, 90.0))


@pytest.fixture(scope="module")
def streams(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A classical run and one of beads, both in parts by motion."""
    paths = {}
    for number, (name, n_beads) in enumerate((("classical", 1), ("trpmd", 8))):
        estimators = ("bead", "apt-at-centroid") if n_beads > 1 else ("bead",)
        header = StreamHeader(
            timestep=0.5,
            stride=4,
            groups=MOTIONS,
            estimators=estimators,
            n_beads=n_beads,
            temperature=300.0,
            volume=1986.0,
        )
        rates = np.stack(
            [
                2.0 * langevin_velocities((N_FRAMES, 3), 2.0, *line, seed=10 * number + k)
                for k, line in enumerate(LINES)
            ],
            axis=1,
        )
        path = tmp_path_factory.mktemp("streams") / f"{name}.zarr"
        with StreamWriter(path, header) as writer:
            for k, rate in enumerate(rates):
                values = {e: rate * (0.9**i) for i, e in enumerate(estimators)}
                writer.append(4 * k, 2.0 * k, values, f_sum=[4.0, 4.0, 4.0])
        paths[name] = str(path)
    return paths


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> str:
    """An experimental table, made up: n and k of a line at 1643 cm⁻¹."""
    nu = np.linspace(1.0, 5000.0, 2500)
    index = np.sqrt(1.77 + 1e5 / (1643.0**2 - nu**2 - 1j * 90.0 * nu))
    path = tmp_path_factory.mktemp("experiment") / "measured.csv"
    rows = "\n".join(f"{x:.2f},{v.real:.8f},{v.imag:.8e}" for x, v in zip(nu, index, strict=True))
    path.write_text(f"wavenumber,n,k\n{rows}\n")
    return str(path)


@pytest.mark.thorough
def test_everything_that_follows_from_one_spectrum(
    streams: dict[str, str], measured: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("h5netcdf")
    files = {
        "--out": "ir.csv",
        "--netcdf": "ir.nc",
        "--plot": "ir.png",
        "--plot-parts": "parts.png",
        "--plot-quantities": "quantities.png",
        "--plot-convergence": "convergence.png",
    }
    words = ["spectrum", "ir", streams["classical"], "--resolution", "40"]
    for option, name in files.items():
        words += [option, str(tmp_path / name)]
    words += ["--quantities", "all", "--epsilon-infinity", "1.77", "--n-molecules", "64"]
    words += ["--experiment", "water", "--reference", measured, "--bands", "comb:1900-2500"]
    words += ["--quantum", "standard", "--range", "0", "4000"]
    assert main(words) == 0
    printed = capsys.readouterr().out
    for text in (
        "classical nuclei with the quantum correction 'standard'",
        "ε∞ = 1.77 (given), ε(0) = ",
        "comb, 1900-2500 cm⁻¹",
        "measured: n·α = 4πν̃nk",
        "translation × libration",
    ):
        assert text in printed
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(files.values())
    columns, header = read_table(tmp_path / "ir.csv")
    parts = [*MOTIONS, "translation x libration", "translation x vibration"]
    parts.append("libration x vibration")
    total = columns["n*alpha (cm^-1)"]
    np.testing.assert_allclose(
        sum(columns[f"{name} (cm^-1)"] for name in parts), total, atol=1e-7 * total.max()
    )
    assert columns.keys() >= {"kappa", "conductivity (S/m)", "decadic-alpha (cm^-1)"}
    for name in ("epsilon-real", "n", "alpha (cm^-1)", "molar-absorption (L mol^-1 cm^-1)"):
        assert name in columns
        bare, _, unit = name.partition(" ")
        assert (columns[f"{bare} standard error {unit}".strip()] > 0).mean() > 0.95
    nu = columns["wavenumber (cm^-1)"]
    above = nu > 45.0
    np.testing.assert_allclose(
        columns["n"][above] * columns["alpha (cm^-1)"][above], total[above], rtol=1e-5
    )
    assert any(line.startswith("provenance: aptnn-md ") for line in header)
    assert main(["info", str(tmp_path / "ir.csv")]) == 0
    told = capsys.readouterr().out
    assert "quantum effects: classical nuclei with the quantum correction 'standard'" in told
    assert "epsilon-real standard error" in told
    assert any("epsilon_inf = 1.77 (given)" in line for line in header)
    assert not any("?" in line for line in header)


@pytest.mark.thorough
def test_an_experiment_by_name_is_drawn_and_compared(
    streams: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bands, picture = tmp_path / "bands.csv", tmp_path / "ir.png"
    words = ["spectrum", "ir", streams["classical"], "--resolution", "40", "--plot", str(picture)]
    words += ["--experiment", "methanol", "--band-table", str(bands)]
    assert main(words) == 0
    printed = capsys.readouterr().out
    assert "experiment: liquid methanol, 26 °C; Myers et al., Appl. Spectrosc. 72, 535" in printed
    lines = printed.splitlines()
    band = next(k for k, line in enumerate(lines) if "CO stretch" in line)
    position = next(line for line in lines[band:] if "position (" in line)
    assert position.endswith("1027.0 ± 0.5"), position
    # the measured curve is one column, not two
    heading = next(line for line in lines if line.startswith("band of"))
    assert heading.split()[-2:] == ["simulation", "experiment"]
    assert "methanol, 26 °C" in bands.read_text()
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_merged_groups(streams: dict[str, str], tmp_path: Path) -> None:
    table = tmp_path / "ir.csv"
    words = ["spectrum", "ir", streams["classical"], "--resolution", "40", "--out", str(table)]
    assert main([*words, "--merge", "rigid=*lation", "rigid=lib*"]) == 0
    merged, _ = read_table(table)
    assert "rigid x vibration (cm^-1)" in merged
    total = merged["n*alpha (cm^-1)"]
    sums = sum(merged[f"{k} (cm^-1)"] for k in ("rigid", "vibration", "rigid x vibration"))
    np.testing.assert_allclose(sums, total, atol=1e-7 * total.max())


@pytest.mark.thorough
def test_runs_side_by_side(
    streams: dict[str, str], measured: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table, picture = tmp_path / "c.csv", tmp_path / "c.png"
    trpmd = streams["trpmd"]
    words = ["spectrum", "compare", streams["classical"], trpmd, f"{trpmd}@apt-at-centroid"]
    words += ["--names", "classical", "TRPMD", "centroid", "--resolution", "40", "--difference"]
    words += ["--experiment", "water", "--reference", measured, "--range", "0", "4000"]
    assert main([*words, "--out", str(table), "--plot", str(picture)]) == 0
    printed = capsys.readouterr().out
    assert "TRPMD: 6 ps, path integral of 8 beads, estimator 'bead'" in printed
    assert "estimator 'apt-at-centroid'" in printed
    assert "centroid - classical" in printed
    columns, header = read_table(table)
    np.testing.assert_allclose(
        columns["centroid (cm^-1)"], 0.81 * columns["TRPMD (cm^-1)"], rtol=1e-6
    )
    assert "TRPMD - classical standard error (cm^-1)" in columns
    assert any(line.startswith("centroid: estimator: apt-at-centroid") for line in header)
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_quantum_corrections_of_a_comparison_spare_path_integrals(
    streams: dict[str, str], capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """Classical spectra are corrected; of a path integral one line says that it is not."""
    words = ["spectrum", "compare", streams["classical"], streams["trpmd"], "--resolution", "40"]
    with caplog.at_level("INFO", logger="aptnn_md"):
        assert main([*words, "--quantum", "standard"]) == 0
    (line,) = caplog.messages
    assert line.startswith(f"{streams['trpmd']}: --quantum standard is not applied, because a path")
    printed = capsys.readouterr().out
    assert "classical nuclei with the quantum correction 'standard'" in printed
    caplog.clear()
    with caplog.at_level("INFO", logger="aptnn_md"):
        assert main(words) == 0
    assert caplog.messages == []


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["ir", "CL", "--quantum", "kubo"], "quantum correction: name: found 'kubo'"),
        (["ir", "PI", "--quantum", "standard"], "'standard' for a path integral of 8 beads"),
        (["ir", "CL", "--quantities", "colour"], "quantity: found 'colour'"),
        (["ir", "CL", "--quantities", "molar-absorption"], "number of molecules: found nothing"),
        (["ir", "CL", "--quantities", "n", "--epsilon-infinity", "0.3"], "ε∞: found 0.3"),
        (["ir", "CL", "--bands", "bend"], "--bands: band: found 'bend', expected NAME:LOW-HIGH"),
        (["ir", "CL", "--bands", "x:900-100"], "band 'x': found 900 to 100"),
        (["ir", "CL", "--reference", "none.csv"], "none.csv: table: found No such file"),
        (["ir", "CL", "--merge", "colour"], "groups: merge: found 'colour'"),
        (["ir", "CL", "--netcdf", "/nowhere/a.nc"], "/nowhere/a.nc: output: found No such file"),
        (["ir", "CL", "--plot-quantities", "q.png"], "quantities: found none"),
        (["ir", "CL", "--plot-parts", "q.txt"], "q.txt: suffix"),
        (["compare", "CL", "PI", "--names", "a"], "--names: names: found a for 2 runs"),
        (["compare", "CL", "CL"], "expected a different one for each run"),
        (["compare", "CL", "nowhere@bead"], "nowhere: stream: found no such file"),
    ],
)
def test_bad_input_is_one_line_and_code_2(
    streams: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    known = {"CL": streams["classical"], "PI": streams["trpmd"]}
    arguments = [known.get(word, word) for word in words]
    assert main(["spectrum", *arguments, "--resolution", "40"]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
