"""A network with what it needs to give Cartesian tensors in physical units."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn

from aptnn_md.atoms.neighbours import Graph
from aptnn_md.errors import InputError
from aptnn_md.models.ace import ACENetwork
from aptnn_md.models.ace_geometry import ACEConfig
from aptnn_md.models.e3nn_compat import o3, wigner_3j
from aptnn_md.models.simple import SimpleConfig, SimpleNetwork
from aptnn_md.targets import targets_of

NETWORKS: dict[str, tuple[type[Any], type[Any]]] = {
    "ace": (ACEConfig, ACENetwork),
    "simple": (SimpleConfig, SimpleNetwork),
}
"""Name of an architecture -> its configuration and its class."""


@cache
def cartesian_basis(index_symmetry: str) -> tuple[o3.Irreps, Tensor]:
    """Irreps of Cartesian tensors, and the orthonormal change of basis (irreps.dim, 3, 3, ...).

    e3nn finds which irreps there are, up to signs and mixtures of equal ones, in which its
    versions differ, and in single precision. Model files must mean the same everywhere: so the
    indices are coupled one after the other by Wigner's 3j symbols, and of the tensors that this
    gives those with the symmetry are taken. Of a PGT's two vectors, the first is the gradient
    of the trace.

    Parameters
    ----------
    index_symmetry : in e3nn's notation, e.g. ``"ijk=jik"``; every index is a vector's
    """
    indices = dict.fromkeys(index_symmetry.split("=")[0], "1o")
    with warnings.catch_warnings():
        # TorchScript compilation inside e3nn warns about its own deprecation
        warnings.simplefilter("ignore")
        products = o3.ReducedTensorProducts(index_symmetry, **indices)
    found = products.change_of_basis.double().flatten(1)
    blocks = []
    for (multiplicity, irrep), part in zip(
        products.irreps_out, products.irreps_out.slices(), strict=True
    ):
        coupled = _coupled_vectors(len(indices))[irrep.l]
        inside = [
            tensor
            for tensor in coupled
            if (tensor.flatten(1) @ found[part].T).square().sum() > 0.5 * irrep.dim
        ]
        if len(inside) != multiplicity:
            raise ValueError(f"{index_symmetry} is no symmetry of indices coupled in this order")
        blocks += inside
    return products.irreps_out, torch.cat(blocks)


def _coupled_vectors(n: int) -> dict[int, list[Tensor]]:
    """All ways to couple n vectors one after the other: l -> tensors (2l + 1, 3, 3, ...)."""
    coupled = {1: [torch.eye(3, dtype=torch.float64)]}
    for _ in range(n - 1):
        longer: dict[int, list[Tensor]] = {}
        for degree, tensors in sorted(coupled.items()):
            for total in range(abs(degree - 1), degree + 2):
                symbol = wigner_3j(degree, 1, total) * math.sqrt(2 * total + 1)
                longer.setdefault(total, []).extend(
                    torch.einsum("m...,mcn->n...c", tensor, symbol) for tensor in tensors
                )
        coupled = longer
    return coupled


class TensorNetwork(nn.Module):
    """Network outputs scaled for each element and irrep and turned into Cartesian tensors.

    Scaling never touches single Cartesian components, which would break equivariance: each irrep
    has one rms for each element, and only scalars have a mean. Several targets are read from the
    same features of an atom, each by heads of its own.

    Parameters
    ----------
    network : name of the architecture, a key of :data:`NETWORKS`
    elements : atomic numbers
    target : a name in :data:`aptnn_md.targets.TARGETS`, or several joined by ``+``
    settings : other fields of the network's configuration

    Attributes
    ----------
    targets : their names
    columns : target -> which outputs of the network are its own
    """

    mean: Tensor
    scale: Tensor
    irrep_of_component: Tensor

    def __init__(
        self, network: str, elements: Sequence[int], target: str, settings: Mapping[str, Any]
    ) -> None:
        super().__init__()
        wanted = targets_of(target)
        self.targets = tuple(target.name for target in wanted)
        bases = {target.name: cartesian_basis(target.index_symmetry) for target in wanted}
        irreps = sum((irreps for irreps, _ in bases.values()), o3.Irreps())
        config_class, network_class = _known_network(network)
        _refuse_unknown(network, config_class, settings)
        self.config = config_class(
            elements=tuple(sorted(elements)), target_irreps=str(irreps), **settings
        )
        _refuse_small_lmax(network, self.config, irreps.lmax)
        self.network = network_class(self.config)
        self.register_buffer("mean", torch.zeros(len(elements), irreps.dim))
        self.register_buffer("scale", torch.ones(len(elements), irreps.dim))
        self.columns: dict[str, slice] = {}
        for name, (_, basis) in bases.items():
            self.register_buffer(f"basis_{name}", basis, persistent=False)
            first = sum(columns.stop - columns.start for columns in self.columns.values())
            self.columns[name] = slice(first, first + len(basis))
        copies = [irrep for multiplicity, irrep in irreps for _ in range(multiplicity)]
        number = [k for k, irrep in enumerate(copies) for _ in range(irrep.dim)]
        self.register_buffer("irrep_of_component", torch.tensor(number), persistent=False)
        self.scalar_components = [
            k for k, which in enumerate(number) if copies[which].l == 0 and copies[which].p == 1
        ]

    @property
    def settings(self) -> dict[str, Any]:
        """The network's configuration as plain data."""
        return asdict(self.config)

    def basis(self, target: str) -> Tensor:
        """Orthonormal basis (dim, 3, 3, ...) of a target's Cartesian tensors."""
        return self.get_buffer(f"basis_{target}")

    def geometry(self, graph: Graph) -> Any:
        """What the network needs to know of a graph; the same for all networks of one shape."""
        return self.network.geometry(graph)

    def species(self, graph: Graph) -> Tensor:
        """(n_atoms,): index of each atom's element."""
        return torch.searchsorted(
            torch.tensor(self.config.elements), torch.from_numpy(graph.atomic_numbers)
        ).to(self.mean.device)

    def forward(self, geometry: Any, species: Tensor) -> dict[str, Tensor]:
        """Target -> (n_atoms, 3, 3, ...), in the graph's order."""
        components = self.network(geometry) * self.scale[species] + self.mean[species]
        return {
            target: torch.tensordot(components[:, columns], self.basis(target), dims=1)
            for target, columns in self.columns.items()
        }

    @torch.no_grad()
    def fit_inputs(self, geometries: Sequence[Any]) -> None:
        """Set means and scales of what the network sees from the training frames."""
        self.network.fit_scales(geometries)

    @torch.no_grad()
    def fit_outputs(self, labels: Mapping[str, tuple[Tensor, Tensor]]) -> None:
        """Set means and scales of the tensors; elements without labels keep what they have.

        Parameters
        ----------
        labels : target -> (n_labelled,) indices of elements and (n_labelled, 3, 3, ...) tensors
        """
        for target, (species, tensors) in labels.items():
            self._fit_target(target, species, tensors)

    def _fit_target(self, target: str, species: Tensor, tensors: Tensor) -> None:
        own = self.columns[target]
        dims = list(range(1, tensors.ndim))
        components = torch.tensordot(tensors, self.basis(target), dims=[dims, dims])
        # an irrep that vanishes in the data, by symmetry perhaps, keeps a small scale
        smallest = 1e-3 * float(components.pow(2).mean().sqrt())
        irrep_of_component = self.irrep_of_component[own]
        for element in range(len(self.config.elements)):
            part = components[species == element]
            if not len(part):
                continue
            for component in self.scalar_components:
                if own.start <= component < own.stop:
                    self.mean[element, component] = part[:, component - own.start].mean()
            centred = part - self.mean[element, own]
            for irrep in irrep_of_component.unique():
                rms = float(centred[:, irrep_of_component == irrep].pow(2).mean().sqrt())
                self.scale[element, self.irrep_of_component == irrep] = max(rms, smallest) or 1.0


def fresh_model(
    network: str, target: str, elements: Sequence[int], settings: Mapping[str, Any], seed: int
) -> TensorNetwork:
    """A model in single precision whose weights depend on the seed only."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = TensorNetwork(network, elements, target, settings)
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


def _refuse_small_lmax(network: str, config: Any, needed: int) -> None:
    # the simple network couples features and spherical harmonics, each of at most its lmax
    least = math.ceil(needed / 2) if network == "simple" else needed
    if config.lmax < least:
        expected = f"at least {least} for {config.target_irreps}"
        raise InputError(f"network {network}", "lmax", config.lmax, expected)
