"""What a run did, and whether its temperature and energy are to be believed."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from aptnn_md.arrays import FloatArray
from aptnn_md.engines.ase.settings import MDSettings
from aptnn_md.errors import InputError
from aptnn_md.progress import log
from aptnn_md.spectra.analysis.alarms import Measured, temperature_alarm
from aptnn_md.spectra.analysis.energy_drift import EnergyDrift, drift_of_streams
from aptnn_md.spectra.analysis.temperatures import measured_mean
from aptnn_md.spectra.estimation.running_means import RunningMeans
from aptnn_md.stream import StreamReader
from aptnn_md.stream.ensemble import stream_paths


@dataclass(frozen=True)
class MDSummary:
    """What a run, or an ensemble of runs, did.

    Attributes
    ----------
    first_step, last_step : steps of this part of the run; in an ensemble those of all runs are
        counted together
    mean_temperature : K, over all frames of the stream or streams, those before a restart as well
    drift : of the conserved energy over all frames, meV per atom and ps; NaN where none is
        conserved (Langevin, field). Of streams without that energy it is that of this part, in an
        ensemble the mean over its runs
    finished : False if a signal ended it early
    convergence : how well the spectrum has converged, if the run is to stop by it
    temperature_error : standard error of the mean temperature, K, as spectra find it; NaN where
        there is a single frame
    drift_error : standard error of the drift, meV per atom and ps; NaN where it is not known
    n_runs : complete runs of an ensemble; 0: a single run
    """

    first_step: int
    last_step: int
    mean_temperature: float = math.nan
    drift: float = math.nan
    finished: bool = True
    convergence: str = ""
    temperature_error: float = math.nan
    n_runs: int = 0
    drift_error: float = math.nan


def judged(
    path: str | os.PathLike[str],
    settings: MDSettings,
    summary: MDSummary,
    drifts: Sequence[float] = (),
) -> MDSummary:
    """The summary with the mean temperature; loud words in the log where something is wrong.

    Parameters
    ----------
    path : stream or ensemble
    settings : with a temperature that the run should have, unless it is one of constant energy
    drifts : of single runs, whose scatter is the error of the drift where streams have no conserved
        energy
    """
    mean, error = mean_temperature(path)
    drift = _drift(path, settings, summary, drifts)
    found = replace(
        summary,
        mean_temperature=mean,
        temperature_error=error,
        drift=drift.measured.value,
        drift_error=drift.measured.standard_error,
    )
    wanted = settings.temperature
    known = settings.thermostat != "none" or settings.n_runs
    if known and temperature_alarm(Measured(mean, error), wanted) is not None:
        log.warning(
            "WRONG TEMPERATURE: the mean is %.0f ± %.0f K where %.0f K was wanted: the "
            "motions are not at equilibrium, and intensities are off as well",
            mean,
            error,
            wanted,
        )
    if (alarm := drift.alarm(wanted)) is not None:
        log.warning("%s", alarm.text)
    return found


def mean_temperature(path: str | os.PathLike[str]) -> tuple[float, float]:
    """Mean temperature of a stream or an ensemble and its standard error, K; NaN where unknown.

    Mean and error are those by which spectra judge the temperature, of all frames.
    """
    try:
        paths = stream_paths([path])
    except InputError:
        return math.nan, math.nan  # no run has begun
    values = [_temperatures(each) for each in paths]
    values = [each for each in values if len(each)]
    if not values:
        return math.nan, math.nan
    series = [RunningMeans() for _ in values]
    for means, each in zip(series, values, strict=True):
        means.add(each[:, None])
    found = measured_mean(series)
    if found is None:
        return float(values[0].mean()), math.nan
    return found.value, found.standard_error


def _temperatures(path: str | os.PathLike[str]) -> FloatArray:
    found = StreamReader(path).read("temperature")
    return np.zeros(0) if found is None else found


def _drift(
    path: str | os.PathLike[str],
    settings: MDSettings,
    summary: MDSummary,
    drifts: Sequence[float],
) -> EnergyDrift:
    """As spectra find it, of all frames; of streams without the conserved energy what was found in
    this part of the run."""
    try:
        found = drift_of_streams(stream_paths([path]))
    except InputError:
        found = None  # no run has begun
    if found is not None:
        return found
    length = settings.n_steps * settings.timestep
    if settings.thermostat == "bussi":
        length = min(length, settings.tau)
    error = math.nan
    if len(drifts) > 1:
        error = float(np.std(drifts, ddof=1)) / math.sqrt(len(drifts))
    return EnergyDrift(Measured(summary.drift, error), 1e-3 * length)
