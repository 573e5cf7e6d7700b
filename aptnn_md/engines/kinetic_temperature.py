"""Kinetic temperature of given velocities."""

from __future__ import annotations

import numpy as np
from ase import Atoms, units

from aptnn_md.arrays import FloatArray
from aptnn_md.atoms.rotation import WholeRotation
from aptnn_md.structures import Mobility


def temperature(
    atoms: Atoms,
    velocities: FloatArray,
    no_rotation: WholeRotation | None = None,
    mobility: Mobility | None = None,
) -> float:
    """Kinetic temperature, K, of what can move, relative to the centre of mass.

    With N free atoms the centre of mass takes 3 of 3 N degrees of freedom, whether a thermostat
    moves it or it rests, so 3 N - 3 remain, less what constraints of distances take. With other
    constraints it is what they leave (:class:`aptnn_md.structures.Mobility`), and without the
    rotation of the whole another 3 less, 2 of a linear molecule. For beads it is the mean over all
    degrees of freedom of a ring polymer as of i-PI: 2 K / (k_B P times their number).

    Parameters
    ----------
    atoms : masses and constraints
    velocities : (n_atoms, 3) or (n_beads, n_atoms, 3), Å/fs
    no_rotation : the rotation of the whole, where velocities have none of it
    mobility : what the constraints let move, where it is known; None: it is read from ``atoms``
    """
    masses = np.asarray(atoms.get_masses(), dtype=np.float64)[:, None]
    beads = velocities.reshape(-1, len(atoms), 3)
    n_beads = len(beads)
    freedom, centre_is_free = 3.0 * len(atoms) * n_beads, True
    if atoms.constraints:
        mobility = mobility or Mobility.of(atoms)
        beads = mobility.allowed(beads)
        freedom, centre_is_free = n_beads * mobility.degrees_of_freedom, mobility.centre_is_free
    kinetic = 0.5 * float((masses * beads**2).sum())
    if centre_is_free and len(atoms) > 1:
        momentum = (masses * beads).sum(axis=(0, 1)) / np.sqrt(n_beads)
        kinetic -= 0.5 * float((momentum**2).sum()) / float(masses.sum())
        freedom -= 3.0
    if no_rotation is not None:
        freedom -= no_rotation.n_axes
    if freedom <= 0.0:
        return 0.0
    # ASE's constants: by equal temperatures streams are known to be of one trajectory
    return 2.0 * kinetic / units.fs**2 / (freedom * n_beads * units.kB)
