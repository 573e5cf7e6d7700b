"""Contractions of atomic polar tensors with velocities: the dipole rate Ṁ and the f-sum.

Only here does an APT meet a velocity. Units and index order: :mod:`aptnn_md.units`.

Estimators of Ṁ for path integrals (P beads, positions q_k, velocities v_k = q̇_k; a classical run
is the case of one bead, where all three agree):

====================  ==========================  =================================================
``bead``              (1/P) Σ_k P(q_k)·v_k        exactly d/dt of (1/P) Σ_k M(q_k): the one of RPMD
                                                  and TRPMD
``centroid-apt``      ⟨P(q_k)⟩_k · ⟨v_k⟩_k        mean APT times centroid velocity: CMD-like methods
``apt-at-centroid``   P(⟨q_k⟩_k) · ⟨v_k⟩_k        one evaluation per step instead of P
====================  ==========================  =================================================
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from aptnn_md.arrays import FloatArray
from aptnn_md.errors import InputError

if TYPE_CHECKING:
    from aptnn_md.groups import Groups

ESTIMATORS = ("bead", "centroid-apt", "apt-at-centroid")
"""Names of the estimators of Ṁ, the exact one first."""


def dipole_rate(
    apt: FloatArray, velocities: FloatArray, groups: Groups | None = None
) -> FloatArray:
    """Dipole rate Ṁ = Σᵢ apt[i] @ v[i] of each group of atoms.

    Parameters
    ----------
    apt : (..., n_atoms, 3, 3), e; row = dipole, column = displacement
    velocities : (..., n_atoms, 3), Å/fs
    groups : groups of atoms; default: one group of all

    Returns
    -------
    (..., n_groups, 3), e Å/fs; the sum over groups is the total

    Raises
    ------
    InputError
        Shapes that do not belong together.
    """
    if apt.shape[-3:] != (*velocities.shape[-2:], 3) or velocities.shape[-1] != 3:
        raise InputError(
            "dipole rate",
            "apt",
            f"shape {apt.shape}",
            f"{(*velocities.shape, 3)} for the velocities",
        )
    return _sum_by_group(np.einsum("...nab,...nb->...na", apt, velocities), groups)


def f_sum(apt: FloatArray, masses: FloatArray, groups: Groups | None = None) -> FloatArray:
    """Strength Σᵢ Σ_αβ apt[i, α, β]² / (3 mᵢ) of each group of atoms.

    For fixed charges it is Σᵢ qᵢ²/mᵢ. Velocities of a classical canonical ensemble are independent
    of positions, so ⟨|Ṁ|²⟩ = 3 k_B T ⟨f_sum⟩ for any dipole surface, and with it the integral of
    the infrared spectrum is known (f-sum rule; ``F_SUM_PREFACTOR`` in :mod:`aptnn_md.units`).

    Parameters
    ----------
    apt : (..., n_atoms, 3, 3), e
    masses : (n_atoms,), amu
    groups : groups of atoms; default: one group of all

    Returns
    -------
    (..., n_groups), e²/amu
    """
    per_atom = np.einsum("...nab,...nab->...n", apt, apt) / (3.0 * masses)
    return _sum_by_group(per_atom[..., None], groups)[..., 0]


def estimate(
    estimator: str,
    apt_beads: FloatArray | None,
    velocities: FloatArray,
    apt_centroid: FloatArray | None = None,
    groups: Groups | None = None,
) -> FloatArray:
    """Dipole rate of a path-integral configuration by one of :data:`ESTIMATORS`.

    Parameters
    ----------
    estimator : ``"bead"``, ``"centroid-apt"`` or ``"apt-at-centroid"``
    apt_beads : (n_beads, n_atoms, 3, 3), e; not needed by ``apt-at-centroid``
    velocities : (n_beads, n_atoms, 3), Å/fs, the time derivatives of the bead positions
    apt_centroid : (n_atoms, 3, 3), e, at the mean of the bead positions; only ``apt-at-centroid``
    groups : groups of atoms; default: one group of all

    Returns
    -------
    (n_groups, 3), e Å/fs

    Raises
    ------
    InputError
        Another estimator, or the tensors that it needs are missing.
    """
    if estimator not in ESTIMATORS:
        raise InputError(
            "dipole rate", "estimator", repr(estimator), f"one of {', '.join(ESTIMATORS)}"
        )
    tensors = apt_centroid if estimator == "apt-at-centroid" else apt_beads
    if tensors is None:
        name = "apt_centroid" if estimator == "apt-at-centroid" else "apt_beads"
        raise InputError(f"estimator {estimator}", name, "nothing", "the tensors that it needs")
    if estimator == "bead":
        rate: FloatArray = dipole_rate(tensors, velocities, groups).mean(axis=0)
        return rate
    if estimator == "centroid-apt":
        tensors = tensors.mean(axis=0)
    return dipole_rate(tensors, velocities.mean(axis=0), groups)


def _sum_by_group(values: FloatArray, groups: Groups | None) -> FloatArray:
    """Sums (..., n_groups, k) over the atoms of each group of ``values`` (..., n_atoms, k)."""
    if groups is None:
        total: FloatArray = values.sum(axis=-2, keepdims=True)
        return total
    if len(groups.index) != values.shape[-2]:
        raise InputError(
            "groups", "atoms", len(groups.index), f"{values.shape[-2]} as in the structure"
        )
    sums = np.zeros((*values.shape[:-2], len(groups.labels), values.shape[-1]))
    # np.add.at works along the first axis: atoms and groups go there and back
    np.add.at(np.moveaxis(sums, -2, 0), groups.index, np.moveaxis(values, -2, 0))
    return sums
