"""The models of a stage: its files, and what is read from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ase.calculators.calculator import BaseCalculator

from aptnn_md.learning.directory import Stage
from aptnn_md.learning.settings import CampaignSettings
from aptnn_md.potentials.interface import BatchedPotential, as_batched
from aptnn_md.potentials.loading import load_potential
from aptnn_md.potentials.stored_committee import write_committee
from aptnn_md.prediction.interface import TensorModel
from aptnn_md.prediction.loading import as_model


@dataclass(frozen=True, eq=False)
class StageModels:
    """Potential and tensors of a stage.

    Attributes
    ----------
    calculator : of forces; the mean of its members where it is learned
    members : of the potential, calculators; empty where the potential is not learned
    tensors : model with its committee
    """

    calculator: BaseCalculator
    members: Sequence[BaseCalculator]
    tensors: TensorModel

    @property
    def potential(self) -> BatchedPotential:
        """The calculator as one that evaluates batches."""
        return as_batched(self.calculator)

    @classmethod
    def of(cls, stage: Stage, settings: CampaignSettings) -> StageModels:
        """Read them."""
        tensors = as_model(stage.tensors, require=settings.properties, device=settings.device)
        if not settings.learns_potential:
            fixed = load_potential(settings.potential, device=settings.device)
            return cls(fixed, (), tensors)
        committee: Any = load_potential(stage.potential, device=settings.device)
        return cls(committee, tuple(committee.members), tensors)


def join_potential(stage: Stage, settings: CampaignSettings) -> None:
    """Write the file of the committee of a stage, whose members were trained."""
    if settings.learns_potential and not stage.potential.exists():
        card = {"engine": settings.engine, "temperature": settings.temperature}
        write_committee(stage.potential, stage.potentials(settings.forces.committee), card)
