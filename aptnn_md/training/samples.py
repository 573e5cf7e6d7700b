"""Labels of frames as the training loop reads them, and the scale on which it measures targets."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from torch import Tensor

from aptnn_md.arrays import FloatArray, IntArray
from aptnn_md.progress import log
from aptnn_md.structures import total_charge
from aptnn_md.targets import APT, TARGETS
from aptnn_md.training.dataset import LabelledFrame


@dataclass(frozen=True)
class FrameLabels:
    """Labels of one target in a frame; only labelled atoms count.

    Attributes
    ----------
    atoms : (n_labelled,) indices
    tensors : (n_labelled, 3, 3, ...)
    """

    atoms: IntArray
    tensors: FloatArray


_LARGEST_RESIDUE = 0.5
"""Of the sum of a frame's labels, e or Å²: more is another charge, or no label of this frame."""


def labels_of(
    frames: Sequence[LabelledFrame], targets: Sequence[str]
) -> list[dict[str, FrameLabels]]:
    """The labels of each frame: target -> its labels, of targets that have any.

    Labels of all atoms of a frame obey the sum rule exactly; where they are far from it, a warning
    says so and they stay as they are.
    """
    for target in targets:
        _warn_of_sums(frames, target)
    return [
        {target: _labels(frame, target) for target in targets if frame.has_label(target).any()}
        for frame in frames
    ]


def _labels(frame: LabelledFrame, target: str) -> FrameLabels:
    has_label = frame.has_label(target)
    known = _with_exact_sum(frame, target) if has_label.all() else frame.labels[target]
    return FrameLabels(np.flatnonzero(has_label), known[has_label])


def _with_exact_sum(frame: LabelledFrame, target: str) -> FloatArray:
    """Labels of all atoms of a frame, with the sum that predictions will have.

    Predictions are not projected during training: with its sum free, networks for sulfate in
    water learned no better (0.0107 e either way) and lost the sum (0.38 instead of 0.04 e), which
    must be right where only some of the atoms are labelled.
    """
    if _residue(frame, target) > _LARGEST_RESIDUE:
        return frame.labels[target]
    return TARGETS[target].project(frame.labels[target], total_charge(frame.atoms))


def _residue(frame: LabelledFrame, target: str) -> float:
    """Largest component of what the sum of the labels is off by; 0 where an atom has none."""
    if not frame.has_label(target).all():
        return 0.0
    residue = TARGETS[target].residue(frame.labels[target], total_charge(frame.atoms))
    return float(np.abs(residue).max(initial=0.0))


def _warn_of_sums(frames: Sequence[LabelledFrame], target: str) -> None:
    off = [frame for frame in frames if _residue(frame, target) > _LARGEST_RESIDUE]
    if off:
        charge = total_charge(off[0].atoms)
        log.warning(
            "%d of %d frames, the first %s: the sum of the labels (%s) is off by %.2g %s for a "
            "charge of %g e; is charge=... missing in the comment line?",
            *(len(off), len(frames), off[0].atoms.get_chemical_formula(), target),
            *(_residue(off[0], target), TARGETS[target].unit, charge),
        )


TYPICAL_SPREAD = 0.1
"""Spread of APTs in a molecular liquid, e, for which the optimiser's settings were found."""


def spread_of(species: Tensor, tensors: Tensor) -> float:
    """Root mean square of tensors (n, 3, 3, ...), less the mean tensor of their element."""
    squares = 0.0
    for element in species.unique():
        part = tensors[species == element].double()
        squares += float((part - part.mean(dim=0)).pow(2).sum())
    return math.sqrt(squares / tensors.numel())


def loss_factors(
    spreads: Mapping[str, float], weights: Mapping[str, float] = MappingProxyType({})
) -> dict[str, float]:
    """Factor of each target's mean squared error in the loss.

    APTs alone are measured in e. Everything else is measured by the target's spread, in units in
    which that is :data:`TYPICAL_SPREAD`; ``weights`` (target -> weight, by default 1) shift the
    balance of several targets.
    """
    if tuple(spreads) == (APT.name,):
        return {APT.name: 1.0}
    factors = {target: (TYPICAL_SPREAD / (size or 1.0)) ** 2 for target, size in spreads.items()}
    if len(factors) > 1:
        factors = {target: factor * weights.get(target, 1.0) for target, factor in factors.items()}
    return factors
