"""The rate of the dipole that the potential itself gives, for comparison with a model's.

Ṁ is the derivative of M along the velocities, (M(r + τv) - M(r - τv))/2τ at the positions of a
frame: it needs no tensors and no earlier frame, and its error is of second order in τv, which is
kept small. The rate of a part (a group of atoms, a motion) is the derivative along the part of the
velocities that is its own, so the parts add up to the total as those of a model do.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from ase import Atoms

from aptnn_md.arrays import FloatArray
from aptnn_md.atoms.partition import Partition
from aptnn_md.atoms.snapshot import Snapshot
from aptnn_md.dipole_checks import check_dipole_of_charge, refuse_debye
from aptnn_md.errors import InputError, RunError, exception_text
from aptnn_md.structures import calculator_charge, total_charge

ESTIMATOR = "potential-dipole"
"""Name of the estimator in streams."""

LARGEST_DISPLACEMENT = 0.005
"""Å, of the atom that moves most from r to r + τv."""


class PotentialDipole:
    """Gives Ṁ of the calculator's own dipole.

    Parameters
    ----------
    calculator : of ASE, with dipoles in e Å. It should not be the one that moves the atoms, whose
        results at their present positions would be lost
    atoms : structure that is going to move

    Raises
    ------
    InputError
        A calculator without dipoles or with dipoles in debye, which those of MACE and those that
        change by 4.8 times the charge of the moved structure are, or a periodic structure, whose
        dipole has many branches.
    """

    def __init__(self, calculator: Any, atoms: Atoms) -> None:
        if "dipole" not in getattr(calculator, "implemented_properties", ()):
            found = f"{type(calculator).__name__}, which gives no dipole"
            raise InputError(ESTIMATOR, "potential", found, "a calculator with dipoles")
        refuse_debye(ESTIMATOR, "potential", calculator)
        if np.any(atoms.pbc):
            expected = "open space: in a periodic cell the dipole has many branches"
            raise InputError(ESTIMATOR, "structure", "a periodic one", expected)
        self.calculator = calculator
        charge = total_charge(atoms, calculator_charge(calculator, atoms))
        check_dipole_of_charge(ESTIMATOR, self._dipole, atoms, charge)

    def rates(self, atoms: Atoms, partition: Partition, velocities: FloatArray) -> FloatArray:
        """Ṁ of each part, (n_labels, 3), e Å/fs; two evaluations for each.

        Parameters
        ----------
        atoms : where they are
        partition : the parts
        velocities : (n_atoms, 3), Å/fs

        Raises
        ------
        RunError
            The calculator failed, or its dipole is not finite.
        """
        parts = velocity_parts(partition, velocities, Snapshot.of(atoms))
        return np.array([self._along(atoms, part) for part in parts])

    def _along(self, atoms: Atoms, velocities: FloatArray) -> FloatArray:
        fastest = float(np.linalg.norm(velocities, axis=1).max(initial=0.0))
        if fastest == 0.0:
            return np.zeros(3)
        time = LARGEST_DISPLACEMENT / fastest
        later = self._displaced(atoms, time * velocities)
        earlier = self._displaced(atoms, -time * velocities)
        rate: FloatArray = (later - earlier) / (2.0 * time)
        return rate

    def _displaced(self, atoms: Atoms, displacements: FloatArray) -> FloatArray:
        moved = atoms.copy()
        moved.positions += displacements
        return self._dipole(moved)

    def _dipole(self, atoms: Atoms) -> FloatArray:
        try:
            dipole = np.asarray(self.calculator.get_property("dipole", atoms), dtype=np.float64)
        except (InputError, RunError):
            raise
        except Exception as error:
            # calculators of users may raise anything
            raise RunError(f"dipole of the potential: {exception_text(error)}") from error
        if dipole.shape != (3,) or not np.isfinite(dipole).all():
            raise RunError(f"dipole of the potential: {dipole}, which is not a finite vector")
        return dipole


def velocity_parts(partition: Partition, velocities: FloatArray, snapshot: Snapshot) -> FloatArray:
    """Velocities (n_labels, n_atoms, 3) of each part, whose sum are the velocities.

    A part's rate is linear in the gradients of what changes. So its velocities are its rates of the
    coordinates themselves, whose gradients are 1 and 0.

    Parameters
    ----------
    velocities : (n_atoms, 3), Å/fs
    snapshot : where the atoms are
    """
    n_atoms = len(velocities)
    gradients = np.eye(3 * n_atoms).reshape(3 * n_atoms, n_atoms, 3).transpose(1, 0, 2)
    return partition.rates(gradients, velocities, snapshot).reshape(-1, n_atoms, 3)
