"""The signal of streams, correlated while it is read, also while the streams grow."""

from __future__ import annotations

import math
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, Protocol, TypeVar

from aptnn_md.arrays import AnyArray, FloatArray
from aptnn_md.errors import InputError
from aptnn_md.spectra.estimation.accumulate import LagAccumulator
from aptnn_md.spectra.estimation.nyquist import stride_note
from aptnn_md.spectra.estimation.plan import SpectralPlan, check_positive, plan_spectrum
from aptnn_md.spectra.estimation.power import PowerBlocks
from aptnn_md.spectra.sources.merging import merge_groups
from aptnn_md.spectra.sources.stream_runs import StreamRun, check_same_system, condition


class HasBlocks(Protocol):
    """A spectrum that has a curve with its statistics."""

    @property
    def blocks(self) -> PowerBlocks:
        """The curve."""


Spectrum = TypeVar("Spectrum", bound=HasBlocks)


@dataclass(frozen=True)
class StreamOptions:
    """What of streams is used, and how.

    Attributes
    ----------
    resolution : full width at half maximum of a line without width, cm⁻¹
    method, window, unbiased : see :class:`aptnn_md.spectra.estimation.plan.SpectralPlan`
    temperature, volume : K, Å³; None: what the streams say
    mix : accept streams at different temperatures or volumes; each counts with its own
    estimator : estimator of Ṁ; None: the first one of the streams
    skip : time to leave out at the beginning of each stream, ps
    merge : rules by which groups are merged; see
        :func:`aptnn_md.spectra.sources.merging.merge_groups`
    molecules : intramolecular and intermolecular parts, of streams whose groups are molecules;
        their motions are taken together
    parts : whether to compute the parts of the spectrum, too
    """

    resolution: float = 20.0
    method: str = "welch"
    window: str = "hann"
    unbiased: bool = True
    temperature: float | None = None
    volume: float | None = None
    mix: bool = False
    estimator: str | None = None
    skip: float = 0.0
    merge: tuple[str, ...] = ()
    molecules: bool = False
    parts: bool = True


class StreamSignal(ABC, Generic[Spectrum]):
    """An array of streams that may still grow, correlated, and the spectrum of it.

    Parameters
    ----------
    paths : stream directories, independent runs of one system
    options : what of them is used, and how

    Raises
    ------
    InputError
        Streams are missing or do not belong together, or an option makes no sense.
    """

    def __init__(
        self, paths: Sequence[str | os.PathLike[str]], options: StreamOptions | None = None
    ) -> None:
        if not paths:
            raise InputError("spectrum", "streams", "none", "one or more")
        self.options = options = options or StreamOptions()
        self.runs = [StreamRun(path, options.skip) for path in paths]
        check_same_system(self.runs)
        _check_different(self.runs)
        for field in ("temperature", "volume"):
            if (given := getattr(options, field)) is not None:
                check_positive(field, given)
        reader = self.runs[0].reader
        self.header = reader.header
        self.labels, self._merged = _groups(reader.header.groups, options)
        self.plan: SpectralPlan = plan_spectrum(
            options.resolution,
            reader.spacing,
            options.method,
            options.window,
            unbiased=options.unbiased,
        )
        self._arrays = [self._array_of(run) for run in self.runs]
        self.accumulator = self._begin()

    @abstractmethod
    def _array_of(self, run: StreamRun) -> str:
        """Name of the array of a run."""

    @abstractmethod
    def _new_accumulator(self) -> LagAccumulator:
        """One that was not fed yet."""

    def _signal(self, piece: FloatArray) -> FloatArray:
        """What is correlated, (frames, n_groups, n_components), from merged frames."""
        return piece

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
    def estimator(self) -> str:
        """Name of the estimator."""
        return self.options.estimator or self.header.estimators[0]

    @property
    def notes(self) -> tuple[str, ...]:
        """What the reader of the spectrum should know about the frames."""
        note = stride_note(self.header.masses, self.plan.spacing)
        return (note,) if note else ()

    def check_lengths(self) -> None:
        """Refuse runs of which too little has been read; see :class:`SpectralPlan`."""
        self.plan.check_lengths(self.accumulator.run_frames)

    def read(self, length: float = math.inf) -> int:
        """Read what was committed since the last time; the number of new frames.

        Parameters
        ----------
        length : read no more than that of each run, fs
        """
        restarts = [run.reader.n_restarts for run in self.runs]
        for run in self.runs:
            run.reader.refresh()
        if [run.reader.n_restarts for run in self.runs] != restarts or any(
            run.reader.n_frames < run.next and run.n_frames > 0 for run in self.runs
        ):
            # frames may have been dropped, and others be in their place
            self.runs = [StreamRun(run.reader.path, self.options.skip) for run in self.runs]
            self.accumulator = self._begin()
        before = sum(run.n_frames for run in self.runs)
        for index, (run, array) in enumerate(zip(self.runs, self._arrays, strict=True)):
            for piece in run.pieces(array, length):
                self.accumulator.feed(index, self._signal(self._merged(piece)))
        return sum(run.n_frames for run in self.runs) - before

    def conditions(self, field: str) -> tuple[float, ...]:
        """Temperature or volume of each run, after it was read; see
        :func:`aptnn_md.spectra.sources.stream_runs.condition`."""
        given: float | None = getattr(self.options, field)
        mix = self.options.mix
        return condition(field, given, self.runs, lambda run: getattr(run, field), mix=mix)

    def _begin(self) -> LagAccumulator:
        accumulator = self._new_accumulator()
        for run in self.runs:
            accumulator.add_run(run.name)
        return accumulator


def _check_different(runs: Sequence[StreamRun]) -> None:
    """Refuse a stream that is given twice: it would count as two independent runs."""
    seen: dict[Path, str] = {}
    for run in runs:
        path = run.reader.path.resolve()
        if path in seen:
            raise InputError(run.name, "stream", f"the same as {seen[path]}", "independent runs")
        seen[path] = run.name


def _groups(
    groups: Sequence[str], options: StreamOptions
) -> tuple[tuple[str, ...], Callable[[AnyArray], FloatArray]]:
    """Labels of the parts of the spectrum, and what brings frames of the stream into them."""
    if not options.parts:
        return (), lambda rates: rates.sum(axis=1, keepdims=True)
    if options.molecules and not options.merge:
        merged = merge_groups(groups, ("group",))
        return merged.labels, merged
    if not options.merge:
        return (tuple(groups) if len(groups) > 1 else ()), lambda rates: rates
    merged = merge_groups(groups, options.merge)
    return merged.labels, merged
