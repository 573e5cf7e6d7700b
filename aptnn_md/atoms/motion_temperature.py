"""Kinetic temperatures of translation, libration and vibration of molecules.

The kinetic energy of molecules is the sum of those of the three motions of
:mod:`aptnn_md.atoms.motion`, and of thermal velocities each of them has k_B T/2 for each of its
degrees of freedom, wherever the atoms are. That is so too where bonds break or form, because the
decomposition is one of velocities, which are thermal whatever the forces are. A thermostat that
acts on all atoms together, or a start at a minimum, may break it for longer than a run lasts.

The motion of the common centre of mass is left out: it belongs to no spectrum. For path integrals
it is the centroid whose velocities are split; they are thermal at the temperature of the run, other
than those of the beads.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from ase import Atoms

from aptnn_md.arrays import FloatArray
from aptnn_md.atoms.groups import Groups
from aptnn_md.atoms.molecules import Molecules
from aptnn_md.atoms.motion import MotionGroups
from aptnn_md.atoms.snapshot import Snapshot
from aptnn_md.structures import Mobility
from aptnn_md.units import AMU_A2_PER_FS2_EV, BOLTZMANN_EV_PER_K

_NONE = 1e-6  # degrees of freedom that are none, by rounding


@dataclass(frozen=True)
class MotionTemperatures:
    """Splits kinetic energies by :data:`aptnn_md.atoms.motion.MOTIONS`.

    Attributes
    ----------
    freedom : (3,) degrees of freedom of each motion; 0 where there is none
    """

    freedom: FloatArray
    _motions: MotionGroups

    @classmethod
    def of(
        cls, atoms: Atoms, mobility: Mobility | None = None, rotation_removed: bool = False
    ) -> MotionTemperatures | None:
        """Those of the molecules of ``atoms``; None where there is nothing to compare, because
        only one motion has freedom, or where constraints are more than a centre of mass that is
        held.

        Parameters
        ----------
        mobility : what constraints let move; None: everything
        rotation_removed : velocities have no rotation of the whole
        """
        if len(atoms) < 2 or not (mobility is None or mobility.is_free):
            return None
        molecules = Molecules.of(atoms)
        n = np.array([3.0 * len(molecules), float(molecules.turns.sum()), 0.0])
        n[2] = 3.0 * len(atoms) - n.sum()
        n[0] -= 3.0
        motions = MotionGroups(Groups.all_atoms(atoms), atoms)
        if rotation_removed:
            n -= _shares_of_rotation(motions, Snapshot.of(atoms))
        freedom = np.where(n > _NONE, n, 0.0)
        return cls(freedom, motions) if np.count_nonzero(freedom) > 1 else None

    def of_instant(self, velocities: FloatArray, snapshot: Snapshot) -> FloatArray:
        """(3,) temperatures, K; 0 of a motion without freedom.

        Parameters
        ----------
        velocities : (n_atoms, 3), or (n_beads, n_atoms, 3) of a path integral, Å/fs
        snapshot : positions with the same axes, and the cell
        """
        masses = self._motions.masses[:, None]
        if velocities.ndim == 3:
            velocities = velocities.mean(axis=0)
        relative = velocities - np.sum(masses * velocities, axis=0) / masses.sum()
        parts = self._motions.velocity_parts(relative, snapshot.centroid())
        twice = AMU_A2_PER_FS2_EV * np.einsum("kna,kna,nb->k", parts, parts, masses)
        per_freedom = twice / np.where(self.freedom > 0.0, self.freedom, np.inf)
        return np.asarray(per_freedom / BOLTZMANN_EV_PER_K)


def _shares_of_rotation(motions: MotionGroups, snapshot: Snapshot) -> FloatArray:
    """(3,) degrees of freedom that the rotation of the whole takes of each motion."""
    masses = motions.masses[:, None]
    relative = snapshot.positions - np.sum(masses * snapshot.positions, axis=0) / masses.sum()
    turns = np.cross(np.eye(3)[:, None, :], relative)  # velocities of unit rotations
    parts = motions.velocity_parts(turns, snapshot)
    of_parts = np.einsum("ikna,jkna,nb->kij", parts, parts, masses)
    whole = np.einsum("ina,jna,nb->ij", turns, turns, masses)
    # of a molecule that is linear by name only a thin axis is left out
    inverse = np.linalg.pinv(whole, rcond=1e-3, hermitian=True)
    return np.asarray(np.einsum("kij,ji->k", of_parts, inverse))
