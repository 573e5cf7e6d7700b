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
from dense_mace import DenseMACE, forces_of
from torch import Tensor

from aptnn_md.engines.potential_identity import potential_fields
from aptnn_md.models.quiet_mace import quiet_mace
from aptnn_md.potentials.loading import load_potential
from aptnn_md.potentials.mace import MACEPotential

WIDTH = 64


class Copies:
    """Energies and forces of n copies of a system at different positions.

    Parameters
    ----------
    potential : name or file of a stored MACE potential
    atoms : the system, in an orthorhombic cell more than twice as wide as the cutoff, so that of
        all images of a neighbour only the nearest counts
    n : copies that are evaluated at once
    device : of torch
    width : neighbours that an atom has room for

    Attributes
    ----------
    fields : of the header of a stream, name and digest of the potential
    most : largest number of neighbours of an atom so far; with more than ``width`` forces were
        wrong
    nearest : shortest distance so far of each pair of elements, Å, by the product of atomic numbers
    """

    def __init__(
        self, potential: str, atoms: Atoms, n: int, device: str, width: int = WIDTH
    ) -> None:
        with quiet_mace():
            import e3nn

            # plain functions of torch: nothing is compiled while a graph is captured
            e3nn.set_optimization_defaults(jit_script_fx=False)  # type: ignore[attr-defined]
            torch._C._jit_set_texpr_fuser_enabled(False)
        found = load_potential(potential, device=device)
        if not isinstance(found, MACEPotential):
            raise SystemExit(f"{potential}: a stored MACE potential is needed")
        self.network, self.cutoff = DenseMACE(found.network), found.cutoff
        self.fields = potential_fields(found)
        lengths = np.diag(atoms.cell.array).copy()
        if np.abs(atoms.cell.array - np.diag(lengths)).max() > 0 or not atoms.pbc.all():
            raise SystemExit("the cell must be orthorhombic and periodic")
        if 2 * self.cutoff > lengths.min():
            raise SystemExit(f"the cell must be wider than {2 * self.cutoff} Å")
        self.n, self.n_atoms, self.width = n, len(atoms), min(width, len(atoms) - 1)
        place: dict[str, Any] = {"device": device}
        double = {"dtype": torch.float64, **place}
        self.lengths = torch.as_tensor(lengths, **double)
        # an atom is no neighbour of itself
        self.itself = 1e6 * torch.eye(len(atoms), **double)
        which = np.searchsorted(found.elements, atoms.numbers)
        self.one_hot = torch.as_tensor(
            np.eye(len(found.elements))[which], dtype=torch.float32, **place
        ).repeat(n, 1)
        self.lonely = float(
            found.network.atomic_energies_fn(self.one_hot[: len(atoms)]).double().sum()
        )
        walls, pair = found.walls, np.ix_(which, which)
        self.wall = torch.as_tensor(walls.distance[pair], **double)
        self.strength = torch.as_tensor(walls.strength[pair], **double)
        self.kind = torch.as_tensor(np.outer(atoms.numbers, atoms.numbers).ravel(), **place)
        self.first_atom = len(atoms) * torch.arange(n, **place)[:, None, None]
        self.most = torch.zeros((), dtype=torch.int64, **place)
        self.nearest = torch.full((int(atoms.numbers.max()) ** 2 + 1,), torch.inf, **double)

    def __call__(self, positions: Tensor) -> tuple[Tensor, Tensor]:
        """Energies (n,), eV, and forces (n, n_atoms, 3), eV/Å, at positions (n, n_atoms, 3), Å."""
        # from each neighbour (third index) to the atom
        between = positions[:, :, None] - positions[:, None]
        between = between - self.lengths * torch.round(between / self.lengths)
        square = between.square().sum(dim=-1) + self.itself
        self.nearest.scatter_reduce_(0, self.kind, square.amin(dim=0).sqrt().flatten(), "amin")
        most = (square < self.cutoff**2).sum(dim=-1).amax()
        torch.maximum(self.most, most, out=self.most)
        near, neighbour = torch.topk(square, self.width, dim=-1, largest=False, sorted=False)
        index = neighbour[..., None].expand(-1, -1, -1, 3)
        vectors = torch.gather(between, 2, index)
        table = (neighbour + self.first_atom).flatten(0, 1)
        single = vectors.flatten(0, 1).to(torch.float32).requires_grad_(True)
        with torch.enable_grad():
            energies = self.network(single, table, self.one_hot)
            (slopes,) = torch.autograd.grad(energies.sum(), single)
        total = energies.detach().double().view(self.n, -1).sum(dim=1) + self.lonely
        wall_energies, wall_slopes = self._walls(vectors, near.sqrt(), neighbour)
        slopes = slopes.double() + wall_slopes.flatten(0, 1)
        return total + wall_energies, forces_of(slopes, table).view(self.n, -1, 3)

    def check(self) -> None:
        """Refuse what was computed if an atom had more neighbours than there is room for."""
        if int(self.most) > self.width:
            raise SystemExit(f"{int(self.most)} neighbours where there is room for {self.width}")

    def _walls(self, vectors: Tensor, distance: Tensor, neighbour: Tensor) -> tuple[Tensor, Tensor]:
        """Energies (n,) and gradients in the vectors; each pair is there twice, with one half."""
        wall, strength = (
            torch.gather(t.expand(self.n, -1, -1), 2, neighbour) for t in (self.wall, self.strength)
        )
        inside = (wall - distance).clamp(min=0.0)
        energies = 0.5 * (strength * inside**3).sum(dim=(1, 2))
        return energies, (-1.5 * strength * inside**2 / distance)[..., None] * vectors
