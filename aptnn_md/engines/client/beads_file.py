"""The beads of the present step that came so far, on disk before they are answered.

A server whose client was killed asks the next one only for those that were not answered. Without
the others that client would take beads of two steps for one.
"""

from __future__ import annotations

import os
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from aptnn_md.arrays import AnyArray, FloatArray
from aptnn_md.errors import InputError, RunError

BEADS = "part"
"""Name of the file in the directory of a trail."""


@dataclass(frozen=True)
class Bead:
    """A bead of a step: replica, cell (3, 3) in rows and positions (n_atoms, 3) in Å."""

    replica: int
    cell: FloatArray
    positions: FloatArray


class BeadsFile:
    """The file, for writing.

    Parameters
    ----------
    path : directory of the trail
    n_atoms : of a bead
    """

    def __init__(self, path: Path, n_atoms: int) -> None:
        self.path = path
        self._bead = _bead_type(n_atoms)
        self._descriptor, self._n_beads = -1, 0

    def add(self, bead: Bead, first: bool) -> None:
        """Add a bead of the present step; ``first``: it is the first one of a step.

        Raises
        ------
        RunError
            The disk is full or not writable.
        """
        record = np.zeros((), self._bead)
        record["replica"], record["cell"] = bead.replica, bead.cell
        record["positions"] = bead.positions
        try:
            if self._descriptor < 0:
                flags = os.O_RDWR | os.O_CREAT
                self._descriptor = os.open(self.path / BEADS, flags, 0o666)
            if first:
                os.ftruncate(self._descriptor, 0)
                self._n_beads = 0
            write_at(self._descriptor, sealed(record), self._n_beads * self._bead.itemsize)
        except OSError as error:
            words = f"a bead cannot be written ({error.strerror or error})"
            raise RunError(f"{self.path}: {words}") from error
        self._n_beads += 1

    def close(self) -> None:
        """Close the file; nothing happens the second time."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._descriptor = -1


def last_beads(path: Path, n_atoms: int) -> list[Bead]:
    """Beads of the last step of a client that was killed, as many as had come.

    Raises
    ------
    InputError
        A damaged record; what an interrupted write left does not count.
    """
    try:
        raw = (path / BEADS).read_bytes()
    except OSError:
        return []
    kind = _bead_type(n_atoms)
    found = []
    for first in range(0, len(raw) - kind.itemsize + 1, kind.itemsize):
        record = raw[first : first + kind.itemsize]
        if not intact(record):
            if any(record[-8:]):
                expected = "whole records; remove it, and start the server anew, too"
                raise InputError(path / BEADS, "trail", "a damaged record", expected)
            break
        bead = np.frombuffer(record, dtype=kind)[0]
        found.append(Bead(int(bead["replica"]), bead["cell"], bead["positions"]))
    return found


def _bead_type(n_atoms: int) -> np.dtype[np.void]:
    return np.dtype(
        [
            ("replica", "<i8"),
            ("cell", "<f8", (3, 3)),
            ("positions", "<f8", (n_atoms, 3)),
            ("crc", "<u8"),
        ]
    )


def sealed(record: AnyArray) -> bytes:
    """A record with the checksum of all before its last eight bytes in these."""
    data = record.tobytes()[:-8]
    seal: bytes = np.uint64(zlib.crc32(data)).astype("<u8").tobytes()
    return data + seal


def intact(data: bytes) -> bool:
    """Whether the checksum of a record is that of its content."""
    return int.from_bytes(data[-8:], "little") == zlib.crc32(data[:-8])


def write_at(descriptor: int, data: bytes, offset: int) -> None:
    """Write all of the data, however many system calls it takes."""
    view = memoryview(data)
    while view:
        written = os.pwrite(descriptor, view, offset)
        view, offset = view[written:], offset + written
