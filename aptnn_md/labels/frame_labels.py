"""Labels of a frame, calculated or read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from aptnn_md.arrays import FloatArray
from aptnn_md.targets import Tensors


@dataclass(frozen=True)
class Labels:
    """Labels of a frame.

    Attributes
    ----------
    tensors : name of a target -> (n_atoms, *shape) in the unit of the target; NaN where an atom has
        no label. A target that is not there was not calculated
    dipole : (3,), e Å, or None
    polarizability : (3, 3), Å³, as it came, not symmetrised, or None
    energy, forces : of the frame without a field, eV and eV/Å, or None
    linearity : name of a target -> largest difference to half the field or step
    """

    tensors: Tensors = field(default_factory=dict)
    dipole: FloatArray | None = None
    polarizability: FloatArray | None = None
    energy: float | None = None
    forces: FloatArray | None = None
    linearity: Mapping[str, float] = field(default_factory=dict)
