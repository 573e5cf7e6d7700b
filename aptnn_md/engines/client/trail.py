"""Every step of a client on disk before it is answered, so that a restart finds where to go on.

A client is never told which step it is at. So beside the stream it keeps a directory with

* ``steps``: for each geometry a fingerprint and the values of its frame, appended;
* ``last``: the positions of the last two geometries, in two slots that take turns.

Both are written by plain system calls before forces are handed out: whatever is killed, the server
knows no step that is not here. Records carry checksums; a torn one at the end does not count.
"""

from __future__ import annotations

import os
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from aptnn_md.arrays import AnyArray, FloatArray
from aptnn_md.errors import InputError, RunError

try:
    import fcntl
except ImportError:  # no flock here: a second client goes unnoticed
    fcntl = None  # type: ignore[assignment]

FINGERPRINT = 6
TOLERANCE = 1e-5
"""Å: fingerprints of the same geometry agree to this, though i-PI's checkpoints may have only nine
digits; those of neighbouring steps differ by far more."""


@dataclass(frozen=True)
class Geometry:
    """A step's geometry: number, cell (3, 3) in rows and positions (n_beads, n_atoms, 3) in Å."""

    step: int
    cell: FloatArray
    positions: FloatArray


class Trail:
    """The files; made where they are not there.

    Parameters
    ----------
    path : directory
    shape : of positions, (n_beads, n_atoms, 3)
    n_values : numbers in the frame of a step

    Raises
    ------
    InputError
        A trail of another system, or one that another client writes.
    RunError
        The disk is full or not writable.
    """

    def __init__(self, path: Path, shape: tuple[int, int, int], n_values: int) -> None:
        self.path = path
        self._step = np.dtype(
            [
                ("step", "<i8"),
                ("fingerprint", "<f8", (FINGERPRINT,)),
                ("values", "<f8", (n_values,)),
                ("crc", "<u8"),
            ]
        )
        self._slot = np.dtype(
            [("step", "<i8"), ("cell", "<f8", (3, 3)), ("positions", "<f8", shape), ("crc", "<u8")]
        )
        self._directions = _directions(int(np.prod(shape)))
        try:
            path.mkdir(parents=True, exist_ok=True)
            flags = os.O_RDWR | os.O_CREAT
            self._steps_file = os.open(path / "steps", flags, 0o666)
            self._last_file = os.open(path / "last", flags, 0o666)
        except OSError as error:
            found = error.strerror or error
            raise InputError(path, "trail", found, "a writable directory") from error
        self._lock()
        self._n_steps = len(self._read_steps())
        os.ftruncate(self._steps_file, self._n_steps * self._step.itemsize)

    def __len__(self) -> int:
        """Number of steps."""
        return self._n_steps

    def values(self, start: int) -> FloatArray:
        """Values of the frames of steps from ``start`` on, (steps, n_values)."""
        return np.array(self._read_steps()["values"][start:], dtype=np.float64)

    def append(self, geometry: Geometry, values: FloatArray) -> None:
        """Add the next step.

        Raises
        ------
        RunError
            The disk is full.
        """
        step = geometry.step
        assert step == self._n_steps
        record = np.zeros((), self._step)
        record["step"], record["values"] = step, values
        record["fingerprint"] = self._fingerprint(geometry.positions)
        try:
            # positions first: a step that counts has its geometry
            self._write_last(geometry)
            _write(self._steps_file, _sealed(record), step * self._step.itemsize)
        except OSError as error:
            words = f"step {step} cannot be written ({error.strerror or error})"
            raise RunError(f"{self.path}: {words}") from error
        self._n_steps += 1

    def find(self, positions: FloatArray) -> int | None:
        """The step that has this geometry, the last one if several have; None if none has."""
        steps = self._read_steps()
        distance = np.abs(steps["fingerprint"] - self._fingerprint(positions)).max(axis=1)
        found = np.flatnonzero(distance < TOLERANCE)
        return int(found[-1]) if len(found) else None

    def cut(self, geometry: Geometry) -> None:
        """Drop the steps behind that of a geometry, which is the last one then."""
        self._write_last(geometry)
        self._n_steps = geometry.step + 1
        os.ftruncate(self._steps_file, self._n_steps * self._step.itemsize)

    def last(self) -> list[Geometry]:
        """The last geometry and the one before where they are still known, oldest first."""
        slots = np.frombuffer(_read(self._last_file), dtype=np.uint8)
        size = self._slot.itemsize
        known = []
        for raw in (slots[:size], slots[size : 2 * size]):
            if len(raw) == size and _intact(raw.tobytes()):
                slot = raw.view(self._slot)[0]
                if len(self) - 2 <= slot["step"] < len(self):
                    known.append(Geometry(int(slot["step"]), slot["cell"], slot["positions"]))
        return sorted(known, key=lambda geometry: geometry.step)

    def close(self) -> None:
        """Close the files."""
        os.close(self._steps_file)
        os.close(self._last_file)

    def _lock(self) -> None:
        """Keep others out; the kernel lets them in when this process ends, however it does."""
        if fcntl is None:
            return
        try:
            fcntl.flock(self._steps_file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self.close()
            raise InputError(self.path, "trail", "another client at work", "none") from None
        except OSError:
            pass  # file systems without locks have no such protection

    def _fingerprint(self, positions: FloatArray) -> FloatArray:
        fingerprint: FloatArray = self._directions @ positions.reshape(-1)
        return fingerprint

    def _write_last(self, geometry: Geometry) -> None:
        slot = np.zeros((), self._slot)
        slot["step"], slot["cell"] = geometry.step, geometry.cell
        slot["positions"] = geometry.positions
        _write(self._last_file, _sealed(slot), (geometry.step % 2) * self._slot.itemsize)

    def _read_steps(self) -> AnyArray:
        """Records up to the first that is torn or not in order."""
        raw, size = _read(self._steps_file), self._step.itemsize
        n_good = 0
        for start in range(0, len(raw) - size + 1, size):
            record = raw[start : start + size]
            step = int.from_bytes(record[:8], "little")
            if step != n_good or not _intact(record):
                break
            n_good += 1
        if n_good == 0 and len(raw) >= 2 * size:
            raise InputError(self.path, "trail", "other records", "those of this system")
        return np.frombuffer(raw[: n_good * size], dtype=self._step)


def _directions(size: int) -> FloatArray:
    """Unit vectors (FINGERPRINT, size) in fixed, irregular directions."""
    frequencies = np.sqrt(np.array([2.0, 3.0, 5.0, 7.0, 11.0, 13.0]))
    vectors = np.sin(frequencies[:, None] * np.arange(1, size + 1))
    directions: FloatArray = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return directions


def _sealed(record: AnyArray) -> bytes:
    data = record.tobytes()[:-8]
    seal: bytes = np.uint64(zlib.crc32(data)).astype("<u8").tobytes()
    return data + seal


def _intact(data: bytes) -> bool:
    return int.from_bytes(data[-8:], "little") == zlib.crc32(data[:-8])


def _write(descriptor: int, data: bytes, offset: int) -> None:
    view = memoryview(data)
    while view:
        written = os.pwrite(descriptor, view, offset)
        view, offset = view[written:], offset + written


def _read(descriptor: int) -> bytes:
    pieces, offset = [], 0
    while piece := os.pread(descriptor, 1 << 24, offset):
        pieces.append(piece)
        offset += len(piece)
    return b"".join(pieces)
