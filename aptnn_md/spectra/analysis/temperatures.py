"""Kinetic temperatures of runs: their means over blocks, and alarms about them and other frames."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeVar

import numpy as np

from aptnn_md.arrays import FloatArray, IntArray
from aptnn_md.progress import log
from aptnn_md.spectra.analysis.alarms import (
    Alarm,
    Measured,
    domain_alarm,
    equipartition_alarm,
    temperature_alarm,
)
from aptnn_md.spectra.estimation.running_means import RunningMeans
from aptnn_md.spectra.estimation.slow_exchange import mean_error
from aptnn_md.spectra.sources.stream_run import StreamRun

_BLOCKS = 64  # of all runs together
_AT_REST = 1e-6  # of the mean temperature: a motion that was taken out


class HasAlarms(Protocol):
    """A spectrum that knows reasons not to trust it."""

    @property
    def alarms(self) -> tuple[Alarm, ...]:
        """The reasons."""


Spectrum = TypeVar("Spectrum", bound=HasAlarms)


def said(spectrum: Spectrum) -> Spectrum:
    """The spectrum, after its alarms have been logged."""
    for alarm in spectrum.alarms:
        log.warning("%s: %s", alarm.name, alarm.text)
    return spectrum


def alarms_of_runs(runs: Sequence[StreamRun], expected: float) -> tuple[Alarm, ...]:
    """Alarms about the frames that were read of streams: their structures and temperatures.

    Parameters
    ----------
    runs : that were read
    expected : temperature of the spectrum, K
    """
    unknown = domain_alarm(sum(run.n_outside for run in runs), sum(run.n_judged for run in runs))
    found = () if unknown is None else (unknown,)
    series = [run.temperatures for run in runs if run.temperatures.n_frames]
    if len(series) < len(runs):
        return found
    freedom = runs[0].reader.header.motion_freedom
    if any(run.reader.header.motion_freedom != freedom for run in runs):
        freedom = ()
    return (*found, *temperature_alarms(series, freedom, expected))


def measured_mean(series: Sequence[RunningMeans]) -> Measured | None:
    """Mean kinetic temperature of runs, K, and its standard error; None of a single frame.

    Parameters
    ----------
    series : of each run, as for :func:`temperature_alarms`
    """
    found = _blocks_of(series)
    return None if found is None else _measured(found[0][:, :1], *found[1:])[0]


def temperature_alarms(
    series: Sequence[RunningMeans], freedom: Sequence[float], expected: float
) -> list[Alarm]:
    """Alarms about the temperatures of runs.

    Parameters
    ----------
    series : of each run, frames of the kinetic temperature, followed by those of
        :data:`aptnn_md.stream.header.MOTIONS` where ``freedom`` is given, K
    freedom : (3,) degrees of freedom of these; empty where they are not known
    expected : temperature of the spectrum, K
    """
    found = _blocks_of(series)
    if found is None:
        return []
    values, weights, runs = found
    (kinetic,) = _measured(values[:, :1], weights, runs)
    alarms = [temperature_alarm(kinetic, expected)]
    if len(freedom):
        alarms.append(_of_motions(values[:, 1:4], np.array(freedom), weights, runs))
    return [alarm for alarm in alarms if alarm is not None]


def _blocks_of(
    series: Sequence[RunningMeans],
) -> tuple[FloatArray, FloatArray, IntArray] | None:
    """Means of blocks (n_blocks, k), their shares in the data, and runs; None of one block."""
    found = [run.blocks(max(2, _BLOCKS // len(series))) for run in series]
    counts = np.concatenate([count for _, count in found])
    if len(counts) < 2:
        return None
    values = np.concatenate([means for means, _ in found])
    runs = np.repeat(np.arange(len(found)), [len(count) for _, count in found])
    return values, counts / counts.sum(), runs


def _of_motions(
    temperatures: FloatArray, freedom: FloatArray, weights: FloatArray, runs: IntArray
) -> Alarm | None:
    """Alarm about block values (n_blocks, 3) of the temperatures of motions."""
    means = weights @ temperatures
    mean = float(np.average(means, weights=freedom))
    moves = (freedom > 0.0) & (means > _AT_REST * mean)
    if moves.sum() < 2:
        return None
    energy = temperatures * np.where(moves, freedom, 0.0)
    others = np.where(moves, freedom[moves].sum() - freedom, 1.0)
    rest = (energy.sum(axis=1, keepdims=True) - energy) / others
    excess = _measured(temperatures - rest, weights, runs)
    there = [one if moving else None for one, moving in zip(excess, moves, strict=True)]
    return equipartition_alarm(means.tolist(), there, mean)


def _measured(columns: FloatArray, weights: FloatArray, runs: IntArray) -> list[Measured]:
    """Means of block values (n_blocks, k) with their standard errors."""
    errors = mean_error(columns, weights, runs).standard_error
    return [Measured(float(m), float(e)) for m, e in zip(weights @ columns, errors, strict=True)]
