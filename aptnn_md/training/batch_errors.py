"""Errors of a network in what a batch has labels of."""

from __future__ import annotations

from torch import Tensor

from aptnn_md.models.dipole import DipoleNetwork
from aptnn_md.models.tensor_network import TensorNetwork
from aptnn_md.structure_labels import DIPOLE
from aptnn_md.targets import APT
from aptnn_md.training.batches import Batch


def errors_in(model: TensorNetwork, batch: Batch) -> dict[str, Tensor]:
    """(n_labelled, 3, 3, ...) of each target with labels, (n_labelled, 3) of total dipoles."""
    if model.dipole_network is not None:
        return _errors_of_dipoles(model.dipole_network, batch)
    predicted = model(batch.geometry, batch.species)
    return {
        target: predicted[target][labels.atoms] - labels.tensors
        for target, labels in batch.labels.items()
    }


def _errors_of_dipoles(network: DipoleNetwork, batch: Batch) -> dict[str, Tensor]:
    """Errors of APTs (n_labelled, 3, 3) and dipoles (n_labelled, 3), those that have labels.

    Dipoles alone need no derivative with respect to positions.
    """
    errors, geometry = {}, batch.geometry
    if APT.name in batch.labels:
        labels = batch.labels[APT.name]
        local, tensors = network.polar_tensors(geometry)
        errors[APT.name] = tensors[labels.atoms] - labels.tensors
    else:
        local = network.local_dipoles(geometry)
    if batch.dipoles is not None:
        charges = network.reference_charges(geometry)
        reference = geometry.sum_of_structures(charges.unsqueeze(1) * batch.dipoles.offsets)
        errors[DIPOLE] = (local + reference)[batch.dipoles.frames] - batch.dipoles.dipoles
    return errors
