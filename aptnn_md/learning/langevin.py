"""Langevin dynamics of one structure, in two halves of a step between which its force is found.

The integrator is BAOAB (Leimkuhler and Matthews, J. Chem. Phys. 138, 174102 (2013)): half a kick,
half a step, friction and noise, half a step, half a kick. Without friction it is velocity Verlet,
and with it averages over positions are right to second order in the time step for any friction.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence

import numpy as np
from ase import Atoms, units
from ase.constraints import FixAtoms

from aptnn_md.arrays import AnyArray, FloatArray
from aptnn_md.errors import InputError


class LangevinPath:
    """A structure on its way.

    Parameters
    ----------
    start : with momenta, or thermal ones are drawn; atoms held by ``FixAtoms`` stay where they are
    temperature : K
    seed : of the random numbers

    Attributes
    ----------
    positions, momenta : (n_atoms, 3), Å and ASE's unit

    Raises
    ------
    InputError
        Other constraints than fixed atoms.
    """

    def __init__(
        self, start: Atoms, temperature: float, seed: int | np.random.SeedSequence
    ) -> None:
        self.random = np.random.default_rng(seed)
        self._masses = start.get_masses()[:, None]
        self._free = _free_atoms(start)[:, None]
        self._width = np.sqrt(units.kB * temperature * self._masses) * self._free
        self.positions = start.get_positions()
        momenta = start.get_momenta()
        if not momenta.any():
            momenta = self.random.normal(size=momenta.shape) * self._width
        self.momenta: FloatArray = momenta * self._free

    def to_next_forces(self, forces: FloatArray, timestep: float, friction: float) -> None:
        """Half a kick by the forces here, and the way to where the next ones are found.

        Parameters
        ----------
        forces : (n_atoms, 3), eV/Å
        timestep : fs
        friction : 1/ps
        """
        half = 0.5 * timestep * units.fs
        kept = math.exp(-1e-3 * friction * timestep)
        momenta = self.momenta + half * forces * self._free
        positions = self.positions + half * momenta / self._masses
        if kept < 1.0:
            noise = self.random.normal(size=momenta.shape) * self._width
            momenta = kept * momenta + math.sqrt(1.0 - kept * kept) * noise
        self.positions = positions + half * momenta / self._masses
        self.momenta = momenta

    def finish(self, forces: FloatArray, timestep: float) -> None:
        """Half a kick by the forces at the new positions; arguments as before."""
        self.momenta = self.momenta + 0.5 * timestep * units.fs * forces * self._free

    def noise_state(self) -> str:
        """Where the random numbers are, as text."""
        return json.dumps(self.random.bit_generator.state)

    def set_noise_state(self, text: str) -> None:
        """The inverse of :meth:`noise_state`."""
        self.random.bit_generator.state = json.loads(text)


def _free_atoms(atoms: Atoms) -> AnyArray:
    free = np.ones(len(atoms), dtype=bool)
    for constraint in atoms.constraints:
        if not isinstance(constraint, FixAtoms):
            raise InputError(
                atoms.get_chemical_formula(),
                "constraint",
                type(constraint).__name__,
                "no constraints but fixed atoms (FixAtoms)",
            )
        free[constraint.index] = False
    return free


def independent_seeds(seed: int, n: int) -> Sequence[np.random.SeedSequence]:
    """Seeds of ``n`` paths; that of each does not depend on how many there are."""
    return np.random.SeedSequence(seed).spawn(n)
