"""An ASE calculator that knows the dipole of molecules as a model: APTs by finite differences."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import numpy as np
from ase import Atoms
from ase.calculators.calculator import BaseCalculator

from aptnn_md.arrays import FloatArray
from aptnn_md.dipole_checks import refuse_debye, say_unit
from aptnn_md.errors import InputError, RunError, raised_by
from aptnn_md.prediction.calls import DirectCalls
from aptnn_md.prediction.interface import checked_tensors
from aptnn_md.prediction.sum_rule import with_charge
from aptnn_md.structures import calculator_charge, total_charge
from aptnn_md.targets import APT, Tensors

DISPLACEMENT = 0.01
"""Å, of an atom to both sides: its error of second order, 1e-4 e for H₃O⁺ by tblite, is below that
of dipoles which converged as far as tblite lets them by default, 7e-4 e."""


class DipoleCalculatorModel(DirectCalls):
    """APTs of a calculator's ``dipole`` (e Å), by central differences of 6 evaluations an atom.

    For molecules in open space: in a periodic cell the dipole has many branches.

    Parameters
    ----------
    calculator : with ``dipole`` among its ``implemented_properties``, in e Å as ASE means it,
        about an origin that does not move with the atoms if the molecule has a charge. It should
        not be the one that moves the atoms, which would compute its forces anew
    displacement : Å, of each atom to both sides
    total_charge : Q, e, of structures that do not say their own; None: the calculator's, or 0
    neutral : take what is left of Σᵢ Pᵢ - Q·1, which is rounding, out of the APTs, and refuse a
        structure where it is more (:func:`aptnn_md.prediction.sum_rule.with_charge`)

    Raises
    ------
    InputError
        A calculator without dipoles, or of MACE, whose dipoles are in debye.
    """

    def __init__(
        self,
        calculator: BaseCalculator,
        *,
        displacement: float = DISPLACEMENT,
        total_charge: float | None = None,
        neutral: bool = True,
    ) -> None:
        self.calculator, self.displacement = calculator, displacement
        self.name = str(getattr(calculator, "name", None) or type(calculator).__name__)
        if "dipole" not in getattr(calculator, "implemented_properties", ()):
            found = f"{type(calculator).__name__}, which gives none"
            raise InputError(f"model {self.name}", "dipole", found, "a calculator with dipoles")
        refuse_debye(f"model {self.name}", "dipole", calculator)
        say_unit(f"model {self.name}")
        if not 0.0 < displacement < 0.1:
            raise InputError(f"model {self.name}", "displacement", displacement, "0 to 0.1 Å")
        self.total_charge, self.neutral = total_charge, neutral
        self.sha256 = ""
        self.targets: tuple[str, ...] = (APT.name,)
        self.elements: tuple[int, ...] | None = None
        self.cutoff: float | None = None
        self.committee_sizes = {APT.name: 1}

    def evaluate(self, structures: Sequence[Atoms]) -> list[Tensors]:
        """See :meth:`aptnn_md.prediction.interface.TensorModel.evaluate`.

        Raises
        ------
        InputError
            A periodic structure, or a charge that the dipole does not have.
        RunError
            The calculator failed, or its dipole is not finite.
        """
        return [self._of_structure(atoms) for atoms in structures]

    def select(self, members: slice) -> DipoleCalculatorModel:
        """Itself, or the same without members where the slice is empty."""
        part = copy.copy(self)
        size = self.committee_sizes[APT.name]
        part.committee_sizes = {APT.name: len(range(size)[members])}
        return part

    def for_targets(self, targets: Sequence[str]) -> DipoleCalculatorModel:
        """Itself."""
        return self

    def _of_structure(self, atoms: Atoms) -> Tensors:
        formula = atoms.get_chemical_formula()
        if np.any(atoms.pbc):
            expected = "open space: in a periodic cell the dipole has many branches"
            raise InputError(f"model {self.name}", "structure", f"{formula}, periodic", expected)
        size = self.committee_sizes[APT.name]
        apt = self._differences(atoms) if size else np.zeros((len(atoms), 3, 3))
        tensors = checked_tensors(self, atoms, {APT.name: apt[None][:size]})
        if self.neutral and size:
            way_out = "a dipole about an origin that does not move with the atoms, or neutral=False"
            where = f"model {self.name}, {formula}"
            (apt,) = tensors[APT.name]
            tensors[APT.name] = with_charge(apt, self._charge(atoms), where, way_out)[None]
        return tensors

    def _charge(self, atoms: Atoms) -> float:
        own = calculator_charge(self.calculator, atoms)
        return total_charge(atoms, self.total_charge if own is None else own)

    def _differences(self, atoms: Atoms) -> FloatArray:
        """∂M_α/∂r_iβ, (n_atoms, 3, 3), e."""
        apt = np.zeros((len(atoms), 3, 3))
        for atom, axis in np.ndindex(len(atoms), 3):
            later, earlier = (
                self._dipole(atoms, atom, axis, step)
                for step in (self.displacement, -self.displacement)
            )
            apt[atom, :, axis] = (later - earlier) / (2.0 * self.displacement)
        return apt

    def _dipole(self, atoms: Atoms, atom: int, axis: int, step: float) -> FloatArray:
        moved = atoms.copy()
        moved.positions[atom, axis] += step
        with raised_by(f"model {self.name}"):
            found = self.calculator.get_property("dipole", moved)
        dipole = np.asarray(found, dtype=np.float64)
        if dipole.shape != (3,) or not np.isfinite(dipole).all():
            raise RunError(f"model {self.name}: dipole {dipole}, which is not a finite vector")
        return dipole
