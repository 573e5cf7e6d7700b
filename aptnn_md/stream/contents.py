"""What a stream on disk holds: header, arrays, how many frames are committed; all of it checked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from aptnn_md.arrays import AnyArray
from aptnn_md.errors import InputError
from aptnn_md.stream.digest import DIGEST, FrameDigest, WrittenDigests
from aptnn_md.stream.header import StreamHeader
from aptnn_md.stream.layout import ArrayLayout, digest_layout, layouts, optional_arrays
from aptnn_md.stream.metadata import AS_WRITTEN, DOCUMENT, check_seal, read_document
from aptnn_md.stream.store import StoredArray

_TRIES = 20
_FIRST_NAMES = ("step", "time")


@dataclass
class Contents:
    """A stream as it was when :func:`open_contents` looked at it.

    Attributes
    ----------
    path : directory of the stream
    header, attributes : constants of the run, and all attributes of the group
    names : of all arrays, in the order of the columns of the digests; empty where the stream was
        not yet given a frame. One of a later version of the package may be among them
    arrays : those that this version knows, ``step`` first
    n_frames : number of committed frames
    digest : digests of all frames; None in version 1
    """

    path: Path
    header: StreamHeader
    attributes: Mapping[str, Any]
    names: tuple[str, ...] = ()
    arrays: Mapping[str, StoredArray] = field(default_factory=dict)
    n_frames: int = 0
    digest: StoredArray | None = None
    _written: WrittenDigests | None = None

    def __post_init__(self) -> None:
        if self.digest is not None:
            digests = FrameDigest(str(self.attributes.get("identity")), self.names)
            self._written = WrittenDigests(
                digests, self.digest.chunk_frames, self.digest.read_chunk
            )

    @property
    def version(self) -> int:
        """Version of the format."""
        return int(self.attributes["version"])

    @property
    def layouts(self) -> dict[str, ArrayLayout]:
        """Arrays of the stream in the order in which they are created."""
        return layouts(self.header, self.arrays) if self.arrays else {}

    def pieces(self, name: str, start: int, stop: int) -> Iterator[AnyArray]:
        """Frames ``start`` to before ``stop`` of an array, chunk by chunk and verified.

        Raises
        ------
        InputError
            A chunk is missing or damaged, or is not the one that was written there.
        """
        for first, values in self.stored(name).pieces(start, stop):
            if self._written is not None and name != DIGEST:
                wrong = self._written.first_wrong(name, values, first)
                if wrong is not None:
                    found = (
                        f"frame {wrong} is not the one written there (a chunk in a wrong place?)"
                    )
                    raise InputError(self.path, name, found, AS_WRITTEN)
            yield values

    def read(self, name: str, start: int, stop: int) -> AnyArray:
        """(frames, ...) frames ``start`` to before ``stop`` of an array; see :meth:`pieces`."""
        layout, at = self.stored(name).layout, 0
        values = np.empty((max(0, stop - start), *layout.frame_shape), layout.dtype)
        for piece in self.pieces(name, start, stop):
            values[at : at + len(piece)] = piece
            at += len(piece)
        return values

    def stored(self, name: str) -> StoredArray:
        """An array, that of the digests too."""
        return self.digest if name == DIGEST and self.digest else self.arrays[name]


def read_header(path: Path) -> tuple[StreamHeader, dict[str, Any]]:
    """Header and attributes of the stream at ``path``.

    Raises
    ------
    InputError
        ``path`` is not a stream that this version can read, or its header is damaged.
    """
    expected = "a stream (a directory made by aptnn_md)"
    if not path.exists():
        raise InputError(path, "stream", "no such file or directory", expected)
    if not path.is_dir():
        raise InputError(path, "stream", "a file", expected)
    if (path / "ensemble.json").exists():
        found = "a directory of many runs"
        raise InputError(path, "stream", found, f"one of them, such as {path / 'run-001.zarr'}")
    if not (path / DOCUMENT).exists():
        raise InputError(path, "stream", f"a directory without {DOCUMENT}", expected)
    document = read_document(path)
    attributes: dict[str, Any] = document["attributes"]
    StreamHeader.check_format(path, attributes)
    if attributes["version"] >= 2:
        check_seal(path, "header", document)
    if not isinstance(attributes.get("restarts", []), list):
        raise InputError(path, "restarts", attributes["restarts"], "a list")
    return StreamHeader.from_attributes(path, attributes), attributes


def open_contents(path: Path) -> Contents:
    """Look at the stream at ``path``, also while it grows or is cut by a restart.

    Raises
    ------
    InputError
        There is no stream, or anything of it is missing or damaged.
    """
    for _ in range(_TRIES):
        before = _state(path)
        try:
            return _look(path)
        except InputError:
            # what was changed just now may be of two times; what stays as it is is damage
            if _state(path) == before:
                raise
    return _look(path)


def _state(path: Path) -> list[bytes | None]:
    """The documents that change whenever anything of a stream does."""
    contents: list[bytes | None] = []
    for place in (path / DOCUMENT, path / "step" / DOCUMENT):
        try:
            contents.append(place.read_bytes())
        except OSError:
            contents.append(None)
    return contents


def _look(path: Path) -> Contents:
    header, attributes = read_header(path)
    names = _names(path, header, attributes)
    if not names:
        return Contents(path, header, attributes)
    version = attributes["version"]
    known = layouts(header, names)
    # step first: it is the last to grow, so the others read after it hold as many
    made = {n: known[n] for n in sorted(known, key=lambda n: n != "step") if n in names}
    if version >= 2:
        made[DIGEST] = digest_layout(len(names))
    arrays = {
        name: StoredArray.from_document(path, layout, read_document(path, name), version)
        for name, layout in made.items()
    }
    n_frames = min(array.n_frames for array in arrays.values())
    if version >= 2 and n_frames < arrays["step"].n_frames:
        name = min(arrays, key=lambda name: arrays[name].n_frames)
        expected = f"{arrays['step'].n_frames}, as step has"
        raise InputError(path, name, f"{n_frames} frames (an older copy?)", expected)
    for array in arrays.values():
        array.check_chunks(n_frames)
    digest = arrays.pop(DIGEST, None)
    contents = Contents(path, header, attributes, names, arrays, n_frames, digest)
    if digest is None:
        contents.n_frames = _filled(contents)
        return contents
    for name in arrays if n_frames else ():
        contents.read(name, n_frames - 1, n_frames)
    return contents


def _names(path: Path, header: StreamHeader, attributes: Mapping[str, Any]) -> tuple[str, ...]:
    """Names of the arrays of a stream; none before the first commit has ended."""
    if attributes["version"] >= 2:
        names = attributes.get("arrays", [])
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise InputError(path, "arrays", names, "a list of names")
        if names and not {*layouts(header, ()), *_FIRST_NAMES} <= set(names):
            raise InputError(path, "arrays", ", ".join(names), ", ".join(layouts(header, ())))
        return tuple(names)
    # step is created last, so where it is there the others are too
    if not (path / "step" / DOCUMENT).exists():
        return ()
    there = []
    for name in layouts(header, optional_arrays()):
        if (path / name / DOCUMENT).exists() or name in layouts(header, ()):
            there.append(name)
        elif (path / name).is_dir() and any((path / name).iterdir()):
            raise InputError(path, f"{name}/{DOCUMENT}", "no such file", AS_WRITTEN)
    return tuple(layouts(header, there))


def _filled(contents: Contents) -> int:
    """Number of frames of a version-1 stream, without tails that were never filled."""
    n_frames = contents.n_frames
    for name, array in contents.arrays.items():
        while n_frames > 0:
            start = (n_frames - 1) // array.chunk_frames * array.chunk_frames
            values = contents.read(name, start, n_frames).reshape(n_frames - start, -1)
            empty = np.isnan(values) if values.dtype.kind == "f" else values == -1
            filled = np.flatnonzero(~empty.any(axis=1))
            if len(filled):
                n_frames = int(start + filled[-1] + 1)
                break
            n_frames = start
    return n_frames
