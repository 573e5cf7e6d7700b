"""The architectures by name; each is imported when it is needed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from aptnn_md.errors import InputError


def _ace() -> tuple[type[Any], type[Any]]:
    from aptnn_md.models.ace import ACENetwork
    from aptnn_md.models.densities import ACEConfig

    return ACEConfig, ACENetwork


def _dipole() -> tuple[type[Any], type[Any]]:
    from aptnn_md.models.dipole import DipoleNetwork
    from aptnn_md.models.dipole_geometry import DipoleConfig

    return DipoleConfig, DipoleNetwork


def _polarizability() -> tuple[type[Any], type[Any]]:
    from aptnn_md.models.polarizability import PolarizabilityConfig, PolarizabilityNetwork

    return PolarizabilityConfig, PolarizabilityNetwork


def _simple() -> tuple[type[Any], type[Any]]:
    from aptnn_md.models.simple import SimpleConfig, SimpleNetwork

    return SimpleConfig, SimpleNetwork


NETWORKS: dict[str, Callable[[], tuple[type[Any], type[Any]]]] = {
    "ace": _ace,
    "dipole": _dipole,
    "polarizability": _polarizability,
    "simple": _simple,
}
"""Name of an architecture -> a function that gives its configuration's class and its own."""


def known_network(name: str, where: object = "network") -> str:
    """The name, if there is such an architecture.

    Raises
    ------
    InputError
        Another name.
    """
    if name not in NETWORKS:
        raise InputError(where, "network", repr(name), f"one of {', '.join(NETWORKS)}")
    return name
