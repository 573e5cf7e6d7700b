"""A homogeneous electric field: its check, and the force that it exerts through polar tensors.

In a field E the electric enthalpy is U(r) - M(r)·E, so the force on atom i has the additional
term Σ_α E_α ∂M_α/∂r_iβ, that is ``apt[i].T @ E``.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from aptnn_md.arrays import FloatArray
from aptnn_md.errors import InputError


def field_forces(apt: FloatArray, efield: FloatArray) -> FloatArray:
    """Force of a homogeneous field, F[i, β] = Σ_α apt[i, α, β] E_α, (..., n_atoms, 3), eV/Å.

    Parameters
    ----------
    apt : (..., n_atoms, 3, 3), e; row = dipole, column = displacement
    efield : (3,), V/Å
    """
    forces: FloatArray = np.einsum("...nab,a->...nb", apt, efield)
    return forces


def checked_field(value: ArrayLike, where: str = "electric field") -> FloatArray:
    """A field (3,), V/Å, from three numbers, or from a text with three of them between blanks.

    Raises
    ------
    InputError
        Something else.
    """
    try:
        words = value.split() if isinstance(value, str) else value
        field = np.array(words, dtype=np.float64)
    except (TypeError, ValueError):
        field = np.zeros(0)
    if field.shape != (3,) or not np.isfinite(field).all():
        raise InputError(where, "efield", value, "three finite numbers, V/Å")
    return field
