"""Dipoles, dipole rates and charges of a predictor whose network gives them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from ase import Atoms
from torch import Tensor

from aptnn_md.arrays import FloatArray
from aptnn_md.atoms.neighbours import batches
from aptnn_md.models.dipole import DipoleNetwork
from aptnn_md.models.dipole_geometry import DipoleGeometry
from aptnn_md.models.tensor_network import TensorNetwork
from aptnn_md.prediction.calls import given_velocities
from aptnn_md.prediction.geometry_calls import GeometryCalls

BATCH_ATOMS = 2048
"""Structures are joined to batches of about this many atoms."""


class DipoleCalls(GeometryCalls):
    """What a :class:`~aptnn_md.prediction.predictor.Predictor` gives beside APTs, for a model of
    the network ``dipole``; see :mod:`aptnn_md.models.dipole`.

    The dipole of a charged structure is that about the origin of its coordinates. That of a
    periodic structure whose atoms have reference charges (a charged one, or one with formal
    charges) depends on which images of the atoms its positions are: there only changes along
    unwrapped positions have a meaning. In all other periodic structures it is a single-valued,
    continuous function of the positions, defined up to a constant.
    """

    networks: list[TensorNetwork]

    def dipoles(self, structures: Sequence[Atoms]) -> list[FloatArray]:
        """M of each structure by each committee member, each (n_members, 3), e Å.

        Raises
        ------
        InputError
            A model that gives no dipoles, or structures that it does not take.
        """
        found: list[FloatArray] = []
        for batch in batches(structures, BATCH_ATOMS):
            positions = np.concatenate([atoms.positions for atoms in batch])

            def whole(
                network: DipoleNetwork,
                geometry: DipoleGeometry,
                positions: FloatArray = positions,
            ) -> Tensor:
                charges = network.reference_charges(geometry).double().unsqueeze(1)
                places = geometry.from_structures(positions)
                reference = geometry.sum_of_structures(charges * places)
                return network.local_dipoles(geometry) + reference

            members = self._by_members(batch, whole, first=len(found))
            found += list(members.transpose(1, 0, 2))
        return found

    def dipole(self, atoms: Atoms) -> FloatArray:
        """M of a structure, (3,), e Å; the mean of a committee."""
        mean: FloatArray = self.dipoles([atoms])[0].mean(axis=0)
        return mean

    def dipole_rate(self, atoms: Atoms, velocities: FloatArray | None = None) -> FloatArray:
        """Ṁ = Σᵢ Pᵢ·vᵢ, (3,), e Å/fs, by one derivative in forward mode, without the APTs.

        Streams with groups, motions or f-sums need the APTs of :meth:`evaluate`; this is for the
        rate of the whole structure alone, at about a third of their cost. The mean of a committee.

        Parameters
        ----------
        atoms : the structure
        velocities : (n_atoms, 3), Å/fs; None: those of the structure
        """
        given = given_velocities(self.name, atoms, velocities)

        def rate(network: DipoleNetwork, geometry: DipoleGeometry) -> Tensor:
            of_atoms = geometry.from_structures(given).to(geometry.edge_vectors)
            return network.dipole_rates(geometry, of_atoms)[1]

        members = self._by_members([atoms], rate, differentiated=True)
        mean: FloatArray = members[:, 0].mean(axis=0)
        return mean

    def charges(self, atoms: Atoms) -> FloatArray:
        """Charges of the atoms, (n_atoms,), e, which add up to Q; the mean of a committee."""
        charges = self._by_members(
            [atoms], lambda network, geometry: geometry.to_structures(network.charges(geometry))
        )
        mean: FloatArray = charges.mean(axis=0)
        return mean

    def _by_members(
        self,
        structures: Sequence[Atoms],
        function: Callable[[DipoleNetwork, DipoleGeometry], Tensor],
        first: int = 0,
        differentiated: bool = False,
    ) -> FloatArray:
        """A function of network and geometry, of each member: (n_members, ...).

        ``first`` is the number of the first structure among all that are evaluated;
        ``differentiated`` says whether the function takes derivatives.
        """
        networks = [network.dipole_network for network in self.networks]
        return self._of_members(
            "dipole", networks, structures, function, (3,), first, differentiated
        )
