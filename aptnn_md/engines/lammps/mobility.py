"""What a LAMMPS script lets move: atoms that no fix integrates are fixed; constraints."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from aptnn_md.arrays import IntArray
from aptnn_md.engines.lammps.state import FixInfo
from aptnn_md.structures import Mobility

_INTEGRATORS = (
    "nve", "nvt", "npt", "nph", "nvk", "rigid", "poems", "brownian", "msst", "nphug", "qbmsst",
    "gjf", "move", "bocs", "ipi", "pimd", "tgnpt", "tgnvt",
)  # fmt: skip
_CONSTRAINTS = (
    "shake", "rattle", "rigid", "poems", "setforce", "aveforce", "lineforce", "planeforce",
    "freeze", "enforce2d", "move",
)  # fmt: skip


def mobility_of(fixes: Sequence[FixInfo], group_bits: IntArray) -> Mobility:
    """Mobility by the fixes of a script.

    Atoms that no fix integrates in time are fixed. Rigid bonds and bodies and forces that a fix
    sets are constraints whose f-sum is not known.

    Parameters
    ----------
    fixes : of the script
    group_bits : (n_atoms,), groups of each atom
    """
    moves = np.zeros(len(group_bits), dtype=bool)
    constraints = []
    for fix in fixes:
        kind = fix.style.partition("/")[0]
        if kind in _INTEGRATORS:
            moves |= (group_bits & fix.group_bit) != 0
        if kind in _CONSTRAINTS:
            constraints.append(f"fix {fix.style}")
    if not moves.any():
        # an integrator that is not known here
        moves[:] = True
    projectors = np.where(moves[:, None, None], np.eye(3), 0.0)
    return Mobility(projectors, None, 0, tuple(dict.fromkeys(constraints)))


def description_of(fixes: Sequence[FixInfo]) -> str:
    """What kind of dynamics the fixes do, for human readers: their styles."""
    others = ("temp", "press", "langevin", "momentum", "efield", "deform")
    known = {*_INTEGRATORS, *_CONSTRAINTS, *others}
    styles = [fix.style for fix in fixes if fix.style.partition("/")[0] in known]
    return ", ".join(dict.fromkeys(styles))
