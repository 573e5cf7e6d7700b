"""Which networks of mace-torch give dipoles, and in which unit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from ase import units

from aptnn_md.errors import InputError

DIPOLE_UNITS = {"debye": float(units.Debye), "e*angstrom": 1.0}
"""Units of dipoles by name, in e Å."""

UNIT_OF_CLASS = {
    "AtomicDipolesMACE": "debye",
    "EnergyDipolesMACE": "debye",
    "AtomicDielectricMACE": "e*angstrom",
}
"""Classes of mace-torch that have a dipole -> the unit that mace-torch means."""


def is_mace_network(source: object) -> bool:
    """Whether an object is a network of mace-torch, of dipoles or not."""
    return isinstance(source, torch.nn.Module) and type(source).__module__.startswith("mace.")


def described(network: Any) -> tuple[tuple[int, ...], float]:
    """Atomic numbers and cutoff, Å, of a network."""
    return tuple(int(z) for z in network.atomic_numbers), float(network.r_max)


def common_kind(name: str, networks: Sequence[Any]) -> str:
    """The class that all networks are of."""
    if not networks:
        raise InputError(f"model {name}", "networks", "none", "at least one")
    kinds = {type(network).__name__ for network in networks}
    if not kinds <= set(UNIT_OF_CLASS):
        found = ", ".join(sorted(kinds - set(UNIT_OF_CLASS)))
        expected = f"one that gives a dipole: {', '.join(UNIT_OF_CLASS)}"
        raise InputError(f"model {name}", "network", found, expected)
    if len(kinds) > 1 or len({described(network) for network in networks}) > 1:
        found = "several kinds, elements or cutoffs"
        raise InputError(f"model {name}", "networks", found, "the same in a committee")
    return kinds.pop()
