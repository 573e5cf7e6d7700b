"""Infrared spectra of stream files."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from aptnn_md.spectra.analysis.energy_drift import drift_alarms
from aptnn_md.spectra.analysis.temperatures import alarms_of_runs, said
from aptnn_md.spectra.estimation.accumulate import LagAccumulator
from aptnn_md.spectra.estimation.densities import rate_densities
from aptnn_md.spectra.estimation.power import PowerBlocks
from aptnn_md.spectra.estimation.terms import TOTAL, Part
from aptnn_md.spectra.infrared.spectrum import (
    Conditions,
    InfraredSpectrum,
    infrared_accumulator,
    infrared_of,
)
from aptnn_md.spectra.options import InfraredOptions, chosen
from aptnn_md.spectra.sources.stream_run import StreamRun
from aptnn_md.spectra.sources.stream_signal import StreamSignal


class InfraredStreams(StreamSignal[InfraredSpectrum, InfraredOptions, Part]):
    """Infrared spectrum of streams, which may still grow.

    Parameters
    ----------
    paths, options : see :class:`aptnn_md.spectra.sources.stream_signal.StreamSignal`
    """

    def _array_of(self, run: StreamRun) -> str:
        return run.reader.rate_name(self.options.estimator)

    def _new_accumulator(self) -> LagAccumulator[Part]:
        # without labels, frames have one group
        return infrared_accumulator(self.plan, len(self.labels) or 1, self.labels, self.molecules)

    def _plain_density(self) -> PowerBlocks:
        """Of Ṁ."""
        return rate_densities(self.accumulator, difference=self.difference)[TOTAL]

    @property
    def volumes(self) -> tuple[float, ...] | None:
        """Volume of each run, Å³; None where no stream has one and none is given.

        Raises
        ------
        InputError
            Some streams have one and others have not, or volumes differ.
        """
        if self.options.volume is None and all(run.volume is None for run in self.runs):
            return None
        return self.conditions("volume", self.options.volume)

    def spectrum(self) -> InfraredSpectrum:
        """Spectrum of what has been read: n·α, or of a system without a volume molar absorption.

        Raises
        ------
        InputError
            The temperature is unknown or differs, volumes differ or some streams have none, or a
            run is too short.
        """
        self.check_lengths()
        known = self.known
        described = self.header.describes(self.estimator)
        of_runs = [run.f_sum if described else None for run in self.runs]
        f_sum = tuple(value for value in of_runs if value is not None)
        conditions = Conditions(
            self.conditions("temperature", self.options.temperature),
            self.volumes,
            f_sum if len(f_sum) == len(of_runs) else None,
            self.difference,
            self.labels,
            self.molecules,
            self.options.n_molecules or 1.0,
            None if known is None else known.deviations,
        )
        found = infrared_of(self.accumulator, conditions)
        return replace(
            found,
            notes=self.notes(known) + found.notes,
            alarms=found.alarms
            + alarms_of_runs(self.runs, found.temperature)
            + drift_alarms(self.runs, found.temperature),
            estimator=self.estimator,
            n_beads=self.header.n_beads,
            options=self.options,
        )


def spectrum_of_streams(
    paths: Sequence[str | os.PathLike[str]],
    resolution: float | None = None,
    options: InfraredOptions | None = None,
    **changes: Any,
) -> InfraredSpectrum:
    """Infrared spectrum of streams that are independent runs of one system.

    Parameters
    ----------
    paths : stream directories
    resolution : full width at half maximum of an infinitely narrow line, cm⁻¹; default: that of
        the options
    options : what of the streams is used, and how
    changes : fields of the options, e.g. ``skip=5.0``

    Raises
    ------
    InputError
        The temperature is unknown or differs; volumes differ or some streams have none; time steps,
        strides, groups, system or model differ; times do not fit the time step; and what
        :func:`aptnn_md.spectra.infrared.spectrum.infrared_spectrum` raises.
    """
    streams = InfraredStreams(paths, chosen(InfraredOptions, options, resolution, changes))
    streams.read()
    return said(streams.spectrum())
