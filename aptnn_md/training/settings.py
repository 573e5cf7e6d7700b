"""What a training job does: :class:`TrainingSettings` and :class:`TrainingJob`.

Defaults, types and ranges are stated and checked here, for Python and the command line alike.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any

from aptnn_md.errors import InputError
from aptnn_md.models.architectures import known_network
from aptnn_md.settings import Range, check_settings
from aptnn_md.structure_labels import LABELS
from aptnn_md.training.learned import check_learned, tensors_of
from aptnn_md.training.optimizer import Choice, Kind


@dataclass(frozen=True)
class TrainingSettings:
    """How one network is trained.

    Attributes
    ----------
    epochs : passes over the training frames; the schedule ends there. 0: as many as make about
        :data:`TYPICAL_STEPS` optimiser steps, see :func:`with_epochs`
    max_minutes : the schedule ends after this time instead, if that is sooner
    learning_rate : of the optimiser for batches of one frame, or of ``batch_size`` frames; where
        batches are made by atoms it is √n times as large for n frames a batch, at most
        :data:`LARGEST_GAIN` times, and twice that where matrices are turned, at most
        :data:`LARGEST_GAIN_OF_TURNS` times
    weight_decay, gradient_clip : of the optimiser
    batch_size : frames of a batch; 0: as many as have ``batch_atoms`` atoms together, at least one
    batch_atoms : most atoms of a batch of more than one frame, where ``batch_size`` is 0; less if
        an epoch would have less than :data:`FEWEST_STEPS` steps
    optimizer : ``"muon"`` turns matrices as a whole (:mod:`aptnn_md.training.optimizer`),
        ``"adamw"`` is AdamW for all weights; ``"auto"``: the former where batches made by atoms
        join frames
    warmup_steps : optimiser steps of linear warm-up; fewer where that is more than
        :data:`LARGEST_WARMUP` of those of all epochs
    ema_decay : of the averaged weights, per optimiser step
    patience : epochs without a better validation error after which training stops; 0: never
    seed : of initial weights and order of frames
    weights : name of labels -> their weight in the loss relative to others, by default 1

    Raises
    ------
    InputError
        A value of another type or out of its range.
    """

    epochs: Annotated[int, Range(at_least=0)] = 0
    max_minutes: Annotated[float, Range(more_than=0.0, infinite=True)] = math.inf
    learning_rate: Annotated[float, Range(more_than=0.0)] = 5e-3
    weight_decay: Annotated[float, Range(at_least=0.0)] = 0.0
    batch_size: Annotated[int, Range(at_least=0)] = 0
    batch_atoms: Annotated[int, Range(at_least=1)] = 64
    gradient_clip: Annotated[float, Range(more_than=0.0, infinite=True)] = 1.0
    optimizer: Choice = "auto"
    warmup_steps: Annotated[int, Range(at_least=0)] = 40
    ema_decay: Annotated[float, Range(at_least=0.0, less_than=1.0)] = 0.99
    patience: Annotated[int, Range(at_least=0)] = 0
    seed: Annotated[int, Range(at_least=0, less_than=2**63)] = 0
    weights: Mapping[str, Annotated[float, Range(more_than=0.0)]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_settings(self)
        unknown = sorted(set(self.weights) - set(LABELS))
        if unknown:
            expected = f"targets among {', '.join(LABELS)}"
            raise InputError(type(self).__name__, "weights", ", ".join(unknown), expected)

    def batches(self, order: Sequence[int], sizes: Sequence[int]) -> list[list[int]]:
        """Numbers of the training frames of each step of an epoch.

        Parameters
        ----------
        order : of all frames in this epoch
        sizes : their numbers of atoms
        """
        size = self.batch_size
        if size:
            return [list(order[first : first + size]) for first in range(0, len(order), size)]
        return divided(order, sizes, min(self.batch_atoms, sum(sizes) // FEWEST_STEPS))

    def highest_learning_rate(self, sizes: Sequence[int]) -> float:
        """Learning rate after the warm-up, for frames of so many atoms.

        The noise of a gradient falls as 1/√n, and so few large steps learn what many small ones do:
        by AdamW, 200 methanols in batches of 18 have 0.0044 e after 450 steps with four times the
        learning rate of one, and 0.0077 e after 390 with the same; with eight times, 0.030 e after
        420. With turned matrices, batches of ten have 0.0071 e after 150 steps with six times, and
        0.0096 e with three times.
        """
        if self.batch_size:
            return self.learning_rate
        gain = math.sqrt(self._frames_of_a_batch(sizes))
        if self.chosen_optimizer(sizes) == "muon":
            return self.learning_rate * min(2.0 * gain, LARGEST_GAIN_OF_TURNS)
        return self.learning_rate * min(gain, LARGEST_GAIN)

    def steps_of_warmup(self, sizes: Sequence[int]) -> int:
        """Optimiser steps of the warm-up, for frames of so many atoms; at least one."""
        n_steps = self.epochs * len(self.batches(range(len(sizes)), sizes))
        most = max(FEWEST_WARMUP_STEPS, round(LARGEST_WARMUP * n_steps))
        return max(1, min(self.warmup_steps, most))

    def chosen_optimizer(self, sizes: Sequence[int]) -> Kind:
        """The optimiser for frames of so many atoms.

        200 methanols need half the steps with turned matrices; nine frames of 128 H₂O, each a batch
        of its own, are learned later by them in the first epochs.
        """
        if self.optimizer != "auto":
            return self.optimizer
        joined = not self.batch_size and self._frames_of_a_batch(sizes) >= 2.0
        return "muon" if joined else "adamw"

    def _frames_of_a_batch(self, sizes: Sequence[int]) -> float:
        """Their mean number."""
        return len(sizes) / max(1, len(self.batches(range(len(sizes)), sizes)))


TYPICAL_STEPS = 1400
"""Optimiser steps after which networks trained on about ten frames of a liquid had learned what
generalises; after many more they overfitted."""

FEWEST_EPOCHS = 30

FEWEST_STEPS = 10
"""Steps of an epoch, if there are as many frames."""


def with_epochs(settings: TrainingSettings, sizes: Sequence[int]) -> TrainingSettings:
    """Settings whose epochs suit the training frames, of so many atoms, unless they are given."""
    if settings.epochs:
        return settings
    steps_per_epoch = len(settings.batches(range(len(sizes)), sizes))
    return replace(settings, epochs=max(FEWEST_EPOCHS, math.ceil(TYPICAL_STEPS / steps_per_epoch)))


LARGEST_WARMUP = 0.125
"""Of the steps of a training: 200 methanols have 0.0058 e after 160 steps, of which 20 are warm-up,
and 0.0067 e with 40."""

FEWEST_WARMUP_STEPS = 10
"""To which a warm-up is shortened at most."""

LARGEST_GAIN = 5.0
"""Most by which the learning rate grows where several frames are joined into a batch."""

LARGEST_GAIN_OF_TURNS = 6.0
"""The same of parameters that are trained by turning matrices."""


def divided(order: Sequence[int], sizes: Sequence[int], n_atoms: int) -> list[list[int]]:
    """Numbers of frames in their order, divided into batches.

    Parameters
    ----------
    order : numbers of frames
    sizes : atoms of every frame
    n_atoms : most atoms of a batch of more than one frame
    """
    batches: list[list[int]] = []
    room = 0
    for number in order:
        room -= sizes[number]
        if not batches or room < 0:
            batches.append([])
            room = n_atoms - sizes[number]
        batches[-1].append(number)
    return batches


@dataclass(frozen=True)
class TrainingJob:
    """What to train on which data, and where the model goes.

    Attributes
    ----------
    data : labelled frames, extxyz
    out : model file to write; log (.csv), learning curve (.png) and state are written next to it
    valid : frames for validation; without it ``valid_fraction`` of the frames of ``data``, and with
        a fraction of 0 nothing is held out and the last weights are kept
    target : labels to learn from: targets joined by ``+``, for the network ``dipole`` also
        ``dipole`` or ``dipole+apt``, for the network ``polarizability`` ``polarizability``, ``pgt``
        or ``polarizability+pgt`` (:mod:`aptnn_md.training.learned`)
    network, network_settings : see :class:`~aptnn_md.models.tensor_network.TensorNetwork`
    keys, transpose : see :func:`~aptnn_md.training.dataset.read_labelled`
    start_from : model file or bundled name whose weights the training begins with; it must have
        the same target and network. Several networks begin with its members in turn
    committee : networks to train, with seeds ``training.seed``, ``training.seed + 1``, ...
    training : of each network; ``max_minutes`` is for all of them together
    device : torch device
    card : further entries of the model card, e.g. ``level_of_theory`` and ``licence``

    Raises
    ------
    InputError
        A value of another type or out of its range, an unknown target or network.
    """

    data: Path
    out: Path
    valid: Path | None = None
    valid_fraction: Annotated[float, Range(at_least=0.0, less_than=1.0)] = 0.1
    target: str = "apt"
    network: str = "ace"
    network_settings: Mapping[str, Any] = field(default_factory=dict)
    keys: Mapping[str, str] = field(default_factory=dict)
    transpose: bool | None = None
    start_from: str = ""
    committee: Annotated[int, Range(at_least=1)] = 1
    training: TrainingSettings = field(default_factory=TrainingSettings)
    device: str = "cpu"
    card: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        where = type(self).__name__
        check_settings(self, where)
        known_network(self.network, where)
        check_learned(self.target, self.network, where)
        if self.out.suffix in {".csv", ".png"}:
            raise InputError(where, "out", self.out, "a name for a model file, e.g. model.pt")

    @property
    def tensors(self) -> str:
        """Targets of the network; it may learn them from total dipoles."""
        return tensors_of(self.target)

    @property
    def state_path(self) -> Path:
        """State of a job that has not ended."""
        return self.out.with_suffix(self.out.suffix + ".state")
