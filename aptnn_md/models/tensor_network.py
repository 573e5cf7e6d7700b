"""A network together with what turns its outputs into Cartesian tensors in physical units."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor, nn

from aptnn_md.atoms.neighbours import Graph
from aptnn_md.errors import InputError
from aptnn_md.models.architectures import NETWORKS, known_network
from aptnn_md.models.cartesian import cartesian_basis
from aptnn_md.models.dipole import DipoleNetwork
from aptnn_md.models.irreps import Irreps
from aptnn_md.models.polarizability import PolarizabilityNetwork
from aptnn_md.settings import settings_from
from aptnn_md.targets import targets_of


class TensorNetwork(nn.Module):
    """Network outputs scaled for each element and irrep and turned into Cartesian tensors.

    Scaling never touches single Cartesian components, which would break equivariance: each irrep
    has one rms for each element, and only scalars have a mean. Several targets are read from the
    same features of an atom, each by its own heads. The outputs of the networks ``dipole`` and
    ``polarizability`` are in units already, and are taken as they are.

    Parameters
    ----------
    network : name of the architecture, a key of :data:`~aptnn_md.models.architectures.NETWORKS`
    elements : atomic numbers
    target : a name in :data:`aptnn_md.targets.TARGETS`, or several joined by ``+``
    settings : further fields of the network's configuration

    Attributes
    ----------
    targets : their names
    columns : target -> its outputs of the network

    Raises
    ------
    InputError
        An unknown network, target or setting, or a setting that the network cannot have.
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
        irreps = irreps_of(target)
        config_class, network_class = NETWORKS[known_network(network)]()
        self.config = settings_from(
            config_class,
            settings,
            f"network {network}",
            given={"elements": tuple(sorted(elements)), "target_irreps": str(irreps)},
        )
        self.network = network_class(self.config)
        self.register_buffer("mean", torch.zeros(len(elements), irreps.dim))
        self.register_buffer("scale", torch.ones(len(elements), irreps.dim))
        self.columns: dict[str, slice] = {}
        for name, (_, basis) in bases.items():
            self.register_buffer(f"basis_{name}", basis, persistent=False)
            first = sum(columns.stop - columns.start for columns in self.columns.values())
            self.columns[name] = slice(first, first + len(basis))
        copies = list(irreps)
        number = [k for k, irrep in enumerate(copies) for _ in range(irrep.dim)]
        self.register_buffer("irrep_of_component", torch.tensor(number), persistent=False)
        self.scalar_components = [
            k
            for k, which in enumerate(number)
            if copies[which].degree == 0 and copies[which].parity == 1
        ]

    @property
    def dipole_network(self) -> DipoleNetwork | None:
        """The network, if it gives dipoles and its tensors are derivatives."""
        return self.network if isinstance(self.network, DipoleNetwork) else None

    @property
    def polarizability_network(self) -> PolarizabilityNetwork | None:
        """The network, if it gives polarizabilities and its tensors are derivatives."""
        return self.network if isinstance(self.network, PolarizabilityNetwork) else None

    @property
    def gives_derivatives(self) -> bool:
        """Whether its tensors are derivatives with respect to positions, in units already."""
        return isinstance(self.network, DipoleNetwork | PolarizabilityNetwork)

    @property
    def settings(self) -> dict[str, Any]:
        """The network's configuration as plain data."""
        return asdict(self.config)

    def basis(self, target: str) -> Tensor:
        """Orthonormal basis (dim, 3, 3, ...) of a target's Cartesian tensors."""
        return self.get_buffer(f"basis_{target}")

    def geometry(self, graph: Graph) -> Any:
        """What the network reads of a graph; the same for all networks of one configuration."""
        return self.network.geometry(graph)

    def species(self, graph: Graph) -> Tensor:
        """(n_atoms,): index of each atom's element."""
        return torch.searchsorted(
            torch.tensor(self.config.elements), torch.from_numpy(graph.atomic_numbers)
        ).to(self.mean.device)

    def forward(self, geometry: Any, species: Tensor) -> dict[str, Tensor]:
        """Target -> (n_atoms, 3, 3, ...), in the graph's order."""
        components = self.network(geometry)
        if not self.gives_derivatives:
            components = components * self.scale[species] + self.mean[species]
        return {
            target: torch.tensordot(components[:, columns], self.basis(target), dims=1)
            for target, columns in self.columns.items()
        }

    @torch.no_grad()
    def fit_inputs(self, geometries: Sequence[Any]) -> None:
        """Set means and scales of the network's inputs from the training frames."""
        self.network.fit_scales(geometries)

    @torch.no_grad()
    def fit_outputs(self, labels: Mapping[str, tuple[Tensor, Tensor]]) -> None:
        """Set means and scales of the tensors; elements without labels keep theirs.

        Parameters
        ----------
        labels : target -> (n_labelled,) indices of elements and (n_labelled, 3, 3, ...) tensors
        """
        if self.gives_derivatives:
            return
        for target, (species, tensors) in labels.items():
            self._fit_target(target, species, tensors)

    def _fit_target(self, target: str, species: Tensor, tensors: Tensor) -> None:
        own = self.columns[target]
        dims = list(range(1, tensors.ndim))
        components = torch.tensordot(tensors, self.basis(target), dims=[dims, dims])
        # an irrep that vanishes in the data, perhaps by symmetry, keeps a small scale
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


def irreps_of(target: str) -> Irreps:
    """Irreps of all components of a target, or of several joined by ``+``."""
    bases = [cartesian_basis(each.index_symmetry) for each in targets_of(target)]
    return sum((irreps for irreps, _ in bases), Irreps())


def check_finite_weights(where: object, name: str, weights: Mapping[str, Tensor]) -> None:
    """Refuse weights that are not finite.

    Raises
    ------
    InputError
        It names the first of them.
    """
    for key, tensor in weights.items():
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            bad = torch.isfinite(tensor).logical_not().nonzero()[0].tolist()
            found = float(tensor[tuple(bad)])
            raise InputError(where, f"{name}: {key}", f"{found} at {bad}", "finite numbers")


def load_weights(network: TensorNetwork, weights: Mapping[str, Tensor], where: object) -> None:
    """Give a network its weights; ``where`` they are from is named in errors.

    Raises
    ------
    InputError
        Weights of other names or shapes than the network's, which the message names.
    """
    expected = {key: tuple(tensor.shape) for key, tensor in network.state_dict().items()}
    found = {key: tuple(tensor.shape) for key, tensor in weights.items()}
    for key in (*expected, *found):
        if found.get(key) != expected.get(key):
            of_file, of_network = found.get(key, "nothing"), expected.get(key, "nothing")
            raise InputError(where, f"weights: {key}", of_file, f"{of_network}, by its settings")
    network.load_state_dict(weights)


def fresh_model(
    network: str, target: str, elements: Sequence[int], settings: Mapping[str, Any], seed: int
) -> TensorNetwork:
    """A model in single precision whose weights depend on the seed only."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = TensorNetwork(network, elements, target, settings)
    return model.to(torch.float32)
