"""``aptnn-md spectrum ir`` from stream to table and picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from helpers.oscillators import absorption, langevin_velocities

from aptnn_md.cli import main
from aptnn_md.stream import StreamHeader, StreamWriter

VOLUME, STRENGTH = 1986.0, 12.5


@pytest.fixture(scope="module")
def streams(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Two runs of an oscillator at the place of the bend of water."""
    header = StreamHeader(
        timestep=0.5, stride=4, groups=("O", "H"), temperature=300.0, volume=VOLUME
    )
    paths = []
    for seed, n_frames in enumerate((6000, 4000)):
        path = tmp_path_factory.mktemp("streams") / f"run{seed}.stream"
        velocities = langevin_velocities((n_frames, 3), 2.0, 1643.0, 80.0, seed=seed)
        rates = np.sqrt(STRENGTH) * np.stack([1.5 * velocities, -0.5 * velocities], axis=1)
        with StreamWriter(path, header) as writer:
            for k in range(n_frames):
                writer.append(4 * k, 2.0 * k, {"bead": rates[k]}, f_sum=[STRENGTH, 0.0])
        paths.append(str(path))
    return paths


def test_table_picture_and_report(
    streams: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table, picture = tmp_path / "ir.csv", tmp_path / "ir.png"
    words = ["spectrum", "ir", *streams, "--out", str(table), "--plot", str(picture)]
    assert main([*words, "--resolution", "15", "--experiment", "water"]) == 0
    printed = capsys.readouterr().out
    assert "20 ps in 2 runs" in printed
    assert "1643 ± 5" in printed
    assert f"table: {table}" in printed
    numbers = np.loadtxt(table, delimiter=",")
    assert numbers.shape[1] == 1 + 2 * 4
    line = absorption(numbers[:, 0], STRENGTH, 1643.0, 80.0, VOLUME)
    inside = np.abs(numbers[:, 0] - 1643.0) < 150
    assert numbers[inside, 1].sum() == pytest.approx(line[inside].sum(), rel=0.15)
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert f"stream: {streams[1]}" in table.read_text()


def test_options(streams: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = tmp_path / "ir.csv"
    words = ["spectrum", "ir", *streams, "--out", str(table), "--range", "1000", "2000"]
    words += ["--temperature", "150", "--volume", "1000", "--skip", "2", "--estimator", "bead"]
    assert main(words) == 0
    text, numbers = table.read_text(), np.loadtxt(table, delimiter=",")
    assert "temperature: 150 K" in text
    assert "volume: 1000 A^3" in text
    assert "length: 16 ps" in text
    assert numbers[:, 0].min() >= 1000
    assert numbers[:, 0].max() <= 2000
    assert "ratio" in capsys.readouterr().out


def test_method_window_and_follow(
    streams: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Following runs that have ended gives one line and the same spectrum."""
    tables = [tmp_path / "a.csv", tmp_path / "b.csv"]
    words = ["--method", "blackman-tukey", "--window", "blackman-harris", "--biased"]
    assert main(["spectrum", "ir", *streams, *words, "--out", str(tables[0])]) == 0
    assert "Blackman-Tukey, Blackman-Harris window, biased, lags up to" in capsys.readouterr().out
    words += ["--follow", "0.1", "--mix-conditions"]
    assert main(["spectrum", "ir", *streams, *words, "--out", str(tables[1])]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "relative standard error at 0-4000 cm⁻¹ while the run continues"
    assert lines[1].split()[:2] == ["length", "(ps)"]
    assert lines[2].split()[0] == "20"
    assert 1 < float(lines[2].split()[2]) < 50
    assert "± " in lines[2]
    np.testing.assert_array_equal(*(np.loadtxt(table, delimiter=",") for table in tables))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nowhere.stream"], "nowhere.stream: stream: found no such file or directory"),
        (["RUN", "--resolution", "1"], "expected at least"),
        (["RUN", "--temperature", "-5"], "temperature: found -5"),
        (["RUN", "--range", "0", "1e5"], "Nyquist"),
        (["RUN", "--estimator", "x"], "estimator: found x"),
        (["RUN", "--method", "x"], "method: found x, expected one of welch, blackman-tukey"),
        (["RUN", "--window", "x"], "window: found x, expected one of hann"),
        (["RUN", "--follow", "-3"], "--follow: seconds: found -3.0"),
        (["RUN", "--out", "/nowhere/ir.csv"], "/nowhere/ir.csv: output: found No such file"),
        (["RUN", "--plot", "/nowhere/ir.png"], "/nowhere/ir.png: output: found No such file"),
        (["RUN", "--plot", "ir.txt"], "ir.txt: suffix"),
    ],
)
def test_bad_input_is_one_line_and_code_2(
    streams: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    arguments = [streams[0] if word == "RUN" else word for word in words]
    if "--range" in arguments:
        arguments += ["--out", "ir.csv"]
    assert main(["spectrum", "ir", *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.startswith("aptnn-md spectrum: ")
    assert error.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_help_and_missing_kind(capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["spectrum", "--help"], ["spectrum", "ir", "--help"]):
        with pytest.raises(SystemExit) as ended:
            main(words)
        assert ended.value.code == 0
    assert "--resolution" in capsys.readouterr().out
    with pytest.raises(SystemExit) as ended:
        main(["spectrum"])
    assert ended.value.code == 2
