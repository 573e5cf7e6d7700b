"""Labels of whole frames: total dipoles, about the centroids of frames, and polarizabilities.

In files a dipole is that about the origin of the coordinates. For a charged frame that depends on
where the frame is; about the centroid of its atoms, to which it is moved here, it does not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from aptnn_md.arrays import FloatArray
from aptnn_md.structures import total_charge
from aptnn_md.training.dataset import LabelledFrame


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


@dataclass(frozen=True)
class PolarizabilityLabels:
    """Polarizabilities of the frames of a batch that have one.

    Attributes
    ----------
    frames : (n_labelled,): numbers of these frames in the batch
    polarizabilities : (n_labelled, 3, 3), Å³
    """

    frames: Tensor
    polarizabilities: Tensor


def polarizability_labels(
    frames: Sequence[LabelledFrame], like: Tensor
) -> PolarizabilityLabels | None:
    """Polarizabilities of a batch, on the device and in the precision of ``like``, or None."""
    found = {k: f.polarizability for k, f in enumerate(frames) if f.polarizability is not None}
    if not found:
        return None
    return PolarizabilityLabels(
        frames=torch.tensor(list(found), device=like.device),
        polarizabilities=torch.from_numpy(np.stack(list(found.values()))).to(like),
    )


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
