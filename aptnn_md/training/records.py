"""The course of a training: a record of each epoch, and how it ended."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass
class EpochRecord:
    """Results of an epoch.

    Attributes
    ----------
    train, valid : RMSEs of components in the target's unit; for several targets the root mean
        square of their RMSEs, each in units of its spread
    valid_by_element : element -> RMSE; for several targets ``"apt_O"``, ...
    train_by_target, valid_by_target : for several targets, RMSEs in each target's unit
    """

    epoch: int
    seconds: float
    learning_rate: float
    train: float
    valid: float
    valid_by_element: dict[str, float] = field(default_factory=dict)
    train_by_target: dict[str, float] = field(default_factory=dict)
    valid_by_target: dict[str, float] = field(default_factory=dict)


FEWEST_EPOCHS = 8
"""With fewer the course of the error tells nothing, but that they are few."""

STILL_FALLING = 0.18
"""By how much the error falls in the second half of a training at most if that was long enough.

The learning rate goes to zero in it, so the error always falls. Trainings on water, ions and 200
methanols that more time improved had 0.20 to 0.59, one of 139 epochs that ended at 0.0019 e had
0.16; the last third alone cannot tell them apart (0.00 to 0.38, and 0.09).
"""


@dataclass(frozen=True)
class Ending:
    """How a training ended.

    Attributes
    ----------
    epochs, planned : finished epochs, and those of the whole schedule
    by_clock : the time limit came before the end of the schedule
    minutes_needed : for all planned epochs, judged by those that are finished
    fall : see :func:`late_fall`
    """

    epochs: int
    planned: int
    by_clock: bool
    minutes_needed: float
    fall: float | None

    @property
    def too_early(self) -> bool:
        """Whether the time limit came far from convergence."""
        return self.by_clock and (self.fall is None or self.fall > STILL_FALLING)

    def __str__(self) -> str:
        if self.by_clock:
            limit = f"the time limit, after {self.epochs} of {self.planned} epochs"
            if self.fall is None:
                return f"{limit}, far from convergence"
            if self.too_early:
                percent = f"{100 * self.fall:.0f} %"
                limit += f", far from convergence: the error fell by {percent} in the second half"
            return limit
        if self.epochs < self.planned:
            return f"patience, after {self.epochs} of {self.planned} epochs"
        return f"all {self.planned} epochs"


def late_fall(records: Sequence[EpochRecord]) -> float | None:
    """By how much of itself the smallest error fell in the second half of the epochs.

    It is the validation error where something is held out, else the training error. None: too few
    epochs to tell.
    """
    errors = [r.train if math.isnan(r.valid) else r.valid for r in records]
    if len(errors) < FEWEST_EPOCHS:
        return None
    early = min(errors[: len(errors) // 2])
    return 1.0 - min(errors) / early if early > 0.0 else 0.0
