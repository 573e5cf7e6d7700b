"""Contractions of atomic tensors with velocities: the rates Ṁ and ȧ, and the f-sum.

Only here does an APT or a PGT meet a velocity. Units and index order: :mod:`aptnn_md.units`; the
six components of ȧ are those of :data:`aptnn_md.tensors.VOIGT`.

Estimators of Ṁ for path integrals (P beads, positions q_k, velocities v_k = q̇_k; a classical run
is the case of one bead, where all three agree). Those of ȧ are the same with PGTs in place of APTs:

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
from aptnn_md.atoms.frame import Frame
from aptnn_md.atoms.motion import MotionGroups
from aptnn_md.errors import InputError
from aptnn_md.tensors import to_voigt

if TYPE_CHECKING:
    from aptnn_md.atoms.groups import Groups

ESTIMATORS = ("bead", "centroid-apt", "apt-at-centroid")
"""Names of the estimators of Ṁ and ȧ, the exact one first."""


def dipole_rate(
    apt: FloatArray,
    velocities: FloatArray,
    groups: Groups | MotionGroups | None = None,
    frame: Frame | None = None,
) -> FloatArray:
    """Dipole rate Ṁ = Σᵢ apt[i] @ v[i] of each group of atoms, or of its motions.

    Parameters
    ----------
    apt : (..., n_atoms, 3, 3), e; row = dipole, column = displacement
    velocities : (..., n_atoms, 3), Å/fs
    groups : groups of atoms, or of motions; default: one group of all
    frame : where the atoms are; groups of motions and moving selections need it

    Returns
    -------
    (..., n_groups, 3), e Å/fs; the sum over groups is the total

    Raises
    ------
    InputError
        Shapes that do not belong together, or no frame where it is needed.
    """
    if apt.shape[-3:] != (*velocities.shape[-2:], 3) or velocities.shape[-1] != 3:
        raise InputError(
            "dipole rate",
            "apt",
            f"shape {apt.shape}",
            f"{(*velocities.shape, 3)} for the velocities",
        )
    return _rate(apt, velocities, groups, frame)


def polarizability_rate(
    pgt: FloatArray,
    velocities: FloatArray,
    groups: Groups | MotionGroups | None = None,
    frame: Frame | None = None,
) -> FloatArray:
    """Polarizability rate ȧ_αβ = Σᵢγ pgt[i, α, β, γ] v[i, γ] of each group of atoms, or motions.

    Parameters
    ----------
    pgt : (..., n_atoms, 3, 3, 3), Å², the last index that of the displacement
    velocities, groups, frame : see :func:`dipole_rate`

    Returns
    -------
    (..., n_groups, 6), Å³/fs, components xx, yy, zz, yz, xz, xy; the sum over groups is the total

    Raises
    ------
    InputError
        Shapes that do not belong together, or no frame where it is needed.
    """
    if pgt.shape[-4:] != (*velocities.shape[-2:], 3, 3) or velocities.shape[-1] != 3:
        raise InputError(
            "polarizability rate",
            "pgt",
            f"shape {pgt.shape}",
            f"{(*velocities.shape, 3, 3)} for the velocities",
        )
    # a row for each component, as an APT has a row for each of the dipole's
    rows = np.swapaxes(to_voigt(np.moveaxis(pgt, -1, -3)), -1, -2)
    return _rate(rows, velocities, groups, frame)


def f_sum(
    apt: FloatArray,
    masses: FloatArray,
    groups: Groups | MotionGroups | None = None,
    frame: Frame | None = None,
) -> FloatArray:
    """Strength Σᵢ Σ_αβ apt[i, α, β]² / (3 mᵢ) of each group of atoms.

    For fixed charges it is Σᵢ qᵢ²/mᵢ. Velocities of a classical canonical ensemble are independent
    of positions, so ⟨|Ṁ|²⟩ = 3 k_B T ⟨f_sum⟩ for any dipole surface, and with it the integral of
    the infrared spectrum is known (f-sum rule; ``F_SUM_PREFACTOR`` in :mod:`aptnn_md.units`).
    For groups of motions it is ⟨|Ṁ|²⟩/(3 k_B T) of each part, too, and they add up.

    Parameters
    ----------
    apt : (..., n_atoms, 3, 3), e
    masses : (n_atoms,), amu
    groups : groups of atoms, or of motions; default: one group of all
    frame : where the atoms are; groups of motions and moving selections need it

    Returns
    -------
    (..., n_groups), e²/amu

    Raises
    ------
    InputError
        No frame, or other masses, for groups of motions.
    """
    if isinstance(groups, MotionGroups):
        if not np.allclose(masses, groups.masses):
            raise InputError("f-sum", "masses", masses, "those that the motions are found with")
        return groups.f_sums(apt, _needed(frame))
    per_atom = np.einsum("...nab,...nab->...n", apt, apt) / (3.0 * masses)
    return _sum_by_group(per_atom[..., None], groups, frame)[..., 0]


def estimate(
    estimator: str,
    at_beads: FloatArray | None,
    velocities: FloatArray,
    at_centroid: FloatArray | None = None,
    groups: Groups | MotionGroups | None = None,
    frame: Frame | None = None,
) -> FloatArray:
    """Rate of a path-integral configuration by one of :data:`ESTIMATORS`: Ṁ of APTs, ȧ of PGTs.

    Parameters
    ----------
    estimator : ``"bead"``, ``"centroid-apt"`` or ``"apt-at-centroid"``
    at_beads : APTs (n_beads, n_atoms, 3, 3), e, or PGTs (n_beads, n_atoms, 3, 3, 3), Å², of each
        bead; not needed by ``apt-at-centroid``
    velocities : (n_beads, n_atoms, 3), Å/fs, the time derivatives of the bead positions
    at_centroid : (n_atoms, 3, 3), e, or (n_atoms, 3, 3, 3), Å², at the mean of the bead positions;
        only ``apt-at-centroid``
    groups : groups of atoms, or of motions; default: one group of all
    frame : positions of the beads, (n_beads, n_atoms, 3), for groups of motions and moving
        selections

    Returns
    -------
    (n_groups, 3), e Å/fs, or (n_groups, 6), Å³/fs

    Raises
    ------
    InputError
        Another estimator, or the tensors that it needs are missing.
    """
    if estimator not in ESTIMATORS:
        raise InputError("rate", "estimator", repr(estimator), f"one of {', '.join(ESTIMATORS)}")
    tensors = at_centroid if estimator == "apt-at-centroid" else at_beads
    if tensors is None:
        name = "at_centroid" if estimator == "apt-at-centroid" else "at_beads"
        raise InputError(f"estimator {estimator}", name, "nothing", "the tensors that it needs")
    if estimator != "bead":
        velocities = velocities.mean(axis=0)
        frame = None if frame is None else frame.centroid()
    if estimator == "centroid-apt":
        tensors = tensors.mean(axis=0)
    of_polarizability = tensors.ndim > velocities.ndim + 1
    rate = polarizability_rate if of_polarizability else dipole_rate
    found = rate(tensors, velocities, groups, frame)
    mean: FloatArray = found.mean(axis=0) if estimator == "bead" else found
    return mean


def _rate(
    tensors: FloatArray,
    velocities: FloatArray,
    groups: Groups | MotionGroups | None,
    frame: Frame | None,
) -> FloatArray:
    """Σᵢ tensors[i] @ v[i], (..., n_groups, k), of gradients (..., n_atoms, k, 3) of k numbers."""
    if isinstance(groups, MotionGroups):
        return groups.rates(tensors, velocities, _needed(frame))
    return _sum_by_group(np.einsum("...nab,...nb->...na", tensors, velocities), groups, frame)


def _needed(frame: Frame | None) -> Frame:
    if frame is None:
        raise InputError("groups by motion", "frame", "None", "where the atoms are")
    return frame


def _sum_by_group(values: FloatArray, groups: Groups | None, frame: Frame | None) -> FloatArray:
    """Sums (..., n_groups, k) over the atoms of each group of ``values`` (..., n_atoms, k)."""
    if groups is None:
        total: FloatArray = values.sum(axis=-2, keepdims=True)
        return total
    if groups.n_atoms != values.shape[-2]:
        raise InputError(
            "groups", "atoms", groups.n_atoms, f"{values.shape[-2]} as in the structure"
        )
    sums = np.zeros((*values.shape[:-2], len(groups), values.shape[-1]))
    # np.add.at works along the first axis: atoms and groups go there and back
    np.add.at(np.moveaxis(sums, -2, 0), groups.index_in(frame), np.moveaxis(values, -2, 0))
    return sums
