"""Files of one array of a stream: chunks in the form of Zarr v3, each with its CRC-32C.

They are read and written here and not by the package ``zarr``, which takes a chunk that is missing
for one that was never written and returns fill values, writes shapes before the chunks that they
count, and needs an event loop at exit. Other programs read them with any Zarr library.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import google_crc32c
import numpy as np

from aptnn_md.arrays import AnyArray
from aptnn_md.errors import InputError
from aptnn_md.stream.layout import ArrayLayout
from aptnn_md.stream.metadata import AS_WRITTEN, DOCUMENT, Document, check_seal, encode, sealed

_CRC_BYTES = 4


@dataclass(frozen=True)
class StoredArray:
    """An array of the stream at ``path``.

    Parameters
    ----------
    path : directory of the stream
    layout : of the array
    chunk_frames : frames in a chunk
    n_frames : how many frames its shape counts
    """

    path: Path
    layout: ArrayLayout
    chunk_frames: int
    n_frames: int

    @classmethod
    def from_document(
        cls, path: Path, layout: ArrayLayout, document: Document, version: int
    ) -> StoredArray:
        """The array that a document describes, which must be what ``layout`` says.

        Raises
        ------
        InputError
            The document is damaged or belongs to another array.
        """
        field = f"{layout.name}/{DOCUMENT}"
        if version >= 2:
            check_seal(path, field, document)
        shape, chunk_frames = document.get("shape"), _chunk_frames(document, layout.chunk_frames)
        n_frames = shape[0] if isinstance(shape, list) and shape else None
        if isinstance(n_frames, bool) or not isinstance(n_frames, int) or n_frames < 0:
            raise InputError(path, field, f"shape {shape}", "a number of frames first")
        expected = layout.document(n_frames, chunk_frames)
        for key, value in expected.items():
            found = document.get(key, [] if key == "storage_transformers" else None)
            if key != "attributes" and found != value:
                raise InputError(path, field, f"{key} {found}", f"{value}, as the header says")
        return cls(path, layout, chunk_frames, n_frames)

    @property
    def directory(self) -> Path:
        """Where the chunks are."""
        return self.path / self.layout.name

    def n_chunks(self, n_frames: int) -> int:
        """Number of chunks that hold that many frames."""
        return -(-n_frames // self.chunk_frames)

    def chunk_path(self, index: int) -> Path:
        """File of a chunk."""
        return self.directory / self._chunk_name(index)

    def _chunk_name(self, index: int) -> str:
        return f"c.{index}{'.0' * len(self.layout.frame_shape)}"

    def check_chunks(self, n_frames: int) -> None:
        """See that the files of all chunks of ``n_frames`` frames are there.

        Raises
        ------
        InputError
            One is missing.
        """
        try:
            there = set(os.listdir(self.directory))
        except OSError as error:
            found = error.strerror or error
            raise InputError(self.path, self.layout.name, found, AS_WRITTEN) from error
        for index in range(self.n_chunks(n_frames)):
            if (name := self._chunk_name(index)) not in there:
                start = index * self.chunk_frames
                found = f"no chunk {name} for frames from {start} on (a partial copy?)"
                raise InputError(self.path, self.layout.name, found, AS_WRITTEN)

    def read_chunk(self, index: int) -> AnyArray:
        """(chunk_frames, ...) the frames of a chunk.

        Raises
        ------
        InputError
            It is missing, truncated or damaged.
        """
        layout, place = self.layout, self.chunk_path(index)
        try:
            content = place.read_bytes()
        except OSError as error:
            found = f"chunk {place.name}: {error.strerror or error}"
            raise InputError(self.path, layout.name, found, AS_WRITTEN) from error
        n_bytes = self.chunk_frames * layout.frame_bytes + _CRC_BYTES
        if len(content) != n_bytes:
            found = f"damaged data (chunk {place.name} of {len(content)} bytes, not {n_bytes})"
            raise InputError(self.path, layout.name, found, AS_WRITTEN)
        data = memoryview(content)[:-_CRC_BYTES]
        if _crc(data) != content[-_CRC_BYTES:]:
            found = f"damaged data (chunk {place.name}: wrong checksum)"
            raise InputError(self.path, layout.name, found, AS_WRITTEN)
        shape = (self.chunk_frames, *layout.frame_shape)
        return np.frombuffer(data, np.dtype(layout.dtype).newbyteorder("<")).reshape(shape)

    def pieces(self, start: int, stop: int) -> Iterator[tuple[int, AnyArray]]:
        """Frames ``start`` to before ``stop`` chunk by chunk: number of the first, and frames."""
        while start < stop:
            index = start // self.chunk_frames
            first = index * self.chunk_frames
            end = min(stop, first + self.chunk_frames)
            yield start, self.read_chunk(index)[start - first : end - first]
            start = end

    def chunk_files(self, values: AnyArray, start: int) -> dict[Path, bytes]:
        """Files of chunks and what is to be in them.

        Parameters
        ----------
        values : (frames, ...) those from ``start`` on
        start : the first frame of a chunk
        """
        layout, files = self.layout, {}
        for offset in range(0, len(values), self.chunk_frames):
            piece = values[offset : offset + self.chunk_frames]
            chunk = np.full(
                (self.chunk_frames, *layout.frame_shape),
                layout.fill_value,
                np.dtype(layout.dtype).newbyteorder("<"),
            )
            chunk[: len(piece)] = piece
            data = chunk.tobytes()
            files[self.chunk_path((start + offset) // self.chunk_frames)] = data + _crc(data)
        return files

    def shape_file(self, version: int) -> tuple[Path, bytes]:
        """The document and what is to be in it in a version of the format."""
        document = self.layout.document(self.n_frames, self.chunk_frames)
        content = encode(sealed(document) if version >= 2 else document)
        return self.directory / DOCUMENT, content


def _chunk_frames(document: Document, otherwise: int) -> int:
    """Frames in a chunk, which may be chosen in another way one day."""
    try:
        found = document["chunk_grid"]["configuration"]["chunk_shape"][0]
    except (KeyError, TypeError, IndexError):
        return otherwise
    return found if type(found) is int and 0 < found <= 2**24 else otherwise


def _crc(data: bytes | memoryview) -> bytes:
    value: int = google_crc32c.value(bytes(data))
    return value.to_bytes(_CRC_BYTES, "little")
