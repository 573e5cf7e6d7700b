"""Labelled frames as the training loop reads them, and the scale on which it measures targets."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from torch import Tensor

from aptnn_md.arrays import FloatArray
from aptnn_md.atoms.neighbours import build_graph
from aptnn_md.models.tensor_network import TensorNetwork
from aptnn_md.progress import log
from aptnn_md.structures import total_charge
from aptnn_md.targets import APT, TARGETS
from aptnn_md.training.dataset import LabelledFrame


@dataclass(frozen=True)
class Labels:
    """Labels of one target in a frame; only labelled atoms count.

    Attributes
    ----------
    atoms : (n_labelled,) indices
    species : (n_labelled,) indices of elements
    tensors : (n_labelled, 3, 3, ...)
    """

    atoms: Tensor
    species: Tensor
    tensors: Tensor


@dataclass(frozen=True)
class Sample:
    """A frame as the network reads it.

    Attributes
    ----------
    geometry, species : see :class:`~aptnn_md.models.tensor_network.TensorNetwork`
    labels : target -> its labels, of targets that have any
    """

    geometry: Any
    species: Tensor
    labels: dict[str, Labels]


_LARGEST_RESIDUE = 0.5
"""Of the sum of a frame's labels, e or Å²: more is another charge, or no label of this frame."""


def prepare(frames: Sequence[LabelledFrame], model: TensorNetwork) -> list[Sample]:
    """Graphs and labels of frames on the model's device, in its precision.

    Labels of all atoms of a frame obey the sum rule exactly; where they are far from it, a warning
    says so and they stay as they are.
    """
    for target in model.targets:
        _warn_of_sums(frames, target)
    return [_sample(frame, model) for frame in frames if frame.any_label]


def _sample(frame: LabelledFrame, model: TensorNetwork) -> Sample:
    graph = build_graph(frame.atoms, model.config.cutoff)
    species = model.species(graph)
    labels = {}
    for target in model.targets:
        has_label = frame.has_label(target)
        if has_label.any():
            atoms = torch.from_numpy(np.flatnonzero(has_label)).to(model.mean.device)
            known = _with_exact_sum(frame, target) if has_label.all() else frame.labels[target]
            tensors = torch.from_numpy(known[has_label]).to(model.mean)
            labels[target] = Labels(atoms, species[atoms], tensors)
    return Sample(model.geometry(graph), species, labels)


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


def gather(samples: Sequence[Sample], target: str) -> tuple[Tensor, Tensor]:
    """Indices of elements (n,) and tensors (n, 3, 3, ...) of all labels of one target."""
    found = [sample.labels[target] for sample in samples if target in sample.labels]
    return torch.cat([x.species for x in found]), torch.cat([x.tensors for x in found])


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
