"""A MACE potential of many copies of one system, with no host between one step and the next.

``MACEPotential.evaluate`` finds neighbours on the processor, which is right for one structure and
takes longer than the network for the beads of a path integral on a GPU. Here all that a step needs
has a fixed shape and stays on the device, so that the whole step can be captured as a CUDA graph.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from ase import Atoms
from torch import Tensor

from aptnn_md.atoms.neighbours import build_graph
from aptnn_md.models.quiet_mace import quiet_mace
from aptnn_md.potentials.loading import load_potential
from aptnn_md.potentials.mace import MACEPotential

SPARE = 1.06


class Copies:
    """Energies and forces of n copies of a system at different positions.

    Parameters
    ----------
    potential : name or file of a stored MACE potential
    atoms : the system, in an orthorhombic cell more than twice as wide as the cutoff, so that of
        all images of a neighbour only the nearest counts
    n : copies that are evaluated at once
    device : of torch
    spare : room for pairs, relative to those of ``atoms``

    Attributes
    ----------
    most : largest number of pairs so far; with more than ``room`` forces were wrong
    nearest : shortest distance so far of each pair of elements, Å, by the product of atomic numbers
    """

    def __init__(
        self, potential: str, atoms: Atoms, n: int, device: str, spare: float = SPARE
    ) -> None:
        with quiet_mace():
            import e3nn

            # plain functions of torch: nothing is compiled while a graph is captured
            e3nn.set_optimization_defaults(jit_script_fx=False)  # type: ignore[attr-defined]
            torch._C._jit_set_texpr_fuser_enabled(False)
        self.potential = load_potential(potential, device=device)
        if not isinstance(self.potential, MACEPotential):
            raise SystemExit(f"{potential}: a stored MACE potential is needed")
        self.network, self.cutoff = self.potential.network, self.potential.cutoff
        lengths = np.diag(atoms.cell.array).copy()
        if np.abs(atoms.cell.array - np.diag(lengths)).max() > 0 or not atoms.pbc.all():
            raise SystemExit("the cell must be orthorhombic and periodic")
        if 2 * self.cutoff > lengths.min():
            raise SystemExit(f"the cell must be wider than {2 * self.cutoff} Å")
        self.n, self.n_atoms = n, len(atoms)
        self.room = int(spare * n * len(build_graph(atoms, self.cutoff).centres)) + 64
        place: dict[str, Any] = {"device": device}
        self.lengths = torch.as_tensor(lengths, dtype=torch.float64, **place)
        i, j = (a.ravel() for a in np.indices((len(atoms), len(atoms))))
        i, j = i[i != j], j[i != j]
        self.i, self.j = torch.as_tensor(i, **place), torch.as_tensor(j, **place)
        species = np.searchsorted(self.potential.elements, atoms.numbers)
        self._walls(atoms, species, place)
        single = {"dtype": torch.float32, **place}
        size = n * len(atoms)
        self.constant = {
            "positions": torch.zeros(size, 3, **single),
            "node_attrs": torch.as_tensor(
                np.eye(len(self.potential.elements))[species], **single
            ).repeat(n, 1),
            "cell": torch.zeros(3 * n, 3, **single),
            "batch": torch.arange(n, **place).repeat_interleave(len(atoms)),
            "ptr": len(atoms) * torch.arange(n + 1, **place),
        }
        self.first_atom = len(atoms) * torch.arange(n, **place)
        self.every = torch.arange(n * len(i), **place)
        self.places = torch.arange(self.room, **place)
        self.beyond = torch.tensor([2.0 * self.cutoff, 0.0, 0.0], dtype=torch.float64, **place)
        self.most = torch.zeros((), dtype=torch.int64, **place)
        self.nearest = torch.full((65,), torch.inf, dtype=torch.float64, **place)

    def _walls(self, atoms: Atoms, species: np.ndarray, place: dict[str, Any]) -> None:
        walls = self.potential.walls
        pair = species[self.i.cpu().numpy()], species[self.j.cpu().numpy()]
        double = {"dtype": torch.float64, **place}
        self.wall = torch.as_tensor(walls.distance[pair], **double)
        self.strength = torch.as_tensor(walls.strength[pair], **double)
        product = atoms.numbers[self.i.cpu().numpy()] * atoms.numbers[self.j.cpu().numpy()]
        self.kind = torch.as_tensor(product, **place)

    def __call__(self, positions: Tensor) -> tuple[Tensor, Tensor]:
        """Energies (n,), eV, and forces (n, n_atoms, 3), eV/Å, at positions (n, n_atoms, 3), Å."""
        between = positions[:, self.j] - positions[:, self.i]
        between = between - self.lengths * torch.round(between / self.lengths)
        distance = between.square().sum(dim=-1).sqrt()
        self.nearest.scatter_reduce_(0, self.kind, distance.amin(dim=0), "amin")
        edges, vectors = self._edges(between, distance)
        data = self.constant | {"shifts": vectors.to(torch.float32), "edge_index": edges}
        data["positions"] = data["positions"].detach()
        out = self.network(data, compute_force=False, compute_edge_forces=True)
        slopes = out["edge_forces"].detach().double()
        forces = torch.zeros(self.n * self.n_atoms, 3, dtype=torch.float64, device=slopes.device)
        forces.index_add_(0, edges[0], slopes)
        forces.index_add_(0, edges[1], -slopes)
        energies = out["node_energy"].detach().view(self.n, -1).sum(dim=1)
        wall_energies, wall_forces = self._of_walls(between, distance)
        return energies + wall_energies, forces.view(self.n, -1, 3) + wall_forces

    def check(self) -> None:
        """Refuse what was computed if there were more pairs than there is room for."""
        if int(self.most) > self.room:
            raise SystemExit(f"{int(self.most)} pairs where there is room for {self.room}")

    def _edges(self, between: Tensor, distance: Tensor) -> tuple[Tensor, Tensor]:
        """Pairs within the cutoff in arrays of constant length, filled up with pairs beyond it."""
        near = (distance < self.cutoff).flatten()
        rank = near.cumsum(0)
        torch.maximum(self.most, rank[-1], out=self.most)
        # the last place is for what is not wanted
        place = torch.where(near & (rank <= self.room), rank - 1, self.room)
        chosen = torch.zeros(self.room + 1, dtype=torch.int64, device=near.device)
        chosen.scatter_(0, place, self.every)
        chosen, real = chosen[:-1], self.places < rank[-1]
        vectors = torch.where(real[:, None], between.reshape(-1, 3)[chosen], self.beyond)
        copy = torch.div(chosen, len(self.i), rounding_mode="floor")
        pair, first = chosen - copy * len(self.i), self.first_atom[copy]
        return torch.stack([self.i[pair] + first, self.j[pair] + first]), vectors

    def _of_walls(self, between: Tensor, distance: Tensor) -> tuple[Tensor, Tensor]:
        inside = (self.wall - distance).clamp(min=0.0)
        # each pair is there twice, with half of its energy
        energies = 0.5 * (self.strength * inside**3).sum(dim=1)
        pull = 3.0 * self.strength * inside**2 / distance
        # of the force on atom i by j; all j of one i stand together
        forces = -(pull[..., None] * between).view(self.n, self.n_atoms, -1, 3).sum(dim=2)
        return energies, forces
