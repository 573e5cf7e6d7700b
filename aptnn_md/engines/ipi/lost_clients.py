"""A client that is killed while it computes forces is one that i-PI has lost, no more.

i-PI gives the requests of a client that closes its connection to the next one. Where the client had
not read all that i-PI sent, though, the kernel resets the connection: i-PI 3.3.1 does not expect
the error, the thread that serves all clients dies of it, and the run waits for ever.
"""

from __future__ import annotations

import socket
from typing import Any

from ipi.interfaces.sockets import DriverSocket


def survive_lost_clients() -> None:
    """Let i-PI in this process find a connection that was reset at its end, as a closed one is."""
    DriverSocket.recv_into = _recv_into


def _recv_into(self: Any, *arguments: Any) -> int:
    """In place of ``socket.recv_into``; 0 bytes are the end of a connection."""
    try:
        return socket.socket.recv_into(self, *arguments)
    except ConnectionError:
        return 0
