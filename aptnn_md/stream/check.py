"""Verify all of a stream: what is read when it is opened, and every frame besides."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from aptnn_md.arrays import FloatArray, IntArray
from aptnn_md.errors import InputError
from aptnn_md.stream.contents import Contents, open_contents
from aptnn_md.stream.digest import DIGEST
from aptnn_md.stream.header import StreamHeader
from aptnn_md.stream.metadata import AS_WRITTEN, DOCUMENT, group_document, read_document, sealed

_PIECE_FRAMES = 4096


def check_stream(path: str | os.PathLike[str]) -> dict[str, str]:
    """Read every file of a stream and compare it with what it must be.

    Returns
    -------
    what was verified, in words: of the header, of the metadata of arrays, of the data

    Raises
    ------
    InputError
        Anything is missing, damaged, not finite or not in its place; the first fault is named.
    """
    contents = open_contents(Path(path))
    old = contents.version == 1
    arrays = dict(contents.arrays) | ({DIGEST: contents.digest} if contents.digest else {})
    if not old:
        _check_groups(contents)
    for name in contents.arrays:
        _check_values(contents, name)
    _check_sequence(contents)
    n_chunks = sum(array.n_chunks(contents.n_frames) for array in arrays.values())
    header = "no checksum in version 1" if old else "checksum right"
    digests = "no digests in version 1: places unknown" if old else "frames those written there"
    found = {
        "header": f"format version {contents.version}, {header}",
        "metadata": f"{len(arrays)} arrays as the header says",
        "data": f"{n_chunks} chunks whole, {digests}",
        "frames": f"{contents.n_frames}, finite, equally spaced",
    }
    if others := _other_files(contents, list(arrays)):
        shown = ", ".join(others[:3]) + (", ..." if len(others) > 3 else "")
        found["not of the stream"] = f"{len(others)} files, which nothing reads: {shown}"
    return found


def check_equal_steps(
    path: Path, header: StreamHeader, steps: IntArray, times: FloatArray, first: int
) -> None:
    """See that frames are equally spaced.

    Parameters
    ----------
    path, header : of the stream
    steps, times : (frames,) of it, fs
    first : number of the first of these frames

    Raises
    ------
    InputError
        Steps are not one stride apart, or times not time step times stride.
    """
    stride, spacing = header.stride, header.timestep * header.stride
    wrong_steps = np.diff(steps) != stride
    if wrong_steps.any():
        at = int(np.argmax(wrong_steps))
        found = f"{steps[at + 1] - steps[at]} steps after frame {first + at}"
        raise InputError(path, "step", found, f"{stride}, the stride of the stream")
    wrong_times = np.abs(np.diff(times) - spacing) > 1e-3 * spacing + 1e-9 * np.abs(times[1:])
    if wrong_times.any():
        at = int(np.argmax(wrong_times))
        found = f"{times[at + 1] - times[at]:g} fs after frame {first + at}"
        raise InputError(path, "time", found, f"{spacing:g} fs, time step times stride")


def _check_groups(contents: Contents) -> None:
    for name in sorted({name.partition("/")[0] for name in contents.names if "/" in name}):
        if read_document(contents.path, name) != sealed(group_document({})):
            raise InputError(contents.path, f"{name}/{DOCUMENT}", "damaged metadata", AS_WRITTEN)


def _check_values(contents: Contents, name: str) -> None:
    start = 0
    for values in contents.pieces(name, 0, contents.n_frames):
        finite = np.isfinite(values.reshape(len(values), -1)).all(axis=1)
        if not finite.all():
            found = f"no value in frame {start + int(np.argmin(finite))}"
            raise InputError(contents.path, name, found, "finite values")
        start += len(values)


def _check_sequence(contents: Contents) -> None:
    # pieces overlap by a frame, so that nothing is between them
    for start in range(0, contents.n_frames, _PIECE_FRAMES):
        stop = min(contents.n_frames, start + _PIECE_FRAMES + 1)
        steps, times = (contents.read(name, start, stop) for name in ("step", "time"))
        check_equal_steps(contents.path, contents.header, steps, times, start)


def _other_files(contents: Contents, names: list[str]) -> list[str]:
    """Files of a process that was killed, or of somebody else."""
    known = {DOCUMENT, *(f"{name.partition('/')[0]}/{DOCUMENT}" for name in names)}
    for name in names:
        array = contents.stored(name)
        chunks = (array.chunk_path(i).name for i in range(array.n_chunks(contents.n_frames)))
        known |= {f"{name}/{file}" for file in (DOCUMENT, *chunks)}
    files = (path for path in contents.path.rglob("*") if path.is_file())
    return sorted(
        found for path in files if (found := str(path.relative_to(contents.path))) not in known
    )
