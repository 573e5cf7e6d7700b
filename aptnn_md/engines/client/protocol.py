"""The client's side of the i-PI protocol, on one connection.

The server asks ``STATUS`` (answers: ``NEEDINIT``, ``READY``, ``HAVEDATA``), sends ``INIT`` with the
number of a replica and a text, ``POSDATA`` with cell and positions, and ``GETFORCE``; at its end it
sends ``EXIT``. Numbers are of the machine's own byte order, cell vectors stand in columns, all is
in atomic units. Servers of this protocol differ:

=======  =======================================================================================
i-PI     names the replica (bead) of the request that comes next whenever a client says
         ``NEEDINIT``, so a client that says so after every ``GETFORCE`` knows the beads. Its text
         begins with a blank and holds ``<parameters>`` of the input, and ``batch_size`` where
         several replicas come in one ``POSDATA``
ASE      sends ``INIT`` with replica 0 and one zero byte whenever asked to; at its end it closes
         the connection without a word
CP2K     sends ``INIT`` once with replica 1 and ``Initializing``; a client that says ``NEEDINIT``
         later makes it stop. Version 2024.2 never sends it (``server="cp2k"``: always ready)
=======  =======================================================================================

A thread reads what arrives into memory at once. So a server never waits to send while a network is
evaluated, and a client that is killed leaves nothing unread: i-PI 3.3.1 would hang for ever when
its unread ``GETFORCE`` makes the kernel reset the connection.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Generator, Sequence
from dataclasses import dataclass

import numpy as np

from aptnn_md.arrays import FloatArray
from aptnn_md.engines.client.answers import Answer
from aptnn_md.errors import RunError

HEADER = 12


class ConnectionLost(RunError):
    """The connection was closed without ``EXIT``."""


@dataclass(frozen=True)
class Request:
    """Structures that a server wants forces of.

    Attributes
    ----------
    connection : that it came on
    replica : number of the first structure, None where the server never said
    cells : (n, 3, 3), columns, bohr
    positions : (n, n_atoms, 3), bohr
    """

    connection: Connection
    replica: int | None
    cells: FloatArray
    positions: FloatArray


class Connection:
    """One connection to a server.

    Parameters
    ----------
    sock : connected socket, which belongs to this object from now on
    arrived : set when something was received
    server : one of :data:`aptnn_md.engines.client.settings.SERVERS`
    identify : learn the number of the replica of every request, where the server can tell

    Attributes
    ----------
    server : as soon as it is known which one it is, else ``"auto"``
    parameters : of the text of ``INIT``
    ended : the server said ``EXIT``
    """

    def __init__(
        self,
        sock: socket.socket,
        arrived: threading.Event,
        server: str = "auto",
        identify: bool = False,
    ) -> None:
        self.server, self.identify = server, identify
        self.parameters: dict[str, str] = {}
        self.ended = False
        self._socket, self._arrived = sock, arrived
        self._buffer, self._lost, self._lock = bytearray(), False, threading.Lock()
        self._answers: bytes | None = None
        self._initialised = server == "cp2k"
        self._replica: int | None = None
        self._batch_size = 1
        self._conversation = self._converse()
        threading.Thread(target=self._read, daemon=True, name="server").start()

    def poll(self) -> Request | None:
        """Answer what can be answered at once; a request as soon as it is complete, else None.

        The answer to a request must be given before the next call.

        Raises
        ------
        ConnectionLost
            The server closed the connection.
        RunError
            The server violates the protocol.
        """
        if self.ended:
            return None
        return next(self._conversation)

    def answer(self, answers: Sequence[Answer]) -> None:
        """Answers to the request, one for each structure; sent when the server wants them."""
        forces = np.stack([answer.forces for answer in answers]).astype(np.float64)
        n_atoms = np.int32(forces.shape[1])
        parts = [
            _message("FORCEREADY"),
            np.array([answer.energy for answer in answers], dtype=np.float64).tobytes(),
            n_atoms.tobytes(),
            forces.tobytes(),
            np.stack([answer.virial for answer in answers]).astype(np.float64).tobytes(),
        ]
        for answer in answers:
            text = answer.extras.encode()
            parts += [np.int32(len(text)).tobytes(), text]
        self._answers = b"".join(parts)

    def close(self) -> None:
        """End the connection."""
        # what the thread has read is not there any more to make the kernel reset it
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _read(self) -> None:
        while True:
            try:
                received = self._socket.recv(1 << 18)
            except OSError:
                received = b""
            with self._lock:
                self._buffer += received
                self._lost = not received
            self._arrived.set()
            if not received:
                return

    def _take(self, n_bytes: int) -> Generator[None, None, bytes]:
        """Exactly so many bytes, in however many pieces they come."""
        while True:
            with self._lock:
                if len(self._buffer) >= n_bytes:
                    taken = bytes(self._buffer[:n_bytes])
                    del self._buffer[:n_bytes]
                    return taken
                if self._lost:
                    raise ConnectionLost("the server closed the connection without EXIT")
            yield

    def _numbers(self, n: int) -> Generator[None, None, FloatArray]:
        return np.frombuffer((yield from self._take(8 * n)), dtype=np.float64)

    def _integer(self) -> Generator[None, None, int]:
        return int(np.frombuffer((yield from self._take(4)), dtype=np.int32)[0])

    def _converse(self) -> Generator[Request | None, None, None]:
        while True:
            header = (yield from self._take(HEADER)).rstrip(b" \0")
            if header == b"STATUS":
                self._send(_message(self._status()))
            elif header == b"INIT":
                yield from self._init()
            elif header == b"POSDATA":
                request = yield from self._posdata()
                self._answers = None
                yield request
                assert self._answers is not None, "a request was not answered"
            elif header == b"GETFORCE":
                if self._answers is None:
                    raise RunError("the server asks for forces before it has sent positions")
                self._send(self._answers)
                self._answers = None
                if self.identify and self.server == "ipi":
                    self._initialised = False
            elif header == b"EXIT":
                self.ended = True
                yield None
            else:
                raise RunError(f"the server sends {header!r}, which is not in the i-PI protocol")

    def _status(self) -> str:
        if self._answers is not None:
            return "HAVEDATA"
        return "READY" if self._initialised else "NEEDINIT"

    def _init(self) -> Generator[None, None, None]:
        self._replica = yield from self._integer()
        text = (yield from self._take((yield from self._integer()))).decode(errors="replace")
        if self.server == "auto":
            self.server = _recognised(text)
        pairs = [pair.partition(":") for pair in text.strip(" \0").split(",")]
        self.parameters = {name.strip(): value.strip() for name, sep, value in pairs if sep}
        self._batch_size = int(self.parameters.get("batch_size", 1))
        self._initialised = True

    def _posdata(self) -> Generator[None, None, Request]:
        n = self._batch_size
        if n == 1:
            cells = (yield from self._numbers(18)).reshape(1, 2, 3, 3)
            n_atoms = yield from self._integer()
        else:
            n_atoms = yield from self._integer()
            cells = (yield from self._numbers(18 * n)).reshape(n, 2, 3, 3)
        positions = (yield from self._numbers(3 * n_atoms * n)).reshape(n, n_atoms, 3)
        # the inverse of each cell follows it
        return Request(self, self._replica, cells[:, 0].copy(), positions.copy())

    def _send(self, data: bytes) -> None:
        try:
            self._socket.sendall(data)
        except OSError as error:
            raise ConnectionLost(
                f"the server closed the connection ({error.strerror or error})"
            ) from error


def _message(text: str) -> bytes:
    return text.ljust(HEADER).encode()


def _recognised(text: str) -> str:
    if text.startswith(" "):
        return "ipi"
    return "cp2k" if text == "Initializing" else "ase"
