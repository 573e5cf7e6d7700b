"""The dipole's change since a first geometry, for the extras that i-PI asks for.

Polar tensors are derivatives of the dipole, so they give M(r) - M(r₀) and not M(r₀); under periodic
boundaries M is defined only up to a multiple of e times a lattice vector anyway. Between two
geometries the change is the line integral of P, here by the trapezoidal rule:
½ (P(r) + P(r'))·(r' - r), whose error is of third order in the distance.
"""

from __future__ import annotations

import numpy as np

from aptnn_md.arrays import FloatArray
from aptnn_md.atoms.snapshot import nearest_images


def nearest_image(displacements: FloatArray, cell: FloatArray) -> FloatArray:
    """Displacements without the jumps by lattice vectors that a server makes between two steps.

    It may wrap positions into the cell, along every lattice vector, whatever the structure's own
    periodic directions are.

    Parameters
    ----------
    displacements : (..., 3), Å
    cell : (3, 3), rows, Å; without a volume nothing is done
    """
    wraps = abs(np.linalg.det(cell)) > 0.0
    return nearest_images(displacements, cell, (wraps, wraps, wraps))


class DipoleChange:
    """Follows the dipole of one structure or of the beads of a ring polymer.

    A new geometry is joined to the nearest earlier one, whichever bead that was: M is a
    function of the geometry, so identities are not needed and beads may come in any order.

    Parameters
    ----------
    n_beads : how many geometries to remember: as many as there are beads
    """

    def __init__(self, n_beads: int = 1) -> None:
        self.n_beads = n_beads
        self._positions = np.zeros((0, 0, 3))
        self._apt = np.zeros((0, 0, 3, 3))
        self._dipoles = np.zeros((0, 3))

    def __call__(self, cell: FloatArray, positions: FloatArray, apt: FloatArray) -> FloatArray:
        """M(r) - M(r₀), (3,), e Å, where r₀ is the geometry of the first call.

        Parameters
        ----------
        cell : (3, 3), rows, Å
        positions : (n_atoms, 3), Å
        apt : (n_atoms, 3, 3), e
        """
        dipole, nearest = np.zeros(3), len(self._positions)
        if nearest > 0:
            displacements = nearest_image(positions - self._positions, cell)
            nearest = int((displacements**2).sum(axis=(1, 2)).argmin())
            mean = 0.5 * (apt + self._apt[nearest])
            step = np.einsum("nab,nb->a", mean, displacements[nearest])
            dipole = self._dipoles[nearest] + step
        else:
            self._positions, self._apt = positions[None][:0], apt[None][:0]
        if len(self._positions) < self.n_beads:
            self._positions = np.concatenate([self._positions, positions[None]])
            self._apt = np.concatenate([self._apt, apt[None]])
            self._dipoles = np.concatenate([self._dipoles, dipole[None]])
        else:
            self._positions[nearest], self._apt[nearest] = positions, apt
            self._dipoles[nearest] = dipole
        return dipole
