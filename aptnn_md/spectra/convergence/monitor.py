"""How far a spectrum has converged, after a run or while it continues.

The measure is the *relative standard error* over a range of wavenumbers,

    ∫ σ(ν̃) dν̃ / ∫ n(ν̃)α(ν̃) dν̃,

σ being the standard error of the absorption at ν̃ and at the resolution of the spectrum. It is what
the error band looks like, on average over the absorption, and falls like 1/√length. (The error of
the integral itself is much smaller, because noise at different wavenumbers cancels in it.) It needs
neither temperature nor volume.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from aptnn_md.errors import InputError
from aptnn_md.spectra.estimation.plan import nyquist_wavenumber
from aptnn_md.spectra.estimation.power import PowerBlocks, integration_weights
from aptnn_md.spectra.estimation.terms import Key
from aptnn_md.spectra.infrared.of_streams import InfraredStreams
from aptnn_md.spectra.infrared.spectrum import InfraredSpectrum
from aptnn_md.spectra.options import CONVERGENCE_RANGE, InfraredOptions
from aptnn_md.spectra.sources.stream_signal import Options, Spectrum, StreamSignal
from aptnn_md.stream.ensemble import complete_runs, is_ensemble

MIN_BLOCKS = 8
"""With fewer blocks an error is not known well enough to stop a run by it."""

_GROWTH = 1.02


@dataclass(frozen=True)
class Convergence:
    """How far a spectrum has converged.

    Attributes
    ----------
    length : of all runs, fs
    relative_error : ∫σ dν̃ / ∫nα dν̃
    n_blocks : number of blocks that the error comes from
    """

    length: float
    relative_error: float
    n_blocks: int


def relative_error(
    blocks: PowerBlocks, wavenumbers: tuple[float, float] = CONVERGENCE_RANGE
) -> float:
    """∫σ dν̃ / ∫nα dν̃ of a spectrum, in units of 1.

    Parameters
    ----------
    blocks : the spectrum with its statistics, in any unit
    wavenumbers : the range, cm⁻¹; a spectrum ends at the Nyquist wavenumber

    Raises
    ------
    InputError
        The range is not valid, or begins beyond the Nyquist wavenumber.
    """
    _check_range(wavenumbers, blocks.plan.spacing)
    weights = integration_weights(blocks.wavenumber, *wavenumbers)
    absorbed = float(blocks.mean @ weights)
    return float(blocks.standard_error @ weights) / absorbed if absorbed > 0.0 else math.inf


class Monitor:
    """Tells whether the spectrum of a growing run is good enough.

    Frames are read once, however often the spectrum is computed. What a restart drops is dropped
    here.

    Parameters
    ----------
    path : stream of the run, or directory of runs; it need not exist yet
    tolerance : relative standard error at which the run may stop, e.g. 0.02
    wavenumbers : range over which errors and absorption are integrated, cm⁻¹
    options : resolution, time to skip, estimator

    Raises
    ------
    InputError
        The tolerance or the range is not valid.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        tolerance: float,
        wavenumbers: tuple[float, float] = CONVERGENCE_RANGE,
        options: InfraredOptions | None = None,
    ) -> None:
        if not (math.isfinite(tolerance) and tolerance > 0):
            raise InputError("convergence", "tolerance", tolerance, "a positive number")
        _check_range(wavenumbers)
        self.path, self.tolerance, self.wavenumbers = Path(path), tolerance, wavenumbers
        self._options = replace(options or InfraredOptions(), parts=False)
        self._streams: InfraredStreams | None = None
        self._last: Convergence | None = None

    def look(self) -> Convergence | None:
        """How far the spectrum has converged now; None where the run is too short for one.

        Raises
        ------
        InputError
            The stream is damaged, or an option does not fit it.
        """
        if self._streams is None:
            begun = is_ensemble(self.path) and complete_runs(self.path)
            if not (begun or (self.path / "zarr.json").exists()):
                return None
            streams = InfraredStreams([self.path], self._options)
            # at once, not only when the run is long enough for a spectrum
            _check_range(self.wavenumbers, streams.plan.spacing)
            self._streams = streams
        self._streams.read()
        if not self._streams.long_enough:
            return None
        length = self._streams.length
        # a look costs time, and a little more data changes little
        if self._last is None or not self._last.length <= length < _GROWTH * self._last.length:
            self._last = convergence_of(self._streams, self.wavenumbers)
        return self._last

    def converged(self) -> tuple[bool, str]:
        """Whether the run may stop, and a line that says how far it is.

        Raises
        ------
        InputError
            See :meth:`look`.
        """
        found = self.look()
        if found is None:
            return False, "too short for a spectrum yet"
        low, high = self.wavenumbers
        text = (
            f"relative standard error {_percent(found.relative_error)} at {low:g}-{high:g} cm⁻¹ "
            f"after {1e-3 * found.length:.4g} ps"
        )
        if found.n_blocks < MIN_BLOCKS:
            return False, f"{text}, from {found.n_blocks} of at least {MIN_BLOCKS} blocks"
        if found.relative_error < self.tolerance:
            return True, f"{text}, below {_percent(self.tolerance)}: converged"
        needed = found.length * (found.relative_error / self.tolerance) ** 2
        more = f"{_percent(self.tolerance)} expected after {1e-3 * needed:.2g} ps"
        return False, f"{text}, {more}"


def convergence_of(
    streams: StreamSignal[Spectrum, Options, Key],
    wavenumbers: tuple[float, float] = CONVERGENCE_RANGE,
) -> Convergence:
    """How far the spectrum of what has been read of streams has converged."""
    blocks = streams.density()
    return Convergence(streams.length, relative_error(blocks, wavenumbers), len(blocks.weights))


def history(
    paths: Sequence[str | os.PathLike[str]],
    options: InfraredOptions | None = None,
    wavenumbers: tuple[float, float] = CONVERGENCE_RANGE,
    n_points: int = 20,
) -> list[Convergence]:
    """How the error fell with the length of the runs, in equal steps of its logarithm.

    Raises
    ------
    InputError
        See :func:`aptnn_md.spectra.infrared.of_streams.spectrum_of_streams`.
    """
    streams = InfraredStreams(paths, replace(options or InfraredOptions(), parts=False))
    return history_of_streams(streams, wavenumbers, n_points)


def history_of_streams(
    streams: StreamSignal[Spectrum, Options, Key],
    wavenumbers: tuple[float, float] = CONVERGENCE_RANGE,
    n_points: int = 20,
) -> list[Convergence]:
    """:func:`history` of streams of any kind that have not been read yet."""
    plan = streams.plan
    longest = max(run.reader.n_frames - run.first for run in streams.runs) * plan.spacing
    shortest = max(plan.needed, plan.segment + plan.hop) * plan.spacing
    found: list[Convergence] = []
    for length in np.geomspace(min(shortest, longest), longest, n_points):
        if streams.read(length) or not found:
            found.append(convergence_of(streams, wavenumbers))
    return found


def follow(
    paths: Sequence[str | os.PathLike[str]],
    options: InfraredOptions | None = None,
    wavenumbers: tuple[float, float] = CONVERGENCE_RANGE,
    every: float = 10.0,
) -> Iterator[tuple[InfraredSpectrum, Convergence]]:
    """Spectrum and convergence of streams that grow, each time new frames have come.

    It ends when no stream is being written any more; never, where the file system cannot tell.

    Parameters
    ----------
    paths, options : see :func:`aptnn_md.spectra.infrared.of_streams.spectrum_of_streams`
    wavenumbers : range of the convergence, cm⁻¹
    every : seconds between looks

    Raises
    ------
    InputError
        See there; runs that are still too short are waited for.
    """
    yield from follow_streams(
        InfraredStreams(paths, options or InfraredOptions()), wavenumbers, every
    )


def follow_streams(
    streams: StreamSignal[Spectrum, Options, Key],
    wavenumbers: tuple[float, float] = CONVERGENCE_RANGE,
    every: float = 10.0,
) -> Iterator[tuple[Spectrum, Convergence]]:
    """:func:`follow` for spectra of any kind."""
    shown = math.nan
    while True:
        # asked before reading, so that nothing is missed between the last frames and the end
        growing = streams.growing
        streams.read()
        if streams.length != shown and (streams.long_enough or not growing):
            spectrum, shown = streams.spectrum(), streams.length
            error = relative_error(spectrum.blocks, wavenumbers)
            yield spectrum, Convergence(shown, error, len(spectrum.blocks.weights))
        if not growing:
            return
        time.sleep(every)


def _check_range(wavenumbers: tuple[float, float], spacing: float | None = None) -> None:
    low, high = wavenumbers
    if not 0.0 <= low < high:
        raise InputError(
            "convergence", "range", f"{low:g} to {high:g} cm⁻¹", "0 <= LOW < HIGH (--range)"
        )
    if spacing is not None and low >= nyquist_wavenumber(spacing):
        expected = (
            f"less than {nyquist_wavenumber(spacing):.0f} cm⁻¹, the Nyquist wavenumber of frames "
            f"{spacing:g} fs apart"
        )
        raise InputError("convergence", "begin of the range", f"{low:g} cm⁻¹", expected)


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"
