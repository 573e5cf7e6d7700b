"""The stream file: format, checks, restart, growth, disk full."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from helpers.version_1 import as_version_1

from aptnn_md.errors import InputError, RunError
from aptnn_md.stream import StreamHeader, StreamReader, StreamWriter
from aptnn_md.stream import writer as writer_module
from aptnn_md.stream.directory import StreamDirectory

HEADER = StreamHeader(
    timestep=0.5,
    stride=4,
    estimators=("bead", "centroid-apt"),
    groups=("O", "H"),
    formula="H2O",
    temperature=300.0,
    volume=1000.0,
    model="water-apt",
    model_sha256="ab" * 32,
    provenance="a test",
)
RATES = np.random.default_rng(7).normal(size=(3000, 2, 2, 3))


def append(writer: StreamWriter, frames: range, **optional: object) -> None:
    for k in frames:
        rates = {"bead": RATES[k, 0], "centroid-apt": RATES[k, 1]}
        writer.append(4 * k, 2.0 * k, rates, f_sum=[1.0 + k, 2.0], **optional)  # type: ignore[arg-type]


def written(path: Path, n_frames: int = 100, header: StreamHeader = HEADER) -> Path:
    with StreamWriter(path, header, 0) as writer:
        append(writer, range(n_frames))
    return path


def check(path: Path, n_frames: int) -> None:
    reader = StreamReader(path)
    assert reader.n_frames == n_frames
    np.testing.assert_array_equal(reader.step, 4 * np.arange(n_frames))
    np.testing.assert_array_equal(reader.time, 2.0 * np.arange(n_frames))
    for index, estimator in enumerate(HEADER.estimators):
        np.testing.assert_array_equal(reader.dipole_rate(estimator), RATES[:n_frames, index])


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "run.stream"
    with StreamWriter(path, HEADER) as writer:
        assert (writer.n_committed, writer.last_step) == (0, None)
        append(writer, range(3000), temperature=310.0, volume=990.0)
        assert writer.last_step == 4 * 2999
    check(path, 3000)
    reader = StreamReader(path)
    assert reader.header == HEADER
    assert reader.spacing == 2.0
    np.testing.assert_array_equal(reader.dipole_rate(), RATES[:, 0])
    np.testing.assert_array_equal(np.concatenate(list(reader.blocks(700))), RATES[:, 0])
    assert [len(block) for block in reader.blocks(700)] == [700] * 4 + [200]
    assert reader.temperature == 300.0  # the thermostat's
    assert reader.volume == 990.0  # the frames'
    assert reader.f_sum is not None
    np.testing.assert_allclose(reader.f_sum, [1.0 + 2999 / 2, 2.0])
    assert reader.read("extrapolation") is None


def test_empty_stream(tmp_path: Path) -> None:
    StreamWriter(tmp_path / "s", HEADER).close()
    reader = StreamReader(tmp_path / "s")
    assert reader.n_frames == 0
    assert reader.dipole_rate().shape == (0, 2, 3)
    assert reader.step.shape == reader.time.shape == (0,)
    assert reader.f_sum is None
    assert list(reader.blocks(10)) == []


def test_format_is_plain_zarr(tmp_path: Path) -> None:
    """Another program finds names, dimensions, chunks with checksums and the attributes."""
    group = zarr.open_group(written(tmp_path / "s"), mode="r")
    attributes = dict(group.attrs)
    assert attributes["format"] == "aptnn_md.stream"
    assert attributes["version"] == 2
    assert attributes["timestep"] == 0.5
    rate = group["dipole_rate/bead"]
    assert isinstance(rate, zarr.Array)
    assert rate.metadata.dimension_names == ("frame", "group", "axis")  # type: ignore[union-attr]
    assert group["f_sum"].metadata.dimension_names == ("frame", "group")  # type: ignore[union-attr]
    assert group["step"].dtype == np.int64  # type: ignore[union-attr]
    metadata = json.loads((tmp_path / "s/dipole_rate/bead/zarr.json").read_text())
    assert [codec["name"] for codec in metadata["codecs"]] == ["bytes", "crc32c"]
    assert metadata["zarr_format"] == 3


def test_attributes_begin_as_in_version_1(tmp_path: Path) -> None:
    """To the byte, their order included, whatever they are made from."""
    StreamWriter(tmp_path / "s", HEADER).close()
    attributes = json.loads((tmp_path / "s" / "zarr.json").read_text())["attributes"]
    assert list(attributes)[:5] == ["format", "version", "package_version", "units", "index_order"]
    assert list(attributes["units"].items()) == [
        ("step", "1"),
        ("time", "fs"),
        ("conserved_energy", "eV"),
        ("coordinate_temperature", "K"),
        ("dipole_rate", "e Å/fs"),
        ("dipole_rate_beads", "e Å/fs"),
        ("dipole_rate_std", "e Å/fs"),
        ("extrapolation", "e"),
        ("f_sum", "e²/amu"),
        ("motion_temperature", "K"),
        ("polarizability_rate", "Å³/fs"),
        ("polarizability_rate_std", "Å³/fs"),
        ("spread_ratio", "1"),
        ("temperature", "K"),
        ("velocity", "Å/fs"),
        ("volume", "Å³"),
    ]
    assert attributes["index_order"] == (
        "dipole_rate/<estimator>[frame, group, axis]; polarizability_rate/<estimator>"
        "[frame, group, component], components xx, yy, zz, yz, xz, xy"
    )


def test_calibration_of_the_model_is_kept(tmp_path: Path) -> None:
    StreamWriter(tmp_path / "s", replace(HEADER, spread_factors={"apt": 2.5, "pgt": 1.25})).close()
    assert StreamReader(tmp_path / "s").header.spread_factors == {"apt": 2.5, "pgt": 1.25}
    StreamWriter(tmp_path / "t", HEADER).close()
    assert StreamReader(tmp_path / "t").header.spread_factors == {}


@pytest.mark.parametrize("wrong", [3.0, ["apt"], {"apt": "2"}, {"apt": None}])
def test_damaged_calibration_is_refused(tmp_path: Path, wrong: Any) -> None:
    StreamWriter(tmp_path / "s", HEADER).close()
    file = tmp_path / "s" / "zarr.json"
    text = json.loads(file.read_text())
    text["attributes"]["spread_factors"] = wrong
    file.write_text(json.dumps(text))
    with pytest.raises(InputError):
        StreamReader(tmp_path / "s")


def test_reader_follows_a_growing_stream(tmp_path: Path) -> None:
    writer = StreamWriter(tmp_path / "s", HEADER, commit_frames=10, commit_seconds=1e9)
    reader = StreamReader(tmp_path / "s")
    append(writer, range(25))
    assert reader.n_frames == 0
    reader.refresh()
    assert reader.n_frames == writer.n_committed == 20
    writer.commit()
    reader.refresh()
    np.testing.assert_array_equal(reader.dipole_rate(), RATES[:25, 0])
    writer.close()


def test_commit_by_time(tmp_path: Path) -> None:
    with StreamWriter(tmp_path / "s", HEADER, commit_seconds=0.0) as writer:
        append(writer, range(3))
        assert writer.n_committed == 3


@pytest.mark.parametrize(("seconds", "spacing"), [(0.02, 5.0), (0.2, 20.0), (5.0, 60.0)])
def test_commits_take_little_of_a_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seconds: float, spacing: float
) -> None:
    """By default: with a clock that only frames (a second each) and the disk move on."""
    now, begun = 0.0, []
    extend = StreamDirectory.extend

    def slow(directory: StreamDirectory, arrays: Any) -> None:
        nonlocal now
        begun.append(now)
        extend(directory, arrays)
        now += seconds

    monkeypatch.setattr(StreamDirectory, "extend", slow)
    monkeypatch.setattr(writer_module.clock, "monotonic", lambda: now)
    with StreamWriter(tmp_path / "s", HEADER, durable=False) as writer:
        for k in range(200):
            append(writer, range(k, k + 1))
            now += 1.0
    assert begun[0] == 5.0
    np.testing.assert_allclose(np.diff(begun[:-1]) - seconds, spacing, atol=1.0 - 1e-9)


def test_commit_of_what_fills_the_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer_module, "COMMIT_BYTES", 10_000)
    with StreamWriter(tmp_path / "s", HEADER, commit_seconds=1e9) as writer:
        append(writer, range(20))
        frame = sum(array.nbytes + 128 for array in writer._buffer[0].values())
        at_once = -(-10_000 // frame)
        assert 1 < at_once < 20
        assert writer.n_committed == 20 - 20 % at_once


def test_arrays_of_the_caller_may_change_after_append(tmp_path: Path) -> None:
    rate = np.ones((1, 3))
    with StreamWriter(tmp_path / "s", StreamHeader(timestep=1.0)) as writer:
        writer.append(0, 0.0, {"bead": rate})
        rate[:] = 5.0
    np.testing.assert_array_equal(StreamReader(tmp_path / "s").dipole_rate(), 1.0)


@pytest.mark.parametrize("kept", [0, 1, 60, 100])
def test_restart_drops_what_comes_again(tmp_path: Path, kept: int) -> None:
    path = written(tmp_path / "s")
    with StreamWriter(path, HEADER, 4 * kept) as writer:
        assert writer.n_committed == kept
        assert writer.last_step == (4 * (kept - 1) if kept else None)
        append(writer, range(kept, kept + 70))
    check(path, kept + 70)
    restarts = zarr.open_group(path, mode="r").attrs["restarts"]
    assert restarts == [
        {"first_step": 4 * kept, "package_version": "0.1.0", "provenance": "a test"}
    ]


@pytest.mark.thorough
def test_restart_over_chunk_borders(tmp_path: Path) -> None:
    """Old frames in chunks that were cut or dropped never come back."""
    header = StreamHeader(timestep=1.0, groups=tuple(f"molecule {i}" for i in range(400)))
    path = tmp_path / "s"
    for first, last, value in [(0, 60, 1.0), (13, 20, 2.0), (18, 90, 3.0)]:
        with StreamWriter(path, header, first, commit_frames=7) as writer:
            for step in range(first, last):
                writer.append(step, step, {"bead": np.full((400, 3), value)})
    reader = StreamReader(path)
    assert zarr.open_group(path, mode="r")["dipole_rate/bead"].chunks[0] < 18  # type: ignore[union-attr]
    expected = np.repeat([1.0, 2.0, 3.0], [13, 5, 72])
    np.testing.assert_array_equal(reader.dipole_rate()[:, 399, 2], expected)
    np.testing.assert_array_equal(reader.step, np.arange(90))


@pytest.mark.parametrize(
    ("first_step", "words"),
    [
        (None, "a step to resume from"),
        (404, "would be missing"),
        (202, "would be missing"),
        (-4, "where this run begins"),
    ],
)
def test_restart_with_a_gap_is_refused(tmp_path: Path, first_step: int | None, words: str) -> None:
    path = written(tmp_path / "s")
    with pytest.raises(InputError, match=words):
        StreamWriter(path, HEADER, first_step)
    check(path, 100)


def test_restart_of_a_stream_whose_first_frames_were_never_committed(tmp_path: Path) -> None:
    StreamWriter(tmp_path / "s", HEADER, 0).close()
    with pytest.raises(InputError, match="frames: found none, expected those from step 0 to 96"):
        StreamWriter(tmp_path / "s", HEADER, 100)
    written(tmp_path / "s")
    check(tmp_path / "s", 100)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("timestep", 0.25),
        ("stride", 2),
        ("rate", "difference"),
        ("estimators", ("bead",)),
        ("groups", ("H", "O")),
        ("n_beads", 8),
        ("formula", "H2S"),
        ("system", "cd" * 32),
        ("temperature", 310.0),
        ("volume", 1100.0),
        ("model_sha256", "cd" * 32),
    ],
)
def test_restart_of_another_run_is_refused(tmp_path: Path, field: str, value: object) -> None:
    path = written(tmp_path / "s")
    other = StreamHeader(**(HEADER.__dict__ | {field: value}))  # type: ignore[arg-type]
    with pytest.raises(InputError, match=rf"^[^\n]*s: {field}: found [^\n]+, expected [^\n]+$"):
        StreamWriter(path, other, 400)
    check(path, 100)


def test_restart_with_renamed_model_and_unknown_temperature(tmp_path: Path) -> None:
    path = written(tmp_path / "s")
    changes = {"model": "copy.pt", "temperature": None, "provenance": "another command"}
    other = StreamHeader(**(HEADER.__dict__ | changes))  # type: ignore[arg-type]
    StreamWriter(path, other, 400).close()
    without_digest = StreamHeader(**(HEADER.__dict__ | {"model": "b", "model_sha256": ""}))
    with pytest.raises(InputError, match="model: found 'water-apt', expected 'b'"):
        StreamWriter(path, without_digest, 400)


def test_streams_of_increments_say_so(tmp_path: Path) -> None:
    increments = StreamHeader(**(HEADER.__dict__ | {"rate": "difference"}))
    assert StreamReader(written(tmp_path / "new", 3, increments)).header.rate == "difference"
    # streams from before there was this field
    path = as_version_1(written(tmp_path / "old", 3))
    content = json.loads((path / "zarr.json").read_text())
    del content["attributes"]["rate"]
    (path / "zarr.json").write_text(json.dumps(content))
    assert StreamReader(path).header.rate == "instantaneous"


def test_header_for_atoms_knows_the_system() -> None:
    from ase import Atoms

    atoms = Atoms("H2OLi", positions=np.eye(4)[:, :3] * 3, cell=[10, 11, 12], pbc=True)
    header = StreamHeader.for_atoms(atoms, timestep=0.5)
    assert header.volume == pytest.approx(1320.0)
    assert (header.formula, header.n_atoms) == ("H2LiO", 4)
    assert header.masses["H"] == (pytest.approx(1.008),)
    reordered = StreamHeader.for_atoms(atoms[[2, 0, 1, 3]], timestep=0.5)
    with pytest.raises(InputError, match="system: found other atoms"):
        header.check_same_run("here", reordered)
    atoms.set_masses([2.014, 2.014, 15.999, 6.94])
    with pytest.raises(InputError, match="system: found other atoms"):
        header.check_same_run("here", StreamHeader.for_atoms(atoms, timestep=0.5))
    atoms.pbc = (True, True, False)
    assert StreamHeader.for_atoms(atoms, timestep=0.5).volume is None
    assert StreamHeader.for_atoms(atoms, timestep=0.5, volume=7.0).volume == 7.0


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("timestep", -1.0),
        ("timestep", float("nan")),
        ("temperature", 0.0),
        ("volume", float("inf")),
        ("stride", 0),
        ("stride", 1.5),
        ("rate", "mean"),
        ("groups", ()),
        ("groups", ("a", "a")),
        ("estimators", ("a/b",)),
    ],
)
def test_bad_header(field: str, value: object) -> None:
    with pytest.raises(InputError, match=rf"stream header: {field}: found"):
        StreamHeader(**({"timestep": 1.0} | {field: value}))  # type: ignore[arg-type]


def test_bad_frames(tmp_path: Path) -> None:
    writer = StreamWriter(tmp_path / "s", HEADER, 0)
    good = {"bead": np.zeros((2, 3)), "centroid-apt": np.zeros((2, 3))}
    with pytest.raises(RunError, match="found step 4, expected 0"):
        writer.append(4, 0.0, good)
    writer.append(0, 0.0, good, temperature=300.0)
    with pytest.raises(RunError, match="found step 5, expected 4"):
        writer.append(5, 2.0, good, temperature=300.0)
    with pytest.raises(RunError, match="found step 0, expected 4"):
        writer.append(0, 2.0, good, temperature=300.0)
    with pytest.raises(RunError, match=r"step 4: found time 2.5 fs, expected 2.0 fs"):
        writer.append(4, 2.5, good, temperature=300.0)
    with pytest.raises(RunError, match="found time nan"):
        writer.append(4, float("nan"), good, temperature=300.0)
    with pytest.raises(InputError, match=r"step 4: arrays: found .*, expected .*temperature"):
        writer.append(4, 2.0, good)
    with pytest.raises(InputError, match="step 4: arrays"):
        writer.append(4, 2.0, {"bead": good["bead"]}, temperature=300.0)
    with pytest.raises(InputError, match=r"bead: found shape \(3,\), expected shape \(2, 3\)"):
        writer.append(4, 2.0, good | {"bead": np.zeros(3)}, temperature=300.0)
    bad = np.zeros((2, 3))
    bad[1, 2] = np.nan
    with pytest.raises(RunError, match=r"step 4: dipole_rate/bead: found nan at \(1, 2\)"):
        writer.append(4, 2.0, good | {"bead": bad}, temperature=300.0)
    with pytest.raises(TypeError):
        writer.append(4.5, 2.0, good, temperature=300.0)  # type: ignore[arg-type]
    writer.append(4, 2.0, good, temperature=300.0)
    writer.close()
    writer.close()
    with pytest.raises(RunError, match="closed"):
        writer.append(8, 4.0, good, temperature=300.0)
    assert StreamReader(tmp_path / "s").n_frames == 2


def test_second_writer_is_refused_and_the_first_goes_on(tmp_path: Path) -> None:
    with StreamWriter(tmp_path / "s", HEADER, 0) as writer:
        append(writer, range(5))
        with pytest.raises(InputError, match="found another writer at work"):
            StreamWriter(tmp_path / "s", HEADER, 0)
        append(writer, range(5, 10))
    check(tmp_path / "s", 10)


def test_a_forgotten_writer_is_closed_at_exit(tmp_path: Path) -> None:
    script = (
        "from aptnn_md.stream import *\n"
        f"writer = StreamWriter({str(tmp_path / 's')!r}, StreamHeader(timestep=1.0))\n"
        "for step in range(9): writer.append(step, step, {'bead': [[step, 0, 0]]})\n"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    np.testing.assert_array_equal(
        StreamReader(tmp_path / "s").dipole_rate()[:, 0, 0], np.arange(9.0)
    )


def test_a_forked_child_does_not_write(tmp_path: Path) -> None:
    writer = StreamWriter(tmp_path / "s", HEADER, 0)
    append(writer, range(5))
    child = os.fork()
    if child == 0:
        writer.close()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert StreamReader(tmp_path / "s").n_frames == 0
    append(writer, range(5, 8))
    writer.close()
    check(tmp_path / "s", 8)


def test_an_error_in_the_run_keeps_the_frames(tmp_path: Path) -> None:
    writer = StreamWriter(tmp_path / "s", HEADER, 0)
    append(writer, range(5))
    with pytest.raises(ZeroDivisionError), writer:
        raise ZeroDivisionError
    check(tmp_path / "s", 5)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda path: None, "no such file or directory"),
        (lambda path: path.write_text("text"), "found a file"),
        (lambda path: path.mkdir(), "a directory without zarr.json"),
        (lambda path: zarr.open_array(path, mode="w", shape=(3,), dtype=float), "format"),
        (lambda path: zarr.create_group(path, attributes={"format": "x"}), "format: found 'x'"),
        (lambda path: (path.mkdir(), (path / "zarr.json").write_text("{")), "zarr.json"),
        (lambda path: (path.mkdir(), (path / "zarr.json").write_text("[1]")), "zarr.json"),
    ],
)
def test_reading_what_is_no_stream(tmp_path: Path, make: object, words: str) -> None:
    path = tmp_path / "s"
    make(path)  # type: ignore[operator]
    with pytest.raises(InputError, match=words) as caught:
        StreamReader(path)
    assert "\n" not in str(caught.value)
    if path.exists() and (path.is_file() or any(path.iterdir())):
        with pytest.raises(InputError):
            StreamWriter(path, HEADER, 0)


def _edit(path: Path, **changes: object) -> None:
    document = json.loads((path / "zarr.json").read_text())
    document["attributes"] |= changes
    (path / "zarr.json").write_text(json.dumps(document))


def test_version_of_the_format(tmp_path: Path) -> None:
    path = as_version_1(written(tmp_path / "s"))
    _edit(path, version=3)
    with pytest.raises(InputError, match="format version: found 3, expected at most 2"):
        StreamReader(path)
    with pytest.raises(InputError, match="format version: found 3"):
        StreamWriter(path, HEADER, 400)
    _edit(path, version=1, a_later_addition="ignored")
    check(path, 100)
    _edit(path, timestep="fast")
    with pytest.raises(InputError, match="timestep"):
        StreamReader(path)


def test_unknown_estimator(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="estimator: found centroid, expected"):
        StreamReader(written(tmp_path / "s")).dipole_rate("centroid")


def test_damaged_chunk_is_named(tmp_path: Path) -> None:
    path = written(tmp_path / "s")
    chunk = path / "dipole_rate/bead/c.0.0.0"
    data = bytearray(chunk.read_bytes())
    data[1000] ^= 1
    chunk.write_bytes(data)
    with pytest.raises(InputError, match="dipole_rate/bead: found damaged data"):
        StreamReader(path)


def _resize(path: Path, n_frames: int, *names: str) -> None:
    group = zarr.open_group(path, mode="r+")
    for name in names:
        array = group[name]
        assert isinstance(array, zarr.Array)
        array.resize((n_frames, *array.shape[1:]))


def test_a_partial_copy_is_no_shorter_run(tmp_path: Path) -> None:
    """Shapes newer than chunks."""
    path = as_version_1(written(tmp_path / "s"))
    _resize(path, 9000, "step", "time", "f_sum", "dipole_rate/bead", "dipole_rate/centroid-apt")
    with pytest.raises(InputError, match=r"step: found no chunk c\.1 for frames from 4096 on"):
        StreamReader(path)


def test_tails_that_were_never_filled_are_dropped(tmp_path: Path) -> None:
    """Of version 1, whose shortest array counts."""
    path = as_version_1(written(tmp_path / "s"))
    _resize(path, 150, "step", "time", "f_sum", "dipole_rate/bead")
    _resize(path, 95, "dipole_rate/centroid-apt")
    check(path, 95)
    _resize(path, 150, "dipole_rate/centroid-apt")
    zarr.open_group(path, mode="r+")["dipole_rate/centroid-apt"][95:100] = np.nan  # type: ignore[index]
    check(path, 95)
    with StreamWriter(path, HEADER, 4 * 95) as writer:
        append(writer, range(95, 200))
    check(path, 200)


def test_values_missing_in_the_middle_are_named(tmp_path: Path) -> None:
    path = as_version_1(written(tmp_path / "s"))
    zarr.open_group(path, mode="r+")["dipole_rate/bead"][17] = np.nan  # type: ignore[index]
    with pytest.raises(InputError, match="dipole_rate/bead: found no value in frame 17"):
        StreamReader(path).dipole_rate()


@pytest.mark.parametrize("place", ["/dev/null/s", "/proc/s"])
def test_unwritable_path(place: str) -> None:
    with pytest.raises(InputError, match=r"stream: found .*, expected a directory that can be"):
        StreamWriter(place, HEADER)


@pytest.mark.skipif(os.getuid() == 0, reason="root may write everywhere")
def test_directory_without_permission(tmp_path: Path) -> None:
    path = written(tmp_path / "s")
    path.chmod(0o555)
    with pytest.raises(InputError, match="Permission denied"):
        StreamWriter(path, HEADER, 400)
    path.chmod(0o755)


def test_file_size_limit_is_a_run_error(tmp_path: Path) -> None:
    """Stands for a full disk where no small file system can be mounted."""
    writer = StreamWriter(tmp_path / "s", HEADER, 0, commit_seconds=1e9)
    append(writer, range(100))
    writer.commit()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    append(writer, range(100, 1000))
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, hard))
    try:
        with pytest.raises(
            RunError, match=r"900 frames up to step 3996 .* the 100 before are safe"
        ):
            writer.commit()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    check(tmp_path / "s", 100)
    assert not list((tmp_path / "s").rglob("*.partial"))
    append(writer, range(1000, 1010))  # there is room again
    writer.close()
    check(tmp_path / "s", 1010)


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    if os.getuid() != 0 or shutil.which("mount") is None:
        pytest.skip("only root mounts")
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1000k", "tmpfs", str(place)]
    if subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("this root may not mount")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_full_disk(tiny_disk: Path) -> None:
    path = tiny_disk / "s"
    writer = StreamWriter(path, HEADER, 0, commit_frames=100, commit_seconds=1e9)
    ballast = tiny_disk / "ballast"
    append(writer, range(250))
    with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))
    with pytest.raises(RunError, match="No space left on device"), writer:
        append(writer, range(250, 3000))
    assert writer.n_committed == 200
    check(path, 200)
    assert not list(path.rglob("*.partial"))
    ballast.unlink()
    with StreamWriter(path, HEADER, 4 * 200) as writer:
        append(writer, range(200, 300))
    check(path, 300)
