"""Files are written whole or not at all."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from aptnn_md.errors import InputError

PARTIAL = ".partial"
"""Suffix of files that are being written; what a killed process leaves has it too."""


def write_whole(path: Path, data: bytes) -> None:
    """Put ``data`` into ``path`` in one step, or leave what is there untouched.

    Raises
    ------
    OSError
        The file cannot be written.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}{PARTIAL}")
    try:
        partial.write_bytes(data)
        partial.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            partial.unlink()
        raise


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
