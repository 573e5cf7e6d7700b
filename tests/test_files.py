"""Files that are written whole."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from aptnn_md.files import write_together, write_whole

Write = Callable[[Path, bytes], None]


def together(path: Path, data: bytes) -> None:
    """With another file."""
    write_together({path: data, path.parent / "b": b""})


@pytest.mark.parametrize("durable", [True, False])
def test_several_files(tmp_path: Path, durable: bool) -> None:
    places = [tmp_path / name for name in ("a", "b", "c")]
    places[0].write_text("old")
    write_together({place: place.name.encode() for place in places}, durable=durable)
    assert [place.read_text() for place in places] == ["a", "b", "c"]
    assert sorted(os.listdir(tmp_path)) == ["a", "b", "c"]
    write_together({}, durable=durable)


@pytest.mark.parametrize("durable", [True, False])
def test_none_is_in_its_place_where_one_cannot_be_written(tmp_path: Path, durable: bool) -> None:
    kept = tmp_path / "a"
    kept.write_text("old")
    with pytest.raises(FileNotFoundError):
        write_together({kept: b"new", tmp_path / "missing" / "b": b"new"}, durable=durable)
    assert kept.read_text() == "old"
    assert os.listdir(tmp_path) == ["a"]


def test_disk_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each file before it is in its place, and the directory when they are."""
    synchronised: list[tuple[str, bool]] = []

    def fsync(descriptor: int) -> None:
        name = Path(os.readlink(f"/proc/self/fd/{descriptor}")).name
        synchronised.append((name, (tmp_path / "a").exists() or (tmp_path / "b").exists()))

    monkeypatch.setattr(os, "fsync", fsync)
    write_together({tmp_path / "a": b"1", tmp_path / "b": b"2"})
    suffix = f".{os.getpid()}.partial"
    assert sorted(synchronised[:2]) == [(f".a{suffix}", False), (f".b{suffix}", False)]
    assert synchronised[2:] == [(tmp_path.name, True)]


def test_at_the_end_of_the_interpreter(tmp_path: Path) -> None:
    """Where no thread can be started any more."""
    script = (
        "import atexit, pathlib\n"
        "from aptnn_md.files import write_together\n"
        f"files = {{pathlib.Path({str(tmp_path)!r}) / name: b'x' for name in 'ab'}}\n"
        "atexit.register(write_together, files)\n"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (result.returncode, result.stderr) == (0, "")
    assert sorted(os.listdir(tmp_path)) == ["a", "b"]


@pytest.mark.parametrize("write", [write_whole, together])
def test_links_lead_to_what_is_written(write: Write, tmp_path: Path) -> None:
    target, link = tmp_path / "target", tmp_path / "link"
    target.write_bytes(b"old")
    link.symlink_to("target")
    write(link, b"new")
    assert link.is_symlink()
    assert target.read_bytes() == b"new"
    dangling = tmp_path / "dangling"
    dangling.symlink_to("not-yet")
    write(dangling, b"made")
    assert (tmp_path / "not-yet").read_bytes() == b"made"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
@pytest.mark.parametrize("write", [write_whole, together])
def test_pipes_are_written_to_and_not_replaced(write: Write, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    read: list[bytes] = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_bytes()))
    reader.start()
    write(pipe, b"text")
    reader.join()
    assert read == [b"text"]
    assert pipe.is_fifo()
