"""Polarizabilities and their rates of a predictor whose network gives them."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager

import numpy as np
import torch
from ase import Atoms
from torch import Tensor

from aptnn_md.arrays import FloatArray
from aptnn_md.atoms.neighbours import Graph, batches
from aptnn_md.errors import InputError
from aptnn_md.models.dipole_geometry import DipoleGeometry
from aptnn_md.models.polarizability import PolarizabilityNetwork
from aptnn_md.models.tensor_network import TensorNetwork
from aptnn_md.prediction.calls import given_velocities
from aptnn_md.prediction.dipole_calls import BATCH_ATOMS


class PolarizabilityCalls:
    """What a :class:`~aptnn_md.prediction.predictor.Predictor` gives beside PGTs, for a model of
    the network ``polarizability``; see :mod:`aptnn_md.models.polarizability`.
    """

    name: str
    networks: list[TensorNetwork]

    @abstractmethod
    def _graph(self, structures: Sequence[Atoms], first: int = 0) -> Graph: ...

    @abstractmethod
    def _evaluation(self, graph: Graph, differentiated: bool) -> AbstractContextManager[None]: ...

    def polarizabilities(self, structures: Sequence[Atoms]) -> list[FloatArray]:
        """α of each structure by each committee member, each (n_members, 3, 3), Å³.

        Raises
        ------
        InputError
            A model that gives no polarizabilities, or structures that it does not take.
        """
        found: list[FloatArray] = []
        for batch in batches(structures, BATCH_ATOMS):
            members = self._polarizabilities_by_members(
                batch,
                lambda network, geometry: network.polarizabilities(geometry),
                first=len(found),
            )
            found += list(members.transpose(1, 0, 2, 3))
        return found

    def polarizability(self, atoms: Atoms) -> FloatArray:
        """α of a structure, (3, 3), Å³; the mean of a committee."""
        mean: FloatArray = self.polarizabilities([atoms])[0].mean(axis=0)
        return mean

    def polarizability_rate(self, atoms: Atoms, velocities: FloatArray | None = None) -> FloatArray:
        """α̇ = Σᵢ PGTᵢ·vᵢ, (3, 3), Å³/fs, by one derivative in forward mode, without the PGTs.

        The mean of a committee.

        Parameters
        ----------
        atoms : the structure
        velocities : (n_atoms, 3), Å/fs; None: those of the structure
        """
        given = given_velocities(self.name, atoms, velocities)

        def rate(network: PolarizabilityNetwork, geometry: DipoleGeometry) -> Tensor:
            of_atoms = torch.from_numpy(given).to(geometry.edge_vectors)
            return network.rates(geometry, of_atoms)[1]

        members = self._polarizabilities_by_members([atoms], rate, differentiated=True)
        mean: FloatArray = members[:, 0].mean(axis=0)
        return mean

    def _polarizabilities_by_members(
        self,
        structures: Sequence[Atoms],
        function: Callable[[PolarizabilityNetwork, DipoleGeometry], Tensor],
        first: int = 0,
        differentiated: bool = False,
    ) -> FloatArray:
        """A function of network and geometry, of each member: (n_members, n_structures, 3, 3).

        ``first`` is the number of the first structure among all that are evaluated;
        ``differentiated`` says whether the function takes derivatives.
        """
        networks = [network.polarizability_network for network in self.networks]
        known = [network for network in networks if network is not None]
        if len(known) < len(networks):
            found, train = "a model of tensors only", "aptnn-md train --network polarizability"
            expected = f"a model of the network polarizability ({train})"
            raise InputError(f"model {self.name}", "polarizability", found, expected)
        graph = self._graph(structures, first)
        if graph.n_atoms == 0:
            return np.zeros((len(known), len(structures), 3, 3))
        with self._evaluation(graph, differentiated):
            geometry = known[0].geometry(graph)
            values = torch.stack([function(network, geometry) for network in known])
        return values.cpu().numpy().astype(np.float64)
