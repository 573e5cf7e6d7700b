"""Ends an i-PI run in words when nobody will give it forces any more.

i-PI's main thread waits for a request that another thread answers. Where that thread has died of
an error (a force provider that raised, a client that sent nonsense), or where no client comes back,
it waits for ever. The watch asks for a soft exit then: streams are committed and i-PI writes
RESTART, from which the run continues.
"""

from __future__ import annotations

import functools
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any

from ipi.engine.forcefields import FFSocket
from ipi.utils.softexit import softexit

from aptnn_md.progress import log

INTERVAL = 1.0
"""s between looks at the clients."""

FIRST_WARNING = 60.0
"""s without a client after which it is said that the run waits; then twice as long, and so on."""

EXIT_LIMIT = 60.0
"""s to wait for a soft exit; other clients may be at work in it."""


class ForceWatch:
    """Watches the threads and clients that give forces to a simulation; a context manager.

    Parameters
    ----------
    simulation : of i-PI, bound
    client_limit : s that a socket forcefield with open requests may be without a client, once it
        has had one; 0: for ever

    Attributes
    ----------
    failure : why the run cannot go on; empty while it can
    """

    def __init__(self, simulation: Any, client_limit: float = 0.0) -> None:
        self.failure = ""
        self._limit = client_limit
        self._sockets = [
            _Clients(name, forcefield)
            for name, forcefield in simulation.fflist.items()
            if isinstance(forcefield, FFSocket)
        ]
        self._done = threading.Event()
        self._hook_before: Callable[[threading.ExceptHookArgs], Any] | None = None
        self._thread: threading.Thread | None = None
        self._exit: threading.Thread | None = None

    def start(self) -> ForceWatch:
        """Begin to watch."""
        self._hook_before = threading.excepthook
        threading.excepthook = self._thread_died
        if self._sockets:
            self._thread = threading.Thread(target=self._watch, name="clients", daemon=True)
            self._thread.start()
        return self

    def stop(self) -> None:
        """Watch no longer; wait for the soft exit that was asked for, so that RESTART is there."""
        self._done.set()
        if self._hook_before is not None:
            threading.excepthook = self._hook_before
            self._hook_before = None
        if self._thread is not None:
            self._thread.join()
        # a soft exit may stop the watch, too
        soft_exit = self._exit
        if soft_exit is not None and soft_exit is not threading.current_thread():
            soft_exit.join(EXIT_LIMIT)

    def __enter__(self) -> ForceWatch:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def _thread_died(self, args: threading.ExceptHookArgs) -> None:
        if self._hook_before is not None:
            self._hook_before(args)
        if self._done.is_set() or not _passed_through_ipi(args.exc_traceback):
            return
        if args.exc_type is SystemExit:
            return  # how a thread of i-PI ends in a soft exit; Python's own hook is silent, too
        thread = "a thread" if args.thread is None else f"thread {args.thread.name}"
        reason = f"{args.exc_type.__name__}: {args.exc_value}".rstrip(": ")
        self._end(f"i-PI's forces: {thread} ended by {reason}")

    def _watch(self) -> None:
        while not self._done.wait(INTERVAL):
            for clients in self._sockets:
                alone = clients.seconds_alone()
                if self._limit and clients.had_one and alone > self._limit:
                    self._end(
                        f"forcefield {clients.name}: no client for {alone:.0f} s; start it again, "
                        "and continue from RESTART"
                    )
                    return

    def _end(self, failure: str) -> None:
        """Ask i-PI for a soft exit, from a thread that it does not wait for."""
        self.failure = self.failure or failure
        if softexit.triggered:
            return
        log.error("%s", failure)
        self._exit = threading.Thread(
            target=softexit.cleanup, kwargs={"message": f" @ APTNN_MD: {failure}."}, daemon=True
        )
        self._exit.start()


class _Clients:
    """The clients of a socket forcefield over time.

    Attributes
    ----------
    had_one : a client has connected, however short its life
    """

    def __init__(self, name: str, forcefield: Any) -> None:
        self.name, self.had_one = name, False
        self._forcefield = forcefield
        self._alone_since: float | None = None
        self._next_warning = FIRST_WARNING
        interface = forcefield.socket
        # where i-PI accepts clients and forgets them
        update = interface.pool_update

        @functools.wraps(update)
        def pool_update() -> None:
            self.had_one = self.had_one or bool(interface.clients)
            update()
            self.had_one = self.had_one or bool(interface.clients)

        interface.pool_update = pool_update

    def seconds_alone(self) -> float:
        """s for which there were requests and no client."""
        interface = self._forcefield.socket
        if interface.clients or not self._forcefield.requests:
            self._alone_since, self._next_warning = None, FIRST_WARNING
            return 0.0
        if self._alone_since is None:
            self._alone_since = time.monotonic()
        alone = time.monotonic() - self._alone_since
        if alone > self._next_warning:
            log.warning("forcefield %s: no client for %.0f s, waiting", self.name, alone)
            self._next_warning *= 2.0
        return alone


def _passed_through_ipi(traceback: TracebackType | None) -> bool:
    """Whether an error came out of code of i-PI, or of what i-PI called."""
    while traceback is not None:
        if str(traceback.tb_frame.f_globals.get("__name__", "")).partition(".")[0] == "ipi":
            return True
        traceback = traceback.tb_next
    return False
