"""Signals that ask a run to end: Ctrl-C, ``kill``, the end of a batch job, a closed terminal.

SIGHUP is treated like SIGTERM, unless the process was started to survive it (``nohup``).
"""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any

_HANGUP = getattr(signal, "SIGHUP", None)
"""None on systems without terminals that hang up."""


@contextlib.contextmanager
def stop_requested() -> Iterator[threading.Event]:
    """Event that SIGINT, SIGTERM and SIGHUP set, so that a run ends after a complete step.

    A second signal interrupts at once (``KeyboardInterrupt``). Outside of the main thread, where
    Python has no signals, nobody sets it.
    """
    stop = threading.Event()

    def request(number: int, frame: object) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()

    with _handled(request, signal.SIGINT, signal.SIGTERM, _HANGUP):
        yield stop


@contextlib.contextmanager
def interrupted() -> Iterator[None]:
    """SIGTERM and SIGHUP raise ``KeyboardInterrupt``, as SIGINT does."""
    with _handled(signal.default_int_handler, signal.SIGTERM, _HANGUP):
        yield


@contextlib.contextmanager
def hangup_terminates() -> Iterator[None]:
    """SIGHUP does what SIGTERM does, whoever handles that."""

    def terminate(number: int, frame: object) -> None:
        signal.raise_signal(signal.SIGTERM)

    with _handled(terminate, _HANGUP):
        yield


@contextlib.contextmanager
def _handled(handler: Callable[[int, Any], Any], *numbers: int | None) -> Iterator[None]:
    """Handle signals with ``handler``; what was there before comes back at the end."""
    before: dict[int, Any] = {}
    if threading.current_thread() is threading.main_thread():
        for number in numbers:
            if number is None:
                continue
            if number == _HANGUP and signal.getsignal(number) is signal.SIG_IGN:
                continue
            before[number] = signal.signal(number, handler)
    try:
        yield
    finally:
        for number, earlier in before.items():
            # None: it was not installed from Python
            signal.signal(number, signal.SIG_DFL if earlier is None else earlier)
