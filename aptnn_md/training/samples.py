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

from aptnn_md.atoms.neighbours import build_graph
from aptnn_md.models.tensor_network import TensorNetwork
from aptnn_md.targets import APT
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


def prepare(frames: Sequence[LabelledFrame], model: TensorNetwork) -> list[Sample]:
    """Graphs and labels of frames on the model's device, in its precision."""
    return [_sample(frame, model) for frame in frames if frame.any_label]


def _sample(frame: LabelledFrame, model: TensorNetwork) -> Sample:
    graph = build_graph(frame.atoms, model.config.cutoff)
    species = model.species(graph)
    labels = {}
    for target in model.targets:
        has_label = frame.has_label(target)
        if has_label.any():
            atoms = torch.from_numpy(np.flatnonzero(has_label)).to(model.mean.device)
            tensors = torch.from_numpy(frame.labels[target][has_label]).to(model.mean)
            labels[target] = Labels(atoms, species[atoms], tensors)
    return Sample(model.geometry(graph), species, labels)


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
