"""Raman spectra of stream files with polarizability rates."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from aptnn_md.arrays import FloatArray
from aptnn_md.spectra.analysis.alarms import error_alarms
from aptnn_md.spectra.analysis.energy_drift import drift_alarms
from aptnn_md.spectra.analysis.temperatures import alarms_of_runs, said
from aptnn_md.spectra.estimation.accumulate import LagAccumulator
from aptnn_md.spectra.estimation.power import PowerBlocks
from aptnn_md.spectra.options import RamanOptions, chosen
from aptnn_md.spectra.raman.polarizability import coordinates
from aptnn_md.spectra.raman.spectrum import (
    ChannelTerm,
    RamanConditions,
    RamanSpectrum,
    raman_accumulator,
    raman_of,
    unpolarised_density,
)
from aptnn_md.spectra.sources.stream_run import StreamRun
from aptnn_md.spectra.sources.stream_signal import StreamSignal
from aptnn_md.targets import PGT


class RamanStreams(StreamSignal[RamanSpectrum, RamanOptions, ChannelTerm]):
    """Raman spectrum of streams, which may still grow.

    Parameters
    ----------
    paths, options : see :class:`aptnn_md.spectra.sources.stream_signal.StreamSignal`

    Raises
    ------
    InputError
        See there; streams without polarizability rates; an unknown component.
    """

    def _array_of(self, run: StreamRun) -> str:
        return run.reader.array_name(PGT, self.options.estimator)

    def _new_accumulator(self) -> LagAccumulator[ChannelTerm]:
        # without labels, frames have one group
        return raman_accumulator(self.plan, len(self.labels) or 1, self.labels, self.options)

    def _signal(self, piece: FloatArray) -> FloatArray:
        return coordinates(piece, self.options.components)

    def _plain_density(self) -> PowerBlocks:
        """Of the unpolarised spectrum, Å⁶/fs."""
        return unpolarised_density(self.accumulator, difference=self.difference)

    def spectrum(self) -> RamanSpectrum:
        """Reduced spectrum of what has been read.

        Raises
        ------
        InputError
            The temperature is unknown or differs, or a run is too short.
        """
        self.check_lengths()
        temperatures = self.conditions("temperature", self.options.temperature)
        known = self.known
        conditions = RamanConditions(
            temperatures,
            self.difference,
            self.labels,
            self.options,
            None if known is None else known.deviations,
        )
        found = raman_of(self.accumulator, conditions)
        return replace(
            found,
            notes=self.notes(known) + found.notes,
            alarms=error_alarms(found.blocks)
            + alarms_of_runs(self.runs, found.temperature)
            + drift_alarms(self.runs, found.temperature),
            estimator=self.estimator,
            n_beads=self.header.n_beads,
            isolated=all(run.volume is None for run in self.runs),
        )


def raman_of_streams(
    paths: Sequence[str | os.PathLike[str]],
    resolution: float | None = None,
    options: RamanOptions | None = None,
    **changes: Any,
) -> RamanSpectrum:
    """Reduced Raman spectrum of streams that are independent runs of one system.

    Parameters
    ----------
    paths : stream directories, with ``polarizability_rate/<estimator>``
    resolution : full width at half maximum of an infinitely narrow line, cm⁻¹; default: that of
        the options
    options : what of the streams is used, and how
    changes : fields of the options, e.g. ``skip=5.0`` or ``components=("zz", "xy")``

    Raises
    ------
    InputError
        Streams without polarizability rates, and what
        :func:`aptnn_md.spectra.infrared.of_streams.spectrum_of_streams` raises.
    """
    streams = RamanStreams(paths, chosen(RamanOptions, options, resolution, changes))
    streams.read()
    return said(streams.spectrum())
