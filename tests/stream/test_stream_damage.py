"""Damaged, incomplete and mixed streams: each fault is found and named, and none is read."""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import zarr
from helpers.paths import DATA
from helpers.version_1 import as_version_1

from aptnn_md.cli import main
from aptnn_md.errors import InputError, RunError
from aptnn_md.stream import StreamHeader, StreamReader, StreamWriter, check_stream
from aptnn_md.stream.digest import FrameDigest
from aptnn_md.targets import PGT

HEADER = StreamHeader(
    timestep=0.5,
    stride=4,
    estimators=("bead", "centroid-apt"),
    groups=tuple(f"molecule {number}" for number in range(30)),
    formula="H2O",
    temperature=300.0,
    volume=1000.0,
)
N_GROUPS = len(HEADER.groups)
RATES = np.random.default_rng(2).normal(size=(400, 2, N_GROUPS, 3))
# 720 bytes a frame: 64 frames in a chunk of rates
CHUNK = 64


def append(writer: StreamWriter, frames: range) -> None:
    for k in frames:
        rates = {"bead": RATES[k, 0], "centroid-apt": RATES[k, 1]}
        writer.append(4 * k, 2.0 * k, rates, f_sum=np.ones(N_GROUPS), temperature=300.0 + k)


def written(path: Path, n_frames: int = 200) -> Path:
    with StreamWriter(path, HEADER, 0, durable=False) as writer:
        append(writer, range(n_frames))
    return path


def everything(path: Path) -> tuple[object, ...]:
    """All that a reader gives."""
    reader = StreamReader(path)
    data = tuple(reader.read(name).tobytes() for name in reader.arrays)  # type: ignore[union-attr]
    return reader.header, reader.n_frames, reader.n_restarts, reader.arrays, data


def refused(path: Path, words: str) -> None:
    """By the check, by a writer that would continue it, and by a reader at the latest in reading;
    always in one line that names the place."""
    for use in (everything, check_stream):
        with pytest.raises(InputError, match=words) as caught:
            use(path)
        assert str(path) in str(caught.value)
        assert "\n" not in str(caught.value)


def small_stream(path: Path) -> Path:
    """With two restarts, optional arrays, and text in its header."""
    header = StreamHeader(
        timestep=0.5,
        groups=("O", "H"),
        temperature=300.0,
        volume=1e3,
        notes="Å",
        masses={"O": (16,)},
    )
    for first, last in ((0, 5), (3, 6), (6, 9)):
        with StreamWriter(path, header, first, durable=False) as writer:
            for k in range(first, last):
                rates = {"bead": np.full((2, 3), 1.0 + k)}
                writer.append(k, 0.5 * k, rates, f_sum=[1.0, 2.0], temperature=300.0 + k)
    return path


def flip_each_byte(path: Path, places: list[Path], step: int = 1) -> tuple[int, int]:
    """One bit of each byte of files is flipped in turn; how many flips were found, and harmless."""
    intact = everything(path)
    found = harmless = 0
    rng = np.random.default_rng(3)
    for place in places:
        content = place.read_bytes()
        for at in range(int(rng.integers(step)), len(content), step):
            damaged = bytearray(content)
            damaged[at] ^= 1 << int(rng.integers(8))
            place.write_bytes(damaged)
            try:
                same = everything(path) == intact
            except InputError:
                found += 1
            else:
                assert same, f"{place}, byte {at}: {bytes(damaged[at - 20 : at + 20])!r}"
                harmless += 1
        place.write_bytes(content)
    return found, harmless


@pytest.mark.thorough
def test_flipped_bits_in_metadata(tmp_path: Path) -> None:
    path = small_stream(tmp_path / "s")
    found, harmless = flip_each_byte(path, [path / "zarr.json"], 3)
    assert harmless < 0.02 * found  # e and E of a number
    places = [path / name / "zarr.json" for name in ("step", "digest", "dipole_rate/bead")]
    found, harmless = flip_each_byte(path, places, 3)
    assert found > 500
    assert harmless < 0.02 * found


@pytest.mark.slow
def test_every_byte_of_all_metadata(tmp_path: Path) -> None:
    path = small_stream(tmp_path / "s")
    places = [p for p in path.rglob("zarr.json") if p.parent.name != "dipole_rate"]
    found, harmless = flip_each_byte(path, places)
    print(f"{found} flips found, {harmless} without consequence")
    assert found > 5000
    assert harmless < 0.02 * found


def test_metadata_of_groups_are_checked(tmp_path: Path) -> None:
    """They hold nothing that is read, but the check reads all."""
    path = small_stream(tmp_path / "s")
    place = path / "dipole_rate" / "zarr.json"
    content = place.read_bytes()
    intact = everything(path)
    for at in range(len(content)):
        damaged = bytearray(content)
        damaged[at] ^= 1 << (at % 5)
        place.write_bytes(damaged)
        assert everything(path) == intact
        if damaged.split() != content.split():
            with pytest.raises(InputError, match=r"dipole_rate/zarr\.json"):
                check_stream(path)


@pytest.mark.thorough
def test_flipped_bits_in_metadata_of_version_1(tmp_path: Path) -> None:
    """Without checksums not all are found, but none is an error of Python."""
    path = as_version_1(small_stream(tmp_path / "s"))
    for place in (path / "zarr.json", path / "dipole_rate/bead/zarr.json"):
        content = place.read_bytes()
        for at in range(0, len(content), 2):
            damaged = bytearray(content)
            damaged[at] ^= 1 << (at // 2 % 8)
            place.write_bytes(damaged)
            with contextlib.suppress(InputError):
                everything(path)
        place.write_bytes(content)


@pytest.mark.parametrize("name", ["volume", "temperature", "timestep", "first_step", "identity"])
def test_changed_header(tmp_path: Path, name: str) -> None:
    path = small_stream(tmp_path / "s")
    document = json.loads((path / "zarr.json").read_text())
    document["attributes"][name] = 7.0
    (path / "zarr.json").write_text(json.dumps(document))
    refused(path, r"header: found damaged metadata \(wrong checksum\)")
    with pytest.raises(InputError, match="header: found damaged"):
        StreamWriter(path, StreamReader(small_stream(tmp_path / "t")).header, 9)


def damage(path: Path, place: str, content: bytes | None) -> None:
    if content is None:
        (path / place).unlink()
    else:
        (path / place).write_bytes(content)


@pytest.mark.parametrize(
    ("place", "content", "words"),
    [
        ("zarr.json", None, "stream: found a directory without zarr.json"),
        ("zarr.json", b"{", "zarr.json: found damaged JSON"),
        ("zarr.json", b"\xff\xfe", "zarr.json: found damaged JSON"),
        ("zarr.json", b"[" * 100_000, "zarr.json: found damaged JSON"),
        ("f_sum/zarr.json", None, "f_sum/zarr.json: found no such file"),
        ("digest/zarr.json", None, "digest/zarr.json: found no such file"),
        ("dipole_rate/bead/zarr.json", b"", "dipole_rate/bead/zarr.json: found damaged JSON"),
        ("step/zarr.json", b"[]", "step/zarr.json: found no JSON object"),
        ("step/zarr.json", b'{"attributes": {}}', "step/zarr.json: found damaged metadata"),
        (
            "dipole_rate/bead/c.1.0.0",
            None,
            r"bead: found no chunk c\.1\.0\.0 for frames from 64",
        ),
        ("dipole_rate/bead/c.3.0.0", None, r"bead: found no chunk c\.3\.0\.0 for frames from 192"),
        ("digest/c.0.0", None, r"digest: found no chunk c\.0\.0"),
        ("time/c.0", b"", r"time: found damaged data \(chunk c\.0 of 0 bytes, not 32772\)"),
        ("digest/c.0.0", bytes(7), r"digest: found damaged data \(chunk c\.0\.0 of 7 bytes"),
    ],
)
def test_missing_and_truncated_files(
    tmp_path: Path, place: str, content: bytes | None, words: str
) -> None:
    path = written(tmp_path / "s")
    damage(path, place, content)
    refused(path, words)
    with pytest.raises(InputError, match=words):
        StreamWriter(path, HEADER, 800)


def test_missing_array_of_version_1(tmp_path: Path) -> None:
    path = as_version_1(written(tmp_path / "s"))
    for name in ("f_sum", "dipole_rate/centroid-apt"):
        shutil.move(path / name / "zarr.json", tmp_path / "kept")
        refused(path, f"{name}/zarr.json: found no such file")
        with pytest.raises(InputError, match=f"{name}/zarr.json: found no such file"):
            StreamWriter(path, HEADER, 800)
        shutil.move(tmp_path / "kept", path / name / "zarr.json")
    shutil.rmtree(path / "time")
    refused(path, "time/zarr.json: found no such file")


def swap(one: Path, other: Path) -> None:
    content = one.read_bytes()
    one.write_bytes(other.read_bytes())
    other.write_bytes(content)


def test_chunks_in_wrong_places(tmp_path: Path) -> None:
    path, twin = written(tmp_path / "s"), written(tmp_path / "twin")
    rates = path / "dipole_rate"
    pairs: list[tuple[Path, Path, str]] = [
        (rates / "bead/c.0.0.0", rates / "bead/c.2.0.0", "bead: found frame 0 is not the one"),
        (rates / "bead/c.1.0.0", rates / "centroid-apt/c.1.0.0", "bead: found frame 64 is not"),
        (path / "time/c.0", path / "temperature/c.0", "temperature: found frame 199 is not"),
        (path / "digest/c.0.0", twin / "digest/c.0.0", "step: found frame 199 is not"),
    ]
    for one, other, words in pairs:
        swap(one, other)
        refused(path, words)
        swap(one, other)
    # of a stream with the same header and the same data elsewhere
    shutil.copy(rates / "bead/c.0.0.0", rates / "bead/c.1.0.0")
    refused(path, "bead: found frame 64 is not the one written there")
    everything(twin)


def test_chunk_of_another_stream(tmp_path: Path) -> None:
    """Of a run with another seed, and the same header."""
    path, other = written(tmp_path / "s"), tmp_path / "other"
    with StreamWriter(other, HEADER, 0) as writer:
        for k in range(200):
            rates = {"bead": -RATES[k, 0], "centroid-apt": RATES[k, 1]}
            writer.append(4 * k, 2.0 * k, rates, f_sum=np.ones(N_GROUPS), temperature=300.0 + k)
    shutil.copy(other / "dipole_rate/bead/c.2.0.0", path / "dipole_rate/bead/c.2.0.0")
    refused(path, "dipole_rate/bead: found frame 128 is not the one written there")
    # without its digests a stream is another one; with them, its data are
    shutil.copytree(other / "digest", path / "digest", dirs_exist_ok=True)
    refused(path, "found frame 199 is not the one written there")


def test_an_older_chunk_or_shape(tmp_path: Path) -> None:
    """Of a copy that was made while the run was writing."""
    path, older = tmp_path / "s", tmp_path / "older"
    with StreamWriter(path, HEADER, 0, commit_frames=50, durable=False) as writer:
        append(writer, range(150))
        shutil.copytree(path, older)
        append(writer, range(150, 200))
    for place, words in (
        ("dipole_rate/bead/c.2.0.0", "bead: found frame 150 is not the one written there"),
        ("f_sum/c.0.0", "f_sum: found frame 199 is not|f_sum: found frame 150 is not"),
        ("f_sum/zarr.json", r"f_sum: found 150 frames \(an older copy\?\), expected 200"),
        ("digest/zarr.json", r"digest: found 150 frames \(an older copy\?\), expected 200"),
    ):
        copy = tmp_path / "copy"
        shutil.copytree(path, copy)
        shutil.copy(older / place, copy / place)
        refused(copy, words)
        shutil.rmtree(copy)
    # newer files do not matter: a shape counts only what is there
    shutil.copy(older / "step/zarr.json", path / "step/zarr.json")
    assert everything(path)[1] == everything(older)[1] == 150


def test_values_changed_with_another_program(tmp_path: Path) -> None:
    """Whole chunks with right checksums, but not what the run wrote."""
    path = written(tmp_path / "s")
    zarr.open_group(path, mode="r+")["dipole_rate/bead"][70, 0, 0] = 5.0  # type: ignore[index]
    refused(path, "dipole_rate/bead: found frame 70 is not the one written there")


def test_only_read_frames_are_verified_by_a_reader(tmp_path: Path) -> None:
    """A spectrum of an array does not need the others."""
    path = written(tmp_path / "s")
    (path / "dipole_rate/bead/c.1.0.0").write_bytes(b"")
    reader = StreamReader(path)
    np.testing.assert_array_equal(reader.dipole_rate("centroid-apt"), RATES[:200, 1])
    np.testing.assert_array_equal(reader.read("dipole_rate/bead", 0, 64), RATES[:64, 0])
    with pytest.raises(InputError, match=r"dipole_rate/bead: found damaged data \(chunk c\.1"):
        reader.dipole_rate("bead")


def test_other_programs_read_it(tmp_path: Path) -> None:
    group = zarr.open_group(written(tmp_path / "s"), mode="r")
    names = group.attrs["arrays"]
    assert isinstance(names, list)
    assert {*names, "digest"} == {
        "step", "time", "temperature", "f_sum", "digest", "dipole_rate/bead",
        "dipole_rate/centroid-apt",
    }  # fmt: skip
    np.testing.assert_array_equal(group["dipole_rate/bead"][:], RATES[:200, 0])  # type: ignore[index]
    digest = FrameDigest(str(group.attrs["identity"]), names)
    arrays = {name: np.asarray(group[name][:]) for name in names}  # type: ignore[index]
    np.testing.assert_array_equal(group["digest"][:], digest.rows(arrays, 0))  # type: ignore[index]
    assert [name for name, _ in zarr.open_group(tmp_path / "s").groups()] == ["dipole_rate"]


def test_digests_by_their_definition() -> None:
    def mix(z: int) -> int:
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
        z = (z ^ (z >> 27)) * 0x94D049BB133111EB % 2**64
        return z ^ (z >> 31)

    def fold(word: int) -> int:
        return word ^ (word >> 32)

    values = np.random.default_rng(0).normal(size=(3, 2, 3))
    for dtype in (np.float64, np.float32, np.int64):
        frames = values.astype(dtype)
        words = frames.reshape(3, -1).view(f"u{frames.dtype.itemsize}")
        seed = int.from_bytes(hashlib.sha256(b"abc/a").digest()[:8], "little")
        expected = [
            mix(
                (
                    sum((mix(j + 1) | 1) * fold(int(word)) for j, word in enumerate(row))
                    + mix((seed + 0x9E3779B97F4A7C15 * (40 + n)) % 2**64)
                )
                % 2**64
            )
            >> 32
            for n, row in enumerate(words)
        ]
        assert FrameDigest("abc", ["a"]).of("a", frames, 40).tolist() == expected


def moved(path: Path) -> Path:
    return path.rename(path.with_name("moved"))


def removed(path: Path) -> None:
    shutil.rmtree(path)


def replaced(path: Path) -> Path:
    place = moved(path)
    shutil.copytree(place, path)
    return place


def emptied(path: Path) -> None:
    for child in path.iterdir():
        shutil.rmtree(child) if child.is_dir() else child.unlink()


@pytest.mark.parametrize("how", [moved, removed, replaced, emptied])
def test_directory_that_goes_away_during_a_run(
    tmp_path: Path, how: Callable[[Path], Path | None], caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "s"
    writer = StreamWriter(path, HEADER, 0, commit_seconds=1e9)
    append(writer, range(70))
    writer.commit()
    append(writer, range(70, 90))
    place = how(path)
    before = sorted(path.rglob("*"))
    words = (
        r"20 frames up to step 356 cannot be written \(its directory was moved, removed or "
        r"replaced during the run\); the 70 before are in that directory, if it still exists$"
    )
    for _ in range(2):
        with pytest.raises(RunError, match=words):
            writer.commit()
    assert sorted(path.rglob("*")) == before, "something was written where the stream was"
    if place is None:
        with pytest.raises(ZeroDivisionError), writer:
            raise ZeroDivisionError
        assert "those that are not written are lost" in caplog.text
        return
    assert everything(place)[1] == 70
    if path.exists():
        shutil.rmtree(path)
    place.rename(path)
    writer.close()  # it is there again: nothing is lost
    np.testing.assert_array_equal(StreamReader(path).dipole_rate(), RATES[:90, 0])
    check_stream(path)


def test_frames_that_are_lost_are_said_to_be(tmp_path: Path) -> None:
    writer = StreamWriter(tmp_path / "s", HEADER, 0)
    append(writer, range(3))
    shutil.rmtree(tmp_path / "s")
    with pytest.raises(RunError, match=r"3 frames up to step 8 .* not written are lost"):
        writer.close()
    assert not (tmp_path / "s").exists()


def test_an_array_that_goes_away_during_a_run(tmp_path: Path) -> None:
    writer = StreamWriter(tmp_path / "s", HEADER, 0, commit_seconds=1e9)
    append(writer, range(3))
    writer.commit()
    shutil.rmtree(tmp_path / "s/f_sum")
    append(writer, range(3, 5))
    with pytest.raises(RunError, match=r"2 frames up to step 16 cannot be written \(No such file"):
        writer.commit()
    with pytest.raises(RunError):
        writer.close()
    refused(tmp_path / "s", "f_sum/zarr.json: found no such file")


def version_1(tmp_path: Path) -> Path:
    """A stream by this package's version 0.1.0, with one restart; see ``rates_of_version_1``."""
    with zipfile.ZipFile(DATA / "stream_version_1.zip") as archive:
        archive.extractall(tmp_path)
    return tmp_path / "version_1.zarr"


def append_as_version_1(writer: StreamWriter, frames: range) -> None:
    rng = np.random.default_rng(11)
    rates, changes = rng.normal(size=(30, 2, 2, 3)), rng.normal(size=(30, 2, 2, 6))
    for k in frames:
        both = [
            dict(zip(writer.header.estimators, values[k], strict=True))
            for values in (rates, changes)
        ]
        writer.append(
            4 * k,
            2.0 * k,
            both[0],
            f_sum=[1.0 + k, 2.0],
            temperature=300.0 + k,
            polarizability_rates=both[1],
        )


def test_version_1_is_read_and_continued(tmp_path: Path) -> None:
    path = version_1(tmp_path)
    reader = StreamReader(path)
    assert (reader.n_frames, reader.n_restarts) == (30, 1)
    rng = np.random.default_rng(11)
    rates, changes = rng.normal(size=(30, 2, 2, 3)), rng.normal(size=(30, 2, 2, 6))
    np.testing.assert_array_equal(reader.dipole_rate("centroid-apt"), rates[:, 1])
    np.testing.assert_array_equal(reader.rate(PGT), changes[:, 0])
    assert "no checksum in version 1" in check_stream(path)["header"]
    before = {p.relative_to(path): p.read_bytes() for p in path.rglob("*") if p.is_file()}
    with StreamWriter(path, reader.header, 40) as writer:
        append_as_version_1(writer, range(10, 30))
    after = {p.relative_to(path): p.read_bytes() for p in path.rglob("*") if p.is_file()}
    # the same files to the byte, but for the list of restarts
    assert before.keys() == after.keys()
    assert [str(name) for name in before if before[name] != after[name]] == ["zarr.json"]
    documents = [json.loads(files[Path("zarr.json")]) for files in (before, after)]
    assert len(documents[1]["attributes"].pop("restarts")) == 2
    assert len(documents[0]["attributes"].pop("restarts")) == 1
    assert documents[0] == documents[1]


def test_version_1_that_has_no_frames_yet(tmp_path: Path) -> None:
    path = version_1(tmp_path)
    header = StreamReader(path).header
    for child in path.iterdir():
        if child.is_dir():
            shutil.rmtree(child)
    assert StreamReader(path).n_frames == 0
    with StreamWriter(path, header, 0) as writer:
        append_as_version_1(writer, range(30))
    assert StreamReader(path).n_frames == 30
    assert not (path / "digest").exists()
    with zipfile.ZipFile(DATA / "stream_version_1.zip") as archive:
        for name in archive.namelist():
            if not name.endswith("/") and name != "version_1.zarr/zarr.json":
                assert archive.read(name) == (tmp_path / name).read_bytes(), name


def test_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = written(tmp_path / "s")
    (path / "dipole_rate/bead/.c.9.0.0.77.partial").write_bytes(b"left by a kill")
    assert main(["info", "--check", str(path)]) == 0
    printed = capsys.readouterr().out
    for words in (
        "format version 2, checksum right",
        "7 arrays as the header says",
        "13 chunks whole, frames those written there",
        "200, finite, equally spaced",
        "1 files, which nothing reads: dipole_rate/bead/.c.9.0.0.77.partial",
    ):
        assert words in printed
    damage(path, "dipole_rate/bead/c.1.0.0", None)
    assert main(["info", "--check", str(path)]) == 2
    assert "no chunk c.1.0.0" in capsys.readouterr().err
    table = tmp_path / "table.csv"
    table.write_text("wavenumber,n_alpha\n1,2\n")
    assert main(["info", "--check", str(table)]) == 2


def test_check_finds_frames_that_are_not_in_sequence(tmp_path: Path) -> None:
    path = as_version_1(written(tmp_path / "s"))
    group = zarr.open_group(path, mode="r+")
    group["time"][100] = 201.0  # type: ignore[index]
    with pytest.raises(InputError, match="time: found 3 fs after frame 99, expected 2 fs"):
        check_stream(path)
    group["temperature"][17] = np.nan  # type: ignore[index]
    with pytest.raises(InputError, match="temperature: found no value in frame 17"):
        check_stream(path)
