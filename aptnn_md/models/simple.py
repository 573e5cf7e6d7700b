"""The ``simple`` network: the published architecture, to reproduce the paper and to compare with.

e3nn's ``SimpleNetwork`` (v2106) as in Schienbein, JCTC 19, 705 (2023): two gated message-passing
layers with features 20x0o+20x0e+20x1o+20x1e+20x2o+20x2e, spherical harmonics up to l = 2, ten
radial functions, a cutoff of 6 Å. Only the graph is ours, so that periodic cells work.
"""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import torch
from torch import Tensor, nn

from aptnn_md.atoms.neighbours import Graph
from aptnn_md.errors import InputError
from aptnn_md.models.angular import wigner_3j
from aptnn_md.models.e3nn_compat import o3
from aptnn_md.settings import Range, check_settings

N_RADIAL = 10
RADIAL_WIDTH = 100


@dataclass(frozen=True)
class SimpleConfig:
    """Shape of a :class:`SimpleNetwork`; the defaults are the published ones.

    Attributes
    ----------
    elements : atomic numbers, ascending
    target_irreps : what comes out for each atom, in e3nn's notation
    cutoff : Å
    n_channels : features of each l and parity
    n_layers : gated message-passing layers before the last convolution
    lmax : largest l of features and spherical harmonics
    n_neighbours : typical number of neighbours, a normalisation
    """

    elements: tuple[int, ...]
    target_irreps: str
    cutoff: Annotated[float, Range(more_than=0.0, at_most=100.0)] = 6.0
    n_channels: Annotated[int, Range(at_least=1, at_most=4096)] = 20
    n_layers: Annotated[int, Range(at_least=0, at_most=100)] = 2
    lmax: Annotated[int, Range(at_least=0, at_most=8)] = 2
    n_neighbours: Annotated[float, Range(more_than=0.0)] = 90.0

    def __post_init__(self) -> None:
        check_settings(self, "network simple")
        # features and spherical harmonics, each of at most lmax, are coupled to the target
        needed = math.ceil(o3.Irreps(self.target_irreps).lmax / 2)
        if self.lmax < needed:
            expected = f"at least {needed} for {self.target_irreps}"
            raise InputError("network simple", "lmax", self.lmax, expected)


@dataclass(frozen=True)
class EdgeGeometry:
    """A graph as the network reads it; no weight is in it.

    Attributes
    ----------
    one_hot : (n_atoms, n_elements)
    centres, neighbours : (n_edges,)
    harmonics : (n_edges, (lmax + 1)²)
    radial : (n_edges, N_RADIAL)
    """

    one_hot: Tensor
    centres: Tensor
    neighbours: Tensor
    harmonics: Tensor
    radial: Tensor


class SimpleNetwork(nn.Module):
    """``network(network.geometry(graph))`` gives (n_atoms, target_irreps.dim)."""

    like: Tensor

    def __init__(self, config: SimpleConfig) -> None:
        super().__init__()
        with warnings.catch_warnings():
            # TorchScript compilation inside e3nn warns about its own deprecation
            warnings.simplefilter("ignore")
            from e3nn.nn.models.v2106.gate_points_message_passing import MessagePassing

            hidden = o3.Irreps(
                [(config.n_channels, (l, p)) for l in range(config.lmax + 1) for p in (-1, 1)]  # noqa: E741
            )
            self.layers = MessagePassing(
                irreps_node_sequence=[
                    o3.Irreps([(len(config.elements), (0, 1))]),
                    *[hidden] * config.n_layers,
                    o3.Irreps(config.target_irreps),
                ],
                irreps_node_attr="0e",
                irreps_edge_attr=o3.Irreps.spherical_harmonics(config.lmax),
                fc_neurons=[N_RADIAL, RADIAL_WIDTH],
                num_neighbors=config.n_neighbours,
            )
        self.config = config
        self.register_buffer("like", torch.zeros(()), persistent=False)
        _restore_double_tables(self)
        # saved weights include the tables, rounded to the precision of training
        self.register_load_state_dict_post_hook(  # type: ignore[no-untyped-call]
            lambda module, _: _restore_double_tables(module)
        )

    @staticmethod
    def least_weights(config: SimpleConfig) -> int:
        """How many numbers a network of a configuration has at least, known before it is made."""
        of_radial = (config.n_layers + 1) * N_RADIAL * RADIAL_WIDTH
        of_features = config.n_layers * (config.lmax + 1) * config.n_channels**2
        return of_radial + of_features

    def geometry(self, graph: Graph) -> EdgeGeometry:
        """Spherical harmonics and radial functions of a graph's edges."""
        config, device = self.config, self.like.device
        species = torch.searchsorted(
            torch.tensor(config.elements), torch.from_numpy(graph.atomic_numbers)
        )
        vectors = torch.from_numpy(graph.edge_vectors).to(device, self.like.dtype)
        return EdgeGeometry(
            one_hot=nn.functional.one_hot(species, len(config.elements)).to(vectors),
            centres=torch.from_numpy(graph.centres).to(device),
            neighbours=torch.from_numpy(graph.neighbours).to(device),
            harmonics=o3.spherical_harmonics(
                list(range(config.lmax + 1)), vectors, normalize=True, normalization="component"
            ),
            radial=smooth_finite_basis(vectors.norm(dim=1), config.cutoff, N_RADIAL),
        )

    def fit_scales(self, geometries: Sequence[EdgeGeometry]) -> None:
        """Nothing depends on the training data in the published network."""

    def forward(self, geometry: EdgeGeometry) -> Tensor:
        out: Tensor = self.layers(
            geometry.one_hot,
            geometry.one_hot.new_ones(len(geometry.one_hot), 1),
            geometry.neighbours,
            geometry.centres,
            geometry.harmonics,
            geometry.radial,
        )
        return out


def _restore_double_tables(module: nn.Module) -> None:
    """Cast to double precision, and Clebsch–Gordan tables of full precision and known sign."""
    module.double()
    for name, table in module.named_buffers():
        match = re.search(r"_w3j_(\d+)_(\d+)_(\d+)$", name)
        if match:
            degrees = [int(group) for group in match.groups()]
            table.copy_(wigner_3j(*degrees))


def smooth_finite_basis(distances: Tensor, cutoff: float, n_functions: int) -> Tensor:
    """e3nn's ``soft_one_hot_linspace(basis="smooth_finite", cutoff=True)`` times √n_functions.

    Bumps on a grid, infinitely differentiable and exactly zero beyond one spacing from their
    centre: (n_edges,) Å -> (n_edges, n_functions).
    """
    centres = torch.linspace(
        0.0, cutoff, n_functions + 2, dtype=distances.dtype, device=distances.device
    )
    spacing = cutoff / (n_functions + 1)
    x = (distances.unsqueeze(-1) - centres[1:-1]) / spacing
    inside = x.abs() < 1.0
    width = torch.where(inside, 1.0 - x**2, torch.ones_like(x))
    bumps = torch.where(inside, torch.exp(-2.0 / width), torch.zeros_like(x))
    return 1.14136 * math.exp(2.0) * math.sqrt(n_functions) * bumps
