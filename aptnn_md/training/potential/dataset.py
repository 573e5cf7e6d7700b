"""Frames as a MACE network reads them: graphs that are found once and joined to batches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from aptnn_md.arrays import IntArray
from aptnn_md.atoms.neighbours import build_graph, join_graphs
from aptnn_md.potentials.dense_mace import DenseMACE
from aptnn_md.potentials.mace_network import network_input, species_in
from aptnn_md.potentials.neighbour_table import NeighbourTable
from aptnn_md.training.potential.frames import EnergyFrame
from aptnn_md.training.settings import divided

EVALUATED_ATOMS = 256
"""Atoms of a batch that is validated."""


@dataclass(frozen=True)
class EnergyBatch:
    """Frames joined.

    Attributes
    ----------
    data : what the network reads
    table : the same pairs, where the network is evaluated on tables
    edges : (2, n_edges), centres and neighbours
    sizes : (n_frames,), atoms of each
    energies : (n_frames,), eV, less those of the atoms; NaN where there are none
    forces : (n_atoms, 3), eV/Å; NaN where there are none
    species : (n_atoms,)
    """

    data: dict[str, Tensor]
    table: NeighbourTable | None
    edges: Tensor
    sizes: Tensor
    energies: Tensor
    forces: Tensor
    species: IntArray


class EnergySet:
    """Frames with graphs and labels.

    Parameters
    ----------
    frames : with an energy or forces
    network : that is trained or evaluated; its energies of atoms are taken off
    device : torch device
    """

    def __init__(self, frames: Sequence[EnergyFrame], network: Any, device: str) -> None:
        self.frames, self.device, self.network = list(frames), device, network
        self._dense = DenseMACE.of(network)
        self.sizes = [len(frame.atoms) for frame in self.frames]
        self.elements = tuple(int(z) for z in network.atomic_numbers)
        self.dtype = next(network.parameters()).dtype
        cutoff = float(network.r_max)
        self._graphs = [build_graph(frame.atoms, cutoff) for frame in self.frames]
        # as the network has them: rounded to its precision, so that no difference remains
        of_atoms = network.atomic_energies_fn.atomic_energies.double().cpu().numpy().ravel()
        self._energies = np.array(
            [frame.energy - of_atoms[self._species(k)].sum() for k, frame in enumerate(self.frames)]
        )

    def _species(self, number: int) -> IntArray:
        return species_in(self.frames[number].atoms.numbers, self.elements, "potential")

    def __len__(self) -> int:
        return len(self.frames)

    def counts(self) -> Tensor:
        """Atoms of each element in each frame, (n_frames, n_elements)."""
        rows = [
            [int((frame.atoms.numbers == z).sum()) for z in self.elements] for frame in self.frames
        ]
        return torch.tensor(rows, dtype=torch.float64)

    def batch(self, numbers: Sequence[int]) -> EnergyBatch:
        """Frames of these numbers, joined."""
        graph = join_graphs([self._graphs[k] for k in numbers])
        species = species_in(graph.atomic_numbers, self.elements, "potential")
        data = network_input(graph, species, len(self.elements), self.dtype, self.device)
        forces = np.concatenate([self.frames[k].forces for k in numbers])

        def numbers_of(array: Any) -> Tensor:
            return torch.as_tensor(array, dtype=self.dtype, device=self.device)

        return EnergyBatch(
            data,
            None if self._dense is None else self._dense.table(graph, species),
            data["edge_index"],
            numbers_of([self.sizes[k] for k in numbers]),
            numbers_of(self._energies[list(numbers)]),
            numbers_of(forces),
            species,
        )

    def in_order(self) -> Iterator[EnergyBatch]:
        """All frames, for an evaluation."""
        for numbers in divided(range(len(self)), self.sizes, EVALUATED_ATOMS):
            yield self.batch(numbers)

    def energies_and_forces(
        self, batch: EnergyBatch, training: bool = False
    ) -> tuple[Tensor, Tensor]:
        """Energies (n_frames,), eV, less those of the atoms, and forces (n_atoms, 3), eV/Å.

        Forces are the derivative by the vectors of the edges, as in
        :class:`~aptnn_md.potentials.mace.MACEPotential`; with ``training`` they can be
        differentiated.
        """
        vectors = batch.data["shifts"].detach().requires_grad_(True)
        energies = self._energies_of(batch, vectors)
        if not len(vectors):
            return energies, torch.zeros_like(batch.forces)
        (slopes,) = torch.autograd.grad(energies.sum(), vectors, create_graph=training)
        forces = torch.zeros_like(batch.forces)
        forces = forces.index_add(0, batch.edges[0], slopes)
        return energies, forces.index_add(0, batch.edges[1], slopes, alpha=-1.0)

    def _energies_of(self, batch: EnergyBatch, vectors: Tensor) -> Tensor:
        if self._dense is None or batch.table is None:
            data = {**batch.data, "shifts": vectors}
            found: Tensor = self.network(data, compute_force=False)["interaction_energy"]
            return found
        of_atoms = self._dense.energies(vectors, batch.table)
        return torch.zeros_like(batch.energies).index_add(0, batch.data["batch"], of_atoms)


def mean_neighbours(frames: Sequence[EnergyFrame], cutoff: float) -> float:
    """Neighbours of an atom within the cutoff, on average over the atoms of all frames."""
    graphs = [build_graph(frame.atoms, cutoff) for frame in frames]
    n_atoms = sum(graph.n_atoms for graph in graphs)
    return max(1.0, sum(len(graph.centres) for graph in graphs) / max(1, n_atoms))
