"""A lock is one writer's, seen by readers, and gone with its process, however that ends."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from aptnn_md.errors import InputError
from aptnn_md.locks import DirectoryLock, locked

HOLD = """
import sys, time
from pathlib import Path
from aptnn_md.locks import DirectoryLock
lock = DirectoryLock(Path(sys.argv[1]))
print("held", flush=True)
time.sleep(600)
"""


def test_one_writer_at_a_time(tmp_path: Path) -> None:
    assert locked(tmp_path) is False
    with DirectoryLock(tmp_path) as lock:
        assert locked(tmp_path) is True
        with pytest.raises(InputError, match=r"work: found another run at work, expected none"):
            DirectoryLock(tmp_path, "work", "another run")
        assert locked(tmp_path) is True
        lock.release()
        lock.release()
        assert locked(tmp_path) is False
    assert list(tmp_path.iterdir()) == []


def test_a_lock_ends_with_a_killed_process(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        assert locked(tmp_path) is True
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert locked(tmp_path) is False
        DirectoryLock(tmp_path).release()


def test_a_forked_child_does_not_hold_it(tmp_path: Path) -> None:
    lock = DirectoryLock(tmp_path)
    child = os.fork()
    if child == 0:
        lock.release()
        time.sleep(60)
        os._exit(0)
    try:
        deadline = time.monotonic() + 10.0
        # the child closes its copy as soon as it runs, and leaves the parent's lock alone
        while (here := Path(f"/proc/{child}/fd")).exists() and str(tmp_path) in {
            os.path.realpath(file) for file in here.iterdir()
        }:
            assert time.monotonic() < deadline
        assert locked(tmp_path) is True
        lock.release()
        assert locked(tmp_path) is False
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def test_a_lock_follows_its_directory_and_not_its_copies(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    with DirectoryLock(tmp_path / "a"):
        shutil.copytree(tmp_path / "a", tmp_path / "copy")
        (tmp_path / "a").rename(tmp_path / "b")
        assert locked(tmp_path / "b") is True
        assert locked(tmp_path / "copy") is False


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_reader_asks_without_permission_to_write(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with DirectoryLock(tmp_path):
        assert locked(tmp_path) is True
    tmp_path.chmod(0o700)


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS])
def test_file_systems_without_locks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def refuse(descriptor: int, operation: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", refuse)
    with DirectoryLock(tmp_path), DirectoryLock(tmp_path):
        assert locked(tmp_path) is None
    assert list(tmp_path.iterdir()) == []
