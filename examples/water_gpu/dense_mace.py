"""MACE's energy on tables of neighbours: the same network with other sums, for a GPU.

mace-torch makes a message of all channels and components for each pair before it sums them. With a
table of the P nearest neighbours of each atom the sum over neighbours is a matrix product, and
nothing of the size pairs × channels × components is ever written; neither is anything scattered.
Everything else is done by mace-torch's own modules.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from aptnn_md.models.quiet_mace import quiet_mace


class DenseMACE(torch.nn.Module):
    """Energies of atoms of a ``ScaleShiftMACE``, whose weights are used as they are.

    Parameters
    ----------
    network : ``mace.modules.ScaleShiftMACE`` with ``RealAgnosticResidualInteractionBlock``
    """

    def __init__(self, network: Any) -> None:
        super().__init__()
        with quiet_mace():
            from e3nn import o3
        self.network = network
        self.paths: list[list[tuple[slice, int, slice, slice, int]]] = []
        for layer, interaction in enumerate(network.interactions):
            product, used, paths = interaction.conv_tp, 0, []
            first, second, out = (
                product.irreps_in1.slices(),
                product.irreps_in2.slices(),
                product.irreps_out.slices(),
            )
            for number, path in enumerate(product.instructions):
                if path.connection_mode != "uvu" or not path.has_weight:
                    raise SystemExit("a product of another kind than MACE's")
                irreps = (
                    product.irreps_in1[path.i_in1].ir,
                    product.irreps_in2[path.i_in2].ir,
                    product.irreps_out[path.i_out].ir,
                )
                coupling = path.path_weight * o3.wigner_3j(*(ir.l for ir in irreps))
                parameter = next(network.parameters())
                self.register_buffer(f"coupling_{layer}_{number}", coupling.to(parameter))
                channels = product.irreps_in1[path.i_in1].mul
                weights = slice(used, used + channels)
                used += channels
                paths.append(
                    (
                        weights,
                        channels,
                        first[path.i_in1],
                        second[path.i_in2],
                        out[path.i_out].start,
                    )
                )
            self.paths.append(paths)

    def forward(self, vectors: Tensor, neighbours: Tensor, species: Tensor) -> Tensor:
        """Interaction energy of each atom, (n_atoms,), eV.

        Parameters
        ----------
        vectors : (n_atoms, P, 3), Å, from each neighbour to the atom; those beyond the cutoff are
            nothing
        neighbours : (n_atoms, P)
        species : (n_atoms, n_elements), one-hot
        """
        network = self.network
        n_atoms, width = neighbours.shape
        flat = vectors.reshape(-1, 3)
        lengths = torch.linalg.vector_norm(flat, dim=1, keepdim=True)
        harmonics = network.spherical_harmonics(flat).view(n_atoms, width, -1)
        none = torch.zeros(2, 0, dtype=torch.int64, device=flat.device)
        radial = network.radial_embedding(lengths, species, none, network.atomic_numbers)[0]
        heads = torch.zeros(n_atoms, dtype=torch.int64, device=flat.device)
        every = torch.arange(n_atoms, device=flat.device)
        features, energies = network.node_embedding(species), 0
        for layer, (interaction, product, readout) in enumerate(
            zip(network.interactions, network.products, network.readouts, strict=True)
        ):
            kept = interaction.skip_tp(features, species)
            up = interaction.linear_up(features)
            weights = interaction.conv_tp_weights(radial).view(n_atoms, width, -1)
            message = self._sum(layer, up, harmonics, weights, neighbours)
            message = interaction.linear(message) / interaction.avg_num_neighbors
            features = product(node_feats=interaction.reshape(message), sc=kept, node_attrs=species)
            energies = energies + readout(features, heads)[every, heads]
        return network.scale_shift(energies, heads)

    def _sum(
        self, layer: int, features: Tensor, harmonics: Tensor, weights: Tensor, neighbours: Tensor
    ) -> Tensor:
        """Messages (n_atoms, dim) to all atoms."""
        n_atoms, width = neighbours.shape
        parts, seen = [], {}
        for number, (columns, channels, first, second, place) in enumerate(self.paths[layer]):
            coupling = self.get_buffer(f"coupling_{layer}_{number}")
            if first.start not in seen:
                # (atom, component, channel), so that the products below are contiguous
                own = features[:, first].view(n_atoms, channels, -1).transpose(1, 2).contiguous()
                taken = own.flatten(1).index_select(0, neighbours.flatten())
                seen[first.start] = taken.view(n_atoms, width, -1, channels)
            angular = torch.einsum("npm,dmk->npdk", harmonics[..., second], coupling)
            weighted = seen[first.start] * weights[:, :, None, columns]
            message = angular.flatten(1, 2).transpose(1, 2) @ weighted.flatten(1, 2)
            parts.append((place, message.transpose(1, 2).flatten(1)))
        return torch.cat([part for _, part in sorted(parts, key=lambda each: each[0])], dim=1)


def forces_of(slopes: Tensor, neighbours: Tensor) -> Tensor:
    """Forces (n_atoms, 3) from the gradient of the energy in the vectors (n_atoms, P, 3)."""
    pulled = torch.zeros(len(slopes), 3, dtype=slopes.dtype, device=slopes.device)
    return pulled.index_add(0, neighbours.flatten(), slopes.reshape(-1, 3)) - slopes.sum(dim=1)
