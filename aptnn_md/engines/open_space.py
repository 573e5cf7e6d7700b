"""Molecules and clusters in programs that always want a cell."""

from __future__ import annotations

import numpy as np
from ase import Atoms

from aptnn_md.atoms.rotation import WholeRotation
from aptnn_md.progress import log
from aptnn_md.structures import Mobility

THIN = 500.0
"""Å³ an atom: a cell with more is that of a gas, or was made up for a molecule."""


_TURNS = 1e-6
"""Of all velocities, root of the sum of squares: what turns is more than rounding."""


def rotation_of(atoms: Atoms, mobility: Mobility | None) -> str:
    """The field ``rotation`` of a header, of an engine that leaves the rotation of the whole alone.

    Parameters
    ----------
    atoms : the system
    mobility : what constraints let move; None: everything
    """
    held = mobility is not None and bool((mobility.atoms < 2.5).any())
    return "" if atoms.pbc.any() or held or len(atoms) < 2 else "kept"


def turns(atoms: Atoms) -> bool:
    """Whether atoms that move turn as a whole, too; not where the angular momentum was taken out of
    their velocities, as by ``ase.md.velocitydistribution.ZeroRotation``."""
    velocities = atoms.get_velocities()
    size = float(np.linalg.norm(velocities))
    if not size or atoms.pbc.any():
        return False
    internal = WholeRotation.of(atoms).removed_from(atoms.positions, velocities)
    return float(np.linalg.norm(velocities - internal)) > _TURNS * size


def warn_of_a_thin_cell(atoms: Atoms, way_out: str) -> None:
    """Say loudly that a cell will be taken for a real one where it looks made up.

    Parameters
    ----------
    atoms : with the cell of the program that runs
    way_out : how to say that there is none
    """
    if atoms.pbc.all() and float(atoms.get_volume()) > THIN * len(atoms):
        log.warning(
            "the cell has %.4g Å³ for %d atoms, and the stream takes it for real: its volume is "
            "that of the absorption coefficient, and atoms see their periodic images; if it was "
            "made up for a molecule or cluster in open space: %s",
            atoms.get_volume(),
            len(atoms),
            way_out,
        )
