"""Atomic tensors as such: irreducible parts and sum rules of APTs and PGTs. numpy only.

An APT has nine components: one of l = 0 (its trace), three of l = 1 (its antisymmetric part) and
five of l = 2 (its symmetric traceless part). Index order: :mod:`aptnn_md.units`.

Symmetric tensors, e.g. polarizabilities and their rates, are kept as six components in the order
of :data:`VOIGT`.
"""

from __future__ import annotations

import numpy as np

from aptnn_md.arrays import FloatArray

VOIGT = ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))
"""The six components of a symmetric tensor: xx, yy, zz, yz, xz, xy, as ASE orders stress. They are
the tensor's own components: nothing is scaled by 2 or √2."""

_ROWS = [row for row, _ in VOIGT]
_COLUMNS = [column for _, column in VOIGT]


def to_voigt(tensors: FloatArray) -> FloatArray:
    """Six components of symmetric tensors, (..., 3, 3) -> (..., 6); see :data:`VOIGT`.

    Of a tensor that is not symmetric, its symmetric part.
    """
    symmetric = 0.5 * (tensors + np.swapaxes(tensors, -1, -2))
    components: FloatArray = symmetric[..., _ROWS, _COLUMNS]
    return components


def from_voigt(components: FloatArray) -> FloatArray:
    """The symmetric tensors that six components stand for, (..., 6) -> (..., 3, 3)."""
    tensors = np.empty((*components.shape[:-1], 3, 3))
    tensors[..., _ROWS, _COLUMNS] = components
    tensors[..., _COLUMNS, _ROWS] = components
    return tensors


def irreducible_parts(tensors: FloatArray) -> dict[str, FloatArray]:
    """The parts l = 0, 1, 2 of Cartesian tensors; their sum is the tensor.

    Parameters
    ----------
    tensors : (..., 3, 3)

    Returns
    -------
    ``{"0e": isotropic, "1e": antisymmetric, "2e": symmetric traceless}``, each (..., 3, 3)
    """
    transposed = np.swapaxes(tensors, -1, -2)
    trace = np.trace(tensors, axis1=-2, axis2=-1)[..., None, None]
    isotropic = trace * np.eye(3) / 3.0
    antisymmetric = 0.5 * (tensors - transposed)
    return {
        "0e": isotropic,
        "1e": antisymmetric,
        "2e": 0.5 * (tensors + transposed) - isotropic,
    }


def acoustic_sum(apt: FloatArray, total_charge: float = 0.0) -> FloatArray:
    """Residue of the acoustic sum rule, Σᵢ Pᵢ − Q·1, (3, 3), e.

    Moving all atoms together moves the total charge: Σᵢ ∂M/∂rᵢ = Q·1.
    """
    residue: FloatArray = apt.sum(axis=0) - total_charge * np.eye(3)
    return residue


def project_total_charge(apt: FloatArray, total_charge: float = 0.0) -> FloatArray:
    """Take the mean residue out of every atom, so that Σᵢ Pᵢ = Q·1 holds, (n_atoms, 3, 3), e."""
    return apt - acoustic_sum(apt, total_charge) / len(apt)


def project_translation(pgt: FloatArray) -> FloatArray:
    """Take the mean out of every atom, so that Σᵢ pgt[i] = 0 holds, (n_atoms, 3, 3, 3), Å².

    Moving all atoms together changes no polarizability: Σᵢ ∂a/∂rᵢ = 0.
    """
    return pgt - pgt.mean(axis=0)
