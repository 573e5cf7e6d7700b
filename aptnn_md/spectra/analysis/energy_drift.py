"""The drift of the conserved energy of runs, its standard error, and the alarm about it.

All runs have one drift, each with an energy of its own at its start: the slope of block means by
least squares. Its error is that of a mean of x = (t - t̄) (E - fit) / Σ w (t - t̄)² over blocks, so
it allows for slow motion and rests on the scatter of the runs where there are enough of them
(:mod:`aptnn_md.spectra.estimation.slow_exchange`). The fluctuations that a finite time step leaves
in the energy are no drift.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from aptnn_md.spectra.analysis.alarms import Alarm, Measured, drift_alarm, drift_text
from aptnn_md.spectra.estimation.running_means import RunningMeans
from aptnn_md.spectra.estimation.slow_exchange import mean_error
from aptnn_md.spectra.sources.stream_run import StreamRun
from aptnn_md.stream import StreamHeader, StreamReader

_BLOCKS, _FEWEST_OF_A_RUN = 64, 4
_PIECE_FRAMES = 65536


@dataclass(frozen=True)
class EnergyDrift:
    """Drift of the conserved energy.

    Attributes
    ----------
    measured : meV per atom and ps
    picoseconds : time over which it adds up: that of the longest run, or the time constant of the
        thermostat where that is shorter
    """

    measured: Measured
    picoseconds: float

    def __str__(self) -> str:
        return drift_text(self.measured)

    def alarm(self, temperature: float) -> Alarm | None:
        """The alarm about it at a temperature, K; see
        :func:`aptnn_md.spectra.analysis.alarms.drift_alarm`."""
        return drift_alarm(self.measured, self.picoseconds, temperature)


def drift_alarms(runs: Sequence[StreamRun], temperature: float) -> tuple[Alarm, ...]:
    """The alarm about the conserved energy in the frames that were read of streams.

    Parameters
    ----------
    runs : that were read
    temperature : of the spectrum, K
    """
    found = _drift([(run.energies, run.reader.header) for run in runs])
    alarm = None if found is None else found.alarm(temperature)
    return () if alarm is None else (alarm,)


def drift_of_streams(paths: Sequence[str | os.PathLike[str]]) -> EnergyDrift | None:
    """Drift in all frames of streams of one system; None where no stream has the conserved energy,
    or where there are too few frames for an error.
    """
    readers = [StreamReader(path) for path in paths]
    return _drift([(_energies(reader), reader.header) for reader in readers])


def _energies(reader: StreamReader) -> RunningMeans:
    """As :class:`aptnn_md.spectra.sources.stream_run.StreamRun` has them, without the rest."""
    found, start = RunningMeans(), None
    if "conserved_energy" not in reader.arrays:
        return found
    names = ("time", "conserved_energy")
    for pieces in zip(*(reader.pieces(name, _PIECE_FRAMES) for name in names), strict=True):
        columns = np.stack(pieces, axis=1)
        start = columns[0] if start is None else start
        found.add(columns - start)
    return found


def _drift(runs: Sequence[tuple[RunningMeans, StreamHeader]]) -> EnergyDrift | None:
    there = [(energies, header) for energies, header in runs if energies.n_frames]
    if not there or not there[0][1].n_atoms:
        return None
    slope = measured_slope([energies for energies, _ in there])
    if slope is None:
        return None
    # eV/fs to meV per atom and ps
    per_atom = 1e6 / there[0][1].n_atoms
    measured = Measured(slope.value * per_atom, slope.standard_error * per_atom)
    return EnergyDrift(measured, max(_length(*run) for run in there))


def _length(energies: RunningMeans, header: StreamHeader) -> float:
    """Time over which a drift adds up, ps."""
    length = (energies.n_frames - 1) * header.stride * header.timestep
    return 1e-3 * min(length, header.thermostat_time or length)


def measured_slope(series: Sequence[RunningMeans]) -> Measured | None:
    """Common slope of runs, and its standard error; None of too few frames.

    Parameters
    ----------
    series : of each run, frames (time, value)
    """
    n_blocks = max(_FEWEST_OF_A_RUN, _BLOCKS // len(series))
    found = [each.blocks(n_blocks) for each in series]
    runs = np.repeat(np.arange(len(found)), [len(counts) for _, counts in found])
    freedom = len(runs) - len(found) - 1
    if freedom < 1:
        return None
    centred = [m - np.average(m, axis=0, weights=counts) for m, counts in found]
    times, values = np.concatenate(centred).T
    counts = np.concatenate([counts for _, counts in found])
    weights = counts / counts.sum()
    spread = float(np.sum(weights * times**2))
    slope = float(np.sum(weights * times * values)) / spread
    parts = times * (values - slope * times) / spread
    error = mean_error(parts[:, None], weights, runs)
    # of one run or a few, means were fitted to the blocks besides
    fitted = 1.0 if error.by_runs else math.sqrt((len(runs) - 1) / freedom)
    return Measured(slope, fitted * float(error.standard_error[0]))
