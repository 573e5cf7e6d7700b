"""A client for servers of the i-PI protocol: i-PI, ASE, CP2K.

It answers with forces, extras and the force of a field, and can stream increments of the dipole
(:mod:`aptnn_md.engines.client.increments`). It may have several connections to one server;
requests that come on them at the same time are evaluated in one call.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from aptnn_md.arrays import FloatArray
from aptnn_md.atomic_units import CODATA, IPI
from aptnn_md.engines.client.answers import Answers
from aptnn_md.engines.client.evaluator import Results
from aptnn_md.engines.client.increments import IncrementStream
from aptnn_md.engines.client.protocol import LINGER, Connection, ConnectionLost, Request
from aptnn_md.engines.client.settings import PREFIX, ClientSettings
from aptnn_md.errors import InputError, RunError
from aptnn_md.progress import log

_GATHER = 2e-3
"""Seconds without a new request after which those that are there are evaluated."""

_BETWEEN_TRIES = 0.5
"""s until the next try at a server that accepts connections, but asks for nothing on them."""


class Evaluate(Protocol):
    """An :class:`aptnn_md.engines.client.evaluator.Evaluator`, or the pool of ranks around it."""

    @property
    def n_atoms(self) -> int:
        """Number of atoms."""

    def __call__(self, cells: FloatArray, positions: FloatArray, tensors: bool) -> Results:
        """Results of structures."""


@dataclass(frozen=True)
class Address:
    """Where a server is.

    Parameters
    ----------
    host : of a TCP server; empty for a Unix socket
    port : of a TCP server
    path : of a Unix socket
    """

    host: str = ""
    port: int = 0
    path: str = ""

    @classmethod
    def parse(
        cls, text: str, *, unix: bool = False, port: int | None = None, prefix: str = PREFIX
    ) -> Address:
        """Address from ``HOST``, ``HOST:PORT`` or, for a Unix socket, a name or a whole path.

        Raises
        ------
        InputError
            No port, two of them, or an impossible one.
        """
        if unix:
            return cls(path=text if text.startswith("/") else prefix + text)
        host, colon, last = text.rpartition(":")
        if colon and port is not None:
            raise InputError("server", "port", f"{last} and {port}", "one of them")
        found: str | int | None = last if colon else port
        try:
            number = int(found)  # type: ignore[arg-type]
            if not 0 < number < 65536:
                raise ValueError
        except (TypeError, ValueError) as error:
            words = "HOST:PORT, --port, or --unix"
            raise InputError("server", "port", "none" if found is None else found, words) from error
        return cls(host=host if colon else text, port=number)

    def __str__(self) -> str:
        return self.path or f"{self.host}:{self.port}"

    def connect(self) -> socket.socket:
        """A connected socket.

        Raises
        ------
        OSError
            No server listens there.
        """
        if self.path:
            sock = socket.socket(socket.AF_UNIX)
            try:
                sock.connect(self.path)
            except OSError:
                sock.close()
                raise
            return sock
        sock = socket.create_connection((self.host, self.port))
        sock.settimeout(None)
        # otherwise small messages wait for each other
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return sock

    def complaint(self, error: OSError) -> str:
        """Say why there is no connection."""
        text = f"no server at {self} ({error.strerror or error})"
        if self.path and isinstance(error, ConnectionRefusedError):
            text += "; the socket file was left by a server that was killed: remove it"
        return text


@dataclass
class ClientSummary:
    """What a client did: calls of the evaluator and structures in them."""

    n_calls: int = 0
    n_structures: int = 0


class Client:
    """Serves one server until it says ``EXIT``.

    ASE never says it, so a connection that ASE closes between two calculations is the end, too; of
    any other server, and in the middle of a calculation, it is a loss.

    Parameters
    ----------
    address : of the server
    evaluate : see :class:`Evaluate`
    answers : what is sent back
    stream : what is written; None: nothing
    settings : how to connect
    """

    def __init__(
        self,
        address: Address,
        evaluate: Evaluate,
        answers: Answers,
        stream: IncrementStream | None = None,
        settings: ClientSettings | None = None,
    ) -> None:
        self.address, self.evaluate, self.answers = address, evaluate, answers
        self.stream, self.settings = stream, settings or ClientSettings()
        self.summary = ClientSummary()
        self._arrived = threading.Event()

    def run(self) -> ClientSummary:
        """Serve until the server ends.

        Raises
        ------
        RunError
            There is no server, it was away for too long, or something else failed. In every case
            the stream is on disk and connections are closed in order.
        """
        end = time.monotonic() + self.settings.wait
        while True:
            connections, n_calls = self._connect(end), self.summary.n_calls
            failed = True
            try:
                self._serve(connections)
                failed = False
                return self.summary
            except ConnectionLost as error:
                failed = False
                if all(one.server == "ase" and one.is_idle for one in connections):
                    log.info("%s: the connection was closed, which is how ASE ends", self.address)
                    return self.summary
                if self.summary.n_calls > n_calls:
                    end = time.monotonic() + self.settings.wait
                elif time.monotonic() > end:
                    raise RunError(f"{self.address}: {error}, and asked for nothing") from error
                log.info("%s: %s; waiting %g s for it", self.address, error, self.settings.wait)
            finally:
                self._close(connections, LINGER if failed else 0.0)
            if self.summary.n_calls == n_calls:
                time.sleep(min(_BETWEEN_TRIES, max(0.0, end - time.monotonic())))

    def _close(self, connections: Sequence[Connection], linger: float) -> None:
        """Commit the stream and end all connections, lingering on them for that time altogether."""
        try:
            if self.stream is not None:
                self.stream.interrupt()
        finally:
            end = time.monotonic() + linger
            for connection in connections:
                connection.close(max(0.0, end - time.monotonic()) if linger else 0.0)

    def _connect(self, end: float) -> list[Connection]:
        """All connections, tried until the time ``end``."""
        sockets: list[socket.socket] = []
        told = False
        while len(sockets) < self.settings.connections:
            try:
                sockets.append(self.address.connect())
            except OSError as error:
                complaint = self.address.complaint(error)
                if isinstance(error, socket.gaierror):
                    raise InputError("server", "host", complaint, "a host") from error
                if time.monotonic() > end:
                    for sock in sockets:
                        sock.close()
                    if self.stream is not None:
                        self.stream.write_out_trail()
                    raise RunError(complaint) from error
                if not told:
                    log.info("%s; waiting", complaint)
                    told = True
                time.sleep(0.05)
        log.info("connected to %s", self.address)
        identify = self.stream is not None
        server = self.settings.server
        n_atoms = self.evaluate.n_atoms
        return [Connection(sock, self._arrived, server, identify, n_atoms) for sock in sockets]

    def _serve(self, connections: Sequence[Connection]) -> None:
        pending: dict[int, Request] = {}
        while True:
            self._arrived.clear()
            came = False
            for number, connection in enumerate(connections):
                if number not in pending:
                    request = connection.poll()
                    if request is not None:
                        pending[number] = request
                        came = True
            if any(connection.ended for connection in connections):
                return
            complete = len(pending) == len(connections)
            if not complete and not came:
                more = self._arrived.wait(_GATHER if pending else 1.0)
                complete = bool(pending) and not more
            if complete:
                self._answer(pending)

    def _answer(self, pending: dict[int, Request]) -> None:
        """Evaluate all requests in one call, stream, and answer."""
        requests = [pending[number] for number in sorted(pending)]
        atomic_units = IPI if requests[0].connection.server in ("ipi", "auto") else CODATA
        # a batch is filled up with copies of its last structure
        sizes = [_without_copies(request.positions) for request in requests]
        cells = np.concatenate([r.cells[:n] for r, n in zip(requests, sizes, strict=True)])
        positions = np.concatenate([r.positions[:n] for r, n in zip(requests, sizes, strict=True)])
        with np.errstate(all="ignore"):  # what is not finite is refused before it is evaluated
            cells = cells.transpose(0, 2, 1) * atomic_units.bohr
            positions = positions * atomic_units.bohr
        need_tensors = self.stream is not None or self.answers.need_tensors
        results = self.evaluate(cells, positions, need_tensors)
        self.summary.n_calls += 1
        self.summary.n_structures += len(positions)
        answers = self.answers(cells, positions, results, atomic_units)
        start = 0
        for request, n in zip(requests, sizes, strict=True):
            own = [start + min(k, n - 1) for k in range(len(request.positions))]
            # the stream first: the server must not know a step that is not in it
            self._record(request, cells, positions, results, own)
            request.connection.answer([answers[k] for k in own])
            start += n
        pending.clear()

    def _record(
        self,
        request: Request,
        cells: FloatArray,
        positions: FloatArray,
        results: Results,
        indices: Sequence[int],
    ) -> None:
        """Hand the structures ``indices``, which are those of the request, to the stream."""
        if self.stream is None:
            return
        server, n_beads = request.connection.server, self.stream.settings.n_beads
        if n_beads > 1 and server != "ipi":
            name = "this server" if server == "other" else server
            raise InputError("server", "beads", f"{n_beads}", f"1, as {name} does not name them")
        self.stream.use_parameters(request.connection.parameters)
        first = request.replica or 0
        for offset, k in enumerate(indices):
            is_copy = offset > 0 and k == indices[offset - 1]
            tensors = {name: values[k] for name, values in results.tensors.items()}
            self.stream.add(
                first + offset,
                cells[k],
                positions[k],
                tensors,
                is_copy,
                call=self.summary.n_calls,
            )


def _without_copies(positions: FloatArray) -> int:
    """Number of structures without those at the end that repeat the one before."""
    n = len(positions)
    while n > 1 and np.array_equal(positions[n - 1], positions[n - 2]):
        n -= 1
    return n
