"""Streams as signals: read piece by piece and correlated meanwhile, also while they grow."""

from __future__ import annotations

import functools
import math
import os
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Generic, TypeVar

import numpy as np

from aptnn_md.arrays import AnyArray, FloatArray
from aptnn_md.errors import InputError
from aptnn_md.spectra.estimation.accumulate import LagAccumulator
from aptnn_md.spectra.estimation.nyquist import stride_note
from aptnn_md.spectra.estimation.plan import plan_spectrum
from aptnn_md.spectra.estimation.power import HasBlocks, PowerBlocks
from aptnn_md.spectra.estimation.terms import Key
from aptnn_md.spectra.options import RateOptions
from aptnn_md.spectra.sources.conditions import (
    Condition,
    check_different,
    check_same_system,
    of_each_stream,
)
from aptnn_md.spectra.sources.merging import Merge, merge_groups
from aptnn_md.stream import StreamHeader, StreamReader
from aptnn_md.stream.check import check_equal_steps
from aptnn_md.stream.ensemble import being_written, stream_paths
from aptnn_md.stream.ring_polymers import ring_polymer_notes

_PIECE_VALUES = 2**20
_MAX_PIECE = 65536
_AVERAGED = ("temperature", "volume", "f_sum")

Spectrum = TypeVar("Spectrum", bound=HasBlocks)
Options = TypeVar("Options", bound=RateOptions)


class StreamRun:
    """What is used of a stream: an array from some time on, and means over the same frames.

    Parameters
    ----------
    path : directory of the stream
    skip : time to leave out at the beginning, ps

    Attributes
    ----------
    piece_frames : frames that are read at once

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


class StreamSignal(ABC, Generic[Spectrum, Options, Key]):
    """An array of streams that may still grow, correlated, and the spectrum of it.

    Parameters
    ----------
    paths : stream directories, independent runs of one system, or directories of such runs
    options : what of them is used, and how

    Raises
    ------
    InputError
        Streams are missing or do not belong together, or an option makes no sense.
    """

    def __init__(self, paths: Sequence[str | os.PathLike[str]], options: Options) -> None:
        self.options = options
        self._given = tuple(paths)
        self.runs = opened_runs(paths, options.skip)
        reader = self.runs[0].reader
        self.header = reader.header
        self.labels, self._merge = _groups(reader.header.groups, options)
        self.plan = plan_spectrum(options, reader.spacing)
        self._accumulator: LagAccumulator[Key] | None = None

    @property
    def accumulator(self) -> LagAccumulator[Key]:
        """What the frames read so far are added up in."""
        # made when it is asked for: a subclass may set fields after this class's __init__
        if self._accumulator is None:
            self._accumulator = self._new_accumulator()
            for run in self.runs:
                self._accumulator.add_run(run.name)
        return self._accumulator

    @functools.cached_property
    def _arrays(self) -> list[str]:
        return [self._array_of(run) for run in self.runs]

    @abstractmethod
    def _array_of(self, run: StreamRun) -> str:
        """Name of the array of a run."""

    @abstractmethod
    def _new_accumulator(self) -> LagAccumulator[Key]:
        """One that was not fed yet."""

    def _signal(self, piece: FloatArray) -> FloatArray:
        """What is correlated, (frames, n_groups, n_components), from merged frames."""
        return piece

    def _merged(self, piece: AnyArray) -> FloatArray:
        """(frames, n_labels, n_components) sums over the groups that are merged."""
        if not self.options.parts:
            return np.asarray(piece.sum(axis=1, keepdims=True))
        return piece if self._merge is None else self._merge(piece)

    @abstractmethod
    def density(self) -> PowerBlocks:
        """Power spectral density of what has been read: the spectrum without its factor, for which
        temperature and volume need not be known.

        Raises
        ------
        InputError
            A run is too short.
        """

    @abstractmethod
    def spectrum(self) -> Spectrum:
        """Spectrum of what has been read.

        Raises
        ------
        InputError
            A condition is unknown or differs, or a run is too short.
        """

    @property
    def length(self) -> float:
        """Length of what has been read of all runs, fs."""
        return sum(run.n_frames for run in self.runs) * self.plan.spacing

    @property
    def long_enough(self) -> bool:
        """Whether what has been read gives a spectrum."""
        try:
            self.check_lengths()
        except InputError:
            return False
        return True

    @property
    def difference(self) -> bool:
        """Whether frames hold increments instead of rates."""
        return self.header.rate == "difference"

    @property
    def molecules(self) -> bool:
        """Whether intra- and intermolecular parts are computed."""
        return self.options.molecules and self.options.parts

    @property
    def estimator(self) -> str:
        """Name of the estimator."""
        return self.options.estimator or self.header.estimators[0]

    @property
    def notes(self) -> tuple[str, ...]:
        """What the reader of the spectrum should know about the frames and the run."""
        found = (stride_note(self.header.masses, self.plan.spacing), rotation_note(self.header))
        return tuple(note for note in found if note) + ring_polymer_notes(self.header)

    def check_lengths(self) -> None:
        """Refuse runs of which too little has been read; see :class:`SpectralPlan`."""
        self.plan.check_lengths(self.accumulator.run_frames)

    def read(self, length: float = math.inf) -> int:
        """Read what was committed since the last time; the number of new frames.

        Parameters
        ----------
        length : read no more than that of each run, fs
        """
        self._take_up_new_runs()
        restarts = [run.reader.n_restarts for run in self.runs]
        for run in self.runs:
            run.reader.refresh()
        if [run.reader.n_restarts for run in self.runs] != restarts or any(
            run.reader.n_frames < run.next and run.n_frames > 0 for run in self.runs
        ):
            # frames may have been dropped, and others be in their place
            self.runs = [StreamRun(run.reader.path, self.options.skip) for run in self.runs]
            self._accumulator = None
        before = sum(run.n_frames for run in self.runs)
        for index, (run, array) in enumerate(zip(self.runs, self._arrays, strict=True)):
            for piece in run.pieces(array, length):
                self.accumulator.feed(index, self._signal(self._merged(piece)))
        return sum(run.n_frames for run in self.runs) - before

    def _take_up_new_runs(self) -> None:
        """Runs that were added to a directory of runs since the last time."""
        known = {run.reader.path for run in self.runs}
        new = [path for path in stream_paths(self._given) if path not in known]
        if not new:
            return
        self.runs = [*self.runs, *(StreamRun(path, self.options.skip) for path in new)]
        check_same_system({run.reader.path: run.reader.header for run in self.runs})
        if self._accumulator is not None:
            for path in new:
                self._accumulator.add_run(str(path))
        self.__dict__.pop("_arrays", None)

    @property
    def growing(self) -> bool:
        """Whether a run is being written, or more runs are to come; True where that cannot be
        known."""
        written = any(run.reader.being_written is not False for run in self.runs)
        return written or any(being_written(path) for path in self._given)

    def conditions(self, field: str, given: float | None) -> tuple[float, ...]:
        """Temperature or volume of each run, after it was read; see
        :func:`aptnn_md.spectra.sources.conditions.of_each_stream`."""
        found = [run.condition(field) for run in self.runs]
        return of_each_stream(field, given, found, mix=self.options.mix)


def opened_runs(paths: Sequence[str | os.PathLike[str]], skip: float) -> list[StreamRun]:
    """Independent runs of one system.

    Parameters
    ----------
    paths : stream directories, or directories of runs, which stand for their complete runs
    skip : time to leave out at the beginning of each, ps

    Raises
    ------
    InputError
        No streams, or streams that are missing, do not belong together or are given twice.
    """
    if not paths:
        raise InputError("spectrum", "streams", "none", "one or more")
    runs = [StreamRun(path, skip) for path in stream_paths(paths)]
    check_different([run.reader.path for run in runs])
    check_same_system({run.reader.path: run.reader.header for run in runs})
    return runs


def rotation_note(header: StreamHeader) -> str:
    """What became of the rotation of a molecule or cluster as a whole; empty if it is unknown."""
    return {
        "kept": "the rotation of the whole is in it: bands have rotational envelopes",
        "removed": "without rotation of the whole: bands are at their origins, without rotational "
        "envelopes",
    }.get(header.rotation, "")


def _groups(groups: Sequence[str], options: RateOptions) -> tuple[tuple[str, ...], Merge | None]:
    """Labels of the parts of the spectrum, and how groups of the stream are merged into them."""
    if not options.parts:
        return (), None
    rules = options.merge or (("group",) if options.molecules else ())
    if rules:
        merge = merge_groups(groups, rules)
        return merge.labels, merge
    return (tuple(groups) if len(groups) > 1 else ()), None
