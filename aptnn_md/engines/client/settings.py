"""How a client connects to its server: every number with its default and its check."""

from __future__ import annotations

import math
from dataclasses import dataclass

from aptnn_md.errors import InputError

SERVERS = ("auto", "ipi", "ase", "cp2k")
"""Servers that are known; ``auto`` finds out from the text of ``INIT``."""

PREFIX = "/tmp/ipi_"
"""In front of the names of Unix sockets; i-PI's default, and ASE's."""


@dataclass(frozen=True)
class ClientSettings:
    """How to serve.

    Parameters
    ----------
    connections : to one server; several make batches of what i-PI sends one by one
    server : one of :data:`SERVERS`
    wait : seconds to wait for the server, at first and whenever it goes without ``EXIT``

    Raises
    ------
    InputError
        Another server, no connection, or a time that is not a number.
    """

    connections: int = 1
    server: str = "auto"
    wait: float = 60.0

    def __post_init__(self) -> None:
        if self.server not in SERVERS:
            expected = f"one of {', '.join(SERVERS)}"
            raise InputError("client", "server", repr(self.server), expected)
        if self.connections < 1:
            raise InputError("client", "connections", self.connections, "at least 1")
        if not (math.isfinite(self.wait) and self.wait >= 0.0):
            raise InputError("client", "wait", self.wait, "seconds, zero or more")
