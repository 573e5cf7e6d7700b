"""What calls of networks share whose outputs are read from edges: dipoles and polarizabilities."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import TypeVar

import numpy as np
import torch
from ase import Atoms
from torch import Tensor

from aptnn_md.arrays import FloatArray
from aptnn_md.errors import InputError
from aptnn_md.models.dipole_geometry import DipoleGeometry

Network = TypeVar("Network")


class GeometryCalls:
    """Functions of network and geometry, for each member of a committee."""

    name: str

    @abstractmethod
    def _dipole_geometry(
        self, structures: Sequence[Atoms], first: int, differentiated: bool
    ) -> AbstractContextManager[DipoleGeometry]: ...

    def _of_members(
        self,
        kind: str,
        networks: Sequence[Network | None],
        structures: Sequence[Atoms],
        function: Callable[[Network, DipoleGeometry], Tensor],
        shape: tuple[int, ...],
        first: int,
        differentiated: bool,
    ) -> FloatArray:
        """Values of the function by member, (n_members, ...).

        Parameters
        ----------
        kind : of the networks that the function takes; None among ``networks``: of another kind
        structures : that are evaluated
        function : of network and geometry
        shape : of the value of a structure, where there are no atoms
        first : number of the first structure among all that are evaluated
        differentiated : whether the function takes derivatives
        """
        known = [network for network in networks if network is not None]
        if len(known) < len(networks):
            expected = f"a model of the network {kind} (aptnn-md train --network {kind})"
            raise InputError(f"model {self.name}", kind, "a model of tensors only", expected)
        if not any(len(atoms) for atoms in structures):
            return np.zeros((len(known), len(structures), *shape))
        with self._dipole_geometry(structures, first, differentiated) as geometry:
            found = torch.stack([function(network, geometry) for network in known])
        return found.cpu().numpy().astype(np.float64)
