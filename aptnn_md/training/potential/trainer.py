"""Training of one MACE network on energies and forces.

The loss is the mean squared error of the forces, plus that of the energy of an atom with a weight,
both measured by the spread of the forces. The optimiser is Adam (amsgrad) with a short warm-up and
a cosine schedule to zero; an exponential moving average of the weights is validated and kept.

The state holds all that the rest depends on, so that a training that was killed ends with the same
numbers as one that was not. (With a time limit the schedule follows the clock, and then no two are
equal.)
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from ase.data import chemical_symbols
from torch import Tensor, nn

from aptnn_md.errors import RunError
from aptnn_md.training.averaged_weights import AveragedWeights
from aptnn_md.training.clock import WorkClock
from aptnn_md.training.parameters import copies, load
from aptnn_md.training.potential.dataset import EnergyBatch, EnergySet
from aptnn_md.training.potential.frames import EnergyFrame
from aptnn_md.training.potential.settings import PotentialSettings
from aptnn_md.training.records import Ending, EpochRecord, late_fall
from aptnn_md.training.schedule import finished_fraction, scheduled
from aptnn_md.training.settings import divided

ROUND_STEPS = 25
"""Steps between two records: several epochs where frames are few."""


@dataclass(frozen=True, eq=False)
class TrainedNetwork:
    """What is stored of a network.

    Attributes
    ----------
    configuration, weights : see :func:`aptnn_md.potentials.stored.write_potential`
    errors : RMSEs on the training frames, ``energy`` of an atom, eV, and ``forces``, eV/Å
    """

    configuration: dict[str, Any]
    weights: dict[str, Tensor]
    errors: dict[str, float]


class PotentialTrainer:
    """Trains one network; its whole state can be saved and restored.

    Parameters
    ----------
    network : with its initial weights, on its device and in its precision
    training, validation : frames; without validation the last averaged weights are kept
    settings : see :class:`~aptnn_md.training.potential.settings.PotentialSettings`
    seed : of the order of frames
    max_minutes : the schedule ends after this time of work
    """

    def __init__(
        self,
        network: Any,
        training: Sequence[EnergyFrame],
        validation: Sequence[EnergyFrame],
        settings: PotentialSettings,
        seed: int,
        max_minutes: float = math.inf,
    ) -> None:
        self.network, self.settings, self.max_minutes = network, settings, max_minutes
        self.training = EnergySet(training, network, settings.device)
        self.validation = EnergySet(validation, network, settings.device)
        self.steps_per_epoch = len(self._batches(range(len(training))))
        self.planned = settings.epochs or math.ceil(settings.steps / self.steps_per_epoch)
        self.scale = float(network.scale_shift.scale.reshape(-1)[0])
        self.parameters = nn.ParameterList(network.parameters())
        self.optimizer = torch.optim.Adam(self.parameters, lr=settings.learning_rate, amsgrad=True)
        self.average = AveragedWeights(self.parameters, settings.ema_decay)
        self.generator = torch.Generator().manual_seed(seed)
        self.records: list[EpochRecord] = []
        self.steps, self.epoch = 0, 0
        self._clock = WorkClock()

    def _batches(self, order: Sequence[int]) -> list[list[int]]:
        return divided(order, self.training.sizes, self.settings.batch_atoms)

    # ------------------------------------------------------------------ progress

    @property
    def seconds(self) -> float:
        """Time of work, that of earlier processes included."""
        return self._clock.read()

    @property
    def fraction(self) -> float:
        """Finished part of the schedule, 0 to 1."""
        return self._fraction(0)

    @property
    def finished(self) -> bool:
        """Whether the schedule has come to its end."""
        return self.fraction >= 1.0

    def _fraction(self, steps_of_epoch: int) -> float:
        epochs = self.epoch + steps_of_epoch / self.steps_per_epoch
        return finished_fraction(epochs, self.planned, self.seconds, self.max_minutes)

    @property
    def ending(self) -> Ending:
        """How far the finished training came."""
        by_clock = self.epoch < self.planned and self.finished
        needed = self.seconds / 60.0 * self.planned / max(1, self.epoch)
        return Ending(self.epoch, self.planned, by_clock, needed, late_fall(self.records))

    # ------------------------------------------------------------------ work

    def run_round(self) -> EpochRecord:
        """Some passes over the frames, then validation of the averaged weights."""
        squares, counts = torch.zeros(2, dtype=torch.float64), torch.zeros(2)
        learning_rate = 0.0
        for _ in range(math.ceil(ROUND_STEPS / self.steps_per_epoch)):
            order = torch.randperm(len(self.training), generator=self.generator).tolist()
            for number, frames in enumerate(self._batches(order)):
                learning_rate = self._set_learning_rate(number)
                of_batch, n = self._step(self.training.batch(frames))
                squares, counts = squares + of_batch, counts + n
            self.epoch += 1
            if self.finished:
                break
        energy, forces = (squares / counts).sqrt().tolist()
        record = EpochRecord(
            self.epoch,
            self.seconds,
            learning_rate,
            _overall(energy, forces),
            math.nan,
            train_by_target={"energy": energy, "forces": forces},
        )
        if not math.isfinite(record.train):
            raise RunError(f"training diverged in epoch {self.epoch}: lower the learning rate")
        if len(self.validation):
            self._validate(record)
        if record.valid != record.valid or record.valid <= self._best_so_far():
            self.average.keep()
        self.records.append(record)
        return record

    def _best_so_far(self) -> float:
        return min((record.valid for record in self.records), default=math.inf)

    def _step(self, batch: EnergyBatch) -> tuple[Tensor, Tensor]:
        """A step of the optimiser; squared errors of energies and forces, and their numbers."""
        self.optimizer.zero_grad()
        of_energies, of_forces = self._errors(batch, training=True)
        loss = _mean_square(of_forces) + self.settings.energy_weight * _mean_square(of_energies)
        (loss / self.scale**2).backward()
        nn.utils.clip_grad_norm_(self.parameters, self.settings.gradient_clip)
        self.optimizer.step()
        self.average.update(self.steps)
        self.steps += 1
        found = [errors.detach().double().cpu() for errors in (of_energies, of_forces)]
        squares = torch.stack([errors.pow(2).sum() for errors in found])
        return squares, torch.tensor([float(errors.numel()) for errors in found])

    def _errors(self, batch: EnergyBatch, training: bool) -> tuple[Tensor, Tensor]:
        """Errors of energies of an atom (n,) and of components of forces (n,), where known."""
        energies, forces = self.training.energies_and_forces(batch, training)
        of_energies = (energies - batch.energies) / batch.sizes
        of_forces = forces - batch.forces
        return of_energies[batch.energies.isfinite()], of_forces[batch.forces.isfinite()]

    def _set_learning_rate(self, steps_of_epoch: int) -> float:
        learning_rate = scheduled(
            self.settings.learning_rate,
            self.steps,
            max(1, self.settings.warmup_steps),
            self._fraction(steps_of_epoch),
        )
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate
        return learning_rate

    def _validate(self, record: EpochRecord) -> None:
        with self.average.in_place():
            of_energies, of_forces, species = self._all_errors(self.validation)
        record.valid_by_target = {"energy": _rms(of_energies), "forces": _rms(of_forces)}
        record.valid_by_element = {
            chemical_symbols[z]: _rms(of_forces[species == k])
            for k, z in enumerate(self.validation.elements)
            if (species == k).any()
        }
        record.valid = _overall(*record.valid_by_target.values())

    def _all_errors(self, frames: EnergySet) -> tuple[Tensor, Tensor, Tensor]:
        """Errors of energies of an atom (n_frames,) and of forces (n_atoms, 3), and species.

        NaN where there is no label.
        """
        of_energies, of_forces, species = [], [], []
        for batch in frames.in_order():
            energies, forces = frames.energies_and_forces(batch)
            of_energies.append(((energies - batch.energies) / batch.sizes).detach().double().cpu())
            of_forces.append((forces - batch.forces).detach().double().cpu())
            species.append(torch.from_numpy(batch.species))
        return torch.cat(of_energies), torch.cat(of_forces), torch.cat(species)

    # ------------------------------------------------------------------ results and state

    def result(self, configuration: Mapping[str, Any]) -> TrainedNetwork:
        """The network with the averaged weights that are kept, and no mean error of its energies.

        What the energies of a composition are off by on average goes into those of the atoms: that
        changes no force, and energies are learned with a small weight only.

        Parameters
        ----------
        configuration : that the network was made with
        """
        with self.average.in_place(self.average.best):
            of_energies, of_forces, _ = self._all_errors(self.training)
            weights = {
                name: value.detach().cpu().clone()
                for name, value in self.network.state_dict().items()
            }
        shifts = self._shifts(of_energies)
        of_energies = of_energies - (self.training.counts() @ shifts).div(self._sizes())
        (energies,) = configuration["atomic_energies"]
        corrected = [e - shift for e, shift in zip(energies, shifts.tolist(), strict=True)]
        of_atoms = weights["atomic_energies_fn.atomic_energies"]
        weights["atomic_energies_fn.atomic_energies"] = torch.tensor(
            corrected, dtype=of_atoms.dtype
        ).reshape(of_atoms.shape)
        return TrainedNetwork(
            {**configuration, "atomic_energies": [corrected]},
            weights,
            {"energy": _rms(of_energies), "forces": _rms(of_forces)},
        )

    def _sizes(self) -> Tensor:
        return torch.tensor(self.training.sizes, dtype=torch.float64)

    def _shifts(self, of_energies: Tensor) -> Tensor:
        """Smallest change of the energies of atoms (n_elements,) that fits the mean errors."""
        known = of_energies.isfinite()
        if not known.any():
            return torch.zeros(len(self.training.elements), dtype=torch.float64)
        counts, errors = self.training.counts()[known], (of_energies * self._sizes())[known]
        found = np.linalg.lstsq(counts.numpy(), errors.numpy(), rcond=1e-8)[0]
        return torch.from_numpy(found)

    def state(self) -> dict[str, Any]:
        """All that the rest of the training depends on, as plain data and tensors."""
        return {
            "parameters": copies(self.parameters),
            "average": copies(self.average.values),
            "best": self.average.best,
            "optimizer": self.optimizer.state_dict(),
            "generator": self.generator.get_state(),
            "records": [vars(record) for record in self.records],
            "steps": self.steps,
            "epoch": self.epoch,
            "seconds": self.seconds,
        }

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Resume where :meth:`state` was taken; its tensors may be on another device."""
        load(self.parameters, state["parameters"])
        self.average.restore(state["average"], state["best"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.generator.set_state(state["generator"].cpu())
        self.records = [EpochRecord(**record) for record in state["records"]]
        self.steps, self.epoch = state["steps"], state["epoch"]
        self._clock = WorkClock(state["seconds"])


def _overall(energy: float, forces: float) -> float:
    """The figure by which epochs are compared: the error of forces, without any that of energy."""
    return energy if math.isnan(forces) else forces


def _mean_square(errors: Tensor) -> Tensor:
    return errors.pow(2).sum() / max(1, errors.numel())


def _rms(errors: Tensor) -> float:
    """Of those that are known."""
    known = errors[errors.isfinite()]
    return float(known.pow(2).mean().sqrt()) if known.numel() else math.nan
