"""Files are written whole or not at all, whatever is killed and wherever the power fails."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from aptnn_md.errors import InputError

PARTIAL = ".partial"
"""Suffix of files that are being written; a killed process leaves files with it, too."""


def write_whole(path: Path, data: bytes, *, durable: bool = True) -> None:
    """Put ``data`` into ``path`` in one step, or leave what is there untouched.

    Parameters
    ----------
    path : file
    data : its content
    durable : wait for the disk, so that it also holds if the power fails; else only if the process
        is killed

    Raises
    ------
    OSError
        The file cannot be written.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}{PARTIAL}")
    try:
        with partial.open("wb") as file:
            file.write(data)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        partial.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            partial.unlink()
        raise
    if durable:
        sync_directory(path.parent)


def sync_directory(path: Path) -> None:
    """Wait until the names of the files in a directory are on the disk, where that is possible."""
    # directories cannot be opened on some systems, and cannot be synchronised on some file systems
    with contextlib.suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def write_output(path: Path, data: bytes) -> None:
    """Like :func:`write_whole`, for a file that the user named.

    Raises
    ------
    InputError
        The file cannot be written.
    """
    try:
        write_whole(path, data)
    except OSError as error:
        raise InputError(path, "output", error.strerror or error, "a writable place") from error
