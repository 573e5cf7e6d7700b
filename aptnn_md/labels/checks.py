"""Checks of labels by rules that hold whatever the electrons do.

* Moving all atoms together moves the total charge and no polarizability: Σᵢ Pᵢ = Q·1 and
  Σᵢ ∂a/∂rᵢ = 0.
* Turning an isolated system turns its dipole and its polarizability: Σᵢ Pᵢ (ω × rᵢ) = ω × M, and
  the same for a with the turn of both its indices. These rules know which index of a tensor is
  the dipole's: a transposed tensor breaks them. Without a dipole (polarizability) it is asked
  whether there is any that they hold for.
* The polarizability is symmetric.
* Half the field gives the same tensors.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from ase import Atoms

from aptnn_md.arrays import FloatArray
from aptnn_md.errors import InputError
from aptnn_md.labels.schemes import Labels
from aptnn_md.tensors import LEVI_CIVITA, acoustic_sum, fitting_dipole, from_voigt, rotational_sum

LIMITS = {
    "acoustic_sum": 0.02,
    "rotational_sum": 0.02,
    "pgt_acoustic_sum": 0.05,
    "pgt_rotational_sum": 0.1,
    "asymmetry": 0.01,
    "apt_linearity": 0.005,
    "pgt_linearity": 0.05,
}
"""Largest figures of a label that is used: e, e Å, Å², Å³, fraction, e, Å²."""


def figures(labels: Labels, atoms: Atoms, charge: float) -> dict[str, float]:
    """What the rules leave over, for those that apply.

    Parameters
    ----------
    labels : of all atoms, or of some; sums are over all or not at all
    atoms : the structure
    charge : e

    Returns
    -------
    names as in :data:`LIMITS`, largest absolute components; the asymmetry of the polarizability as
    a fraction of its largest component
    """
    found: dict[str, float] = {}
    isolated = not any(atoms.pbc)
    if labels.apt is not None and np.isfinite(labels.apt).all():
        found["acoustic_sum"] = _largest(acoustic_sum(labels.apt, charge))
        if isolated:
            dipole = labels.dipole
            if dipole is None:
                dipole = fitting_dipole(labels.apt, atoms.positions)
            found["rotational_sum"] = _largest(rotational_sum(labels.apt, atoms.positions, dipole))
    if labels.pgt is not None and np.isfinite(labels.pgt).all():
        found["pgt_acoustic_sum"] = _largest(labels.pgt.sum(axis=0))
        if isolated:
            alpha = labels.polarizability
            if alpha is None:
                alpha = fitting_polarizability(labels.pgt, atoms.positions)
            found["pgt_rotational_sum"] = _largest(
                pgt_rotational_sum(labels.pgt, atoms.positions, alpha)
            )
    if labels.polarizability is not None:
        alpha = labels.polarizability
        found["asymmetry"] = _largest(alpha - alpha.T) / max(_largest(alpha), 1e-12)
    for name, value in labels.linearity.items():
        found[f"{name}_linearity"] = value
    return found


def pgt_rotational_sum(
    pgt: FloatArray, positions: FloatArray, polarizability: FloatArray
) -> FloatArray:
    """Σᵢ ∂a/∂rᵢ (ω × rᵢ) − (W a + a Wᵀ), W = ω×, for ω = x, y, z in the last index, (3, 3, 3), Å³.

    Parameters
    ----------
    pgt : (n_atoms, 3, 3, 3), Å²
    positions : (n_atoms, 3), Å
    polarizability : (3, 3), Å³
    """
    turned_atoms = np.einsum("ckd,id->ick", LEVI_CIVITA, positions)
    generator = LEVI_CIVITA.transpose(0, 2, 1)  # [a, b, k]: W_ab of ω = k
    turned = np.einsum("agk,gb->abk", generator, polarizability)
    turned = turned + np.einsum("ag,bgk->abk", polarizability, generator)
    residue: FloatArray = np.einsum("iabc,ick->abk", pgt, turned_atoms) - turned
    return residue


def fitting_polarizability(pgt: FloatArray, positions: FloatArray) -> FloatArray:
    """A polarizability (3, 3), Å³, that leaves least of :func:`pgt_rotational_sum`.

    Its trace is 0: turning an isotropic one changes nothing.
    """
    turned = pgt_rotational_sum(pgt, positions, np.zeros((3, 3))).ravel()
    still = np.zeros_like(pgt)
    of_components = [
        -pgt_rotational_sum(still, positions, component).ravel()
        for component in from_voigt(np.eye(6))
    ]
    best = np.linalg.lstsq(np.stack(of_components, axis=1), turned, rcond=None)[0]
    return from_voigt(np.asarray(best, dtype=np.float64))


def verdict(found: Mapping[str, float], limits: Mapping[str, float]) -> str:
    """Why labels with these figures are not used; empty when they are."""
    return "; ".join(
        f"{name} {value:.3g} above {limits[name]:g}"
        for name, value in found.items()
        if not value <= limits[name]
    )


def parse_limits(texts: list[str]) -> dict[str, float]:
    """:data:`LIMITS` with some changed by texts ``NAME=VALUE``.

    Raises
    ------
    InputError
        No such figure, or no number.
    """
    limits = dict(LIMITS)
    for text in texts:
        name, _, value = text.partition("=")
        try:
            limits[name] = float(value) if name in LIMITS else limits[name]
        except (KeyError, ValueError):
            raise InputError(
                "options", "--limit", repr(text), f"NAME=VALUE with a name of {', '.join(LIMITS)}"
            ) from None
    return limits


def _largest(values: FloatArray) -> float:
    return float(np.abs(values).max(initial=0.0))
