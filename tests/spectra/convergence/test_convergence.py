"""How far a spectrum has converged: after a run, while it grows, and when it may stop."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from helpers.growing_streams import HEADER, RATES, append
from helpers.paths import TESTS

from aptnn_md.cli import main
from aptnn_md.errors import InputError
from aptnn_md.spectra import infrared_spectrum, spectrum_of_streams
from aptnn_md.spectra.convergence.monitor import Monitor, follow, history, relative_error
from aptnn_md.spectra.infrared.of_streams import InfraredStreams
from aptnn_md.spectra.options import InfraredOptions
from aptnn_md.stream import StreamReader, StreamWriter

OPTIONS = InfraredOptions(resolution=60.0)


def whole(tmp_path: Path, n_frames: int) -> Path:
    path = tmp_path / f"whole{n_frames}"
    with StreamWriter(path, HEADER) as writer:
        append(writer, 0, n_frames)
    return path


def test_relative_error_is_that_of_the_curve() -> None:
    """White noise: each value has the same relative error, which is known."""
    spectrum = infrared_spectrum([RATES.sum(axis=1)], 2.0, 300.0, 1000.0, 60.0)
    found = relative_error(spectrum.blocks, (500.0, 7500.0))
    n_independent = 3 * 40_000 / spectrum.blocks.plan.length * 1.89  # Hann, half overlap
    assert found == pytest.approx(n_independent**-0.5, rel=0.08)
    error = np.mean(spectrum.standard_error[100:-100]) / np.mean(spectrum.absorption[100:-100])
    assert found == pytest.approx(error, rel=0.02)
    for bad in [(5.0, 5.0), (-1.0, 5.0), (9000.0, 1e4)]:
        with pytest.raises(InputError, match=r"convergence: .*range: found"):
            relative_error(spectrum.blocks, bad)


@pytest.mark.thorough
def test_monitor_reads_each_frame_once_and_stops(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "run"
    monitor = Monitor(path, 0.1, (0.0, 8000.0), OPTIONS)
    assert monitor.converged() == (False, "too short for a spectrum yet")
    read: list[tuple[int, int | None]] = []
    original = StreamReader.read

    def spy(self, name, start=0, stop=None):  # type: ignore[no-untyped-def]
        if name.startswith("dipole"):
            read.append((start, stop))
        return original(self, name, start, stop)

    monkeypatch.setattr(StreamReader, "read", spy)
    errors: list[float] = []
    texts: list[str] = []
    stopped = None
    with StreamWriter(path, HEADER) as writer:
        for start in range(0, 12_000, 500):
            append(writer, start, start + 500)
            done, text = monitor.converged()
            texts.append(text)
            if (found := monitor.look()) is not None:
                errors.append(found.relative_error)
            if done:
                stopped = start + 500
                break
    assert read == [(start, start + 500) for start in range(0, stopped or 0, 500)]
    assert stopped is not None
    assert "of at least 8 blocks" in texts[1]
    assert "10 % expected after" in texts[-2]
    assert texts[-1].endswith("below 10 %: converged")
    # the error of the same frames at once, and as it must be
    spectrum = infrared_spectrum([RATES[:stopped].sum(axis=1)], 2.0, 300.0, 1000.0, 60.0)
    assert errors[-1] == pytest.approx(relative_error(spectrum.blocks, (0.0, 8000.0)), rel=1e-9)
    n_independent = 3 * stopped / spectrum.blocks.plan.length * 1.89
    assert n_independent**-0.5 == pytest.approx(0.1, rel=0.3)
    assert errors[0] > 1.5 * errors[-1]


def test_monitor_of_a_run_that_was_set_back(tmp_path: Path) -> None:
    path = tmp_path / "run"
    monitor = Monitor(path, 0.01, options=OPTIONS)
    with StreamWriter(path, HEADER) as writer:
        append(writer, 0, 5000)
    assert monitor.look() is not None
    with StreamWriter(path, HEADER, first_step=3000) as writer:
        found = monitor.look()
        assert found is not None
        assert found.length == 6000.0
        append(writer, 3000, 3200)
        again = monitor.look()
    assert again is not None
    assert again.length == 6400.0
    fresh = Monitor(path, 0.01, options=OPTIONS).look()
    assert again == fresh


def test_monitor_of_a_run_that_was_set_back_and_went_on_unseen(tmp_path: Path) -> None:
    """The new frames reach further than the old ones did, some of which they replaced."""
    path = tmp_path / "run"
    monitor = Monitor(path, 0.01, options=OPTIONS)
    with StreamWriter(path, HEADER) as writer:
        append(writer, 0, 4000)
    assert monitor.look() is not None
    with StreamWriter(path, HEADER, first_step=3000) as writer:
        for k in range(3000, 5000):
            writer.append(k, 2.0 * k, {"bead": 5.0 * RATES[k]})
    found = monitor.look()
    assert found == Monitor(path, 0.01, options=OPTIONS).look()


def test_bad_tolerance_and_range(tmp_path: Path) -> None:
    for tolerance in (0.0, -1.0, np.nan):
        with pytest.raises(InputError, match="convergence: tolerance: found"):
            Monitor(tmp_path / "run", tolerance)
    with pytest.raises(InputError, match="convergence: range: found 5 to 2"):
        Monitor(tmp_path / "run", 0.1, (5.0, 2.0))
    with pytest.raises(InputError, match="begin of the range: found 9000 cm⁻¹, expected less than"):
        Monitor(whole(tmp_path, 10), 0.1, (9000.0, 9500.0)).look()
    with pytest.raises(InputError, match="resolution"):
        Monitor(whole(tmp_path, 2000), 0.1, options=InfraredOptions(resolution=1e6)).look()


def test_history_falls_like_the_root_of_the_length(tmp_path: Path) -> None:
    path = whole(tmp_path, 20_000)
    found = history([path], OPTIONS, n_points=12)
    lengths = np.array([point.length for point in found])
    errors = np.array([point.relative_error for point in found])
    assert lengths[-1] == 40_000.0
    slope = np.polyfit(np.log(lengths[3:]), np.log(errors[3:]), 1)[0]
    assert slope == pytest.approx(-0.5, abs=0.12)
    spectrum = spectrum_of_streams([path], options=replace(OPTIONS, parts=False), resolution=60.0)
    assert errors[-1] == pytest.approx(relative_error(spectrum.blocks), rel=1e-12)


@pytest.mark.thorough
def test_growing_streams_give_what_whole_ones_give(tmp_path: Path) -> None:
    """Two runs that grow in turns; parts, errors and all."""
    paths = [tmp_path / "a", tmp_path / "b"]
    options = replace(OPTIONS, skip=0.3)
    with StreamWriter(paths[0], HEADER) as one, StreamWriter(paths[1], HEADER) as two:
        streams = InfraredStreams(paths, options)
        for start in range(0, 4000, 313):
            append(one, start, start + 313)
            append(two, start, start + 313 if start < 2000 else start)
            streams.read()
    grown, at_once = streams.spectrum(), spectrum_of_streams(paths, 60.0, options)
    np.testing.assert_allclose(grown.absorption, at_once.absorption, rtol=1e-9)
    assert list(grown.parts) == list(at_once.parts)
    assert grown.run_lengths == at_once.run_lengths


def test_follow_ends_with_the_run(tmp_path: Path) -> None:
    """A writer in another process, which is waited for."""
    path = tmp_path / "run"
    script = f"""
import sys, time
sys.path.insert(0, {str(TESTS)!r})
from helpers.growing_streams import HEADER, append
from aptnn_md.stream import StreamWriter
with StreamWriter({str(path)!r}, HEADER) as writer:
    append(writer, 0, 10)
    print("ready", flush=True)
    for start in range(10, 3010, 500):
        append(writer, start, start + 500)
        time.sleep(0.1)
"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, env=environment
    ) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "ready\n"
        lengths = [found.length for _, found in follow([path], OPTIONS, every=0.05)]
        assert writer.wait() == 0
    assert lengths[-1] == 2.0 * 3010
    assert len(lengths) > 1
    assert lengths == sorted(set(lengths))
    assert [found.length for _, found in follow([path], OPTIONS)] == [6020.0]


def test_ctrl_c_ends_following_and_writes_what_there_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(_seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("aptnn_md.spectra.convergence.monitor.time.sleep", interrupt)
    path, table = tmp_path / "run", tmp_path / "ir.csv"
    words = ["spectrum", "ir", str(path), "--follow", "--resolution", "60", "--out", str(table)]
    with StreamWriter(path, HEADER) as writer:
        append(writer, 0, 50)
        assert StreamReader(path).being_written
        assert main(words) == 130  # nothing to show yet
        assert not table.exists()
        append(writer, 50, 3000)
        assert main(words) == 0
    assert not StreamReader(path).being_written
    assert table.exists()
    printed = capsys.readouterr().out
    assert "infrared spectrum: 6 ps" in printed


def test_follow_of_a_run_that_ended_too_early(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="length: found 100 frames"):
        list(follow([whole(tmp_path, 100)], OPTIONS))
