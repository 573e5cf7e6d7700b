"""Total dipoles as labels: read about the centres of frames, and the errors of a network in them.

In files a dipole is that about the origin of the coordinates. For a charged frame that depends on
where the frame is; about the centroid of its atoms, to which it is moved here, it does not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from aptnn_md.arrays import FloatArray
from aptnn_md.models.dipole import DipoleNetwork
from aptnn_md.structure_labels import DIPOLE
from aptnn_md.structures import total_charge
from aptnn_md.targets import APT
from aptnn_md.training.dataset import LabelledFrame

if TYPE_CHECKING:
    from aptnn_md.training.batches import Batch


@dataclass(frozen=True)
class DipoleLabels:
    """Total dipoles of the frames of a batch that have one.

    Attributes
    ----------
    frames : (n_labelled,): numbers of these frames in the batch
    dipoles : (n_labelled, 3): about the centroid of the frame's atoms, e Å
    offsets : (n_atoms, 3): of all atoms of the batch from the centroid of their frame, Å
    """

    frames: Tensor
    dipoles: Tensor
    offsets: Tensor


def about_centroid(frame: LabelledFrame) -> FloatArray:
    """The dipole (3,), e Å, of a frame that has one, about the centroid of its atoms."""
    assert frame.dipole is not None
    centroid = frame.atoms.positions.mean(axis=0)
    dipole: FloatArray = frame.dipole - total_charge(frame.atoms) * centroid
    return dipole


def dipole_labels(frames: Sequence[LabelledFrame], like: Tensor) -> DipoleLabels | None:
    """Dipoles of a batch, device and precision those of ``like``; None if there are none."""
    labelled = [number for number, frame in enumerate(frames) if frame.dipole is not None]
    if not labelled:
        return None
    dipoles = np.stack([about_centroid(frames[number]) for number in labelled])
    offsets = [f.atoms.positions - f.atoms.positions.mean(axis=0) for f in frames]
    return DipoleLabels(
        frames=torch.tensor(labelled, device=like.device),
        dipoles=torch.from_numpy(dipoles).to(like),
        offsets=torch.from_numpy(np.concatenate(offsets)).to(like),
    )


def errors_of(network: DipoleNetwork, batch: Batch) -> dict[str, Tensor]:
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
