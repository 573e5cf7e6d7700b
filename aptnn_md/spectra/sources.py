"""Spectra of stream files."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from aptnn_md.arrays import AnyArray, FloatArray
from aptnn_md.errors import InputError
from aptnn_md.spectra.accumulate import LagAccumulator
from aptnn_md.spectra.infrared import (
    Conditions,
    InfraredSpectrum,
    infrared_accumulator,
    infrared_of,
    rate_densities,
)
from aptnn_md.spectra.merging import merge_groups
from aptnn_md.spectra.nyquist import stride_note
from aptnn_md.spectra.plan import SpectralPlan, check_positive, plan_spectrum
from aptnn_md.spectra.power import PowerBlocks
from aptnn_md.spectra.stream_runs import StreamRun, check_same_system, condition
from aptnn_md.spectra.terms import TOTAL


@dataclass(frozen=True)
class StreamOptions:
    """What of streams is used, and how.

    Attributes
    ----------
    resolution : full width at half maximum of a line without width, cm⁻¹
    method, window, unbiased : see :class:`aptnn_md.spectra.plan.SpectralPlan`
    temperature, volume : K, Å³; None: what the streams say
    mix : accept streams at different temperatures or volumes; each counts with its own
    estimator : estimator of Ṁ; None: the first one of the streams
    skip : time to leave out at the beginning of each stream, ps
    merge : rules by which groups are merged; see :func:`aptnn_md.spectra.merging.merge_groups`
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


class StreamSpectrum:
    """Infrared spectrum of streams, which may still grow.

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
        self._array = reader.rate_name(options.estimator)
        self._labels, self._merged = _groups(reader.header.groups, options)
        self._plan = plan_spectrum(
            options.resolution,
            reader.spacing,
            options.method,
            options.window,
            unbiased=options.unbiased,
        )
        self._accumulator = self._new_accumulator()

    @property
    def length(self) -> float:
        """Length of what has been read of all runs, fs."""
        return sum(run.n_frames for run in self.runs) * self._plan.spacing

    @property
    def long_enough(self) -> bool:
        """Whether what has been read gives a spectrum."""
        try:
            self._plan.check_lengths(self._accumulator.run_frames)
        except InputError:
            return False
        return True

    @property
    def plan(self) -> SpectralPlan:
        """Method, window and lengths."""
        return self._plan

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
            self._begin_again()  # frames may have been dropped, and others be in their place
        before = sum(run.n_frames for run in self.runs)
        for index, run in enumerate(self.runs):
            for piece in run.pieces(self._array, length):
                self._accumulator.feed(index, self._merged(piece))
        return sum(run.n_frames for run in self.runs) - before

    def density(self) -> PowerBlocks:
        """Power spectral density of Ṁ of what has been read: the spectrum without its factor, for
        which temperature and volume need not be known.

        Raises
        ------
        InputError
            A run is too short.
        """
        difference = self.runs[0].reader.header.rate == "difference"
        return rate_densities(self._accumulator, difference=difference)[TOTAL]

    def spectrum(self) -> InfraredSpectrum:
        """Spectrum of what has been read.

        Raises
        ------
        InputError
            Temperature or volume are unknown or differ, or a run is too short.
        """
        options, header = self.options, self.runs[0].reader.header
        self._plan.check_lengths(self._accumulator.run_frames)
        temperature = condition(
            "temperature", options.temperature, self.runs, lambda r: r.temperature, mix=options.mix
        )
        volume = condition(
            "volume", options.volume, self.runs, lambda run: run.volume, mix=options.mix
        )
        known = [run.f_sum for run in self.runs]
        f_sum = tuple(value for value in known if value is not None)
        difference = header.rate == "difference"
        found = infrared_of(
            self._accumulator,
            Conditions(
                temperature, volume, f_sum if len(f_sum) == len(known) else None, difference
            ),
            self._labels,
        )
        note = stride_note(header.masses, self._plan.spacing)
        return replace(
            found,
            notes=((note,) if note else ()) + found.notes,
            estimator=options.estimator or header.estimators[0],
            n_beads=header.n_beads,
        )

    def _new_accumulator(self) -> LagAccumulator:
        # where there are no labels the frames have one group
        molecules = self.options.molecules and self.options.parts
        n_groups = len(self._labels) or 1
        accumulator = infrared_accumulator(self._plan, n_groups, self._labels, molecules)
        for run in self.runs:
            accumulator.add_run(run.name)
        return accumulator

    def _begin_again(self) -> None:
        self.runs = [StreamRun(run.reader.path, self.options.skip) for run in self.runs]
        self._accumulator = self._new_accumulator()


def spectrum_of_streams(
    paths: Sequence[str | os.PathLike[str]],
    resolution: float = 20.0,
    options: StreamOptions | None = None,
    **changes: object,
) -> InfraredSpectrum:
    """Infrared spectrum of streams that are independent runs of one system.

    Parameters
    ----------
    paths : stream directories
    resolution : full width at half maximum of a line without width, cm⁻¹
    options : what of the streams is used, and how; see :class:`StreamOptions`
    changes : fields of the options, e.g. ``skip=5.0``

    Raises
    ------
    InputError
        Temperature or volume are unknown or differ, as do time steps, strides, groups, system or
        model; times do not fit the time step; and what
        :func:`aptnn_md.spectra.infrared.infrared_spectrum` raises.
    """
    chosen = replace(options or StreamOptions(), resolution=resolution, **changes)  # type: ignore[arg-type]
    streams = StreamSpectrum(paths, chosen)
    streams.read()
    return streams.spectrum()


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
