"""Errors of a model in labels of frames: total dipoles and polarizabilities."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from aptnn_md.prediction.predictor import Predictor
from aptnn_md.structure_labels import DIPOLE, POLARIZABILITY
from aptnn_md.structures import total_charge
from aptnn_md.training.dataset import LabelledFrame
from aptnn_md.training.evaluation import Errors
from aptnn_md.training.learned import DIPOLE_UNIT, POLARIZABILITY_UNIT


@dataclass(frozen=True)
class FrameEvaluation:
    """Errors of labels of frames, component by component.

    Attributes
    ----------
    target, unit : ``"dipole"``, e Å, or ``"polarizability"``, Å³
    rmse, mae : of all components of all frames with a label
    spread : root mean square of the dipoles, those of charged frames about the centroid, or of the
        polarizabilities less their mean
    relative : rmse / spread
    n_frames : that were compared
    """

    target: str
    unit: str
    rmse: float
    mae: float
    spread: float
    relative: float | None
    n_frames: int

    def as_dict(self) -> dict[str, Any]:
        """The figures."""
        return asdict(self)


def evaluate_dipoles(
    model: Predictor, frames: Sequence[LabelledFrame], charge: float | None = None
) -> FrameEvaluation | None:
    """Compare dipoles with those of the frames that have one; None where there are none.

    Parameters
    ----------
    model : of the network ``dipole``
    frames : with labels
    charge : of frames that do not give their own, e; None: 0
    """
    labelled = [(frame.atoms, frame.dipole) for frame in frames if frame.dipole is not None]
    if not labelled:
        return None
    predicted = [dipole.mean(axis=0) for dipole in model.dipoles([atoms for atoms, _ in labelled])]
    of_charges = np.array(
        [total_charge(atoms, charge) * atoms.positions.mean(axis=0) for atoms, _ in labelled]
    )
    reference = np.array([dipole for _, dipole in labelled]) - of_charges
    errors = Errors.of(np.array(predicted) - of_charges, reference, reference)
    return FrameEvaluation(DIPOLE, DIPOLE_UNIT, **asdict(errors), n_frames=len(labelled))


def evaluate_polarizabilities(
    model: Predictor, frames: Sequence[LabelledFrame]
) -> FrameEvaluation | None:
    """Compare polarizabilities with those of the frames that have one; None where there are none.

    Parameters
    ----------
    model : of the network ``polarizability``
    frames : with labels
    """
    labelled = [(f.atoms, f.polarizability) for f in frames if f.polarizability is not None]
    if not labelled:
        return None
    found = model.polarizabilities([atoms for atoms, _ in labelled])
    predicted = np.array([members.mean(axis=0) for members in found])
    reference = np.array([tensor for _, tensor in labelled])
    errors = Errors.of(predicted, reference, reference - reference.mean(axis=0))
    of_errors = asdict(errors)
    return FrameEvaluation(POLARIZABILITY, POLARIZABILITY_UNIT, **of_errors, n_frames=len(labelled))
