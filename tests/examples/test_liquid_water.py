"""The scripts of the headline figures, on small made-up streams."""

from __future__ import annotations

import runpy
from pathlib import Path

import numpy as np
import pytest
from helpers.oscillators import langevin_velocities
from helpers.paths import EXAMPLES
from matplotlib.image import imread

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
