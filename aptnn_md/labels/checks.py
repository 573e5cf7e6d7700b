"""Checks of labels by exact rules, which hold for any electronic structure.

* Moving all atoms together moves the total charge and no polarizability: Σᵢ Pᵢ = Q·1 and
  Σᵢ ∂a/∂rᵢ = 0.
* Turning an isolated system turns its dipole and its polarizability: Σᵢ Pᵢ (ω × rᵢ) = ω × M, and
  the same for a with the turn of both its indices. These rules know which index of a tensor is
  the dipole's: a transposed tensor breaks them. Without a dipole (polarizability) the one that
  fits best is taken.
* The polarizability is symmetric.
* Half the field gives the same tensors.
* Tensors have the size that tensors of atoms have.

Sums over atoms grow with the system, so their limits do, too. Errors of translational sums are
mostly systematic (grids, k-points, basis sets): the same cell repeated eight times has eight times
the residue. Their limit is therefore per atom: the residue divided by the number of atoms is also
what the sum rule, once imposed, subtracts from each tensor. Rotational sums exist for isolated
systems only, which are never repeated; there the independent errors of the atoms are what counts,
and their sum grows with the square root of the number of atoms. A wrong total charge of an isolated
system is seen at any size: tensors that sum to another whole charge than the frame's are refused.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from ase import Atoms

from aptnn_md.arrays import FloatArray
from aptnn_md.errors import InputError
from aptnn_md.labels.frame_labels import Labels
from aptnn_md.targets import APT, PGT, TARGETS, Target
from aptnn_md.tensors import LEVI_CIVITA, fitting_dipole, from_voigt, rotational_sum

LIMITS = {
    "acoustic_sum": 0.02,
    "rotational_sum": 0.02,
    "pgt_acoustic_sum": 0.05,
    "pgt_rotational_sum": 0.1,
    "asymmetry": 0.01,
    "apt_linearity": 0.005,
    "pgt_linearity": 0.05,
    "magnitude": 20.0,
    "pgt_magnitude": 500.0,
    "charge_mismatch": 0.5,
}
"""Largest figures of a label that is used: e per atom, e Å per √atom, Å² per atom, Å³ per √atom,
fraction, e, Å², e, Å², e."""

_SAME_AS_WHOLE_CHARGE = 0.1
"""e: how near a residue must be to a whole charge to be taken for one."""


@dataclass(frozen=True)
class _Rotation:
    """What turning an isolated system says about a target.

    Attributes
    ----------
    rotates : attribute of :class:`~aptnn_md.labels.frame_labels.Labels` that rotates along
    residue : tensors, positions and it -> what is left over
    fitted : tensors and positions -> the one that fits best
    """

    rotates: str
    residue: Callable[[FloatArray, FloatArray, FloatArray], FloatArray]
    fitted: Callable[[FloatArray, FloatArray], FloatArray]


def figures(labels: Labels, atoms: Atoms, charge: float) -> dict[str, float]:
    """What the rules leave over, for those that apply.

    Parameters
    ----------
    labels : of all atoms, or of some; sums are over all or not at all
    atoms : the structure
    charge : e

    Returns
    -------
    names as in :data:`LIMITS`, largest absolute components, sums over all atoms; the asymmetry of
    the polarizability as a fraction of its largest component
    """
    found: dict[str, float] = {}
    for name, tensors in labels.tensors.items():
        target, prefix = TARGETS[name], _prefix(name)
        if np.isfinite(tensors).all():
            found[f"{prefix}acoustic_sum"] = _largest(target.residue(tensors, charge))
            rotation = ROTATIONS.get(name)
            if rotation is not None and not any(atoms.pbc):
                turned = getattr(labels, rotation.rotates)
                if turned is None:
                    turned = rotation.fitted(tensors, atoms.positions)
                residue = rotation.residue(tensors, atoms.positions, turned)
                found[f"{prefix}rotational_sum"] = _largest(residue)
    if labels.polarizability is not None:
        alpha = labels.polarizability
        found["asymmetry"] = _largest(alpha - alpha.T) / max(_largest(alpha), 1e-12)
    for name, value in labels.linearity.items():
        found[f"{name}_linearity"] = value
    for name, tensors in labels.tensors.items():
        if np.isfinite(tensors).any():
            found[f"{_prefix(name)}magnitude"] = float(np.nanmax(np.abs(tensors)))
        other = _other_charge(TARGETS[name], tensors, atoms, charge)
        if other:
            found["charge_mismatch"] = abs(other)
    return found


def _prefix(target: str) -> str:
    return "" if target == APT.name else f"{target}_"


def _other_charge(target: Target, tensors: FloatArray, atoms: Atoms, charge: float) -> int:
    """The whole charge, e, by which the tensors' sum differs from that of the structure; 0 when it
    is no whole charge, and for crystals, where a large cell may have any residue."""
    if target is not APT or any(atoms.pbc) or not np.isfinite(tensors).all():
        return 0
    residue = target.residue(tensors, charge)
    whole = round(float(np.trace(residue)) / 3.0)
    return whole if _largest(residue - whole * np.eye(3)) < _SAME_AS_WHOLE_CHARGE else 0


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
    """A polarizability (3, 3), Å³, that makes :func:`pgt_rotational_sum` smallest.

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


ROTATIONS = {
    APT.name: _Rotation("dipole", rotational_sum, fitting_dipole),
    PGT.name: _Rotation("polarizability", pgt_rotational_sum, fitting_polarizability),
}
"""Target -> what turning an isolated system says about it."""


def scale(name: str, n_atoms: int) -> float:
    """What the limit of a figure is multiplied with: the number of atoms for translational sums,
    its square root for rotational ones, 1 for others."""
    if name.endswith("acoustic_sum"):
        return float(n_atoms)
    return math.sqrt(n_atoms) if name.endswith("rotational_sum") else 1.0


def verdict(
    found: Mapping[str, float],
    limits: Mapping[str, float],
    n_atoms: int,
    places: Mapping[str, str] | None = None,
) -> str:
    """Why labels with these figures are not used; empty when they are.

    Parameters
    ----------
    found : figures
    limits : as :data:`LIMITS`
    n_atoms : of the frame
    places : name of a figure -> where in the frame it comes from, e.g. ``" on atom 3 (O)"``
    """
    reasons = []
    for name, value in found.items():
        factor = scale(name, n_atoms)
        if value <= limits[name] * factor:
            continue
        text = f"{name} {value:.3g} above {limits[name]:g}"
        if name.endswith("acoustic_sum"):
            text += f" for each of {n_atoms} atoms"
        elif name.endswith("rotational_sum"):
            text += f" times the root of {n_atoms} atoms"
        if places and name in places:
            text += places[name]
        enough = value / factor
        if math.isfinite(enough):
            text += f" (--limit {name}={_rounded_up(enough)} accepts it)"
        reasons.append(text)
    return "; ".join(reasons)


def places(labels: Labels, atoms: Atoms, charge: float) -> dict[str, str]:
    """Where figures of a frame come from, for :func:`verdict`: the atom with the largest tensor,
    the atom whose tensor departs most from the others of its element, the charge that the tensors
    sum to."""
    found = {}
    for name, tensors in labels.tensors.items():
        finite = np.isfinite(tensors.reshape(len(atoms), -1)).all(axis=1)
        if not finite.any():
            continue
        prefix = _prefix(name)
        size = np.where(finite, np.abs(tensors.reshape(len(atoms), -1)).max(axis=1), -1.0)
        found[f"{prefix}magnitude"] = f" on {_named(atoms, int(size.argmax()))}"
        other = _other_charge(TARGETS[name], tensors, atoms, charge)
        if other:
            sum_of = f"the tensors sum to the charge {charge + other:g}, the frame has {charge:g}"
            found["charge_mismatch"] = f": {sum_of}; give it as charge in the frame or by --charge"
        if name == APT.name and finite.all() and not any(atoms.pbc):
            transposed = tensors.transpose(0, 2, 1)
            residue = rotational_sum(
                transposed, atoms.positions, fitting_dipole(transposed, atoms.positions)
            )
            limit = LIMITS["rotational_sum"] * scale("rotational_sum", len(atoms))
            if _largest(residue) <= limit:
                found["rotational_sum"] = ", and the transposed tensors obey it: index order?"
        if finite.all():
            residue = TARGETS[name].residue(tensors, charge)
            odd = _odd_one(tensors, atoms, 0.5 * _largest(residue))
            if odd is not None:
                which = _named(atoms, odd)
                found[f"{prefix}acoustic_sum"] = f", {which} departs most from its element's others"
    return found


def _odd_one(tensors: FloatArray, atoms: Atoms, least: float) -> int | None:
    """The atom that departs most, and more than ``least``, from the median of its element; None
    where there is none, or no element has three atoms."""
    departure = np.zeros(len(atoms))
    for number in np.unique(atoms.numbers):
        of_element = atoms.numbers == number
        if of_element.sum() > 2:
            same = tensors[of_element].reshape(int(of_element.sum()), -1)
            departure[of_element] = np.abs(same - np.median(same, axis=0)).max(axis=1)
    return int(departure.argmax()) if departure.max() > least else None


def _named(atoms: Atoms, atom: int) -> str:
    return f"atom {atom} ({atoms.symbols[atom]})"


def _rounded_up(value: float) -> str:
    """A number of two digits that is not smaller."""
    step = 10.0 ** (math.floor(math.log10(value)) - 1)
    return f"{math.ceil(value / step) * step:.3g}"


def parse_limits(texts: list[str]) -> dict[str, float]:
    """:data:`LIMITS` with some changed by texts ``NAME=VALUE``.

    Raises
    ------
    InputError
        No such figure, or a value that is negative or no number.
    """
    limits = dict(LIMITS)
    for text in texts:
        name, _, value = text.partition("=")
        try:
            number = float(value)
        except ValueError:
            number = math.nan
        if name not in LIMITS or not number >= 0.0:
            names = ", ".join(LIMITS)
            raise InputError(
                "options", "--limit", repr(text), f"NAME=VALUE, 0 or more, with a name of {names}"
            )
        limits[name] = number
    return limits


def _largest(values: FloatArray) -> float:
    return float(np.abs(values).max(initial=0.0))
