"""Training: labelled frames -> a model file.

The loss is the mean squared error of the Cartesian components, which for orthonormal irreps is
the mean squared error of the irreps. PGTs, and several targets beside each other, are measured by
the spread of their training labels, so that none dominates
(:func:`~aptnn_md.training.samples.loss_factors`). AdamW with a short warm-up and a cosine schedule
to zero; an exponential moving average of the weights is what is validated and kept.

Everything that the rest of a run depends on is in the state file beside the model, written after
every epoch: a killed run that is restarted ends with the same model, bit by bit. (With a time
limit the schedule follows the clock, and then no two runs are equal.)
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from ase.data import chemical_symbols
from torch import Tensor

from aptnn_md.errors import RunError
from aptnn_md.models.tensor_network import TensorNetwork
from aptnn_md.training.dataset import LabelledFrame
from aptnn_md.training.samples import Sample, gather, loss_factors, prepare, spread_of


@dataclass(frozen=True)
class TrainingSettings:
    """How one network is trained.

    Attributes
    ----------
    epochs : passes over the training frames; the schedule ends there. 0: as many as make about
        :data:`TYPICAL_STEPS` optimiser steps, see :func:`with_epochs`
    max_minutes : the schedule ends after this time instead, if that is sooner
    learning_rate, weight_decay, batch_size, gradient_clip : of the optimiser; batches in frames
    warmup_steps : optimiser steps of linear warm-up
    ema_decay : of the averaged weights, per optimiser step
    patience : epochs without a better validation error after which training stops; 0: never
    seed : of initial weights and order of frames
    pgt_weight : of PGTs in the loss beside APTs
    """

    epochs: int = 0
    max_minutes: float = math.inf
    learning_rate: float = 5e-3
    weight_decay: float = 0.0
    batch_size: int = 1
    gradient_clip: float = 1.0
    warmup_steps: int = 40
    ema_decay: float = 0.99
    patience: int = 0
    seed: int = 0
    pgt_weight: float = 1.0


TYPICAL_STEPS = 1400
"""Optimiser steps after which networks for some ten frames of a liquid had learned what
generalises; after many more they had learned the frames."""

FEWEST_EPOCHS = 30


def with_epochs(settings: TrainingSettings, n_frames: int) -> TrainingSettings:
    """Settings whose epochs suit the number of training frames, unless they are given."""
    if settings.epochs:
        return settings
    steps_per_epoch = math.ceil(n_frames / settings.batch_size)
    return replace(settings, epochs=max(FEWEST_EPOCHS, math.ceil(TYPICAL_STEPS / steps_per_epoch)))


@dataclass
class EpochRecord:
    """What is known after an epoch.

    Attributes
    ----------
    train, valid : RMSEs of components in the target's unit; of several targets the root mean
        square of their RMSEs, each in units of its spread
    valid_by_element : element -> RMSE; of several targets ``"apt_O"``, ...
    train_by_target, valid_by_target : RMSEs in each target's unit, of several targets
    """

    epoch: int
    seconds: float
    learning_rate: float
    train: float
    valid: float
    valid_by_element: dict[str, float] = field(default_factory=dict)
    train_by_target: dict[str, float] = field(default_factory=dict)
    valid_by_target: dict[str, float] = field(default_factory=dict)


class Trainer:
    """Trains one network; its whole state can be saved and restored.

    Parameters
    ----------
    model : with the weights to begin with; scales are fitted here
    training, validation : frames; without validation the last averaged weights are kept
    settings : see :class:`TrainingSettings`
    trained : the weights have been trained before, on inputs whose scales they stay with
    """

    def __init__(
        self,
        model: TensorNetwork,
        training: Sequence[LabelledFrame],
        validation: Sequence[LabelledFrame],
        settings: TrainingSettings,
        trained: bool = False,
    ) -> None:
        self.model, self.settings = model, settings
        self.training, self.validation = prepare(training, model), prepare(validation, model)
        labels = {target: gather(self.training, target) for target in model.targets}
        if not trained:
            model.fit_inputs([sample.geometry for sample in self.training])
        model.fit_outputs(labels)
        self.spreads = {target: spread_of(*labels[target]) for target in model.targets}
        self.factors = loss_factors(self.spreads, settings.pgt_weight)
        self.parameters = list(model.parameters())
        self.optimizer = torch.optim.AdamW(
            self.parameters, lr=settings.learning_rate, weight_decay=settings.weight_decay
        )
        self.average = [parameter.detach().clone() for parameter in self.parameters]
        self.best = [parameter.detach().clone() for parameter in self.parameters]
        self.generator = torch.Generator().manual_seed(settings.seed)
        self.records: list[EpochRecord] = []
        self.steps = 0
        self._before = 0.0  # seconds of the processes before this one
        self._start = time.monotonic()

    # ------------------------------------------------------------------ progress

    @property
    def epoch(self) -> int:
        """Epochs done."""
        return len(self.records)

    @property
    def seconds(self) -> float:
        """Time spent, over restarts."""
        return self._before + time.monotonic() - self._start

    @property
    def best_record(self) -> EpochRecord:
        """The epoch whose averaged weights are kept: the last one if nothing is held out."""
        if not self.validation:
            return self.records[-1]
        return min(self.records, key=lambda record: record.valid)

    @property
    def finished(self) -> bool:
        """Whether the schedule or the patience is at its end."""
        if self._fraction(0.0) >= 1.0 or self._no_time_for_another_epoch():
            return True
        patience = self.settings.patience
        return bool(patience and self.records) and self.epoch - self.best_record.epoch >= patience

    def _no_time_for_another_epoch(self) -> bool:
        if not self.records:
            return False
        typical = self.records[-1].seconds / self.epoch
        return self.seconds + typical > 60.0 * self.settings.max_minutes

    @property
    def fraction(self) -> float:
        """Part of the schedule that is done, 0 to 1."""
        return 1.0 if self.finished else self._fraction(0.0)

    def _fraction(self, within_epoch: float) -> float:
        by_epochs = (self.epoch + within_epoch) / self.settings.epochs
        by_time = self.seconds / (60.0 * self.settings.max_minutes)
        return min(1.0, max(by_epochs, by_time))

    # ------------------------------------------------------------------ work

    def run_epoch(self) -> EpochRecord:
        """One pass over the training frames, then validation of the averaged weights."""
        order = torch.randperm(len(self.training), generator=self.generator).tolist()
        size = self.settings.batch_size
        squares, counts = dict.fromkeys(self.factors, 0.0), dict.fromkeys(self.factors, 0)
        for first in range(0, len(order), size):
            learning_rate = self._set_learning_rate(first / len(order))
            batch = [self.training[k] for k in order[first : first + size]]
            n_components = dict.fromkeys(self.factors, 0)
            for sample in batch:
                for target, labels in sample.labels.items():
                    n_components[target] += labels.tensors.numel()
            self.optimizer.zero_grad()
            for sample in batch:
                loss = torch.zeros((), device=self.model.mean.device)
                for target, errors in self._errors(sample).items():
                    square = errors.pow(2).sum()
                    squares[target] += square.item()
                    loss = loss + self.factors[target] * (square / n_components[target])
                loss.backward()
            for target, count in n_components.items():
                counts[target] += count
            torch.nn.utils.clip_grad_norm_(self.parameters, self.settings.gradient_clip)
            self.optimizer.step()
            self._update_average()
        rmses = {target: math.sqrt(squares[target] / counts[target]) for target in self.factors}
        record = EpochRecord(
            epoch=self.epoch + 1,
            seconds=self.seconds,
            learning_rate=learning_rate,
            train=self._overall(rmses),
            valid=math.nan,
            train_by_target=rmses if len(rmses) > 1 else {},
        )
        if not math.isfinite(record.train):
            raise RunError(f"training diverged in epoch {record.epoch}: lower the learning rate")
        if self.validation:
            self._validate(record)
        if not self.validation or not self.records or record.valid < self.best_record.valid:
            self.best = [parameter.clone() for parameter in self.average]
        self.records.append(record)
        return record

    def _errors(self, sample: Sample) -> dict[str, Tensor]:
        """(n_labelled, 3, 3, ...) of each target with labels."""
        predicted = self.model(sample.geometry, sample.species)
        return {
            target: predicted[target][labels.atoms] - labels.tensors
            for target, labels in sample.labels.items()
        }

    def _overall(self, rmses: Mapping[str, float]) -> float:
        """One figure for the RMSEs of the targets: that of a single one as it is."""
        if len(self.factors) == 1:
            return next(iter(rmses.values()))
        relative = [rmse / (self.spreads[target] or 1.0) for target, rmse in rmses.items()]
        return math.sqrt(sum(x * x for x in relative) / len(relative))

    def _set_learning_rate(self, within_epoch: float) -> float:
        warmup = min(1.0, (self.steps + 1) / max(1, self.settings.warmup_steps))
        cosine = 0.5 * (1.0 + math.cos(math.pi * self._fraction(within_epoch)))
        learning_rate = self.settings.learning_rate * warmup * cosine
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate
        return learning_rate

    @torch.no_grad()
    def _update_average(self) -> None:
        # the average forgets the first, poor weights faster than the later ones
        decay = min(self.settings.ema_decay, (self.epoch + 1) / (self.epoch + 10))
        self.steps += 1
        for average, parameter in zip(self.average, self.parameters, strict=True):
            average.lerp_(parameter, 1.0 - decay)

    @torch.no_grad()
    def _validate(self, record: EpochRecord) -> None:
        current = [parameter.clone() for parameter in self.parameters]
        self._load(self.average)
        errors = [self._errors(sample) for sample in self.validation]
        self._load(current)
        rmses = {}
        for target in self.factors:
            found = [part[target] for part in errors if target in part]
            if found:
                species, _ = gather(self.validation, target)
                rmses[target] = self._validate_target(record, target, torch.cat(found), species)
        record.valid = self._overall(rmses)
        record.valid_by_target = rmses if len(self.factors) > 1 else {}

    def _validate_target(
        self, record: EpochRecord, target: str, errors: Tensor, species: Tensor
    ) -> float:
        """RMSE of a target; those of its elements go into the record."""
        prefix = f"{target}_" if len(self.factors) > 1 else ""
        errors = errors.flatten(1)
        for k, z in enumerate(self.model.config.elements):
            if (species == k).any():
                rmse = float(errors[species == k].pow(2).mean().sqrt())
                record.valid_by_element[prefix + chemical_symbols[z]] = rmse
        return float(errors.pow(2).mean().sqrt())

    @torch.no_grad()
    def _load(self, values: Sequence[Tensor]) -> None:
        for parameter, value in zip(self.parameters, values, strict=True):
            parameter.copy_(value)

    # ------------------------------------------------------------------ results and state

    def weights(self) -> dict[str, Tensor]:
        """State dictionary of the model with the best averaged weights."""
        self._load(self.best)
        return {
            name: value.detach().cpu().clone() for name, value in self.model.state_dict().items()
        }

    def state(self) -> dict[str, Any]:
        """All that the rest of the run depends on, as plain data and tensors."""
        return {
            "parameters": [parameter.detach().clone() for parameter in self.parameters],
            "average": self.average,
            "best": self.best,
            "optimizer": self.optimizer.state_dict(),
            "generator": self.generator.get_state(),
            "records": [vars(record) for record in self.records],
            "steps": self.steps,
            "seconds": self.seconds,
        }

    def load_state(self, state: dict[str, Any]) -> None:
        """Continue where :meth:`state` was taken."""
        self._load(state["parameters"])
        self.average = [value.to(self.parameters[0]) for value in state["average"]]
        self.best = [value.to(self.parameters[0]) for value in state["best"]]
        self.optimizer.load_state_dict(state["optimizer"])
        self.generator.set_state(state["generator"].cpu())
        self.records = [EpochRecord(**record) for record in state["records"]]
        self.steps, self._before = state["steps"], state["seconds"]
        self._start = time.monotonic()
