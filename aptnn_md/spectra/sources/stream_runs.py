"""Frames of a stream for spectra, piece by piece, also while it grows."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np

from aptnn_md.arrays import AnyArray, FloatArray, IntArray
from aptnn_md.errors import InputError
from aptnn_md.stream import StreamReader

_PIECE_VALUES = 2**20
_MAX_PIECE = 65536
_SAME_CONSTANT, _SAME_MEAN = 1e-4, 0.05
_AVERAGED = ("temperature", "volume", "f_sum")


class StreamRun:
    """What is used of a stream: an array from some time on, and means over the same frames.

    Parameters
    ----------
    path : directory of the stream
    skip : time to leave out at the beginning, ps

    Raises
    ------
    InputError
        There is no stream, or ``skip`` is no time.
    """

    def __init__(self, path: str | os.PathLike[str], skip: float = 0.0) -> None:
        if not (math.isfinite(skip) and skip >= 0):
            raise InputError("spectrum", "skip", skip, "a time in ps, 0 or more")
        self.reader = StreamReader(path)
        self.name = str(path)
        self.first = math.ceil(1e3 * skip / self.reader.spacing)
        self.next = self.first
        self._sums: dict[str, FloatArray] = {}
        self._last: tuple[int, float] | None = None

    @property
    def n_frames(self) -> int:
        """Number of frames that have been read."""
        return self.next - self.first

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
        end = self.reader.n_frames
        if math.isfinite(length):
            end = min(end, self.first + math.ceil(length / self.reader.spacing))
        while self.next < end:
            stop = min(self.next + self._piece_frames(), end)
            self._check_times(self.next, stop)
            for name in _AVERAGED:
                values = self.reader.read(name, self.next, stop)
                if values is not None:
                    self._sums[name] = self._sums.get(name, 0.0) + values.sum(axis=0)
            found = [self.reader.read(array, self.next, stop) for array in arrays]
            self.next = stop
            there = tuple(values for values in found if values is not None)
            if len(there) == len(found):
                yield there

    def mean(self, name: str) -> FloatArray | None:
        """Mean of ``temperature``, ``volume`` or ``f_sum`` over the frames read; None where the
        stream has no such array, or no frame was read."""
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

    @property
    def f_sum(self) -> float | None:
        """Mean of f_sum of all atoms, e²/amu: groups add up, for velocities of atoms are
        independent."""
        mean = self.mean("f_sum")
        return None if mean is None else float(mean.sum())

    def _piece_frames(self) -> int:
        header = self.reader.header
        per_frame = 3 * max(len(header.groups), header.n_atoms if header.atom_numbers else 0)
        return int(np.clip(_PIECE_VALUES // per_frame, 1, _MAX_PIECE))

    def _check_times(self, start: int, stop: int) -> None:
        """The time axis of the spectrum rests on time step and stride; both must be true."""
        reader, offset = self.reader, 0
        steps = np.asarray(reader.read("step", start, stop), dtype=np.int64)
        times = np.asarray(reader.read("time", start, stop))
        if self._last is not None:
            steps = np.concatenate([[self._last[0]], steps])
            times = np.concatenate([[self._last[1]], times])
            offset = 1
        _check_equal_steps(reader, steps, times, start - offset)
        self._last = int(steps[-1]), float(times[-1])


def _check_equal_steps(
    reader: StreamReader, steps: IntArray, times: FloatArray, first: int
) -> None:
    stride, spacing = reader.header.stride, reader.spacing
    wrong_steps = np.diff(steps) != stride
    if wrong_steps.any():
        at = int(np.argmax(wrong_steps))
        found = f"{steps[at + 1] - steps[at]} steps after frame {first + at}"
        raise InputError(reader.path, "step", found, f"{stride}, the stride of the stream")
    wrong_times = np.abs(np.diff(times) - spacing) > 1e-3 * spacing + 1e-9 * np.abs(times[1:])
    if wrong_times.any():
        at = int(np.argmax(wrong_times))
        found = f"{times[at + 1] - times[at]:g} fs after frame {first + at}"
        raise InputError(reader.path, "time", found, f"{spacing:g} fs, time step times stride")


def check_same_system(runs: Sequence[StreamRun]) -> None:
    """Refuse streams that are not runs of one system in one way.

    Raises
    ------
    InputError
        Time step, stride, groups, estimators, beads, system or model differ. Temperatures and
        volumes are compared where they are used, for the caller may give them.
    """
    first = runs[0].reader
    header = replace(first.header, temperature=None, volume=None)
    for run in runs[1:]:
        header.check_same_run(run.reader.path, run.reader.header, f"in {first.path}")


def condition(
    field: str,
    given: float | None,
    runs: Sequence[StreamRun],
    of: Callable[[StreamRun], float | None],
    *,
    mix: bool = False,
) -> tuple[float, ...]:
    """Temperature or volume of each run.

    Parameters
    ----------
    field : its name
    given : by the caller, for all runs; None to take what the streams say
    runs : after they have been read
    of : what the stream of a run says
    mix : accept runs under different conditions; each counts with its own value

    Raises
    ------
    InputError
        A stream does not say it, or they differ.
    """
    if given is not None:
        return (given,) * len(runs)
    values: list[float] = []
    for run in runs:
        value = of(run)
        if value is None:
            expected = f"one, or a {field} given by hand"
            raise InputError(run.name, field, "none in the stream", expected)
        values.append(value)
        both_set = getattr(run.reader.header, field) is not None
        tolerance = _SAME_CONSTANT if both_set else _SAME_MEAN
        if not mix and abs(value - values[0]) > tolerance * abs(values[0]):
            expected = f"{values[0]:.6g}, as in {runs[0].name}, or a {field} given by hand"
            raise InputError(run.name, field, f"{value:.6g}", expected)
    if mix:
        return tuple(values)
    lengths = [max(run.n_frames, 1) for run in runs]
    return (float(np.average(values, weights=lengths)),) * len(runs)
