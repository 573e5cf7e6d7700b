"""Polarizabilities and their rates of a predictor whose network gives them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ase import Atoms
from torch import Tensor

from aptnn_md.arrays import FloatArray
from aptnn_md.atoms.neighbours import batches
from aptnn_md.models.dipole_geometry import DipoleGeometry
from aptnn_md.models.polarizability import PolarizabilityNetwork
from aptnn_md.models.tensor_network import TensorNetwork
from aptnn_md.prediction.calls import given_velocities
from aptnn_md.prediction.dipole_calls import BATCH_ATOMS
from aptnn_md.prediction.geometry_calls import GeometryCalls


class PolarizabilityCalls(GeometryCalls):
    """What a :class:`~aptnn_md.prediction.predictor.Predictor` gives beside PGTs, for a model of
    the network ``polarizability``; see :mod:`aptnn_md.models.polarizability`.
    """

    networks: list[TensorNetwork]

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
            of_atoms = geometry.from_structures(given).to(geometry.edge_vectors)
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
        return self._of_members(
            "polarizability", networks, structures, function, (3, 3), first, differentiated
        )
