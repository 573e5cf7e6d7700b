"""The course of a training: a record of each epoch, and how it ended."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Ending:
    """How a training ended.

    Attributes
    ----------
    epochs, planned : finished epochs, and those of the whole schedule
    by_clock : the time limit came before the end of the schedule
    minutes_needed : for all planned epochs, judged by those that are finished
    """

    epochs: int
    planned: int
    by_clock: bool
    minutes_needed: float

    def __str__(self) -> str:
        if self.by_clock:
            far = ", probably far from convergence" if self.epochs < 0.5 * self.planned else ""
            return f"the time limit, after {self.epochs} of {self.planned} epochs{far}"
        if self.epochs < self.planned:
            return f"patience, after {self.epochs} of {self.planned} epochs"
        return f"all {self.planned} epochs"


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
