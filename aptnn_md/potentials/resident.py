"""A MACE network whose structures stay on its device from call to call.

Positions and cells go to the device, and energies, forces and stress come back in one copy; the
neighbour list, the walls and the sums over pairs are made there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from ase import Atoms
from torch import Tensor

from aptnn_md.arrays import FloatArray, IntArray
from aptnn_md.models.resident import (
    Received,
    ResidentStructures,
    composition,
    sum_of_structures,
)
from aptnn_md.potentials.walls import Walls


class ResidentMACE:
    """Structures of one composition and the network that is evaluated for them.

    Parameters
    ----------
    structures : as at the first call
    species : (n_atoms,): index of each atom's element
    network : ``mace.modules.ScaleShiftMACE``
    walls : of the potential
    """

    def __init__(
        self, structures: Sequence[Atoms], species: IntArray, network: Any, walls: Walls
    ) -> None:
        self.composition = composition(structures)
        parameter = next(iter(network.parameters()))
        self._network, self._dtype, device = network, parameter.dtype, parameter.device
        order = np.arange(len(species))
        self._structures = ResidentStructures(structures, order, float(network.r_max), device)
        self._species = torch.from_numpy(species).to(device)
        attributes = torch.eye(walls.distance.shape[0], dtype=self._dtype, device=device)
        self._attributes = attributes[self._species]
        ends = np.cumsum((0, *self._structures.sizes))
        self._ends = torch.from_numpy(ends).to(device)
        self._distance, self._strength = (
            torch.from_numpy(table).to(device) for table in (walls.distance, walls.strength)
        )
        self._received = Received()

    def evaluate(self, structures: Sequence[Atoms]) -> list[dict[str, Any]]:
        """See :meth:`aptnn_md.potentials.mace.MACEPotential.evaluate`."""
        resident = self._structures
        resident.update(structures)
        centres, neighbours, vectors = self._edges()
        out = self._network(
            self._batch(centres, neighbours, vectors), compute_force=False, compute_edge_forces=True
        )
        with torch.no_grad():
            energies, gradients = self._walls(centres, neighbours, vectors)
            energies += out["node_energy"].detach()
            gradients += out["edge_forces"].double()
            forces = torch.zeros_like(resident.positions).index_add_(0, centres, gradients)
            forces.index_add_(0, neighbours, gradients, alpha=-1)
            strains = vectors.new_zeros(len(energies), 3, 3)
            strains.index_add_(0, centres, vectors.unsqueeze(2) * gradients.unsqueeze(1))
            strains = sum_of_structures(strains, resident.sizes, resident.structure_of_atom)
            flat = torch.cat([energies, forces.flatten(), strains.flatten()])
        return self._results(structures, self._received(flat))

    def _edges(self) -> tuple[Tensor, Tensor, Tensor]:
        """Centres, neighbours and vectors (n_edges, 3), Å, of the pairs within the cutoff."""
        resident = self._structures
        with torch.no_grad():
            points = resident.image_positions(resident.images)
            pairs = resident.pairs
            vectors = points.index_select(0, pairs.images) - points.index_select(0, pairs.centres)
            near = torch.nonzero(vectors.square().sum(dim=1) < resident.cutoff**2).squeeze(1)
            neighbours = resident.images.atoms.index_select(0, pairs.images.index_select(0, near))
            return pairs.centres.index_select(0, near), neighbours, vectors.index_select(0, near)

    def _batch(self, centres: Tensor, neighbours: Tensor, vectors: Tensor) -> dict[str, Tensor]:
        """The graph as mace-torch takes it; vectors stand in the shifts, so all atoms are at 0."""
        like: dict[str, Any] = {"dtype": self._dtype, "device": vectors.device}
        n_structures = len(self._structures.sizes)
        return {
            "positions": torch.zeros(len(self._species), 3, **like),
            "shifts": vectors.to(self._dtype),
            "node_attrs": self._attributes,
            "edge_index": torch.stack([centres, neighbours]),
            "cell": torch.zeros(3 * n_structures, 3, **like),
            "batch": self._structures.structure_of_atom,
            "ptr": self._ends,
        }

    def _walls(self, centres: Tensor, neighbours: Tensor, vectors: Tensor) -> tuple[Tensor, Tensor]:
        """Energies of atoms (n_atoms,) and gradients (n_edges, 3), as :meth:`Walls.of`."""
        pair = self._species[centres], self._species[neighbours]
        lengths = vectors.square().sum(dim=1).sqrt()
        inside = (self._distance[pair] - lengths).clamp(min=0.0)
        strength = 0.5 * self._strength[pair]
        slope = -3.0 * strength * inside.square() / lengths.clamp(min=1e-12)
        energies = vectors.new_zeros(len(self._species))
        energies.index_add_(0, centres, strength * inside**3)
        return energies, slope.unsqueeze(1) * vectors

    def _results(self, structures: Sequence[Atoms], flat: FloatArray) -> list[dict[str, Any]]:
        n_atoms, results = len(self._species), []
        ends = np.cumsum(self._structures.sizes)
        energies, forces, strains = np.split(flat, [n_atoms, 4 * n_atoms])
        forces, strains = forces.reshape(-1, 3), strains.reshape(-1, 3, 3)
        for atoms, end, strain in zip(structures, ends, strains, strict=True):
            part = slice(end - len(atoms), end)
            energy = float(energies[part].sum())
            result: dict[str, Any] = {
                "energy": energy,
                "free_energy": energy,
                "energies": energies[part],
                "forces": forces[part],
            }
            if atoms.pbc.all():
                stress = (strain + strain.T) / (2.0 * abs(np.linalg.det(atoms.cell.array)))
                result["stress"] = stress[[0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]]
            results.append(result)
        return results
