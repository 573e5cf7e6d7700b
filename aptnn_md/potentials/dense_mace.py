"""MACE's networks on tables of neighbours: the same energies in less time on a processor.

mace-torch makes a message of all channels and components for each pair of atoms before it sums
them, and contracts the products of an atom's features with tables that are nearly empty. Here the
sum over the neighbours of an atom is a matrix product, so that no message is ever written, and so
are the products of features. All else is done by mace-torch's own modules, whose weights are used
as they are. Energies can be differentiated as often as is needed, as training does.

After Batatia et al., NeurIPS 2022, Eqs. 8 to 11.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations
from typing import Any

import torch
from torch import Tensor

from aptnn_md.arrays import FloatArray, IntArray
from aptnn_md.atoms.neighbours import Graph
from aptnn_md.models.angular import components_of, harmonics_of, n_components, wigner_3j
from aptnn_md.potentials.neighbour_table import NeighbourTable

CHUNK_PAIRS = 3072
"""Places of a table whose messages are summed together: what stays in a processor's cache."""

_HIGHEST_ORDER = 3


class DenseMACE:
    """A ``mace.modules.ScaleShiftMACE`` on tables of neighbours; see the module's docstring.

    Use :meth:`of`, which knows the networks that this is right for. It has no weights of its own.
    """

    def __init__(self, network: Any) -> None:
        self.network = network
        self.dtype: torch.dtype = next(network.parameters()).dtype
        self.n_elements = len(network.atomic_numbers)
        self._layers = [
            _Layer(interaction, product)
            for interaction, product in zip(network.interactions, network.products, strict=True)
        ]
        self._lmax = int(network.spherical_harmonics.irreps_out.lmax)
        self._cutoff = float(network.r_max)

    @classmethod
    def of(cls, network: Any) -> DenseMACE | None:
        """The same network on tables; None where it is of a kind, or on a device, it is not for."""
        if next(network.parameters()).device.type != "cpu":
            return None
        try:
            return cls(network) if _is_plain(network) else None
        except AttributeError:  # of another version of mace-torch
            return None

    def table(self, graph: Graph, species: IntArray) -> NeighbourTable:
        """The pairs of a graph as :meth:`energies` takes them."""
        return NeighbourTable.of(graph, species, self.n_elements, self.dtype)

    def energies(self, vectors: Tensor, table: NeighbourTable) -> Tensor:
        """Energies of the atoms (n_atoms,), eV, in the graph's order, less those of lone atoms.

        Parameters
        ----------
        vectors : (n_edges, 3), Å, of the graph
        table : its pairs
        """
        network, shape = self.network, table.edges.shape
        # in the place that is no edge's: a neighbour beyond the cutoff, where everything is smooth
        beyond = vectors.new_tensor([[2.0 * self._cutoff, 0.0, 0.0]])
        # mace-torch's vectors go from the neighbour to the atom
        taken = torch.cat([-vectors, beyond]).index_select(0, table.edges.flatten())
        x, y, z = taken.T.contiguous().unflatten(1, shape)
        squared = x * x + y * y + z * z
        inverse = squared.clamp(min=1e-20).rsqrt()
        harmonics = torch.stack(harmonics_of(self._lmax, x * inverse, y * inverse, z * inverse), -1)
        none = torch.zeros(2, 0, dtype=torch.int64)
        lengths = (squared * inverse).view(-1, 1)
        radial, _ = network.radial_embedding(lengths, table.species, none, network.atomic_numbers)
        radial = radial.view(*shape, -1)
        heads = torch.zeros(len(table.order), dtype=torch.int64)
        features, energies = network.node_embedding(table.species), vectors.new_zeros(())
        for layer, readout in zip(self._layers, network.readouts, strict=True):
            features = layer(features, harmonics, radial, table)
            energies = energies + readout(features, heads)[:, 0]
        inside: Tensor = network.scale_shift(energies, heads)
        return inside.index_select(0, table.rank)

    def energies_and_gradients(
        self, graph: Graph, species: IntArray
    ) -> tuple[FloatArray, FloatArray]:
        """Energies of the atoms (n_atoms,), eV, and their derivatives (n_edges, 3), eV/Å.

        The derivatives are those of the sum of the energies by the vectors of the graph.
        """
        table = self.table(graph, species)
        vectors = torch.as_tensor(graph.edge_vectors, dtype=self.dtype).requires_grad_(True)
        energies = self.energies(vectors, table)
        (gradients,) = torch.autograd.grad(energies.sum(), vectors)
        lonely = self.network.atomic_energies_fn(table.species)[:, 0].index_select(0, table.rank)
        total = energies.detach().double() + lonely.double()
        return total.numpy(), gradients.double().numpy()


@dataclass(frozen=True)
class _Path:
    """A way to couple what a neighbour sends with the harmonics of its direction.

    Attributes
    ----------
    sent : number of the irrep among those that are sent
    components : (m_sent, m_out), how many there are
    coupling : (m of all harmonics, m_sent m_out)
    """

    sent: int
    components: tuple[int, int]
    coupling: Tensor


class _Layer:
    """Messages, products of them, and what is kept of an atom's features before."""

    def __init__(self, interaction: Any, product: Any) -> None:
        self.interaction, self.linear = interaction, product.linear
        self.products = _Products(product.symmetric_contractions.contractions)
        coupled = interaction.conv_tp
        self.sent = [(irrep.ir.dim, irrep.mul) for irrep in coupled.irreps_in1]
        self.n_channels = self.sent[0][1]
        like = next(interaction.parameters())
        self.paths = [_path(coupled, instruction, like) for instruction in coupled.instructions]
        # mace-torch sorts what comes out of them
        out = [instruction.i_out for instruction in coupled.instructions]
        self.sorted = sorted(range(len(out)), key=lambda path: out[path])

    def __call__(
        self, features: Tensor, harmonics: Tensor, radial: Tensor, table: NeighbourTable
    ) -> Tensor:
        """Features (n_atoms, dim) of e3nn's layout, from those of the layer before."""
        interaction = self.interaction
        kept: Tensor = interaction.skip_tp(features, table.species)
        sent = self._sent(interaction.linear_up(features))
        step = max(1, CHUNK_PAIRS // table.edges.shape[1])
        chunks = zip(
            harmonics.split(step), radial.split(step), table.neighbours.split(step), strict=True
        )
        messages = torch.cat([self._messages(sent, *chunk) for chunk in chunks])
        density = interaction.linear(messages) / interaction.avg_num_neighbors
        density = interaction.reshape(density).permute(2, 1, 0).contiguous()
        new: Tensor = self.linear(self.products(density, table.of_element))
        return kept + new

    def _sent(self, features: Tensor) -> list[Tensor]:
        """Of each irrep (n_atoms, m n_channels): channels that stand together are multiplied."""
        parts = features.split([dim * channels for dim, channels in self.sent], dim=1)
        return [
            part.unflatten(1, (channels, dim)).transpose(1, 2).flatten(1)
            for part, (dim, channels) in zip(parts, self.sent, strict=True)
        ]

    def _messages(
        self, sent: Sequence[Tensor], harmonics: Tensor, radial: Tensor, neighbours: Tensor
    ) -> Tensor:
        """Sums over the neighbours of some atoms, (n_atoms, dim) in the order of mace-torch.

        Parameters
        ----------
        sent : see :meth:`_sent`, of all atoms
        harmonics, radial : (n_atoms, p, m), (n_atoms, p, n)
        neighbours : (n_atoms, p)
        """
        shape = neighbours.shape
        weights = self.interaction.conv_tp_weights(radial.flatten(0, 1))
        weights = weights.view(*shape, len(self.paths), 1, self.n_channels).unbind(2)
        rows = neighbours.flatten()
        received = [
            part.index_select(0, rows).view(*shape, dim, -1)
            for part, (dim, _) in zip(sent, self.sent, strict=True)
        ]
        flat = harmonics.flatten(0, 1)
        summed = []
        for path, weight in zip(self.paths, weights, strict=True):
            n_sent, n_out = path.components
            directions = (flat @ path.coupling).view(shape[0], shape[1] * n_sent, n_out)
            weighted = (received[path.sent] * weight).flatten(1, 2)
            summed.append(torch.bmm(directions.transpose(1, 2), weighted))
        return torch.cat([summed[path].transpose(1, 2).flatten(1) for path in self.sorted], dim=1)


def _path(coupled: Any, instruction: Any, like: Tensor) -> _Path:
    degrees = (
        coupled.irreps_in1[instruction.i_in1].ir.l,
        coupled.irreps_in2[instruction.i_in2].ir.l,
        coupled.irreps_out[instruction.i_out].ir.l,
    )
    symbol = wigner_3j(*degrees)
    lmax = coupled.irreps_in2.lmax
    table = symbol.new_zeros(n_components(lmax), len(symbol), symbol.shape[2])
    table[components_of(range(lmax + 1))[degrees[1]]] = symbol.transpose(0, 1)
    coupling = (instruction.path_weight * table).flatten(1).to(like)
    return _Path(instruction.i_in1, (len(symbol), symbol.shape[2]), coupling)


class _Products:
    """MACE's symmetric contractions: polynomials of the components A_m of each channel.

    Σ_a A_a (c_a + Σ_b c_ab A_b + Σ_b≤c c_abc A_b A_c) with c = Σ_η U_η w_η: the inner sums are one
    matrix product for each channel, with 1, all A_b and all A_b A_c.
    """

    def __init__(self, contractions: Sequence[Any]) -> None:
        self.contractions = contractions
        self.order = max(int(each.correlation) for each in contractions)
        self.tables = [
            [_symmetric(each, order) for order in range(1, int(each.correlation) + 1)]
            for each in contractions
        ]
        self.components = [len(tables[0]) for tables in self.tables]
        self.pairs = torch.triu_indices(*2 * (self.tables[0][0].shape[1],))
        self._kept: dict[int, tuple[list[int], Tensor]] = {}

    def __call__(self, density: Tensor, of_element: Sequence[int]) -> Tensor:
        """Features (n_atoms, dim) in e3nn's layout from densities (m, n_channels, n_atoms)."""
        powers = [torch.ones_like(density[:1]), density]
        if self.order == _HIGHEST_ORDER:
            first, second = (density.index_select(0, which) for which in self.pairs)
            powers.append(first * second)
        columns = torch.cat(powers[: self.order]).transpose(0, 1).split(list(of_element), dim=2)
        inner = torch.cat(
            [
                torch.bmm(self._current_coefficients(element), of_atoms)
                for element, of_atoms in enumerate(columns)
                if of_element[element]
            ],
            dim=2,
        )
        inner = inner.unflatten(1, (-1, len(density)))
        out = (inner * density.transpose(0, 1).unsqueeze(1)).sum(dim=2)
        parts = out.split(self.components, dim=1)
        return torch.cat([part.permute(2, 0, 1).flatten(1) for part in parts], dim=1)

    def _current_coefficients(self, element: int) -> Tensor:
        """Kept from call to call while no weight changes, and where none is trained."""
        weights = [weight for each in self.contractions for weight in each.parameters()]
        if torch.is_grad_enabled() and any(weight.requires_grad for weight in weights):
            return self._coefficients(element)
        versions = [weight._version for weight in weights]
        if element not in self._kept or self._kept[element][0] != versions:
            self._kept[element] = versions, self._coefficients(element).detach()
        return self._kept[element][1]

    def _coefficients(self, element: int) -> Tensor:
        """c, (n_channels, m_out m, 1 + m + m (m + 1) / 2) of the third order."""
        rows = []
        for each, tables in zip(self.contractions, self.tables, strict=True):
            # mace-torch's begin with the second highest order
            weights = [*reversed(list(each.weights)), each.weights_max]
            parts = [
                torch.einsum("maxk,kc->cmax", table, weight[element]).flatten(1, 2)
                for table, weight in zip(tables, weights, strict=True)
            ]
            rows.append(torch.cat(parts, dim=-1))
        width = max(row.shape[-1] for row in rows)
        rows = [torch.nn.functional.pad(row, (0, width - row.shape[-1])) for row in rows]
        return torch.cat(rows, dim=1)


def _symmetric(contraction: Any, order: int) -> Tensor:
    """U of an order, (m_out, m, n_products, n_paths), where it multiplies A_a by 1, A_b or A_b A_c.

    The last are there for b <= c, and mace-torch's U need not be symmetric.
    """
    table: Tensor = contraction.U_tensors(order).detach()
    if table.ndim == order + 1:  # of a scalar
        table = table.unsqueeze(0)
    if order == 1:
        return table.unsqueeze(2)
    swapped = [
        table.permute(0, *(1 + axis for axis in axes), order + 1)
        for axes in permutations(range(order))
    ]
    symmetric = torch.stack(swapped).sum(dim=0) / math.factorial(order)
    if order == 2:
        return symmetric
    first, second = torch.triu_indices(*symmetric.shape[2:4])
    twice: Tensor = 2.0 - (first == second).to(table)
    return symmetric[:, :, first, second] * twice[:, None]


def _is_plain(network: Any) -> bool:
    """Whether a network has nothing but what :class:`DenseMACE` does as mace-torch does it."""
    kinds = {type(interaction).__name__ for interaction in network.interactions}
    radial = network.radial_embedding
    return (
        type(network).__name__ == "ScaleShiftMACE"
        and kinds == {"RealAgnosticResidualInteractionBlock"}
        and len(network.readouts) == len(network.interactions)
        and len(getattr(network, "heads", ["Default"])) == 1
        and not any(hasattr(network, name) for name in ("pair_repulsion", "joint_embedding"))
        and not hasattr(radial, "distance_transform")
        and bool(getattr(radial, "apply_cutoff", True))
        and all(map(_has_plain_messages, network.interactions))
        and all(map(_has_plain_products, network.products))
    )


def _has_plain_messages(interaction: Any) -> bool:
    coupled = interaction.conv_tp
    sent, directions = coupled.irreps_in1, coupled.irreps_in2
    return (
        getattr(interaction, "cueq_config", None) is None
        and getattr(interaction, "oeq_config", None) is None
        and not hasattr(interaction, "conv_fusion")
        and all(step.connection_mode == "uvu" and step.has_weight for step in coupled.instructions)
        and len({irrep.mul for irrep in sent}) == 1
        # of others the sign of the coupling differs between versions of e3nn
        and all(irrep.ir.p == (-1) ** irrep.ir.l for irrep in (*sent, *interaction.irreps_out))
        and [(irrep.mul, irrep.ir.l) for irrep in directions]
        == [(1, degree) for degree in range(directions.lmax + 1)]
        and [irrep.ir.l for irrep in interaction.irreps_out] == list(range(directions.lmax + 1))
    )


def _has_plain_products(product: Any) -> bool:
    return (
        getattr(product, "cueq_config", None) is None
        and not getattr(product, "use_agnostic_product", False)
        and bool(product.use_sc)
        and all(
            int(each.correlation) <= _HIGHEST_ORDER
            for each in product.symmetric_contractions.contractions
        )
    )
