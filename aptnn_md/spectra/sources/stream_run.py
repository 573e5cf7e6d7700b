"""A stream as a run: what of it is used, read piece by piece, also while it grows."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence

import numpy as np

from aptnn_md.arrays import AnyArray, FloatArray
from aptnn_md.domain import SPREAD_RATIO
from aptnn_md.errors import InputError
from aptnn_md.spectra.estimation.running_means import RunningMeans
from aptnn_md.spectra.sources.conditions import Condition
from aptnn_md.stream import StreamHeader, StreamReader
from aptnn_md.stream.check import check_equal_steps

_PIECE_VALUES = 2**20
_MAX_PIECE = 65536
_AVERAGED = ("temperature", "volume", "f_sum", "coordinate_temperature")


class StreamRun:
    """What is used of a stream: an array from some time on, and means over the same frames.

    Parameters
    ----------
    path : directory of the stream
    skip : time to leave out at the beginning, ps

    Attributes
    ----------
    piece_frames : frames that are read at once
    n_judged, n_outside : of the frames read, those whose committee was judged, and of these the
        ones outside of what it knows (:mod:`aptnn_md.domain`)
    temperatures : of the frames read, those of motions after the kinetic temperature where the
        stream has them, K
    energies : of the frames read, time (fs) and conserved energy (eV), both less those of the first
        of them; no frames where the stream has no such energy

    Raises
    ------
    InputError
        The path is not a stream.
    """

    def __init__(self, path: str | os.PathLike[str], skip: float = 0.0) -> None:
        self.reader = StreamReader(path)
        self.name = str(path)
        self.first = math.ceil(1e3 * skip / self.reader.spacing)
        self.next = self.first
        self.piece_frames = _piece_frames(self.reader.header)
        self._stop = math.inf
        self._sums: dict[str, FloatArray] = {}
        self._last: tuple[int, float] | None = None
        self.temperatures = RunningMeans()
        self.energies = RunningMeans()
        self._start: FloatArray | None = None
        self.n_judged = self.n_outside = 0

    @property
    def n_frames(self) -> int:
        """Number of frames that have been read."""
        return self.next - self.first

    @property
    def stop(self) -> int:
        """Frame before which reading ends: all that were committed when the stream was looked at
        last, or those of :meth:`use`."""
        return int(min(self.reader.n_frames, self._stop))

    def use(self, frames: range) -> None:
        """Read these frames only, from the first one on; for a run of which nothing was read yet.

        Parameters
        ----------
        frames : consecutive numbers of frames in the stream
        """
        self.first = self.next = frames.start
        self._stop = frames.stop

    def pieces(self, array: str, length: float = math.inf) -> Iterator[AnyArray]:
        """The frames of an array that have not been read yet, of those committed when the stream
        was looked at last; (frames, ...) each.

        Parameters
        ----------
        array : its name
        length : read no more than that of the run, fs

        Raises
        ------
        InputError
            Steps or times do not fit stride and time step, or data are damaged or not finite.
        """
        for (piece,) in self.together([array], length):
            yield piece

    def together(
        self, arrays: Sequence[str], length: float = math.inf
    ) -> Iterator[tuple[AnyArray, ...]]:
        """The same frames of several arrays; see :meth:`pieces`."""
        end = self.stop
        if math.isfinite(length):
            end = min(end, self.first + math.ceil(length / self.reader.spacing))
        while self.next < end:
            stop = min(self.next + self.piece_frames, end)
            self._check_times(self.next, stop)
            for name in _AVERAGED:
                values = self.reader.read(name, self.next, stop)
                if values is not None:
                    self._sums[name] = self._sums.get(name, 0.0) + values.sum(axis=0)
            self._add_temperatures(stop)
            self._add_energies(stop)
            self._count_outside(stop)
            found = [self.reader.read(array, self.next, stop) for array in arrays]
            self.next = stop
            there = tuple(values for values in found if values is not None)
            if len(there) < len(found):
                missing = next(n for n, v in zip(arrays, found, strict=True) if v is None)
                raise InputError(self.name, missing, "none in the stream", "a stream that has it")
            yield there

    def mean(self, name: str) -> FloatArray | None:
        """Mean of ``temperature``, ``volume``, ``f_sum`` or ``coordinate_temperature`` over the
        frames read; None where the stream has no such array, or no frame was read."""
        if name not in self._sums or not self.n_frames:
            return None
        return np.asarray(self._sums[name] / self.n_frames)

    @property
    def temperature(self) -> float | None:
        """Temperature, K: the thermostat's, else the mean."""
        if self.reader.header.temperature is not None:
            return self.reader.header.temperature
        mean = self.mean("temperature")
        return None if mean is None else float(mean)

    @property
    def volume(self) -> float | None:
        """Volume, Å³: the mean, else the constant one."""
        mean = self.mean("volume")
        return self.reader.header.volume if mean is None else float(mean)

    def condition(self, field: str) -> Condition:
        """Temperature or volume as the stream says it, over the frames read."""
        value = self.temperature if field == "temperature" else self.volume
        constant = getattr(self.reader.header, field) is not None
        return Condition(self.name, value, constant, self.n_frames)

    @property
    def f_sum(self) -> float | None:
        """Mean of f_sum of all atoms, e²/amu: groups add up, because velocities of atoms are
        independent."""
        mean = self.mean("f_sum")
        return None if mean is None else float(mean.sum())

    def _add_temperatures(self, stop: int) -> None:
        names = ("temperature", "motion_temperature")
        found = [self.reader.read(name, self.next, stop) for name in names]
        if found[0] is not None:
            columns = [v.reshape(len(v), -1) for v in found if v is not None]
            self.temperatures.add(np.concatenate(columns, axis=1))

    def _add_energies(self, stop: int) -> None:
        energies = self.reader.read("conserved_energy", self.next, stop)
        if energies is None:
            return
        times = np.asarray(self.reader.read("time", self.next, stop))
        columns = np.stack([times, energies], axis=1)
        if self._start is None:
            self._start = columns[0]
        self.energies.add(columns - self._start)

    def _count_outside(self, stop: int) -> None:
        ratios = self.reader.read(SPREAD_RATIO, self.next, stop)
        if ratios is not None:
            self.n_judged += len(ratios)
            self.n_outside += int((ratios > 1.0).sum())

    def _check_times(self, start: int, stop: int) -> None:
        """The time axis of the spectrum rests on time step and stride; both must be true."""
        reader, offset = self.reader, 0
        steps = np.asarray(reader.read("step", start, stop), dtype=np.int64)
        times = np.asarray(reader.read("time", start, stop))
        if self._last is not None:
            steps = np.concatenate([[self._last[0]], steps])
            times = np.concatenate([[self._last[1]], times])
            offset = 1
        check_equal_steps(reader.path, reader.header, steps, times, start - offset)
        self._last = int(steps[-1]), float(times[-1])


def _piece_frames(header: StreamHeader) -> int:
    """Frames of a piece that is small in memory."""
    per_frame = 3 * max(len(header.groups), header.n_atoms if header.atom_numbers else 0)
    return int(np.clip(_PIECE_VALUES // per_frame, 1, _MAX_PIECE))
