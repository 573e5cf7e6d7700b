"""Every step of a client, on disk before it is answered, so that a restart finds where to resume.

A client is never told which step it is at. So next to the stream it keeps a directory with

* ``steps``: for each geometry a fingerprint and the values of its frame, appended;
* ``last``: the positions of the last two geometries, in two slots that take turns;
* ``beads``: those of the present step that came so far (:mod:`aptnn_md.engines.client.beads_file`).

All are written by plain system calls before forces are sent: whatever is killed, the server knows
no step, and no bead, that is not here. Every record has a checksum. What an interrupted write
leaves at the end (part of a record, or zeros after a power failure) does not count and is
overwritten by the next step; a damaged record with others after it is an error, and the files stay
as they are.

A step takes 64 bytes and eight more for each value. None is dropped: the server may resume from
any checkpoint of its own, however old.

Why not SQLite: it has no checksum of what it stores. Of 300 random flips of a bit in a database of
300 steps 256 gave other values without an error, and in a write-ahead log that a killed process
left 298 of 300 dropped steps without a word, before anything could be refused; so records would
need their own checksums there, too. A step costs 40 µs with ``journal_mode=persist,
synchronous=off`` or 35 µs with ``wal, normal``, here 21 µs (192 atoms; for 32 beads of 3000 atoms
12, 34 and 7 ms), and all but ``wal`` may lose the whole database to a power failure unless each
step waits 8 ms for the disk, where a file that only grows loses its end. SQLite also wants locks
from the file system, which those of some clusters do not have.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from aptnn_md.arrays import AnyArray, FloatArray
from aptnn_md.engines.client.beads_file import BEADS, Bead, BeadsFile, intact, sealed, write_at
from aptnn_md.errors import InputError, RunError
from aptnn_md.locks import DirectoryLock

_FILES = ("steps", "last", BEADS)

FINGERPRINT = 6
TOLERANCE = 1e-5
"""Å: fingerprints of the same geometry agree to this, though i-PI's checkpoints may have only nine
digits; those of neighbouring steps differ by far more."""


_ONE_WRITER = ("trail", "another client", "none; ranks of MPI are one client with --mpi")


@dataclass(frozen=True)
class StepGeometry:
    """A step's geometry: number, cell (3, 3) in rows and positions (n_beads, n_atoms, 3) in Å."""

    step: int
    cell: FloatArray
    positions: FloatArray


class Trail:
    """The files of a trail, which are created if they do not exist.

    Parameters
    ----------
    path : directory
    shape : of positions, (n_beads, n_atoms, 3)
    n_values : numbers in the frame of a step

    Raises
    ------
    InputError
        A trail of another system, a damaged one, or one that another client writes. The files are
        not changed.
    RunError
        The disk is full or not writable.
    """

    def __init__(self, path: Path, shape: tuple[int, int, int], n_values: int) -> None:
        self.path, self.n_values = path, n_values
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
            self._lock = DirectoryLock(path, *_ONE_WRITER)
        except OSError as error:
            raise _unwritable(path, error) from error
        self._steps_file = self._last_file = -1
        self._beads = BeadsFile(path, shape[1])
        try:
            self._steps_file, self._last_file = (self._open(name) for name in ("steps", "last"))
            # read once, and forgotten as soon as there is a new step
            self._known: AnyArray | None = self._read_steps()
        except BaseException:
            self.close()
            raise
        self._n_steps = len(self._known)

    def __len__(self) -> int:
        """Number of steps."""
        return self._n_steps

    def values(self, start: int) -> FloatArray:
        """Values of the frames of steps from ``start`` on, (steps, n_values)."""
        return np.array(self._steps()["values"][start:], dtype=np.float64)

    def append(self, geometry: StepGeometry, values: FloatArray) -> None:
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
            write_at(self._steps_file, sealed(record), step * self._step.itemsize)
        except OSError as error:
            words = f"step {step} cannot be written ({error.strerror or error})"
            raise RunError(f"{self.path}: {words}") from error
        self._n_steps += 1
        self._known = None

    def beads(self) -> list[Bead]:
        """See :meth:`aptnn_md.engines.client.beads_file.BeadsFile.read`."""
        return self._beads.read()

    def add_bead(self, bead: Bead, first: bool) -> None:
        """See :meth:`aptnn_md.engines.client.beads_file.BeadsFile.add`."""
        self._beads.add(bead, first)

    def find(self, positions: FloatArray) -> int | None:
        """The step that has this geometry, the last one if several have; None if none has."""
        steps = self._steps()
        distance = np.abs(steps["fingerprint"] - self._fingerprint(positions)).max(axis=1)
        found = np.flatnonzero(distance < TOLERANCE)
        return int(found[-1]) if len(found) else None

    def cut(self, geometry: StepGeometry) -> None:
        """Drop the steps after that of a geometry, which becomes the last one."""
        self._write_last(geometry)
        self._n_steps = geometry.step + 1
        self._known = None
        os.ftruncate(self._steps_file, self._n_steps * self._step.itemsize)

    def last(self) -> list[StepGeometry]:
        """The last geometry and the one before it, as far as they are known, oldest first."""
        slots = np.frombuffer(_read(self._last_file), dtype=np.uint8)
        size = self._slot.itemsize
        known = []
        for raw in (slots[:size], slots[size : 2 * size]):
            if len(raw) == size and intact(raw.tobytes()):
                slot = raw.view(self._slot)[0]
                if len(self) - 2 <= slot["step"] < len(self):
                    known.append(StepGeometry(int(slot["step"]), slot["cell"], slot["positions"]))
        return sorted(known, key=lambda geometry: geometry.step)

    def close(self) -> None:
        """Close the files and let other clients write; nothing happens the second time."""
        for descriptor in (self._steps_file, self._last_file):
            if descriptor >= 0:
                os.close(descriptor)
        self._steps_file = self._last_file = -1
        self._beads.close()
        self._lock.release()

    def _open(self, name: str) -> int:
        try:
            return os.open(self.path / name, os.O_RDWR | os.O_CREAT, 0o666)
        except OSError as error:
            raise _unwritable(self.path, error) from error

    def _fingerprint(self, positions: FloatArray) -> FloatArray:
        fingerprint: FloatArray = self._directions @ positions.reshape(-1)
        return fingerprint

    def _write_last(self, geometry: StepGeometry) -> None:
        slot = np.zeros((), self._slot)
        slot["step"], slot["cell"] = geometry.step, geometry.cell
        slot["positions"] = geometry.positions
        write_at(self._last_file, sealed(slot), (geometry.step % 2) * self._slot.itemsize)

    def _steps(self) -> AnyArray:
        if self._known is None:
            self._known = self._read_steps()
        return self._known

    def _read_steps(self) -> AnyArray:
        """All records, without what an interrupted write left after them."""
        raw, size = _read(self._steps_file), self._step.itemsize
        n_good, n_whole = 0, len(raw) // size
        while n_good < n_whole and _is_record(raw[n_good * size : (n_good + 1) * size], n_good):
            n_good += 1
        rest = raw[n_good * size :]
        if any(rest[size:]):
            if n_good == 0:
                expected = f"those of this system (or the file {self.path / 'steps'} is damaged)"
                raise InputError(self.path, "trail", "other records", expected)
            raise InputError(
                self.path / "steps",
                "trail",
                f"a damaged record of step {n_good} with {len(rest) // size - 1} or more after it",
                "a whole file; for a new run give another --stream",
            )
        return np.frombuffer(raw[: n_good * size], dtype=self._step)


def remove_trail(path: Path) -> None:
    """Remove what is left of a trail whose stream was deleted; nothing where there is none.

    Raises
    ------
    InputError
        Another client writes it, or it is something else than a trail: nothing is removed then.
    RunError
        It cannot be removed.
    """
    if not path.exists():
        return
    try:
        with DirectoryLock(path, *_ONE_WRITER):
            found = sorted(entry.name for entry in path.iterdir())
            others = sorted(set(found) - set(_FILES))
            if others:
                expected = f"only {' and '.join(_FILES)} of a deleted stream, or no such directory"
                raise InputError(path, "trail", ", ".join(others), expected)
            for name in found:
                (path / name).unlink()
            path.rmdir()
    except OSError as error:
        raise RunError(
            f"{path}: the trail of a deleted stream cannot be removed ({error.strerror or error})"
        ) from error


def _unwritable(path: Path, error: OSError) -> InputError:
    return InputError(path, "trail", error.strerror or error, "a writable directory")


def _directions(size: int) -> FloatArray:
    """Unit vectors (FINGERPRINT, size) in fixed, irregular directions."""
    frequencies = np.sqrt(np.array([2.0, 3.0, 5.0, 7.0, 11.0, 13.0]))
    vectors = np.sin(frequencies[:, None] * np.arange(1, size + 1))
    directions: FloatArray = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return directions


def _is_record(data: bytes, step: int) -> bool:
    return int.from_bytes(data[:8], "little") == step and intact(data)


def _read(descriptor: int) -> bytes:
    pieces, offset = [], 0
    while piece := os.pread(descriptor, 1 << 24, offset):
        pieces.append(piece)
        offset += len(piece)
    return b"".join(pieces)
