"""Training of potentials: MACE networks from frames with energies and forces.

:func:`train_potential` makes one from structures, :func:`run_potential_training` a committee from
files, and :func:`potential_errors` compares any potential with labels.
"""

from aptnn_md.training.potential.evaluation import PotentialErrors, potential_errors
from aptnn_md.training.potential.frames import (
    EnergyFrame,
    energy_frames,
    read_energy_frames,
)
from aptnn_md.training.potential.job import run_potential_training, train_potential
from aptnn_md.training.potential.settings import PotentialJob, PotentialSettings

__all__ = [
    "EnergyFrame",
    "PotentialErrors",
    "PotentialJob",
    "PotentialSettings",
    "energy_frames",
    "potential_errors",
    "read_energy_frames",
    "run_potential_training",
    "train_potential",
]
