"""Directories of runs: which streams they stand for."""

from __future__ import annotations

import numpy as np
import pytest

from aptnn_md.cli.info import describe, verify
from aptnn_md.errors import InputError
from aptnn_md.locks import DirectoryLock
from aptnn_md.spectra import spectrum_of_streams
from aptnn_md.spectra.convergence.monitor import Monitor, history
from aptnn_md.spectra.infrared.of_streams import InfraredStreams
from aptnn_md.spectra.options import InfraredOptions
from aptnn_md.stream import StreamHeader, StreamReader, StreamWriter
from aptnn_md.stream.ensemble import (
    Ensemble,
    being_written,
    complete_runs,
    is_ensemble,
    run_path,
    stream_paths,
)

N_FRAMES = 200
OPTIONS = InfraredOptions(resolution=400.0, volume=1e4)


def write_run(directory, number, n_frames=N_FRAMES, **header):
    rng = np.random.default_rng(number)
    known = {"timestep": 1.0, "temperature": 300.0} | header
    with StreamWriter(run_path(directory, number), StreamHeader(**known)) as writer:
        for step in range(n_frames):
            arrays = {"f_sum": np.ones(1), "temperature": np.asarray(300.0 + rng.normal())}
            rate = rng.normal(size=(1, 3))
            writer.append(step, float(step), {"bead": rate}, **arrays)


@pytest.fixture
def runs(tmp_path):
    directory = tmp_path / "runs"
    directory.mkdir()
    Ensemble(n_runs=5, n_frames=N_FRAMES).write(directory)
    for number in (1, 2):
        write_run(directory, number)
    return directory


def test_it_stands_for_its_complete_runs(runs, tmp_path):
    assert is_ensemble(runs)
    assert not is_ensemble(run_path(runs, 1))
    both = [run_path(runs, 1), run_path(runs, 2)]
    assert complete_runs(runs) == both
    write_run(runs, 3, n_frames=50)
    other = tmp_path / "other.zarr"
    assert stream_paths([other, runs]) == [other, *both]
    write_run(tmp_path, 7)
    found = spectrum_of_streams([runs, run_path(tmp_path, 7)], options=OPTIONS)
    expected = spectrum_of_streams([*both, run_path(tmp_path, 7)], options=OPTIONS)
    np.testing.assert_array_equal(found.blocks.mean, expected.blocks.mean)
    assert found.sources == (*map(str, both), str(run_path(tmp_path, 7)))


def test_the_first_run_stands_alone_while_there_is_no_other(tmp_path):
    Ensemble(n_runs=2, n_frames=N_FRAMES).write(tmp_path)
    with pytest.raises(InputError, match="runs: found none yet, expected one or more that have"):
        stream_paths([tmp_path])
    write_run(tmp_path, 1, n_frames=20)
    assert stream_paths([tmp_path]) == [run_path(tmp_path, 1)]
    assert complete_runs(tmp_path) == []


def test_spectra_take_up_runs_as_they_come(runs):
    streams = InfraredStreams([runs], OPTIONS)
    streams.read()
    write_run(runs, 3)
    write_run(runs, 4, n_frames=30)
    assert streams.read() == N_FRAMES
    expected = spectrum_of_streams([run_path(runs, n) for n in (1, 2, 3)], options=OPTIONS)
    np.testing.assert_array_equal(streams.spectrum().blocks.mean, expected.blocks.mean)
    assert streams.read() == 0


def test_it_grows_while_its_directory_is_locked(runs):
    streams = InfraredStreams([runs], OPTIONS)
    assert not streams.growing
    with DirectoryLock(runs):
        assert being_written(runs)
        assert streams.growing
    assert not being_written(run_path(runs, 1))


def test_monitor_and_history_of_it(runs, tmp_path):
    assert Monitor(tmp_path / "none", 0.1, (0.0, 2000.0), OPTIONS).look() is None
    monitor = Monitor(runs, 0.1, (0.0, 2000.0), OPTIONS)
    first = monitor.look()
    write_run(runs, 3)
    second = monitor.look()
    assert (first.length, second.length) == (2 * N_FRAMES, 3 * N_FRAMES)
    assert second.n_blocks > first.n_blocks
    assert history([runs], OPTIONS, (0.0, 2000.0))[-1].length == 3 * N_FRAMES


def test_what_is_wrong_with_it_is_said(runs):
    with pytest.raises(
        InputError, match=r"a directory of many runs, expected one of them, such as"
    ):
        StreamReader(runs)
    document = runs / "ensemble.json"
    text = document.read_text()
    for old, new, message in (
        ('"n_runs": 5', '"n_runs": 6', "wrong checksum"),
        ('"version": 1', '"version": 2', "format version: found 2, expected 1"),
        ("aptnn_md.ensemble", "other", "format: found 'other'"),
        ("{", "", "damaged JSON"),
    ):
        document.write_text(text.replace(old, new, 1))
        with pytest.raises(InputError, match=message):
            stream_paths([runs])
    document.write_text(text)
    run_path(runs, 1).rename(runs / "gone")
    with pytest.raises(InputError, match=r"run-001.zarr: found nothing"):
        complete_runs(runs)


def test_rotation_must_be_the_same(runs):
    write_run(runs, 3, rotation="kept")  # of the others it is not known
    spectrum_of_streams([runs], options=OPTIONS)
    write_run(runs, 4, rotation="removed")
    with pytest.raises(InputError, match=r"rotation: found removed, expected kept, as in"):
        spectrum_of_streams([run_path(runs, 3), run_path(runs, 4)], options=OPTIONS)
    with pytest.raises(InputError, match="rotation: found 'gone', expected kept, removed or"):
        StreamHeader(timestep=1.0, rotation="gone")


@pytest.mark.parametrize(
    ("rotation", "words"), [("kept", "rotational envelopes"), ("removed", "at their origins")]
)
def test_notes_tell_what_became_of_the_rotation(tmp_path, rotation, words):
    for number in (1, 2):
        write_run(tmp_path, number, rotation=rotation)
    paths = [run_path(tmp_path, number) for number in (1, 2)]
    notes = spectrum_of_streams(paths, options=OPTIONS).notes
    assert sum(words in note for note in notes) == 1


def test_info(runs):
    write_run(runs, 3, n_frames=30)
    facts = describe(str(runs))
    assert facts["runs"] == "2 complete, 5 planned"
    assert facts["picoseconds"] == "0.398 in runs of 0.199"
    assert facts["temperature"] == 300.0
    assert "run_id" not in facts
    assert set(verify(str(runs))) == {"kind", "path", "run-001.zarr", "run-002.zarr"}
