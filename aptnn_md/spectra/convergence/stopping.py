"""Runs that stop when their spectrum is good enough."""

from __future__ import annotations

import time
from typing import Protocol

from aptnn_md.errors import InputError
from aptnn_md.progress import log
from aptnn_md.spectra.convergence.monitor import Monitor
from aptnn_md.spectra.estimation.plan import nyquist_wavenumber
from aptnn_md.stream import StreamWriter


class StreamSource(Protocol):
    """Whatever writes the stream of a run."""

    @property
    def writer(self) -> StreamWriter:
        """Of the stream."""

    def commit(self) -> None:
        """Put all frames on disk."""


class ConvergenceStop:
    """Checks from time to time whether the spectrum of a run is good enough.

    Parameters
    ----------
    monitor : of the stream
    observer : writes the stream; it is committed before each look
    seconds : wall-clock time between looks

    Attributes
    ----------
    reached : whether the spectrum is good enough
    text : result of the last look

    Raises
    ------
    InputError
        The monitor's range begins beyond the Nyquist wavenumber of the frames.
    """

    def __init__(self, monitor: Monitor, observer: StreamSource, seconds: float = 10.0) -> None:
        spacing = observer.writer.header.timestep * observer.writer.header.stride
        low, highest = monitor.wavenumbers[0], nyquist_wavenumber(spacing)
        if low >= highest:
            expected = f"to begin below {highest:.0f} cm⁻¹, frames being {spacing:g} fs apart"
            raise InputError("convergence", "range", f"{low:g} cm⁻¹", expected)
        self.monitor, self.observer, self.seconds = monitor, observer, seconds
        self.reached, self.text = False, ""
        self._next = time.monotonic() + seconds

    def __call__(self) -> bool:
        """Look, if it is time to; whether the run may stop."""
        return time.monotonic() >= self._next and self.now()

    def now(self) -> bool:
        """Look, and say whether the run may stop."""
        self.observer.commit()
        before = self.text
        self.reached, self.text = self.monitor.converged()
        if self.text != before:
            log.info("%s", self.text)
        self._next = time.monotonic() + self.seconds
        return self.reached

    def final_text(self) -> str:
        """Result for the whole run."""
        if not self.reached:
            self.now()
        return self.text
