"""Streams as signals: read piece by piece and correlated meanwhile, also while they grow."""

from __future__ import annotations

import functools
import math
import os
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Generic, TypeVar

import numpy as np

from aptnn_md.arrays import AnyArray, FloatArray
from aptnn_md.errors import InputError
from aptnn_md.spectra.estimation.accumulate import LagAccumulator
from aptnn_md.spectra.estimation.known_means import with_known_means
from aptnn_md.spectra.estimation.nyquist import stride_note
from aptnn_md.spectra.estimation.plan import plan_spectrum
from aptnn_md.spectra.estimation.power import HasBlocks, PowerBlocks
from aptnn_md.spectra.estimation.terms import Key
from aptnn_md.spectra.options import RateOptions
from aptnn_md.spectra.sources.conditions import check_same_system, of_each_stream
from aptnn_md.spectra.sources.known_temperatures import KnownTemperatures
from aptnn_md.spectra.sources.merging import Merge, merge_groups
from aptnn_md.spectra.sources.opening import opened_runs
from aptnn_md.spectra.sources.stream_run import StreamRun
from aptnn_md.stream import StreamHeader
from aptnn_md.stream.ensemble import being_written, stream_paths
from aptnn_md.stream.ring_polymers import ring_polymer_notes

Spectrum = TypeVar("Spectrum", bound=HasBlocks)
Options = TypeVar("Options", bound=RateOptions)


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
    def _plain_density(self) -> PowerBlocks:
        """:meth:`density`, before it is regressed."""

    def density(self) -> PowerBlocks:
        """Power spectral density of what has been read: the spectrum without its factor, for which
        temperature and volume need not be known.

        Raises
        ------
        InputError
            A run is too short.
        """
        plain = self._plain_density()
        known = self.known_temperatures(plain)
        return plain if known is None else with_known_means(plain, known.deviations)

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

    def known_temperatures(self, plain: PowerBlocks) -> KnownTemperatures | None:
        """What the spectrum is regressed on; None: on nothing.

        Parameters
        ----------
        plain : density of the runs, which tells what is worth it
        """
        wanted = self.options.regress
        if not self._regresses:
            return None
        known = KnownTemperatures.of(self.runs, self.options.temperature)
        if known is None:
            return None
        return known.selected_for(plain) if isinstance(wanted, bool) else known.named(wanted)

    @property
    def known(self) -> KnownTemperatures | None:
        """:meth:`known_temperatures` of what has been read."""
        return self.known_temperatures(self._plain_density()) if self._regresses else None

    @property
    def _regresses(self) -> bool:
        """Whether it may be regressed on anything."""
        return bool(self.options.regress and self.header.coordinates)

    def notes(self, known: KnownTemperatures | None) -> tuple[str, ...]:
        """What the reader of the spectrum should know about the frames and the run.

        Parameters
        ----------
        known : what it is regressed on
        """
        found = (
            stride_note(self.header.masses, self.plan.spacing),
            rotation_note(self.header),
            "" if known is None else known.note,
        )
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
