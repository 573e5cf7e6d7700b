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
         the connection without ``EXIT``, always between two calculations
CP2K     sends ``INIT`` once with replica 1 and ``Initializing``; a client that says ``NEEDINIT``
         later makes it stop. Version 2024.2 never sends it (``server="cp2k"``: always ready)
=======  =======================================================================================

A thread reads what arrives into memory at once. So a server never waits to send while a network is
evaluated, and a client that is killed leaves hardly ever anything unread: i-PI 3.3.1 hangs for ever
when its unread ``GETFORCE`` makes the kernel reset the connection, unless it runs in
``aptnn-md ipi`` (:mod:`aptnn_md.engines.ipi.lost_clients`).

Nothing that arrives is believed before it is checked: counts and lengths before that many bytes are
awaited, numbers before they are used. A server that falls silent in the middle of a message is
lost.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass

import numpy as np

from aptnn_md.arrays import FloatArray
from aptnn_md.engines.client.answers import Answer
from aptnn_md.engines.client.evaluator import check_n_atoms
from aptnn_md.errors import RunError

HEADER = 12

LONGEST_TEXT = 2**16
"""Bytes in the text of ``INIT``; i-PI sends the parameters of its input, a line or two."""

LARGEST_BATCH = 4096
"""Structures in one ``POSDATA``."""

SILENCE = 60.0
"""s without a byte in the middle of a message, or without room for ours, after which the server
is lost."""

LINGER = 1.0
"""s for which what still arrives is read after a failure, so that the server finds the end of the
connection and not a reset."""


_HEADER_NEXT = "a header"


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
    n_atoms : that the server must send; None: any number up to what fits into memory

    Attributes
    ----------
    server : as soon as it is known which one it is, else ``"auto"``; ``"other"`` for one that says
        what none of those in :data:`aptnn_md.engines.client.settings.SERVERS` says
    parameters : of the text of ``INIT``
    ended : the server said ``EXIT``
    """

    def __init__(
        self,
        sock: socket.socket,
        arrived: threading.Event,
        server: str = "auto",
        identify: bool = False,
        n_atoms: int | None = None,
    ) -> None:
        self.server, self.identify, self.n_atoms = server, identify, n_atoms
        self.parameters: dict[str, str] = {}
        self.ended = False
        self._socket, self._arrived = sock, arrived
        self._buffer, self._lost, self._lock = bytearray(), False, threading.Lock()
        self._closing, self._last_byte = False, time.monotonic()
        self._message = _HEADER_NEXT
        self._awaiting_answer = False
        self._answers: bytes | None = None
        self._initialised = server == "cp2k"
        self._replica: int | None = None
        self._batch_size = 1
        self._conversation = self._converse()
        _limit_sending(sock)
        self._reader = threading.Thread(target=self._read, daemon=True, name="server")
        self._reader.start()

    @property
    def is_idle(self) -> bool:
        """Whether the server has been answered and nothing of a further message has arrived."""
        with self._lock:
            return self._answers is None and not self._awaiting_answer and not self._in_message()

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
        """Keep the answers to the request, one for each structure, until the server wants them."""
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

    def close(self, linger: float = 0.0) -> None:
        """End the connection, but read what still comes for ``linger`` s; see :data:`LINGER`."""
        self._closing = True
        # what the thread has read is no longer there to make the kernel reset the connection
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR if linger else socket.SHUT_RDWR)
        if linger:
            self._reader.join(linger)
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
                if not self._closing:
                    self._buffer += received
                self._lost, self._last_byte = not received, time.monotonic()
            self._arrived.set()
            if not received:
                return
            while len(self._buffer) > self._most_bytes() and not self._closing:
                time.sleep(0.01)

    def _most_bytes(self) -> int:
        """More than a server sends before it wants an answer."""
        n_atoms = 0 if self.n_atoms is None else self.n_atoms
        return (1 << 22) + 2 * self._batch_size * (144 + 24 * n_atoms)

    def _take(self, n_bytes: int) -> Generator[None, None, bytes]:
        """Exactly so many bytes, in however many pieces they come."""
        while True:
            with self._lock:
                if len(self._buffer) >= n_bytes:
                    taken = bytes(self._buffer[:n_bytes])
                    del self._buffer[:n_bytes]
                    return taken
                if self._lost:
                    where = f" in the middle of {self._message}" if self._in_message() else ""
                    raise ConnectionLost(f"the server closed the connection without EXIT{where}")
                silence = time.monotonic() - self._last_byte
                if self._in_message() and silence > SILENCE:
                    raise ConnectionLost(
                        f"the server has been silent for {silence:.0f} s in the middle of "
                        f"{self._message}"
                    )
            yield

    def _in_message(self) -> bool:
        return bool(self._message != _HEADER_NEXT or self._buffer)

    def _numbers(self, n: int) -> Generator[None, None, FloatArray]:
        return np.frombuffer((yield from self._take(8 * n)), dtype=np.float64)

    def _integer(self) -> Generator[None, None, int]:
        return int(np.frombuffer((yield from self._take(4)), dtype=np.int32)[0])

    def _converse(self) -> Generator[Request | None, None, None]:
        while True:
            self._message = _HEADER_NEXT
            header = (yield from self._take(HEADER)).rstrip(b" \0")
            self._message = header.decode("ascii", "replace")
            if header == b"STATUS":
                self._send(_message(self._status()))
            elif header == b"INIT":
                yield from self._init()
            elif header == b"POSDATA":
                request = yield from self._posdata()
                self._answers, self._awaiting_answer = None, True
                self._message = _HEADER_NEXT
                yield request
                assert self._answers is not None, "a request was not answered"
            elif header == b"GETFORCE":
                if self._answers is None:
                    raise RunError("the server asks for forces before it has sent positions")
                self._send(self._answers)
                self._answers, self._awaiting_answer = None, False
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
        replica = yield from self._integer()
        if replica < 0:
            raise RunError(f"the server sends replica {replica} in INIT, which is negative")
        n_bytes = yield from self._integer()
        if not 0 <= n_bytes <= LONGEST_TEXT:
            raise RunError(
                f"the server announces a text of {n_bytes} bytes in INIT; 0 to {LONGEST_TEXT} are "
                "possible"
            )
        text = (yield from self._take(n_bytes)).decode(errors="replace")
        self._replica = replica
        if self.server == "auto":
            self.server = _recognised(replica, text)
        pairs = [pair.partition(":") for pair in text.strip(" \0").split(",")]
        self.parameters = {name.strip(): value.strip() for name, sep, value in pairs if sep}
        self._batch_size = _batch_size(self.parameters.get("batch_size", "1"))
        self._initialised = True

    def _posdata(self) -> Generator[None, None, Request]:
        n = self._batch_size
        if n == 1:
            cells = (yield from self._numbers(18)).reshape(1, 2, 3, 3)
            n_atoms = yield from self._atoms()
        else:
            n_atoms = yield from self._atoms()
            cells = (yield from self._numbers(18 * n)).reshape(n, 2, 3, 3)
        positions = (yield from self._numbers(3 * n_atoms * n)).reshape(n, n_atoms, 3)
        # the inverse of each cell follows it
        return Request(self, self._replica, cells[:, 0].copy(), positions.copy())

    def _atoms(self) -> Generator[None, None, int]:
        """The number of atoms, which must be known to be right before they are awaited."""
        n_atoms = yield from self._integer()
        if self.n_atoms is not None:
            check_n_atoms(n_atoms, self.n_atoms)
        elif n_atoms < 1:
            raise RunError(f"the server announces {n_atoms} atoms")
        return n_atoms

    def _send(self, data: bytes) -> None:
        try:
            self._socket.sendall(data)
        except BlockingIOError as error:
            words = f"the server has not read our answer for {SILENCE:g} s"
            raise ConnectionLost(words) from error
        except OSError as error:
            raise ConnectionLost(
                f"the server closed the connection ({error.strerror or error})"
            ) from error


def _message(text: str) -> bytes:
    return text.ljust(HEADER).encode()


def _recognised(replica: int, text: str) -> str:
    if text.startswith(" "):
        return "ipi"
    if text == "Initializing":
        return "cp2k"
    return "ase" if (replica, text) == (0, "\0") else "other"


def _batch_size(text: str) -> int:
    """The number in a parameter ``batch_size``."""
    if not (text.isdecimal() and len(text) < 9 and 1 <= int(text) <= LARGEST_BATCH):
        raise RunError(
            f"the server sends batch_size {text[:40]!r} in INIT, which is no number from 1 to "
            f"{LARGEST_BATCH}"
        )
    return int(text)


def _limit_sending(sock: socket.socket) -> None:
    """Let the kernel end a send that the server does not read; a time-out of ``sock`` itself would
    hold for the thread that reads, too.
    """
    limit = struct.pack("ll", int(SILENCE), 0)
    with contextlib.suppress(OSError):  # where a timeval is another structure
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, limit)
