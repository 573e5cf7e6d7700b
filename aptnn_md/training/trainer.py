"""Training: labelled frames -> a model file.

The loss is the mean squared error of the Cartesian components, which for orthonormal irreps is
the mean squared error of the irreps. Targets other than APTs alone are measured by the spread of
their training labels, so that none dominates (:func:`~aptnn_md.training.samples.loss_factors`).
The optimiser (:mod:`aptnn_md.training.optimizer`) has a short warm-up and a cosine schedule to
zero; an exponential moving average of the weights is validated and kept.

The state file next to the model, written after every epoch, holds everything that the rest of a run
depends on: a run that is killed and resumed ends with the same model, bit by bit. (With a time
limit the schedule follows the clock, and then no two runs are equal.) A training that its time
limit ended keeps its state, so that it can be resumed with more time.
"""

from __future__ import annotations

import copy
import logging
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from ase.data import chemical_symbols
from torch import Tensor, nn

from aptnn_md.errors import RunError
from aptnn_md.models.polarizability import PolarizabilityNetwork
from aptnn_md.models.tensor_network import TensorNetwork
from aptnn_md.structure_labels import DIPOLE, POLARIZABILITY
from aptnn_md.targets import PGT, TARGETS
from aptnn_md.training.averaged_weights import AveragedWeights
from aptnn_md.training.batch_errors import errors_in
from aptnn_md.training.batches import Batch, FrameSet
from aptnn_md.training.clock import WorkClock
from aptnn_md.training.dataset import LabelledFrame
from aptnn_md.training.optimizer import Optimizer
from aptnn_md.training.parameters import copies, load
from aptnn_md.training.records import Ending, EpochRecord, late_fall
from aptnn_md.training.samples import loss_factors, spread_of
from aptnn_md.training.schedule import finished_fraction, scheduled
from aptnn_md.training.settings import TrainingSettings

log = logging.getLogger(__name__)

DIVERGED = 5.0
"""An epoch diverged if its error is so many times the smallest before it, or at first that of the
mean tensors."""

MOST_REPETITIONS = 6
"""Of an epoch that diverged."""


class Trainer:
    """Trains one network; its whole state can be saved and restored.

    Parameters
    ----------
    model : with its initial weights; scales are fitted here
    training, validation : frames; without validation the last averaged weights are kept
    settings : see :class:`~aptnn_md.training.settings.TrainingSettings`; ``epochs`` is given
    trained : the weights have been trained before: the scales of inputs and outputs are kept, so
        that training begins with what the network knows
    """

    def __init__(
        self,
        model: TensorNetwork,
        training: Sequence[LabelledFrame],
        validation: Sequence[LabelledFrame],
        settings: TrainingSettings,
        trained: bool = False,
    ) -> None:
        self.model, self.settings, self.trained = model, settings, trained
        self.training, self.validation = FrameSet(training, model), FrameSet(validation, model)
        learned = self.training.learned
        labels = {t: self.training.all_labels(t) for t in model.targets if t in learned}
        if not trained:
            sample = self.training.sample(settings.batch_atoms)
            model.fit_inputs([batch.geometry for batch in sample])
            model.fit_outputs(labels)
        self.spreads = {target: spread_of(*of_target) for target, of_target in labels.items()}
        if DIPOLE in learned:
            self.spreads[DIPOLE] = float(np.sqrt(np.mean(self.training.all_dipoles() ** 2)))
        if model.polarizability_network is not None:
            self._fit_polarizabilities(model.polarizability_network, labels, trained)
        self.factors = loss_factors(self.spreads, settings.weights)
        self.learning_rate = settings.highest_learning_rate(self.training.sizes)
        self._warmup_steps = settings.steps_of_warmup(self.training.sizes)
        self.parameters = nn.ParameterList(model.parameters())
        self.optimizer = Optimizer(
            model,
            settings.chosen_optimizer(self.training.sizes),
            self.learning_rate,
            settings.weight_decay,
        )
        self.average = AveragedWeights(self.parameters, settings.ema_decay)
        self.generator = torch.Generator().manual_seed(settings.seed)
        self.records: list[EpochRecord] = []
        self.steps = 0
        self._clock = WorkClock()

    def _fit_polarizabilities(
        self,
        network: PolarizabilityNetwork,
        labels: Mapping[str, tuple[Tensor, Tensor]],
        trained: bool,
    ) -> None:
        """Spread of the polarizabilities, and the scales of a network that has not been trained."""
        fitted = copy.deepcopy(network) if trained else network
        if PGT.name in labels:
            fitted.fit_gradients(labels[PGT.name][1])
        if POLARIZABILITY in self.training.learned:
            known = map(torch.from_numpy, self.training.all_polarizabilities())
            self.spreads[POLARIZABILITY] = fitted.fit_polarizabilities(*known)

    # ------------------------------------------------------------------ progress

    @property
    def epoch(self) -> int:
        """Number of finished epochs."""
        return len(self.records)

    @property
    def seconds(self) -> float:
        """Time of work, that of earlier processes included."""
        return self._clock.read()

    @property
    def best_record(self) -> EpochRecord:
        """The epoch whose averaged weights are kept: the last one if nothing is held out."""
        if not self.validation:
            return self.records[-1]
        return min(self.records, key=lambda record: record.valid)

    @property
    def finished(self) -> bool:
        """Whether epochs, time or patience have come to an end."""
        patience = self.settings.patience
        if patience and self.records and self.epoch - self.best_record.epoch >= patience:
            return True
        return self._fraction(0.0) >= 1.0 or self._no_time_for_another_epoch()

    def _no_time_for_another_epoch(self) -> bool:
        if not self.records:
            return False
        typical = self.records[-1].seconds / self.epoch
        return self.seconds + typical > 60.0 * self.settings.max_minutes

    @property
    def fraction(self) -> float:
        """Finished part of the schedule, 0 to 1."""
        return 1.0 if self.finished else self._fraction(0.0)

    def _fraction(self, within_epoch: float) -> float:
        return finished_fraction(
            self.epoch + within_epoch, self.settings.epochs, self.seconds, self.settings.max_minutes
        )

    # ------------------------------------------------------------------ work

    def run_epoch(self) -> EpochRecord:
        """One pass over the training frames, then validation of the averaged weights.

        A pass that diverges is undone, and repeated with half the learning rate, which then stays.

        Raises
        ------
        RunError
            Its error was not finite after :data:`MOST_REPETITIONS`.
        """
        before = self._weights_and_steps()
        record = self._pass_over_frames()
        for _ in range(MOST_REPETITIONS):
            if record.train < self._error_of_divergence():
                break
            self._return_to(before)
            self.learning_rate *= 0.5
            log.warning(
                "epoch %d diverged (error %.3g): repeated with half the learning rate, %.2g",
                *(record.epoch, record.train, self.learning_rate),
            )
            record = self._pass_over_frames()
        if not math.isfinite(record.train):
            raise RunError(f"training diverged in epoch {record.epoch}: lower the learning rate")
        if self.validation:
            self._validate(record)
        if not self.validation or not self.records or record.valid < self.best_record.valid:
            self.average.keep()
        self.records.append(record)
        return record

    def _error_of_divergence(self) -> float:
        """Of the training frames; what is small beside their spread is never one."""
        of_means = self._overall(self.spreads)
        if not self.records:
            return math.inf if self.trained else DIVERGED * of_means
        smallest = min(record.train for record in self.records)
        return DIVERGED * max(smallest, 0.02 * of_means)

    def _pass_over_frames(self) -> EpochRecord:
        """The steps of an epoch."""
        order = torch.randperm(len(self.training), generator=self.generator).tolist()
        done = 0
        squares: dict[str, list[Tensor]] = {target: [] for target in self.factors}
        counts = dict.fromkeys(self.factors, 0)
        for frames in self.settings.batches(order, self.training.sizes):
            learning_rate = self._set_learning_rate(done / len(order))
            self._step(self.training.batch(frames), squares, counts)
            done += len(frames)
        # the only place of an epoch where numbers are waited for
        rmses = {
            target: math.sqrt(float(torch.stack(found).cpu().double().sum()) / counts[target])
            for target, found in squares.items()
        }
        return EpochRecord(
            epoch=self.epoch + 1,
            seconds=self.seconds,
            learning_rate=learning_rate,
            train=self._overall(rmses),
            valid=math.nan,
            train_by_target=rmses if len(rmses) > 1 else {},
        )

    def _step(self, batch: Batch, squares: dict[str, list[Tensor]], counts: dict[str, int]) -> None:
        """One step of the optimiser; the squared errors are added up without waiting for them."""
        self.optimizer.zero_grad()
        loss = self.model.mean.new_zeros(())
        for target, errors in errors_in(self.model, batch, self.generator).items():
            square = errors.pow(2).sum()
            squares[target].append(square.detach())
            counts[target] += errors.numel()
            loss = loss + self.factors[target] * (square / errors.numel())
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.parameters, self.settings.gradient_clip)
        self.optimizer.step()
        self.steps += 1
        self.average.update(self.epoch)

    def _overall(self, rmses: Mapping[str, float]) -> float:
        """One figure for the RMSEs of all targets; that of a single target is itself."""
        if len(self.factors) == 1:
            return next(iter(rmses.values()))
        relative = [rmse / (self.spreads[target] or 1.0) for target, rmse in rmses.items()]
        return math.sqrt(sum(x * x for x in relative) / len(relative))

    def _set_learning_rate(self, within_epoch: float) -> float:
        learning_rate = scheduled(
            self.learning_rate, self.steps, self._warmup_steps, self._fraction(within_epoch)
        )
        self.optimizer.learning_rate = learning_rate
        return learning_rate

    @torch.no_grad()
    def _validate(self, record: EpochRecord) -> None:
        self.model.eval()
        with self.average.in_place():
            errors = [errors_in(self.model, batch) for batch in self.validation.in_order()]
        self.model.train()
        rmses = {}
        for target in self.factors:
            found = [part[target] for part in errors if target in part]
            if found:
                errors_found = torch.cat(found)
                rmses[target] = float(errors_found.pow(2).mean().sqrt())
                if target in TARGETS:
                    species, _ = self.validation.all_labels(target)
                    self._validate_elements(record, target, errors_found, species)
        record.valid = self._overall(rmses)
        record.valid_by_target = rmses if len(self.factors) > 1 else {}

    def _validate_elements(
        self, record: EpochRecord, target: str, errors: Tensor, species: Tensor
    ) -> None:
        """Add the RMSEs of a target's elements to the record."""
        prefix = f"{target}_" if len(self.factors) > 1 else ""
        errors = errors.flatten(1)
        for k, z in enumerate(self.model.config.elements):
            if (species == k).any():
                rmse = float(errors[species == k].pow(2).mean().sqrt())
                record.valid_by_element[prefix + chemical_symbols[z]] = rmse

    def _weights_and_steps(self) -> dict[str, Any]:
        """What the steps of an epoch change, copied."""
        return {
            "parameters": copies(self.parameters),
            "average": copies(self.average.values),
            "optimizer": copy.deepcopy(self.optimizer.state_dict()),
            "steps": self.steps,
        }

    def _return_to(self, state: Mapping[str, Any]) -> None:
        load(self.parameters, state["parameters"])
        self.average.restore(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.steps = state["steps"]

    # ------------------------------------------------------------------ results and state

    def weights(self) -> dict[str, Tensor]:
        """State dictionary of the model with the best averaged weights."""
        with self.average.in_place(self.average.best):
            state = self.model.state_dict()
            return {name: value.detach().cpu().clone() for name, value in state.items()}

    def state(self) -> dict[str, Any]:
        """All that the rest of the run depends on, as plain data and tensors."""
        return {
            **self._weights_and_steps(),
            "learning_rate": self.learning_rate,
            "best": self.average.best,
            "generator": self.generator.get_state(),
            "records": [vars(record) for record in self.records],
            "seconds": self.seconds,
        }

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Continue where :meth:`state` was taken; its tensors may be on another device."""
        self._return_to(state)
        self.learning_rate = state["learning_rate"]
        self.average.restore(state["average"], state["best"])
        self.generator.set_state(state["generator"].cpu())
        self.records = [EpochRecord(**record) for record in state["records"]]
        self._clock = WorkClock(state["seconds"])

    @property
    def ending(self) -> Ending:
        """How far the finished training came."""
        planned = self.settings.epochs
        by_clock = self.epoch < planned and (
            self._no_time_for_another_epoch() or self.seconds >= 60.0 * self.settings.max_minutes
        )
        needed = self.seconds / 60.0 * planned / max(1, self.epoch)
        return Ending(self.epoch, planned, by_clock, needed, late_fall(self.records))
