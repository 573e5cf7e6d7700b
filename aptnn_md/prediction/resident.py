"""Structures of a predictor that stay on its device from call to call.

Used on GPUs, where waiting for the device, copies and launches of kernels cost more than arithmetic
does: what a step sends are positions and cells, what comes back are the tensors, in one copy, with
the sum rule imposed. Everything between has a fixed shape for a fixed composition and is replayed
as a CUDA graph for small systems.

Tensors agree with those on the processor to rounding (1e-5 of their size in float32, 1e-12 in
float64), but not bit by bit, nor are those of a resumed run bit by bit those of one that was not
interrupted: pairs of the skin add zeros in other places.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from ase import Atoms
from torch import Tensor

from aptnn_md.arrays import FloatArray
from aptnn_md.models.ace import ACENetwork
from aptnn_md.models.chunks import memory_of
from aptnn_md.models.densities import ACEConfig
from aptnn_md.models.dipole import DipoleNetwork
from aptnn_md.models.pair_tables import PairTables
from aptnn_md.models.resident import (
    Received,
    ResidentStructures,
    composition,
    sum_of_structures,
)
from aptnn_md.models.tensor_network import TensorNetwork
from aptnn_md.prediction.captured import CapturedCall
from aptnn_md.targets import TARGETS, Target

LARGEST_KEPT = 2**27
"""Places of neighbours in the tables that are kept between calls, 2 GB."""

LARGEST_CAPTURED = 40_000
"""Atoms whose evaluation is replayed as a CUDA graph; of more the kernels take longer than their
launches, and the memory of a graph is not free for others."""

CAPTURED_BYTES = 2**21
"""Memory of a device for each atom of a graph; on smaller devices graphs are smaller."""


def resident_config(network: TensorNetwork) -> ACEConfig | None:
    """What tables are made of for a network; None for one that does not read any."""
    config = None
    if isinstance(network.network, ACENetwork):
        config = network.network.config
    elif isinstance(network.network, DipoleNetwork):
        config = network.network.config.body
    # pairs of messages are those of the density that are near
    return config if config is not None and config.message_cutoff <= config.cutoff else None


class ResidentSystem:
    """Structures of one composition with their tables, and the networks that read them.

    Parameters
    ----------
    structures : as at the first call
    networks : members of a committee
    config : of :func:`resident_config`
    neutral : impose the sum rule

    Attributes
    ----------
    order : (n_atoms,): atoms in the order of the tables
    captured : the evaluation, recorded or not
    """

    def __init__(
        self,
        structures: Sequence[Atoms],
        networks: Sequence[TensorNetwork],
        config: ACEConfig,
        neutral: bool,
    ) -> None:
        self._networks, self._neutral = networks, neutral
        self.composition = composition(structures)
        device = networks[0].mean.device
        numbers = np.concatenate([atoms.numbers for atoms in structures])
        species = np.searchsorted(config.elements, numbers)
        order = np.argsort(species, kind="stable")
        bounds = np.searchsorted(species[order], np.arange(len(config.elements) + 1))
        self.structures = ResidentStructures(structures, order, config.cutoff, device)
        self.tables = PairTables(self.structures, config, tuple(bounds.tolist()))
        self.sizes = self.structures.sizes
        self.order = self.structures.order
        self._rank = torch.from_numpy(np.argsort(order)).to(device)
        largest = min(LARGEST_CAPTURED, memory_of(device) // CAPTURED_BYTES)
        self.captured = CapturedCall(device, enabled=len(order) <= largest)
        self._charges: tuple[float, ...] = ()
        with torch.inference_mode(False):
            self.charges = torch.zeros(len(self.sizes), dtype=torch.float64, device=device)
        targets = [TARGETS[name] for name in networks[0].targets]
        self.projections = {t.name: Projection(t, self.sizes, device) for t in targets}
        self._received = Received()

    def update(self, structures: Sequence[Atoms], charges: Sequence[float]) -> None:
        """Send positions, cells and charges, and fill the tables where that is needed.

        Raises
        ------
        InputError
            See :meth:`aptnn_md.models.resident.ResidentStructures.update`.
        """
        if self.structures.update(structures):
            room = self.tables.room
            self.tables.fill()
            if self.tables.room != room:
                self.captured.forget()
        if tuple(charges) != self._charges:
            self.charges.copy_(torch.tensor(tuple(charges), dtype=torch.float64))
            self._charges = tuple(charges)

    def geometry(self) -> Any:
        """What the networks read, of the present positions."""
        network = self._networks[0].network
        if isinstance(network, DipoleNetwork):
            return network.geometry_of_tables(self.tables, self.charges)
        return network.geometry_of_tables(self.tables)

    def evaluate(self) -> dict[str, FloatArray]:
        """Target -> (n_members, n_atoms, *shape), atoms in the structures' order."""
        flat = self._received(self.captured(self._evaluated))
        n_members, n_atoms = len(self._networks), len(self.order)
        found, first = {}, 0
        for name, projection in self.projections.items():
            shape = (n_members, n_atoms, *projection.target.shape)
            last = first + int(np.prod(shape))
            found[name] = flat[first:last].reshape(shape)
            first = last
        return found

    def _evaluated(self) -> Tensor:
        """All targets one after the other; nothing here waits for the device."""
        geometry = self.geometry()
        found = [member(geometry, self.tables.species) for member in self._networks]
        parts = []
        for name, projection in self.projections.items():
            tensors = torch.stack([tensors[name] for tensors in found]).double()
            tensors = tensors.index_select(1, self._rank)
            if self._neutral:
                tensors = projection(tensors, self.charges)
            parts.append(tensors.flatten())
        return torch.cat(parts)


class Projection:
    """The sum rule of a target, imposed on a device.

    The residue Σᵢ tensors[i] + Q c, with a constant tensor c, is shared by the atoms of a
    structure: what ``target.project`` does.

    Parameters
    ----------
    target : whose
    sizes : atoms of each structure
    device : where
    """

    def __init__(self, target: Target, sizes: Sequence[int], device: torch.device) -> None:
        self.target = target
        constant = target.residue(np.zeros((1, *target.shape)), 1.0)
        self._constant = torch.from_numpy(np.ascontiguousarray(constant)).to(device)
        self._sizes = tuple(sizes)
        counts = torch.tensor(self._sizes)
        self._owner = torch.repeat_interleave(torch.arange(len(counts)), counts).to(device)
        self._counts = counts.double().to(device)

    def __call__(self, tensors: Tensor, charges: Tensor) -> Tensor:
        """(n_members, n_atoms, *shape) of all structures, and their charges, e."""
        sums = sum_of_structures(tensors.transpose(0, 1), self._sizes, self._owner)
        residues = sums + charges.view(-1, *[1] * (sums.ndim - 1)) * self._constant
        shares = residues / self._counts.view(-1, *[1] * (sums.ndim - 1))
        return tensors - shares.index_select(0, self._owner).transpose(0, 1)


class ResidentSystems:
    """The structures of the calls of a predictor.

    The k-th batch of a call is compared with that of the call before. Each thread has its own.

    Parameters
    ----------
    networks : members of a committee, on one device
    neutral : impose the sum rule
    """

    def __init__(self, networks: Sequence[TensorNetwork], neutral: bool) -> None:
        self._networks, self._neutral = networks, neutral
        self._own = threading.local()

    def __reduce__(self) -> tuple[type[ResidentSystems], tuple[Sequence[TensorNetwork], bool]]:
        # copies, and those in other processes, begin without structures
        return ResidentSystems, (self._networks, self._neutral)

    def kept(self, structures: Sequence[Atoms], first: int) -> ResidentSystem | None:
        """Those of the call before, if they have the same composition."""
        found = self._kept().get(first)
        same = found is not None and found.composition == composition(structures)
        return found if same else None

    def new(self, structures: Sequence[Atoms], config: ACEConfig, first: int) -> ResidentSystem:
        """New ones, which are kept by :meth:`keep`; ``first`` as for :meth:`kept`."""
        self._kept().pop(first, None)
        return ResidentSystem(structures, self._networks, config, self._neutral)

    def keep(self, system: ResidentSystem, first: int) -> None:
        """Keep structures whose tables are filled, if they are not too many."""
        kept = self._kept()
        others = [other.tables for number, other in kept.items() if number != first]
        places = [tables.neighbours.numel() for tables in (*others, system.tables)]
        if sum(places) <= LARGEST_KEPT:
            kept[first] = system

    def _kept(self) -> dict[int, ResidentSystem]:
        kept: dict[int, ResidentSystem] = self._own.__dict__.setdefault("kept", {})
        return kept


def is_projected_by_residue(targets: Mapping[str, Target]) -> bool:
    """Whether :class:`Projection` does what the targets' own projections do."""
    random = np.random.default_rng(0)
    for target in targets.values():
        tensors = random.normal(size=(3, *target.shape))
        expected = target.project(tensors, 0.7)
        found = Projection(target, (3,), torch.device("cpu"))(
            torch.from_numpy(tensors)[None], torch.tensor([0.7], dtype=torch.float64)
        )
        if not np.allclose(found[0].numpy(), expected, atol=1e-12):
            return False
    return True
