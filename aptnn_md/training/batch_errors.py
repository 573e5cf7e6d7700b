"""Errors of a network in what a batch has labels of.

APTs of the network ``dipole`` are derivatives, and all their rows cost three times what one costs.
In training one row of each frame is compared with its labels, along a direction at random: over
directions, the mean of its squared error is that of all components. So it is with PGTs of the
network ``polarizability``, whose six rows belong to symmetric tensors.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from aptnn_md.models.dipole import DipoleNetwork
from aptnn_md.models.polarizability import PolarizabilityNetwork
from aptnn_md.models.tensor_network import TensorNetwork
from aptnn_md.structure_labels import DIPOLE, POLARIZABILITY
from aptnn_md.targets import APT, PGT
from aptnn_md.training.batches import Batch


def errors_in(
    model: TensorNetwork, batch: Batch, generator: torch.Generator | None = None
) -> dict[str, Tensor]:
    """(n_labelled, 3, 3, ...) of each target with labels, (n_labelled, 3) of total dipoles and
    (n_labelled, 3, 3) of polarizabilities.

    With a generator, of tensors that are derivatives one row along a direction at random,
    (n_labelled, 3).
    """
    if model.dipole_network is not None:
        return _errors_of_dipoles(model.dipole_network, batch, generator)
    if model.polarizability_network is not None:
        return _errors_of_polarizabilities(model.polarizability_network, batch, generator)
    predicted = model(batch.geometry, batch.species)
    return {
        target: predicted[target][labels.atoms] - labels.tensors
        for target, labels in batch.labels.items()
    }


def _errors_of_dipoles(
    network: DipoleNetwork, batch: Batch, generator: torch.Generator | None
) -> dict[str, Tensor]:
    errors, geometry = {}, batch.geometry
    if APT.name not in batch.labels:  # dipoles alone need no derivative
        local = network.local_dipoles(geometry)
    else:
        labels = batch.labels[APT.name]
        if generator is None:
            local, tensors = network.polar_tensors(geometry)
            errors[APT.name] = tensors[labels.atoms] - labels.tensors
        else:
            directions = torch.randn(len(geometry.charges), 3, generator=generator)
            directions = torch.nn.functional.normalize(directions).to(geometry.charges)
            local, rows = network.polar_rows(geometry, directions)
            along = directions[geometry.structures[labels.atoms]]
            expected = torch.einsum("ia,iab->ib", along, labels.tensors)
            errors[APT.name] = rows[labels.atoms] - expected
    if batch.dipoles is not None:
        charges = network.reference_charges(geometry)
        reference = geometry.sum_of_structures(charges.unsqueeze(1) * batch.dipoles.offsets)
        errors[DIPOLE] = (local + reference)[batch.dipoles.frames] - batch.dipoles.dipoles
    return errors


_ROW_TO_TENSOR = math.sqrt(2.0 / 3.0)
"""A row u : PGT of a random u has a sixth of the squares of a PGT in 3 numbers, the tensor all of
them in 27."""


def _errors_of_polarizabilities(
    network: PolarizabilityNetwork, batch: Batch, generator: torch.Generator | None
) -> dict[str, Tensor]:
    errors, geometry = {}, batch.geometry
    if PGT.name not in batch.labels:
        found = network.polarizabilities(geometry)
    else:
        labels = batch.labels[PGT.name]
        if generator is None:
            found, tensors = network.gradients(geometry)
            errors[PGT.name] = tensors[labels.atoms] - labels.tensors
        else:
            basis = network.tensor_basis
            directions = torch.randn(len(geometry.charges), len(basis), generator=generator)
            directions = torch.nn.functional.normalize(directions).to(basis)
            directions = torch.tensordot(directions, basis, dims=1)
            found, rows = network.gradient_rows(geometry, directions)
            along = directions[geometry.structures[labels.atoms]]
            expected = torch.einsum("iab,iabc->ic", along, labels.tensors)
            errors[PGT.name] = _ROW_TO_TENSOR * (rows[labels.atoms] - expected)
    if batch.polarizabilities is not None:
        of_frames = batch.polarizabilities
        errors[POLARIZABILITY] = found[of_frames.frames] - of_frames.polarizabilities
    return errors
