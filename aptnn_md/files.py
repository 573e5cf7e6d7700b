"""Files are written whole or not at all, whatever is killed and wherever the power fails."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from aptnn_md.errors import InputError

PARTIAL = ".partial"
"""Suffix of files that are being written; a killed process leaves files with it, too."""

_MAX_THREADS = 32


def write_whole(path: Path, data: bytes, *, durable: bool = True) -> None:
    """Put ``data`` into ``path`` in one step, or leave what is there untouched.

    Of a symbolic link, its target is written; a device or a pipe is written to as it is.

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
    path = _target(path)
    if _is_special(path):
        path.write_bytes(data)
        return
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


def write_together(files: Mapping[Path, bytes], *, durable: bool = True) -> None:
    """Put data into several files, each in one step, as :func:`write_whole` does for one.

    All are written before the first is put into its place, and the disk is asked for all at once,
    which takes it little longer than one. Where it fails, some may be in their places.

    Parameters
    ----------
    files : file -> its content
    durable : see :func:`write_whole`

    Raises
    ------
    OSError
        One cannot be written.
    """
    files = {_target(path): data for path, data in files.items()}
    if any(_is_special(path) for path in files):
        for path, data in files.items():
            write_whole(path, data, durable=durable)
        return
    partials = {path.with_name(f".{path.name}.{os.getpid()}{PARTIAL}"): path for path in files}
    try:
        for partial, path in partials.items():
            partial.write_bytes(files[path])
        if durable:
            _all_at_once(_sync_file, partials)
        for partial, path in partials.items():
            partial.replace(path)
    except BaseException:
        for partial in partials:
            with contextlib.suppress(OSError):
                partial.unlink()
        raise
    if durable:
        _all_at_once(sync_directory, {path.parent for path in files})


def refuse_overwriting(out: Path, *inputs: Path | None) -> None:
    """Refuse to write a result in the place of a file that it is made from.

    Raises
    ------
    InputError
        The output is one of the inputs.
    """
    for path in inputs:
        if path is not None and path.exists() and out.exists() and path.samefile(out):
            raise InputError(out, "output", f"{path}, which is read", "another file")


def refuse_unwritable(*paths: Path | None) -> None:
    """Refuse outputs that cannot be written, before the work whose results they are to hold.

    Raises
    ------
    InputError
        There is no such directory, or nothing may be written there.
    """
    for path in paths:
        if path is None:
            continue
        directory = path.absolute().parent
        if not directory.is_dir() or path.is_dir():
            found = "a directory" if path.is_dir() else "no directory for it"
            raise InputError(path, "output", found, "a file in a directory that exists")
        if not os.access(path if path.exists() else directory, os.W_OK):
            raise InputError(path, "output", "no permission to write", "a writable place")


def _target(path: Path) -> Path:
    """Where a symbolic link leads; any other path itself."""
    return Path(os.path.realpath(path)) if path.is_symlink() else path


def _is_special(path: Path) -> bool:
    """Whether it is a device, a pipe or a socket, which no file may replace."""
    return path.exists() and not (path.is_file() or path.is_dir())


def _all_at_once(work: Callable[[Path], None], paths: Collection[Path]) -> None:
    try:
        with ThreadPoolExecutor(min(_MAX_THREADS, max(1, len(paths)))) as pool:
            done = [pool.submit(work, path) for path in paths]
    except RuntimeError:  # no new threads while the interpreter ends
        for path in paths:
            work(path)
    else:
        for each in done:
            each.result()


def _sync_file(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


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
    write_outputs({path: data})


def write_outputs(files: Mapping[Path, bytes]) -> None:
    """Like :func:`write_together`, for files that the user named and that belong together.

    Raises
    ------
    InputError
        One cannot be written.
    """
    try:
        write_together(files)
    except OSError as error:
        first = next(iter(files))
        raise InputError(first, "output", error.strerror or error, "a writable place") from error
