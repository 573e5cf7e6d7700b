"""Infrared intensity in its two forms: n·α of a substance, molar absorption of a molecule.

The absorption coefficient of a substance goes like the number of molecules in a volume. A system
without a volume (a molecule or a cluster alone) is taken as one of a gas so thin that n = 1. Its
molar absorption, the absorption coefficient per concentration, needs no volume.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from aptnn_md.arrays import FloatArray
from aptnn_md.errors import InputError
from aptnn_md.spectra.analysis.experiment import ReferenceCurve
from aptnn_md.spectra.analysis.reference_bands import Reference
from aptnn_md.spectra.output.ordinate import MOLAR_ABSORPTION, N_ALPHA, Ordinate
from aptnn_md.units import (
    F_SUM_PREFACTOR,
    IR_PREFACTOR,
    MOLAR_F_SUM_PREFACTOR,
    MOLAR_IR_PREFACTOR,
    PER_CM2_PER_KM_PER_MOL,
)


def ordinate_of(volume: object) -> Ordinate:
    """Of a system with a volume or, where that is None, without one."""
    return MOLAR_ABSORPTION if volume is None else N_ALPHA


def absorption_factors(
    temperature: Sequence[float], volume: Sequence[float] | None, n_molecules: float = 1.0
) -> FloatArray:
    """(n_runs,) what the density of Ṁ (e² Å²/fs) of each run is multiplied by.

    Parameters
    ----------
    temperature : K, of each run
    volume : Å³, of each run; None: molar absorption
    n_molecules : in a system without a volume
    """
    if volume is None:
        return np.asarray(MOLAR_IR_PREFACTOR / (np.asarray(temperature) * n_molecules))
    return np.asarray(IR_PREFACTOR / (np.asarray(temperature) * np.asarray(volume)))


def f_sum_factors(volume: Sequence[float] | None, n_molecules: float = 1.0) -> FloatArray:
    """(n_runs,) or () what f_sum (e²/amu) is multiplied by to be the integral over all wavenumbers;
    parameters as those of :func:`absorption_factors`."""
    if volume is None:
        return np.asarray(MOLAR_F_SUM_PREFACTOR / n_molecules)
    return np.asarray(F_SUM_PREFACTOR / np.asarray(volume))


def integral_of_molar(volume: float | None, n_molecules: float | None = None) -> float:
    """What 1 km/mol of a molecule adds to the integral of a spectrum, in the unit of that.

    Parameters
    ----------
    volume : of the system, Å³; None: the spectrum is that of each molecule
    n_molecules : in that volume; None: 1
    """
    if volume is None:
        return 1.0
    return PER_CM2_PER_KM_PER_MOL * (n_molecules or 1.0) / volume


def needs_volume(volume: float | None, what: str) -> float:
    """The volume of a system, where there is no answer without one.

    Parameters
    ----------
    what : is asked for, e.g. ``"refractive index"``

    Raises
    ------
    InputError
        There is none.
    """
    if volume is None:
        expected = (
            "a volume that the system fills: --volume A3. A molecule alone has a molar absorption, "
            "no permittivity and n = 1"
        )
        raise InputError("spectrum", what, "a system without a volume", expected)
    return volume


def check_comparable(
    ordinate: Ordinate, reference: Reference | None, curves: Sequence[ReferenceCurve]
) -> None:
    """Refuse experiments, which are of n·α, beside spectra of another quantity.

    Raises
    ------
    InputError
        There are experiments beside another quantity.
    """
    if ordinate != N_ALPHA and (reference is not None or curves):
        name = curves[0].name if reference is None else reference.substance
        found = f"n·α of {name} beside the {ordinate.name} of a system without a volume"
        expected = "a spectrum of n·α: --volume A3 gives the volume that the system fills"
        raise InputError("experiment", "quantity", found, expected)
