"""Contractions of atomic tensors with velocities: the rates Ṁ and ȧ, and the f-sum.

Thin functions for arrays at hand. Units and index order: :mod:`aptnn_md.units`; the six components
of ȧ are those of :data:`aptnn_md.tensors.VOIGT`. Rates of path integrals:
:mod:`aptnn_md.stream.frame`.
"""

from __future__ import annotations

import numpy as np

from aptnn_md.arrays import FloatArray
from aptnn_md.atoms.partition import Partition
from aptnn_md.atoms.snapshot import Snapshot
from aptnn_md.errors import InputError
from aptnn_md.targets import APT, PGT, Target


def rate(
    target: Target,
    tensors: FloatArray,
    velocities: FloatArray,
    partition: Partition | None = None,
    snapshot: Snapshot | None = None,
) -> FloatArray:
    """Rate Σᵢ tensors[i]·v[i] of the property whose gradient the tensors are.

    Parameters
    ----------
    target : what the tensors are
    tensors : (..., n_atoms, *target.shape); the last index is that of the displacement
    velocities : (..., n_atoms, 3), Å/fs
    partition : groups of atoms, or their motions; default: one group of all
    snapshot : where the atoms are; motions and moving selections need it

    Returns
    -------
    (..., n_groups, target.n_components) in ``target.rate_unit``; the sum over groups is the total

    Raises
    ------
    InputError
        Shapes that do not belong together, or no snapshot where it is needed.
    """
    expected = (*velocities.shape[-2:-1], *target.shape)
    if velocities.shape[-1:] != (3,) or tensors.shape[-len(expected) :] != expected:
        name = target.rate_name.replace("_", " ")
        wanted = f"{expected} for velocities of shape {velocities.shape}"
        raise InputError(name, target.name, f"shape {tensors.shape}", wanted)
    rows = target.rows(tensors)
    if partition is not None:
        return partition.rates(rows, velocities, snapshot)
    total: FloatArray = np.einsum("...nab,...nb->...a", rows, velocities)[..., None, :]
    return total


def dipole_rate(
    apt: FloatArray,
    velocities: FloatArray,
    partition: Partition | None = None,
    snapshot: Snapshot | None = None,
) -> FloatArray:
    """Dipole rate Ṁ = Σᵢ apt[i] @ v[i] of each group, (..., n_groups, 3), e Å/fs; see :func:`rate`.

    Parameters
    ----------
    apt : (..., n_atoms, 3, 3), e; row = dipole, column = displacement
    velocities, partition, snapshot : see :func:`rate`
    """
    return rate(APT, apt, velocities, partition, snapshot)


def polarizability_rate(
    pgt: FloatArray,
    velocities: FloatArray,
    partition: Partition | None = None,
    snapshot: Snapshot | None = None,
) -> FloatArray:
    """Polarizability rate ȧ_αβ = Σᵢγ pgt[i, α, β, γ] v[i, γ] of each group, (..., n_groups, 6),
    Å³/fs, components xx, yy, zz, yz, xz, xy; see :func:`rate`.

    Parameters
    ----------
    pgt : (..., n_atoms, 3, 3, 3), Å², the last index that of the displacement
    velocities, partition, snapshot : see :func:`rate`
    """
    return rate(PGT, pgt, velocities, partition, snapshot)


def f_sum(
    apt: FloatArray,
    masses: FloatArray,
    partition: Partition | None = None,
    snapshot: Snapshot | None = None,
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
    partition, snapshot : see :func:`rate`

    Returns
    -------
    (..., n_groups), e²/amu

    Raises
    ------
    InputError
        No snapshot, or other masses, for groups of motions.
    """
    if partition is not None:
        return partition.f_sums(apt, masses, snapshot)
    of_atoms = np.einsum("...nab,...nab->...n", apt, apt) / (3.0 * masses)
    total: FloatArray = of_atoms.sum(axis=-1, keepdims=True)
    return total
