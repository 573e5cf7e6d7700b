"""Raman spectra of stream files with polarizability rates."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace

from aptnn_md.arrays import FloatArray
from aptnn_md.errors import InputError
from aptnn_md.spectra.estimation.accumulate import LagAccumulator
from aptnn_md.spectra.estimation.power import PowerBlocks
from aptnn_md.spectra.raman.polarizability import coordinates
from aptnn_md.spectra.raman.spectrum import (
    RamanSpectrum,
    raman_accumulator,
    raman_of,
    unpolarised_density,
)
from aptnn_md.spectra.sources.stream_runs import StreamRun
from aptnn_md.spectra.sources.stream_signal import StreamOptions, StreamSignal

HOW_TO_GET = (
    "polarizability rates: run md or ipi with a model that knows polarizability gradients too, "
    "e.g. --model water-apt,water-pgt"
)


class RamanStreams(StreamSignal[RamanSpectrum]):
    """Raman spectrum of streams, which may still grow.

    Parameters
    ----------
    paths, options : see :class:`aptnn_md.spectra.sources.stream_signal.StreamSignal`
    components : single components to give, too
    n_molecules : divide by this number of molecules in the system

    Raises
    ------
    InputError
        See there; streams without polarizability rates; an unknown component.
    """

    def __init__(
        self,
        paths: Sequence[str | os.PathLike[str]],
        options: StreamOptions | None = None,
        *,
        components: Sequence[str] = (),
        n_molecules: float = 1.0,
    ) -> None:
        self.components, self.n_molecules = tuple(components), n_molecules
        super().__init__(paths, options)

    def _array_of(self, run: StreamRun) -> str:
        rate = run.reader.rate_name(self.options.estimator)
        name = f"polarizability_rate/{rate.rpartition('/')[2]}"
        # a stream that was not yet given a frame has no arrays at all
        if run.reader.arrays and name not in run.reader.arrays:
            raise InputError(run.name, name, "none in the stream", HOW_TO_GET)
        return name

    def _new_accumulator(self) -> LagAccumulator:
        # where there are no labels the frames have one group
        n_groups, molecules = len(self.labels) or 1, self.options.molecules and self.options.parts
        return raman_accumulator(self.plan, n_groups, self.labels, molecules, self.components)

    def _signal(self, piece: FloatArray) -> FloatArray:
        return coordinates(piece, self.components)

    def density(self) -> PowerBlocks:
        """Density of the unpolarised spectrum, Å⁶/fs; see :meth:`StreamSignal.density`."""
        return unpolarised_density(self.accumulator, difference=self.difference)

    def spectrum(self) -> RamanSpectrum:
        """Reduced spectrum of what has been read.

        Raises
        ------
        InputError
            The temperature is unknown or differs, or a run is too short.
        """
        self.check_lengths()
        found = raman_of(
            self.accumulator,
            self.conditions("temperature"),
            self.labels,
            self.components,
            n_molecules=self.n_molecules,
            difference=self.difference,
        )
        return replace(
            found,
            notes=self.notes + found.notes,
            estimator=self.estimator,
            n_beads=self.header.n_beads,
        )


def raman_of_streams(
    paths: Sequence[str | os.PathLike[str]],
    resolution: float = 20.0,
    options: StreamOptions | None = None,
    *,
    components: Sequence[str] = (),
    n_molecules: float = 1.0,
    **changes: object,
) -> RamanSpectrum:
    """Reduced Raman spectrum of streams that are independent runs of one system.

    Parameters
    ----------
    paths : stream directories, with ``polarizability_rate/<estimator>``
    resolution : full width at half maximum of a line without width, cm⁻¹
    options : what of the streams is used, and how
    components : single components to give, too, e.g. ``("zz", "xy")``
    n_molecules : divide by this number of molecules in the system
    changes : fields of the options, e.g. ``skip=5.0``

    Raises
    ------
    InputError
        Streams without polarizability rates, and what
        :func:`aptnn_md.spectra.infrared.of_streams.spectrum_of_streams` raises.
    """
    chosen = replace(options or StreamOptions(), resolution=resolution, **changes)  # type: ignore[arg-type]
    streams = RamanStreams(paths, chosen, components=components, n_molecules=n_molecules)
    streams.read()
    return streams.spectrum()
