"""Rotation of all atoms together, of a molecule or cluster in open space.

Forces of an isolated system have no torque, so its angular momentum about the centre of mass never
changes. Taking the rotation out of thermal velocities is a projection in the metric of the masses:
what remains is thermal in the 3 N - 6 degrees of freedom that are left (3 N - 5 of a linear
molecule), and stays free of angular momentum.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from ase import Atoms

from aptnn_md.arrays import FloatArray
from aptnn_md.atoms.molecules import axes_of_rotation
from aptnn_md.atoms.motion import inverse_inertia
from aptnn_md.tensors import cross


@dataclass(frozen=True)
class WholeRotation:
    """The rotation of all atoms together about their centre of mass.

    Attributes
    ----------
    masses : (n_atoms,), in any unit
    n_axes : axes that the system can turn about: 3; 2 of a linear molecule, whose rotation about
        its own line is none; 0 of a single atom
    """

    masses: FloatArray
    n_axes: int

    @classmethod
    def of(cls, atoms: Atoms) -> WholeRotation:
        """That of ``atoms``; linear is what :data:`aptnn_md.atoms.molecules.LINEAR_WIDTH` says."""
        masses = np.asarray(atoms.get_masses(), dtype=np.float64)
        together = np.zeros(len(atoms), dtype=np.int64)
        return cls(masses, int(axes_of_rotation(atoms.positions, together)[0]))

    def angular_velocity(self, positions: FloatArray, velocities: FloatArray) -> FloatArray:
        """Angular velocity (..., 3), of velocities (..., n_atoms, 3)."""
        relative = self._relative(positions)
        momentum = cross(relative, self.masses[:, None] * velocities).sum(axis=-2)
        turn: FloatArray = np.einsum("...ab,...b->...a", self._inverse(relative), momentum)
        return turn

    def removed_from(self, positions: FloatArray, velocities: FloatArray) -> FloatArray:
        """Velocities (..., n_atoms, 3) without the rotation.

        Parameters
        ----------
        positions : (..., n_atoms, 3), Å, of an open system, so that no boundary cuts it
        velocities : in any unit
        """
        turn = self.angular_velocity(positions, velocities)
        rotation: FloatArray = cross(turn[..., None, :], self._relative(positions))
        return velocities - rotation

    def restrict(self, apt: FloatArray, positions: FloatArray) -> FloatArray:
        """Tensors that act on all velocities as ``apt`` on those without the rotation.

        With them Σᵢ |Pᵢ|²/mᵢ is the strength of what can move, as in
        :meth:`aptnn_md.structures.Mobility.restrict`: of the turning moments T = Σᵢ rᵢ × Pᵢ (row by
        row) and the inertia tensor I, Pᵢ − mᵢ (T I⁻¹) × rᵢ takes the place of Pᵢ.

        Parameters
        ----------
        apt : (..., n_atoms, 3, 3), e; row = dipole, column = displacement
        positions : (..., n_atoms, 3), Å
        """
        relative = self._relative(positions)
        moments = cross(relative[..., None, :], apt).sum(axis=-3)
        turns = moments @ self._inverse(relative)
        rotation = cross(turns[..., None, :, :], relative[..., None, :])
        restricted: FloatArray = apt - self.masses[:, None, None] * rotation
        return restricted

    def share(self, positions: FloatArray) -> FloatArray:
        """Degrees of freedom that the rotation takes of each atom, (n_atoms,).

        Parameters
        ----------
        positions : (n_atoms, 3), Å
        """
        relative = self._relative(positions)
        inverse = self._inverse(relative)
        squares = (relative**2).sum(axis=-1) * np.trace(inverse)
        taken: FloatArray = squares - np.einsum("na,ab,nb->n", relative, inverse, relative)
        return self.masses * taken

    def _relative(self, positions: FloatArray) -> FloatArray:
        """Positions relative to the centre of mass."""
        centre = np.einsum("n,...na->...a", self.masses, positions) / self.masses.sum()
        relative: FloatArray = positions - centre[..., None, :]
        return relative

    def _inverse(self, relative: FloatArray) -> FloatArray:
        """Inverse (..., 3, 3) of the inertia tensor within the axes there are."""
        second = np.einsum("n,...na,...nb->...ab", self.masses, relative, relative)
        trace = np.trace(second, axis1=-2, axis2=-1)[..., None, None]
        inertia = trace * np.eye(3) - second
        return inverse_inertia(inertia[..., None, :, :], np.array([self.n_axes]))[..., 0, :, :]
