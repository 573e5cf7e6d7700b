"""``aptnn-md spectrum raman`` from stream to table and picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from helpers.raman_oscillators import line, mean_and_anisotropy, rates

from aptnn_md.cli import main
from aptnn_md.errors import InputError
from aptnn_md.spectra import RamanOptions, raman_of_streams, raman_spectrum, read_table
from aptnn_md.stream import StreamHeader, StreamWriter

T, POSITION, WIDTH = 300.0, 1600.0, 80.0
SHARES = np.array([1.4, -0.4])


def derivative() -> np.ndarray:
    matrix = np.random.default_rng(5).normal(size=(3, 3))
    return matrix + matrix.T + np.eye(3)


def write(path: Path, a: np.ndarray | None, beads: int = 1, **changes: object) -> str:
    """A stream of two groups, whose ȧ are ``a`` in fixed shares."""
    values = {"timestep": 0.5, "stride": 4, "groups": ("O", "H"), "temperature": T}
    header = StreamHeader(**(values | {"n_beads": beads} | changes))
    n_frames = 100 if a is None else len(a)
    with StreamWriter(path, header) as writer:
        for k in range(n_frames):
            more = {}
            if a is not None:
                more = {"polarizability_rates": {"bead": SHARES[:, None] * a[k]}}
            writer.append(4 * k, 2.0 * k, {"bead": np.zeros((2, 3))}, **more)
    return str(path)


@pytest.fixture(scope="module")
def runs() -> list[np.ndarray]:
    return [
        rates(derivative()[None], n, 2.0, POSITION, WIDTH, T, seed)
        for seed, n in enumerate((6000, 4000))
    ]


@pytest.fixture(scope="module")
def streams(tmp_path_factory: pytest.TempPathFactory, runs: list[np.ndarray]) -> list[str]:
    folder = tmp_path_factory.mktemp("streams")
    return [write(folder / f"run{k}.stream", a) for k, a in enumerate(runs)]


def test_streams_give_what_arrays_give(streams: list[str], runs: list[np.ndarray]) -> None:
    """The same curves, parts that add up, and groups merged."""
    found = raman_of_streams(streams, 25.0, components=("xz",), n_molecules=3.0)
    arrays = [SHARES[:, None] * run[:, None] for run in runs]
    expected = raman_spectrum(
        arrays, 2.0, T, 25.0, components=("xz",), n_molecules=3.0, group_labels=("O", "H")
    )
    for name, curve in expected.total.named.items():
        np.testing.assert_allclose(found.total.named[name].mean, curve.mean, rtol=1e-9, atol=1e-12)
    assert list(found.parts) == ["O", "H", ("O", "H")]
    for name, curve in found.total.named.items():
        parts = [part.named[name].mean for part in found.parts.values()]
        np.testing.assert_allclose(np.sum(parts, axis=0), curve.mean, atol=1e-9 * curve.mean.max())
    cross = found.parts["O", "H"].isotropic.mean
    np.testing.assert_allclose(
        cross, 2 * SHARES.prod() * found.total.isotropic.mean, atol=1e-9 * abs(cross).max()
    )
    merged = raman_of_streams(streams, 25.0, n_molecules=3.0, merge=("all",))
    np.testing.assert_allclose(
        merged.total.isotropic.mean, found.total.isotropic.mean, rtol=1e-9, atol=1e-12
    )
    assert (found.estimator, found.n_beads) == ("bead", 1)


@pytest.mark.thorough
def test_table_and_pictures(
    streams: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table, picture, parts = (tmp_path / name for name in ("r.csv", "r.png", "parts.pdf"))
    words = ["spectrum", "raman", *streams, "--out", str(table), "--plot", str(picture)]
    words += ["--plot-parts", str(parts), "--components", "zz,yx", "--resolution", "15"]
    assert main([*words, "--bands", "line:1300-1900"]) == 0
    printed = capsys.readouterr().out
    isotropic, anisotropic = mean_and_anisotropy(derivative())
    assert "Raman spectrum: 20 ps in 2 runs, frames 2 fs apart, 300 K" in printed
    assert "reduced form, Å⁴/amu per cm⁻¹ of the system" in printed
    assert "the harmonic quantum correction" in printed
    rho = 3 * anisotropic / (isotropic + 4 * anisotropic)
    ratio = next(row for row in printed.splitlines() if row.startswith("depolarisation ratio"))
    assert float(ratio.split()[2]) == pytest.approx(rho, rel=1e-3)
    columns, header = read_table(table)
    assert f"stream: {streams[1]}" in header
    x = columns["wavenumber (cm^-1)"]
    true = isotropic * line(x, POSITION, WIDTH)
    unit = "(A^4/amu per cm^-1)"
    curve, error = (columns[f"isotropic 45a^2 {word}{unit}"] for word in ("", "standard error "))
    near = np.abs(x - POSITION) < 100
    assert np.mean(np.abs(curve - true)[near] < 2 * error[near]) > 0.8
    vv = columns[f"polarised VV 45a^2 + 4gamma^2 {unit}"]
    gamma = columns[f"anisotropic gamma^2 {unit}"]
    np.testing.assert_allclose(vv, curve + 4 * gamma, rtol=1e-7)
    single = columns[f"yx {unit}"][near] / columns[f"zz {unit}"][near]
    a = derivative()
    np.testing.assert_allclose(single, (a[0, 1] / a[2, 2]) ** 2, rtol=1e-6)
    np.testing.assert_allclose(columns["depolarisation ratio"][near], rho, rtol=1e-6)
    assert columns[f"O x H anisotropic gamma^2 {unit}"][near].max() < 0
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert parts.read_bytes().startswith(b"%PDF")


def test_measured_form_and_follow(
    streams: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tables = [str(tmp_path / f"{k}.csv") for k in range(3)]
    words = ["spectrum", "raman", *streams, "--laser", "532nm", "--n-molecules", "8"]
    assert main([*words, "--out", tables[0], "--netcdf", str(tmp_path / "r.nc")]) == 0
    printed = capsys.readouterr().out
    assert "laser at 18797 cm⁻¹ (532 nm), (ν̃₀ − ν̃)⁴, energy; 1/ν̃ and Bose factor" in printed
    assert "each of 8 molecules" in printed
    assert "10⁻³⁰ cm²/sr" in printed
    assert main([*words, "--out", tables[1], "--follow", "0.1"]) == 0
    assert "blocks   error (%)   integral of 45a² + 7γ²" in capsys.readouterr().out
    first, second = (read_table(table)[0] for table in tables[:2])
    for name, column in first.items():
        np.testing.assert_allclose(column, second[name], rtol=1e-9)
    assert min(first["wavenumber (cm^-1)"]) >= 20.0
    xarray = pytest.importorskip("xarray")
    with xarray.open_dataset(tmp_path / "r.nc") as data:
        np.testing.assert_allclose(
            data.VV.values, data.isotropic.values + 4 * data.anisotropic.values, rtol=1e-9
        )
        assert data.VV.attrs["units"] == "cm²/sr per cm⁻¹"
        total = data.part_isotropic.sum("part")
        np.testing.assert_allclose(total, data.isotropic, atol=1e-9 * float(data.isotropic.max()))
        blocks = (data.block_isotropic * data.block_weight).sum("block")
        np.testing.assert_allclose(blocks, data.isotropic, rtol=1e-9)


def test_path_integrals_need_no_correction(
    runs: list[np.ndarray], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path / "pi.stream", runs[1], beads=8)
    assert main(["spectrum", "raman", path]) == 0
    assert "path integral of 8 beads, estimator 'bead'" in capsys.readouterr().out
    assert main(["spectrum", "raman", path, "--quantum", "standard"]) == 2
    assert "Kubo-transformed" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--components", "xw"], "component: found 'xw', expected one of xx, yy, zz, yz, xz, xy"),
        (["--components", "xy,xy"], "components: found xy twice"),
        (["--laser", "532"], "laser: found '532', expected a wavelength or wavenumber with"),
        (["--laser", "15cm-1"], "laser: found 15 cm⁻¹, expected one far above the resolution"),
        (["--photon-counting"], "--photon-counting: laser: found none"),
        (["--n-molecules", "0"], "number of molecules: found 0.0, expected a positive number"),
        (["--estimator", "none"], "estimator: found none, expected"),
        (["--quantum", "no"], "name: found 'no'"),
        (["--bands", "a:1-99999"], "band 'a'"),
        (["--range", "9", "3"], "range: found 9 to 3"),
    ],
)
def test_bad_options(
    streams: list[str], words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    out = ["--plot", "never.png"] if "--range" in words else []
    assert main(["spectrum", "raman", streams[1], *words, *out]) == 2
    assert message in capsys.readouterr().err
    assert not Path("never.png").exists()


def test_streams_without_polarizability_rates(
    tmp_path: Path, streams: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path / "ir.stream", None)
    for paths in ([path], [streams[0], path]):
        assert main(["spectrum", "raman", *paths]) == 2
        message = capsys.readouterr().err
        assert f"{path}: arrays: found dipole rates only, expected polarizability rates" in message
        assert "--model water-apt,water-pgt" in message


def test_unknown_temperature(tmp_path: Path, runs: list[np.ndarray]) -> None:
    path = write(tmp_path / "t.stream", runs[1], temperature=None)
    with pytest.raises(InputError, match="temperature: found none in the stream"):
        raman_of_streams([path])
    given = raman_of_streams([path], options=RamanOptions(temperature=2 * T))
    known = raman_of_streams([write(tmp_path / "u.stream", runs[1])])
    np.testing.assert_allclose(2 * given.blocks.mean, known.blocks.mean, rtol=1e-9)
