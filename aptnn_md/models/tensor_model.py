"""A network with what it needs to give Cartesian tensors in physical units."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn

from aptnn_md.e3nn_compat import o3
from aptnn_md.errors import InputError
from aptnn_md.graph import Graph
from aptnn_md.models.ace import ACEConfig, ACENetwork
from aptnn_md.models.simple import SimpleConfig, SimpleNetwork

NETWORKS: dict[str, tuple[type[Any], type[Any]]] = {
    "ace": (ACEConfig, ACENetwork),
    "simple": (SimpleConfig, SimpleNetwork),
}
"""Name of an architecture -> its configuration and its class."""


@dataclass(frozen=True)
class Target:
    """A tensor of an atom: its index symmetry in e3nn's notation; every index is a vector's."""

    formula: str

    @cache  # noqa: B019 - targets live as long as the process
    def basis(self) -> tuple[o3.Irreps, Tensor]:
        """Irreps, and the orthonormal change of basis (irreps.dim, 3, 3, ...) in float64."""
        indices = dict.fromkeys(self.formula.split("=")[0], "1o")
        with warnings.catch_warnings():
            # TorchScript compilation inside e3nn warns about its own deprecation
            warnings.simplefilter("ignore")
            products = o3.ReducedTensorProducts(self.formula, **indices)
        return products.irreps_out, _orthonormal(products.change_of_basis.double())


TARGETS: dict[str, Target] = {"apt": Target("ij")}


class TensorModel(nn.Module):
    """Network outputs scaled for each element and irrep and turned into Cartesian tensors.

    Scaling never touches single Cartesian components, which would break equivariance: each l has
    one rms for each element, and only scalars have a mean.

    Parameters
    ----------
    network : name of the architecture, a key of :data:`NETWORKS`
    elements : atomic numbers
    target : a key of :data:`TARGETS`
    settings : other fields of the network's configuration
    """

    mean: Tensor
    scale: Tensor
    basis: Tensor
    irrep_of_component: Tensor

    def __init__(
        self, network: str, elements: Sequence[int], target: str, settings: Mapping[str, Any]
    ) -> None:
        super().__init__()
        irreps, basis = TARGETS[target].basis()
        config_class, network_class = _known_network(network)
        _refuse_unknown(network, config_class, settings)
        self.config = config_class(
            elements=tuple(sorted(elements)), target_irreps=str(irreps), **settings
        )
        self.network = network_class(self.config)
        self.register_buffer("mean", torch.zeros(len(elements), irreps.dim))
        self.register_buffer("scale", torch.ones(len(elements), irreps.dim))
        self.register_buffer("basis", basis, persistent=False)
        number = [k for k, (mul, irrep) in enumerate(irreps) for _ in range(mul * irrep.dim)]
        self.register_buffer("irrep_of_component", torch.tensor(number), persistent=False)
        self.scalar_components = [
            k
            for k, which in enumerate(number)
            if irreps[which].ir.l == 0 and irreps[which].ir.p == 1
        ]

    @property
    def settings(self) -> dict[str, Any]:
        """The network's configuration as plain data."""
        return asdict(self.config)

    def geometry(self, graph: Graph) -> Any:
        """What the network needs to know of a graph; the same for all networks of one shape."""
        return self.network.geometry(graph)

    def species(self, graph: Graph) -> Tensor:
        """(n_atoms,): index of each atom's element."""
        return torch.searchsorted(
            torch.tensor(self.config.elements), torch.from_numpy(graph.atomic_numbers)
        ).to(self.mean.device)

    def forward(self, geometry: Any, species: Tensor) -> Tensor:
        """(n_atoms, 3, 3, ...), in the graph's order."""
        components = self.network(geometry) * self.scale[species] + self.mean[species]
        return torch.tensordot(components, self.basis, dims=1)

    @torch.no_grad()
    def fit_scales(self, geometries: Sequence[Any], species: Tensor, tensors: Tensor) -> None:
        """Set means and scales from training data.

        Parameters
        ----------
        geometries : of the training frames
        species : (n_labelled,)
        tensors : (n_labelled, 3, 3, ...)
        """
        self.network.fit_scales(geometries)
        n_indices = tensors.ndim - 1
        components = torch.tensordot(tensors, self.basis, dims=[list(range(1, n_indices + 1))] * 2)
        # an irrep that vanishes in the data, by symmetry perhaps, keeps a small scale
        smallest = 1e-3 * float(components.pow(2).mean().sqrt())
        for element in range(len(self.config.elements)):
            part = components[species == element]
            if not len(part):
                continue
            for component in self.scalar_components:
                self.mean[element, component] = part[:, component].mean()
            centred = part - self.mean[element]
            for irrep in self.irrep_of_component.unique():
                columns = self.irrep_of_component == irrep
                rms = float(centred[:, columns].pow(2).mean().sqrt())
                self.scale[element, columns] = max(rms, smallest) or 1.0


def fresh_model(
    network: str, target: str, elements: Sequence[int], settings: Mapping[str, Any], seed: int
) -> TensorModel:
    """A model in single precision whose weights depend on the seed only."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = TensorModel(network, elements, target, settings)
    return model.to(torch.float32)


def _known_network(name: str) -> tuple[type[Any], type[Any]]:
    if name not in NETWORKS:
        raise InputError("network", "name", repr(name), f"one of {', '.join(NETWORKS)}")
    return NETWORKS[name]


def _refuse_unknown(network: str, config_class: type[Any], settings: Mapping[str, Any]) -> None:
    known = {f.name for f in fields(config_class)} - {"elements", "target_irreps"}
    unknown = sorted(set(settings) - known)
    if unknown:
        raise InputError(
            f"network {network}",
            "settings",
            ", ".join(unknown),
            f"keys among {', '.join(sorted(known))}",
        )


def _orthonormal(basis: Tensor) -> Tensor:
    """Rows made orthonormal to double precision; e3nn computes them in the default dtype."""
    rows = basis.flatten(1)
    overlap = rows @ rows.T
    values, vectors = torch.linalg.eigh(overlap)
    exact = vectors @ torch.diag(values.rsqrt()) @ vectors.T @ rows
    return exact.view_as(basis)
