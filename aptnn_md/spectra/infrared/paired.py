"""Infrared spectra of streams of one trajectory: both from the frames that they have in common."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from aptnn_md.arrays import FloatArray
from aptnn_md.spectra.analysis.quantum import correction_of
from aptnn_md.spectra.estimation.accumulate import LagAccumulator
from aptnn_md.spectra.estimation.paired import PairedBlocks, paired_densities, paired_terms
from aptnn_md.spectra.infrared.intensity import absorption_factors
from aptnn_md.spectra.infrared.of_streams import InfraredStreams
from aptnn_md.spectra.infrared.spectrum import InfraredSpectrum
from aptnn_md.spectra.sources.known_temperatures import KnownTemperatures
from aptnn_md.spectra.sources.pairing import paired_runs
from aptnn_md.spectra.sources.stream_run import StreamRun


@dataclass(frozen=True, eq=False)
class PairedAbsorption:
    """Absorption of two sides over their common frames.

    Attributes
    ----------
    blocks : both, and their difference, in the unit of the spectra
    n_frames : common frames of all runs
    n_first, n_second : frames that each side has
    """

    blocks: PairedBlocks
    n_frames: int
    n_first: int
    n_second: int

    @property
    def text(self) -> str:
        """What was found, in one line."""
        n, sides = self.n_frames, (self.n_first, self.n_second)
        of_all = "" if set(sides) == {n} else f" of {self.n_first} and {self.n_second}"
        return f"paired: same trajectory, {n} common frames{of_all}"


def paired_absorption(first: InfraredSpectrum, second: InfraredSpectrum) -> PairedAbsorption | None:
    """Both spectra again, from the common frames of their streams.

    Parameters
    ----------
    first, second : spectra of streams, which must still be where they were; of them only the
        frames are used that the spectra were made of

    Returns
    -------
    None where the streams are of different trajectories, or the spectra are not of streams or not
    made in the same way

    Raises
    ------
    InputError
        From the streams, from :func:`aptnn_md.spectra.sources.pairing.paired_runs`, or the common
        frames are too few for the resolution.
    """
    sides = [_streams_of(first), _streams_of(second)]
    a, b = sides
    if a is None or b is None:
        return None
    numbers = [sum(run.stop - run.first for run in side.runs) for side in (a, b)]
    common = paired_runs(a.runs, b.runs)
    if not common or a.plan != b.plan:
        return None
    a.runs = [_used(a.runs[frames.runs[0]], frames.first) for frames in common]
    b.runs = [_used(b.runs[frames.runs[1]], frames.second) for frames in common]
    accumulator = _accumulated(a, b)
    blocks = paired_densities(
        accumulator, _factors(a), _factors(b), increments=(a.difference, b.difference)
    )
    known = _known(a, b, blocks)
    if known is not None:
        blocks = blocks.regressed(known.deviations)
    n_frames = sum(len(frames.first) for frames in common)
    return PairedAbsorption(_corrected(blocks, first, second), n_frames, *numbers)


def _streams_of(spectrum: InfraredSpectrum) -> InfraredStreams | None:
    """The streams of a spectrum, cut to the frames that it was made of."""
    if spectrum.options is None:
        return None
    options = replace(spectrum.options, parts=False, molecules=False)
    streams = InfraredStreams(spectrum.sources, options)
    for run, length in zip(streams.runs, spectrum.run_lengths, strict=True):
        n_frames = round(length / spectrum.spacing)
        run.use(range(run.first, run.first + n_frames))
    return streams


def _known(
    a: InfraredStreams, b: InfraredStreams, blocks: PairedBlocks
) -> KnownTemperatures | None:
    """What tells something of either spectrum. Both are of the same frames, so that what one of
    them knows of these holds for both."""
    each = [a.known_temperatures(blocks.first), b.known_temperatures(blocks.second)]
    found = [known for known in each if known is not None]
    if len(found) < 2:
        return found[0] if found else None
    return found[0].joined(found[1])


def _used(run: StreamRun, frames: range) -> StreamRun:
    run.use(frames)
    return run


def _accumulated(first: InfraredStreams, second: InfraredStreams) -> LagAccumulator[str]:
    """Both totals of Ṁ as two signals, run by run."""
    accumulator = LagAccumulator(first.plan, paired_terms(), 2, "dipole rate")
    for a, b in zip(first.runs, second.runs, strict=True):
        name = a.name if a.name == b.name else f"common frames of {a.name} and {b.name}"
        number = accumulator.add_run(name)
        a.piece_frames = b.piece_frames = min(a.piece_frames, b.piece_frames)
        pieces = (
            run.pieces(run.reader.rate_name(side.options.estimator))
            for side, run in ((first, a), (second, b))
        )
        for rate, other in zip(*pieces, strict=True):
            accumulator.feed(number, np.stack([rate.sum(axis=1), other.sum(axis=1)], axis=1))
    return accumulator


def _factors(streams: InfraredStreams) -> FloatArray:
    """What the density of Ṁ of each run is multiplied by to be the absorption."""
    temperature = streams.conditions("temperature", streams.options.temperature)
    return absorption_factors(temperature, streams.volumes, streams.options.n_molecules or 1.0)


def _corrected(
    blocks: PairedBlocks, first: InfraredSpectrum, second: InfraredSpectrum
) -> PairedBlocks:
    """The quantum corrections of the spectra, applied to the blocks."""
    if first.quantum == second.quantum == "harmonic":
        return blocks
    grid = blocks.first.wavenumber
    operators = [correction_of(each.quantum, grid, each.temperature) for each in (first, second)]
    a, b = operators[0](blocks.first), operators[1](blocks.second)
    difference = b.minus(a)
    if first.quantum == second.quantum:
        difference = replace(
            difference, variance_shape=operators[0](blocks.difference).variance_shape
        )
    return PairedBlocks(a, b, difference)
