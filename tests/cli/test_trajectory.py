"""``aptnn-md trajectory`` from the command line to a spectrum."""

import csv

import numpy as np
import pytest
from helpers import stored_runs
from helpers.paths import EXAMPLES
from helpers.tiers import slow

from aptnn_md.cli import main
from aptnn_md.stream import StreamReader


def columns(path):
    with path.open() as file:
        rows = list(csv.reader(line for line in file if not line.startswith("#")))
    return np.array(rows[1:], dtype=float).T


def test_dipoles_and_their_rates_have_the_same_spectrum(tmp_path, capsys):
    """Of lines whose difference quotient is damped by a quarter."""
    rng, times = np.random.default_rng(1), 2.0 * np.arange(4001)
    omega = np.array([0.2, 0.45, 0.7])[:, None]
    phases, amplitudes = rng.uniform(0, 6.3, (3, 3)), rng.normal(size=(3, 3))
    dipole = np.einsum(
        "kc,knc->nc", amplitudes, np.sin(omega[:, None] * times[:, None] + phases[:, None])
    )
    rate = np.einsum(
        "kc,knc->nc", omega * amplitudes, np.cos(omega[:, None] * times[:, None] + phases[:, None])
    )
    spectra = {}
    for name, values, words in (("dipole", dipole, []), ("rate", rate, ["--rates"])):
        np.save(tmp_path / f"{name}.npy", values)
        stream = tmp_path / f"{name}.zarr"
        given = ["--dipoles", str(tmp_path / f"{name}.npy"), "--timestep", "0.5", "--stride", "4"]
        assert (
            main(["trajectory", *given, "--stream", str(stream), "--temperature", "300", *words])
            == 0
        )
        table = tmp_path / f"{name}.csv"
        made = ["--volume", "100", "--resolution", "60", "--out", str(table)]
        assert main(["spectrum", "ir", str(stream), *made]) == 0
        spectra[name] = columns(table)
    assert "frames, 2 fs apart" in capsys.readouterr().out
    inside = spectra["rate"][0] < 4200.0
    highest = spectra["rate"][1].max()
    np.testing.assert_allclose(
        spectra["dipole"][1][inside], spectra["rate"][1][inside], atol=0.02 * highest
    )
    assert StreamReader(tmp_path / "dipole.zarr").header.temperature == 300.0


@pytest.mark.parametrize("words", [["--dipoles", "none.npy"], []])
def test_what_is_missing_is_said(tmp_path, monkeypatch, capsys, words):
    monkeypatch.chdir(tmp_path)
    assert main(["trajectory", *words, "--stream", "s"]) == 2
    assert "expected a file" in capsys.readouterr().err or not words


@pytest.mark.thorough
@pytest.mark.parametrize("executor", slow(["processes", "parsl"], "parsl"))
def test_a_trajectory_by_two_processes_is_that_of_one(tmp_path, monkeypatch, capsys, executor):
    spread = ["--jobs", "2"]
    if executor == "parsl":
        pytest.importorskip("parsl")
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
        spread = ["--executor", f"parsl:{EXAMPLES / 'cluster' / 'local.py'}"]
    monkeypatch.chdir(tmp_path)
    stored = stored_runs.run(tmp_path / "md", n_frames=40)
    stored_runs.write_dump(tmp_path / "t.lammpstrj", stored)
    (tmp_path / "made.py").write_text(
        "from ase import Atoms\n"
        "import numpy as np\n"
        "def model():\n"
        "    return lambda atoms: np.sin(atoms.positions[:, :, None] * [1.0, 2.0, 3.0])\n"
    )
    words = ["trajectory", "t.lammpstrj", "--lammps-units", "metal", "--model", "made:model"]
    words += ["--timestep", "0.5", "--groups", "element", "--batch", "3"]
    for stream, how in (("s1", ["--jobs", "1"]), ("s2", spread)):
        assert main([*words, *how, "--stream", stream]) == 0
    one, two = StreamReader("s1"), StreamReader("s2")
    assert one.n_frames == two.n_frames == 40
    for name in one.arrays:
        np.testing.assert_array_equal(one.read(name), two.read(name))
    assert "40 frames, 0.5 fs apart" in capsys.readouterr().out
    assert main([*words, "--stream", "s1"]) == 0
    assert "40 frames, 0.5 fs apart, 40 of them from before" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["t.xyz", "--dipoles", "d.npy"], "found both, expected one of them"),
        (["t.xyz"], "--model: found none"),
        (["t.xyz", "--model", "m", "--frames", "3"], "--frames: found '3', expected START:STOP"),
        (["t.xyz", "--model", "m", "--estimator", "x"], "--estimator: found 'x', expected one or"),
        (["t.xyz", "--model", "m", "--velocity-files", "a", "b"], "--velocity-files: found 2"),
        (["t.xyz", "--model", "m", "--rates"], "--rates: found given, expected --dipoles"),
        (["--dipoles", "d.npy", "--model", "m"], "--model: found given, expected a trajectory"),
    ],
)
def test_options_that_do_not_go_together(tmp_path, monkeypatch, capsys, words, message):
    monkeypatch.chdir(tmp_path)
    assert main(["trajectory", *words, "--stream", "s"]) == 2
    assert message in capsys.readouterr().err
