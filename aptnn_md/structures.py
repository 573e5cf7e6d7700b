"""What an ``ase.Atoms`` object says besides where its atoms are, read in one place.

* Charge: :func:`charge_of` and :func:`total_charge`.
* Constraints: :class:`Mobility`, which atoms can move and how many degrees of freedom remain.
* Whether it can be at all: :mod:`aptnn_md.structure_checks`.

Files are read in :mod:`aptnn_md.structure_files`, which takes over masses and velocities
(:mod:`aptnn_md.structure_columns`); labels are found in :mod:`aptnn_md.structure_labels`.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any

import numpy as np
from ase import Atoms
from ase.constraints import (
    FixAtoms,
    FixBondLengths,
    FixCartesian,
    FixCom,
    FixedLine,
    FixedPlane,
    FixInternals,
    FixLinearTriatomic,
    FixScaled,
    Hookean,
)

from aptnn_md.arrays import FloatArray
from aptnn_md.errors import InputError

CHARGE_KEYS = ("charge", "totalcharge", "netcharge", "systemcharge", "totcharge")
"""Entries of ``atoms.info`` that are the charge of the structure, whatever their case and
underscores: ``charge``, ``total_charge``, ``net_charge``, ..."""

SAME_CHARGE = 1e-6
"""e."""

_BY_INITIAL_CHARGES = ("TBLite", "XTB", "Gaussian", "MOPAC")
"""Calculators that, without a charge of their own, take the sum of the initial charges of the
atoms: tblite's and those of xtb-python and ASE."""

# ---------------------------------------------------------------------- charge


def charge_of(atoms: Atoms, default: float | None = None, calculator: Any = None) -> float | None:
    """Charge of a structure, e, from what the structure itself says.

    Sources, all of which must agree: entries of ``atoms.info`` named as in :data:`CHARGE_KEYS`, and
    that for which the calculator computes (:func:`calculator_charge`). Initial charges of atoms are
    parameters of many a force field, and do not count but where the calculator takes them.

    Parameters
    ----------
    atoms : the structure
    default : what is returned where it does not say
    calculator : that will be asked; None: that of the structure

    Raises
    ------
    InputError
        Sources that disagree, or a charge that is no finite number.
    """
    found = stated_charges(atoms)
    calculator = atoms.calc if calculator is None else calculator
    of_calculator = calculator_charge(calculator, atoms)
    if of_calculator is not None:
        found[f"the calculator {type(calculator).__name__}"] = of_calculator
    if not found:
        return default
    first_name, first = next(iter(found.items()))
    for name, value in found.items():
        if abs(value - first) > SAME_CHARGE:
            raise InputError(
                atoms.get_chemical_formula(),
                "charge",
                f"{first:g} e by {first_name} and {value:g} e by {name}",
                "one charge: correct or remove one of the two; a calculator has it as a parameter, "
                f"charge={first:g} or the like",
            )
    return first


def total_charge(atoms: Atoms, option: float | None = None, named: str = "--total-charge") -> float:
    """Charge of a structure, e: its own, or ``option`` where it has none, or 0.

    ``named`` is how the user gives the option.

    Raises
    ------
    InputError
        The structure and the option disagree, or see :func:`charge_of`.
    """
    own = charge_of(atoms)
    if own is None:
        return 0.0 if option is None else float(option)
    if option is not None and abs(own - option) > SAME_CHARGE:
        source = "in the structure"
        expected = f"the same charge; leave the option ({named}) out to use the structure's"
        if not stated_charges(atoms):
            source = f"by the calculator {type(innermost(atoms.calc)).__name__}"
            expected = (
                f"the same charge: charge={option:g} among the calculator's parameters (after "
            )
            expected += "its name on the command line)"
        found = f"{own:g} e {source} and {option:g} e as total charge"
        raise InputError(atoms.get_chemical_formula(), "charge", found, expected)
    return own


def charge_is_said(atoms: Atoms) -> bool:
    """Whether somebody says the charge of a structure: itself, or its calculator by a parameter or
    by initial charges. That tblite computes for 0 e where nothing else is given is no statement."""
    calculator = innermost(atoms.calc)
    if stated_charges(atoms) or calculator_charge(calculator) is not None:
        return True
    by_initial = type(calculator).__name__ in _BY_INITIAL_CHARGES
    return by_initial and bool(atoms.get_initial_charges().any())


def calculator_charge(calculator: Any, atoms: Atoms | None = None) -> float | None:
    """Charge that an ASE calculator computes with, e; None where it does not say.

    Read from its parameters or attributes ``charge``, ``total_charge`` or ``net_charge``; of a
    calculator around another one, ``calculator.potential``, from that. Some have none, and then
    take the sum of the initial charges of ``atoms``.
    """
    calculator = innermost(calculator)
    parameters = getattr(calculator, "parameters", None) or {}
    for name in ("charge", "total_charge", "net_charge"):
        for value in (_entry(parameters, name), getattr(calculator, name, None)):
            number = None if isinstance(value, bool) else _number(value)
            if number is not None:
                return number
    if atoms is not None and type(calculator).__name__ in _BY_INITIAL_CHARGES:
        return float(atoms.get_initial_charges().sum())
    return None


def innermost(calculator: Any) -> Any:
    """The calculator inside of others, ``calculator.potential``."""
    while (inner := getattr(calculator, "potential", None)) is not None:
        calculator = inner
    return calculator


def plain_key(key: object) -> str:
    """Name of an entry without case, underscores and the like."""
    return re.sub("[^a-z]", "", str(key).lower())


def is_charge_key(key: object) -> bool:
    """Whether an entry of this name is the charge of a structure."""
    return plain_key(key) in CHARGE_KEYS


def stated_charges(atoms: Atoms) -> dict[str, float]:
    """Charges that a structure states, e, each by where it stands; the calculator's is not asked.

    Raises
    ------
    InputError
        A charge that is no finite number.
    """
    charges = {}
    for key, value in atoms.info.items():
        if is_charge_key(key):
            number = _number(value)
            if number is None:
                found, expected = repr(value), "a finite number, e"
                raise InputError(atoms.get_chemical_formula(), str(key), found, expected)
            charges[f"'{key}' of the frame"] = number
    return charges


def _entry(parameters: Any, name: str) -> Any:
    try:
        return parameters.get(name)
    except (AttributeError, TypeError):
        return None


def _number(value: Any) -> float | None:
    try:
        number = float(np.asarray(value, dtype=np.float64).reshape(()))
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None


# ---------------------------------------------------------------------- constraints


@dataclass(frozen=True, eq=False)
class Mobility:
    """What the constraints of a structure let move.

    Attributes
    ----------
    projectors : (n_atoms, 3, 3), onto the directions in which each atom can move
    mass_fractions : (n_atoms, 3), of what moves in each direction, where its centre of mass is
        held; else None
    n_coupled : degrees of freedom that constraints between atoms take, such as rigid bonds
    unaccounted : names of constraints because of which velocities of atoms are not independent
        of each other, or of which nothing is known
    centre_is_free : whether nothing holds the centre of mass, or acts on it: atoms can move by
        themselves, but for constraints of their distances
    """

    projectors: FloatArray
    mass_fractions: FloatArray | None
    n_coupled: int
    unaccounted: tuple[str, ...]
    centre_is_free: bool = False

    @classmethod
    def of(cls, atoms: Atoms) -> Mobility:
        """Read the constraints of ``atoms``.

        ``FixAtoms``, ``FixCartesian``, ``FixScaled``, ``FixedPlane`` and ``FixedLine`` take
        directions away from atoms; ``FixCom`` holds the centre of mass. Of all others only the
        number of degrees of freedom is known, as ASE counts them.
        """
        projectors = np.tile(np.eye(3), (len(atoms), 1, 1))
        held, n_coupled, unaccounted = False, 0, []
        for constraint in atoms.constraints:
            name = type(constraint).__name__
            of_atom = _projector(constraint, atoms)
            if of_atom is not None:
                index = np.atleast_1d(constraint.index)
                products = projectors[index] @ of_atom
                if not np.allclose(products, products.swapaxes(1, 2)):
                    unaccounted.append(name)  # two oblique constraints on one atom
                projectors[index] = products
            elif isinstance(constraint, FixCom) and _of_all(constraint, atoms):
                held = True
            else:
                removed = _removed(constraint, atoms)
                n_coupled += removed or 0
                if removed != 0:
                    unaccounted.append(name)
        if held and not np.allclose(projectors, np.eye(3)):
            unaccounted.append("FixCom with fixed atoms")
        masses = np.asarray(atoms.get_masses(), dtype=np.float64)
        fractions = np.tile(masses[:, None] / masses.sum(), 3) if held else None
        free = all(_is_internal(constraint) for constraint in atoms.constraints)
        return cls(projectors, fractions, n_coupled, tuple(dict.fromkeys(unaccounted)), free)

    @property
    def is_free(self) -> bool:
        """Whether nothing but the centre of mass is constrained."""
        return not self.unaccounted and bool(np.allclose(self.projectors, np.eye(3)))

    @property
    def atoms(self) -> FloatArray:
        """Degrees of freedom of each atom, (n_atoms,): 3 where it is free, 0 where it is fixed.

        Constraints between atoms, and a centre of mass that is held, are not in them.
        """
        freedom: FloatArray = np.trace(self.projectors, axis1=1, axis2=2)
        return freedom

    @property
    def degrees_of_freedom(self) -> float:
        """Of the whole structure: what carries its temperature."""
        centre = 0 if self.mass_fractions is None else self.mass_fractions.any(axis=0).sum()
        return float(self.atoms.sum()) - self.n_coupled - float(centre)

    def allowed(self, velocities: FloatArray) -> FloatArray:
        """Velocities (..., n_atoms, 3) without those in directions that are fixed.

        Engines keep the velocities that fixed atoms had before, and files have them.
        """
        along: FloatArray = np.einsum("iab,...ib->...ia", self.projectors, velocities)
        return along

    def restrict(self, apt: FloatArray) -> FloatArray:
        """Tensors that act on velocities of free atoms as ``apt`` on those that there are.

        With them Σᵢ |Pᵢ|²/mᵢ is the strength of what can move: directions that are fixed are taken
        out, and with the centre of mass of the rest held Pᵢ − (mᵢ/M) Σⱼ Pⱼ takes the place of Pᵢ,
        which is the same where Σⱼ Pⱼ = 0. Of a ring polymer the centroid is held, so there the sum
        is the mean of those of the beads.

        Parameters
        ----------
        apt : (n_beads, n_atoms, 3, 3), e; row = dipole, column = displacement
        """
        restricted: FloatArray = apt @ self.projectors
        if self.mass_fractions is not None:
            total = restricted.sum(axis=-3, keepdims=True).mean(axis=0, keepdims=True)
            restricted = restricted - self.mass_fractions[:, None, :] * total
        return restricted

    def summary(self) -> str:
        """What is constrained, in words; empty where nothing is."""
        freedom = self.atoms
        parts = []
        if n_fixed := int((freedom < 0.5).sum()):
            parts.append(f"{n_fixed} of {len(freedom)} atoms fixed")
        if n_partly := int(((freedom > 0.5) & (freedom < 2.5)).sum()):
            parts.append(f"{n_partly} atoms fixed in some directions")
        if self.mass_fractions is not None:
            parts.append("centre of mass held")
        if self.unaccounted:
            parts.append(f"{', '.join(self.unaccounted)} ({self.n_coupled} degrees of freedom)")
        return "; ".join(parts)


def mobile(atoms: Atoms) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """(n_atoms,) of bool: which atoms can move in some direction."""
    return np.asarray(Mobility.of(atoms).atoms > 0.5)


def degrees_of_freedom(atoms: Atoms) -> float:
    """Degrees of freedom that the constraints of ``atoms`` leave."""
    return Mobility.of(atoms).degrees_of_freedom


def _projector(constraint: Any, atoms: Atoms) -> FloatArray | None:
    """Projector (3, 3) onto what an atom can do; None where atoms are coupled."""
    if isinstance(constraint, FixAtoms):
        return np.zeros((3, 3))
    if isinstance(constraint, FixCartesian):
        return np.asarray(np.diag(np.where(constraint.mask, 0.0, 1.0)))
    if isinstance(constraint, FixedPlane):
        return np.asarray(np.eye(3) - np.outer(constraint.dir, constraint.dir))
    if isinstance(constraint, FixedLine):
        return np.asarray(np.outer(constraint.dir, constraint.dir))
    if isinstance(constraint, FixScaled):
        free = atoms.cell.array[~np.asarray(constraint.mask, dtype=bool)]
        basis = np.linalg.qr(free.T)[0] if len(free) else np.zeros((3, 0))
        return np.asarray(basis @ basis.T)
    return None


def _is_internal(constraint: Any) -> bool:
    """Whether it acts on distances of atoms alone, and so not on their centre of mass."""
    if isinstance(constraint, Hookean):
        return hasattr(constraint, "indices")  # of two atoms, not of one and a point or a plane
    return isinstance(constraint, FixBondLengths | FixInternals | FixLinearTriatomic)


def _of_all(constraint: Any, atoms: Atoms) -> bool:
    indices = np.arange(len(atoms))[constraint.index]
    return len(np.unique(indices)) == len(atoms)


def _removed(constraint: Any, atoms: Atoms) -> int | None:
    """Degrees of freedom by ASE's count; None where it does not say."""
    try:
        return int(constraint.get_removed_dof(atoms))
    except (NotImplementedError, AttributeError):
        return None
