"""Whether frames are close enough for the fastest vibration that is possible."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import combinations_with_replacement

from aptnn_md.spectra.estimation.plan import nyquist_wavenumber
from aptnn_md.units import LIGHT_SPEED_CM_PER_FS

# harmonic force constants of the stiffest diatomic molecules, mdyn/Å (K. P. Huber and
# G. Herzberg, Constants of Diatomic Molecules, 1979), rounded up
_H_H, _X_H, _FIRST_ROW, _OTHER = 5.8, 9.7, 23.0, 12.0  # H2, HF, N2, and e.g. SiO, PO
_LIGHT = frozenset({"Li", "Be", "B", "C", "N", "O", "F", "Ne"})
_WAVENUMBER = 1302.79  # cm⁻¹ of 1 mdyn/Å and 1 amu
_MARGIN = 1.02  # lines have a width


def fastest_vibration(masses: Mapping[str, Sequence[float]]) -> float | None:
    """Upper limit of the wavenumbers of vibrations, cm⁻¹: the stiffest bond of any two elements.

    Parameters
    ----------
    masses : element -> masses of its atoms, amu

    Returns
    -------
    4510 with hydrogen, 3190 with deuterium; None if no masses are known
    """
    atoms = [(symbol, mass) for symbol, found in masses.items() for mass in found]
    return max(
        (
            _MARGIN * _WAVENUMBER * math.sqrt(_stiffest(a, b) * (1.0 / m + 1.0 / n))
            for (a, m), (b, n) in combinations_with_replacement(atoms, 2)
        ),
        default=None,
    )


def stride_note(masses: Mapping[str, Sequence[float]], spacing: float) -> str | None:
    """A warning where frames are too far apart, else None.

    Parameters
    ----------
    masses : element -> masses of its atoms, amu
    spacing : time between frames, fs
    """
    fastest, highest = fastest_vibration(masses), nyquist_wavenumber(spacing)
    if fastest is None or highest >= fastest:
        return None
    enough = 0.5 / (LIGHT_SPEED_CM_PER_FS * fastest)
    lightest = min(masses, key=lambda symbol: min(masses[symbol]))
    return (
        f"WARNING: frames are {spacing:g} fs apart, so the spectrum ends at {highest:.0f} cm⁻¹, "
        f"but vibrations of {lightest} may reach {fastest:.0f} cm⁻¹; what is faster appears "
        "mirrored at wrong wavenumbers; frames should be at most "
        f"{math.floor(100 * enough) / 100:g} fs apart"
    )


def _stiffest(first: str, second: str) -> float:
    hydrogens = (first in ("H", "D", "T")) + (second in ("H", "D", "T"))
    if hydrogens:
        return _H_H if hydrogens == 2 else _X_H
    return _FIRST_ROW if {first, second} <= _LIGHT else _OTHER
