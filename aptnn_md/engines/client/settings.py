"""How a client connects to its server and what it streams: numbers, their defaults and checks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from aptnn_md.settings import AtLeastZero, Count, NewPath, Positive, Range, Text, check_settings

Server = Literal["auto", "ipi", "ase", "cp2k"]

SERVERS: tuple[str, ...] = get_args(Server)
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
    wait : s to wait for the server, at first and whenever it leaves without ``EXIT``

    Raises
    ------
    InputError
        A value of another type or out of its range.
    """

    connections: Annotated[int, Range(at_least=1, at_most=1024)] = 1
    server: Server = "auto"
    wait: AtLeastZero = 60.0

    def __post_init__(self) -> None:
        check_settings(self, "client")


@dataclass(frozen=True)
class IncrementSettings:
    """What to write.

    Parameters
    ----------
    path : directory of the stream; ``NAME.trail`` is made next to it, by which a restart finds out
        where it is
    timestep : time between two force evaluations of the server, fs; None: ``dt_fs`` in the
        parameters that the server sends
    n_beads : beads of a path integral
    groups : name for :func:`aptnn_md.atoms.partition.parse_groups`
    header : other fields of :class:`aptnn_md.stream.StreamHeader`: ``temperature``, ``ensemble``
    pbc : False: open boundaries in spite of the server's cell, so that the stream of a molecule or
        cluster has no volume

    Raises
    ------
    InputError
        A value of another type or out of its range.
    """

    path: NewPath
    timestep: Positive | None = None
    n_beads: Count = 1
    groups: Text = "all"
    header: Mapping[str, Any] | None = None
    pbc: bool = True

    def __post_init__(self) -> None:
        check_settings(self, "increments")

    @property
    def trail_path(self) -> Path:
        """Directory next to the stream."""
        return self.path.with_name(self.path.name + ".trail")
