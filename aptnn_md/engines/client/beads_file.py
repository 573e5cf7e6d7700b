"""The beads of the present step that came so far, on disk before they are answered.

A server whose client was killed asks the next one only for those that were not answered. Without
the others that client would take beads of two steps for one. It adds its own to them, as it may be
killed in the same step.
"""

from __future__ import annotations

import os
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from aptnn_md.arrays import AnyArray, FloatArray
from aptnn_md.errors import InputError, RunError

BEADS = "beads"
"""Name of the file in the directory of a trail."""


@dataclass(frozen=True)
class Bead:
    """A bead of a step.

    Attributes
    ----------
    replica : its number
    cell : (3, 3), rows, Å
    positions : (n_atoms, 3), Å
    call : number of the call in which it came; beads of one call are of one step, as none of them
        was answered before the others came
    client : how many clients were killed in this step before it came
    """

    replica: int
    cell: FloatArray
    positions: FloatArray
    call: int = 0
    client: int = 0


class BeadsFile:
    """The file, which is created if it does not exist.

    Parameters
    ----------
    path : directory of the trail
    n_atoms : of a bead
    """

    def __init__(self, path: Path, n_atoms: int) -> None:
        self.path = path
        self._type = _bead_type(n_atoms)
        self._descriptor, self._n_beads = -1, 0

    def read(self) -> list[Bead]:
        """The beads of the last step that came before this client, in the order of time.

        Raises
        ------
        InputError
            A damaged record; what an interrupted write left does not count.
        """
        try:
            raw = (self.path / BEADS).read_bytes()
        except OSError:
            return []
        found, size = [], self._type.itemsize
        for first in range(0, len(raw) - size + 1, size):
            record = raw[first : first + size]
            if not intact(record):
                if any(record[-8:]):
                    expected = "whole records; remove it, and restart the server, too"
                    raise InputError(self.path / BEADS, "trail", "a damaged record", expected)
                break
            number = np.frombuffer(record, dtype=self._type)[0]
            found.append(
                Bead(
                    replica=int(number["replica"]),
                    cell=number["cell"],
                    positions=number["positions"],
                    client=int(number["client"]),
                )
            )
        self._n_beads = len(found)
        return found

    def add(self, bead: Bead, first: bool) -> None:
        """Add a bead of the present step; ``first``: none of a step before is needed any more.

        Raises
        ------
        RunError
            The disk is full or not writable.
        """
        record = np.zeros((), self._type)
        record["replica"], record["client"] = bead.replica, bead.client
        record["cell"], record["positions"] = bead.cell, bead.positions
        try:
            if self._descriptor < 0:
                flags = os.O_RDWR | os.O_CREAT
                self._descriptor = os.open(self.path / BEADS, flags, 0o666)
            if first:
                os.ftruncate(self._descriptor, 0)
                self._n_beads = 0
            write_at(self._descriptor, sealed(record), self._n_beads * self._type.itemsize)
        except OSError as error:
            words = f"a bead cannot be written ({error.strerror or error})"
            raise RunError(f"{self.path}: {words}") from error
        self._n_beads += 1

    def close(self) -> None:
        """Close the file; nothing happens the second time."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._descriptor = -1


def _bead_type(n_atoms: int) -> np.dtype[np.void]:
    return np.dtype(
        [
            ("replica", "<i8"),
            ("client", "<i8"),
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
