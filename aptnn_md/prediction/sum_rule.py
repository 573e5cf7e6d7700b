"""The sum rule of APTs that are derivatives of a dipole, where it holds by construction."""

from __future__ import annotations

import numpy as np

from aptnn_md.arrays import FloatArray
from aptnn_md.dipole_checks import is_in_debye
from aptnn_md.errors import InputError
from aptnn_md.targets import APT

LARGEST_RESIDUE = 0.05
"""e; more than this in Σᵢ Pᵢ - Q·1 is no rounding, but another charge or a moving origin."""


def with_charge(apt: FloatArray, charge: float, where: str, way_out: str) -> FloatArray:
    """APTs (n_atoms, 3, 3) of a dipole, with what rounding left in Σᵢ Pᵢ - Q·1 taken out.

    A large residue is not shared among the atoms: it comes from a dipole in debye, or one that
    leaves the net charge out or counts from an origin that moves with the atoms (their centre of
    mass, or of charge), and which share of it is an atom's depends on that origin.

    Parameters
    ----------
    apt : of one member
    charge : Q, e
    where, way_out : for the message

    Raises
    ------
    InputError
        A residue of more than :data:`LARGEST_RESIDUE`.
    """
    if len(apt) == 0:
        return apt
    residue = float(np.abs(APT.residue(apt, charge)).max())
    if residue > LARGEST_RESIDUE:
        sum_of_apts = round(float(np.trace(apt.sum(axis=0))) / 3.0, 3)
        found = f"{sum_of_apts:g} e by the sum of APTs, Σᵢ Pᵢ = Q·1"
        if charge and is_in_debye(apt.sum(axis=0), charge * np.eye(3)):
            found, way_out = f"{found}, as of a dipole in debye", f"a dipole in e Å, or {way_out}"
        raise InputError(where, "charge", found, f"{charge:g} e; {way_out}")
    return APT.project(apt, charge)
