"""The tensors of an atom that a model may learn, each described once.

A target is the gradient of a property of the whole system, ∂X/∂r_i, so every target has a rate
Ẋ = Σᵢ tensors[i]·v[i]: the dipole rate of APTs, the polarizability rate of PGTs. Whatever depends
on which tensor it is stands in its :class:`Target`; adding one to :data:`TARGETS` is all that a new
tensor needs to be labelled, learned, predicted, streamed and correlated. Units and index order:
:mod:`aptnn_md.units`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from aptnn_md.arrays import FloatArray
from aptnn_md.errors import InputError
from aptnn_md.tensors import (
    acoustic_sum,
    gradient_parts,
    irreducible_parts,
    project_total_charge,
    project_translation,
    to_voigt,
)

_SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹", "0123456789")

Tensors: TypeAlias = dict[str, FloatArray]
"""Name of a target -> its tensors, the last axes (n_atoms, *shape). A model puts the members of
its committee in front, one for a single model; targets may have different numbers of members."""


@dataclass(frozen=True)
class Target:
    """A tensor of each atom, the gradient of a property of the system.

    Attributes
    ----------
    name : in files, options and streams, e.g. ``"apt"``; per-atom array of labelled files
    title : in sentences, e.g. ``"APT"``
    shape : of one atom's tensor, row-major in files; the last index is the displacement's
    unit : of the tensors
    index_symmetry : in e3nn's notation, every index a vector's, e.g. ``"ijk=jik"``
    ase_name : of the property in ASE calculators
    rate_name : of the rate, and of its arrays in streams, e.g. ``"dipole_rate"``
    rate_unit : of the rate
    rate_axis : name of the axis of the rate's components
    rate_components : names of the components
    rows : tensors (..., n_atoms, *shape) -> (..., n_atoms, n_components, 3), a row for each
        component of the rate: what is multiplied with velocities
    project : tensors (n_atoms, *shape) and the total charge, e -> those that obey the sum rule
    residue : the same arguments -> what is left over in the sum over atoms, (*shape)
    parts : tensors (..., *shape) -> irreducible parts, each (..., *shape); their sum is the tensor
    label_names : other names of labels in files; case, and what is no letter, do not matter
    """

    name: str
    title: str
    shape: tuple[int, ...]
    unit: str
    index_symmetry: str
    ase_name: str
    rate_name: str
    rate_unit: str
    rate_axis: str
    rate_components: tuple[str, ...]
    rows: Callable[[FloatArray], FloatArray]
    project: Callable[[FloatArray, float], FloatArray]
    residue: Callable[[FloatArray, float], FloatArray]
    parts: Callable[[FloatArray], dict[str, FloatArray]]
    label_names: tuple[str, ...] = ()

    @property
    def rate_powers(self) -> dict[str, int]:
        """Units in ``rate_unit`` -> their powers: ``{"Å": 3, "fs": -1}`` for ``"Å³/fs"``.

        Raises
        ------
        InputError
            Something else than powers of e, Å and fs.
        """
        powers: dict[str, int] = {}
        above, _, below = self.rate_unit.partition("/")
        for part, sign in ((above, 1), (below, -1)):
            for word in part.split():
                name = word.rstrip("⁰¹²³⁴⁵⁶⁷⁸⁹")
                power = word[len(name) :].translate(_SUPERSCRIPTS)
                if name == "1":
                    continue
                if name not in ("e", "Å", "fs"):
                    raise InputError(self.title, "rate_unit", self.rate_unit, "powers of e, Å, fs")
                powers[name] = powers.get(name, 0) + sign * int(power or 1)
        return powers

    @property
    def n_columns(self) -> int:
        """Numbers of an atom in a file: 9 for APTs, 27 for PGTs."""
        return int(np.prod(self.shape))

    @property
    def n_components(self) -> int:
        """Components of the rate: 3 for dipoles, 6 for polarizabilities."""
        return len(self.rate_components)

    def check(self, where: object, tensors: FloatArray, n_atoms: int) -> FloatArray:
        """The tensors as they are, if their last axes are (n_atoms, *shape).

        Raises
        ------
        InputError
            Another shape.
        """
        expected = (n_atoms, *self.shape)
        if tensors.shape[-len(expected) :] != expected:
            raise InputError(where, self.name, f"shape {tensors.shape}", f"(..., {expected})")
        return tensors


def _pgt_rows(pgt: FloatArray) -> FloatArray:
    return np.swapaxes(to_voigt(np.moveaxis(pgt, -1, -3)), -1, -2)


def _sum_of_atoms(tensors: FloatArray, total_charge: float) -> FloatArray:
    residue: FloatArray = tensors.sum(axis=0)
    return residue


APT = Target(
    name="apt",
    title="APT",
    shape=(3, 3),
    unit="e",
    index_symmetry="ij",
    ase_name="born_effective_charges",
    rate_name="dipole_rate",
    rate_unit="e Å/fs",
    rate_axis="axis",
    rate_components=("x", "y", "z"),
    rows=lambda apt: apt,
    project=project_total_charge,
    residue=acoustic_sum,
    parts=irreducible_parts,
    label_names=(
        *("apts", "atomic_polar_tensor", "atomic_polar_tensors", "born_effective_charge"),
        *("born_charge", "born_charges", "bec", "becs", "zstar"),
    ),
)
"""Atomic polar tensor ``apt[i, α, β] = ∂M_α/∂r_iβ``; Σᵢ Pᵢ = Q·1."""

PGT = Target(
    name="pgt",
    title="PGT",
    shape=(3, 3, 3),
    unit="Å²",
    index_symmetry="ijk=jik",
    ase_name="polarizability_gradients",
    rate_name="polarizability_rate",
    rate_unit="Å³/fs",
    rate_axis="component",
    rate_components=("xx", "yy", "zz", "yz", "xz", "xy"),
    rows=_pgt_rows,
    project=lambda pgt, total_charge: project_translation(pgt),
    residue=_sum_of_atoms,
    parts=gradient_parts,
    label_names=("pgts", "polarizability_gradient"),
)
"""Polarizability gradient tensor ``pgt[i, α, β, γ] = ∂a_αβ/∂r_iγ``; Σᵢ pgt[i] = 0."""

TARGETS: dict[str, Target] = {target.name: target for target in (APT, PGT)}
"""Name of a target -> the target, in the order in which they are listed everywhere."""


def targets_of(names: str | Sequence[str], where: object = "model") -> tuple[Target, ...]:
    """Targets by name: ``"apt"``, ``"apt+pgt"`` or a sequence of names, each once.

    Raises
    ------
    InputError
        A name that is none of :data:`TARGETS`, or one that stands there twice.
    """
    given = tuple(names.split("+")) if isinstance(names, str) else tuple(names)
    if not given or not set(given) <= set(TARGETS) or len(set(given)) < len(given):
        found = repr(names if isinstance(names, str) else "+".join(given))
        expected = f"{', '.join(TARGETS)} or {'+'.join(TARGETS)}"
        raise InputError(where, "target", found, expected)
    return tuple(TARGETS[name] for name in given)


def mean_of_members(tensors: Mapping[str, FloatArray]) -> Tensors:
    """Committee mean of each target: the first axis is taken out."""
    return {name: members.mean(axis=0) for name, members in tensors.items()}
