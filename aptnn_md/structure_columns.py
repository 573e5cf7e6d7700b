"""Masses and velocities that files give in columns of their own, taken over by the atoms.

Masses: ``masses`` and ``mass``, amu. Velocities, by who writes the name:

==============  =====================================================================
``momenta``     ASE, its own units; ASE reads them itself
``vel``         GPUMD, Å/fs
``velo``        QUIP, Å/fs
``velocities``  several programs, in several units: the one unit of :data:`VELOCITY_UNITS`, if
                there is one alone, in which they mean a temperature between 30 and 2500 K
==============  =====================================================================

Nothing is dropped: what cannot be taken over is an error that says what to do.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from ase import Atoms, units
from ase.data import atomic_masses

from aptnn_md.arrays import FloatArray
from aptnn_md.atomic_units import VELOCITY
from aptnn_md.errors import InputError
from aptnn_md.progress import log
from aptnn_md.units import AMU_A2_PER_FS2_EV, BOLTZMANN_EV_PER_K

ISOTOPE_MASSES = {"D": 2.01410177812, "T": 3.01604927790}
"""Symbols of hydrogen's isotopes -> their masses, amu (AME2020)."""

VELOCITY_UNITS: Mapping[str, float] = {
    "Å/fs": 1.0,
    "ASE's unit": float(units.fs),
    "nm/ps": 1e-2,
    "atomic units": VELOCITY,
    "Å/ps": 1e-3,
    "m/s": 1e-5,
}
"""Units in which programs write velocities, Å/fs."""

_COLUMN_UNITS = {"vel": "Å/fs", "velo": "Å/fs", "velocities": "", "velocity": ""}
_MASS_COLUMNS = ("mass", "masses")
_PLAUSIBLE_K = (30.0, 2500.0)
_ABSURD_K = 20000.0
_PLAUSIBLE_MASS = (0.3, 5.0)
_ELECTRON_MASS = float(units._me / units._amu)


def take_over(where: str, atoms: Atoms, isotopes: FloatArray | None = None) -> str:
    """Give ``atoms`` the masses and velocities that their columns hold; the columns go.

    Parameters
    ----------
    where : file and frame, for messages
    atoms : as ASE read them; changed
    isotopes : (n_atoms,), masses of atoms whose symbols named an isotope, amu; NaN for others

    Returns
    -------
    what was taken over, for the log; empty where there was nothing

    Raises
    ------
    InputError
        Masses or velocities that are not finite, are implausible or contradict each other.
    """
    notes = [_take_masses(where, atoms, isotopes), _take_velocities(where, atoms)]
    return "; ".join(note for note in notes if note)


def kinetic_temperature(masses: FloatArray, velocities: FloatArray) -> float:
    """2 K / (3 N k_B), K, of velocities (n_atoms, 3), Å/fs."""
    kinetic = 0.5 * float(np.sum(masses[:, None] * velocities**2)) * AMU_A2_PER_FS2_EV
    return 2.0 * kinetic / (3.0 * max(1, len(masses)) * BOLTZMANN_EV_PER_K)


# ---------------------------------------------------------------------- masses


def _take_masses(where: str, atoms: Atoms, isotopes: FloatArray | None) -> str:
    names = [name for name in _MASS_COLUMNS if name in atoms.arrays]
    if not names and isotopes is None:
        return ""
    masses = np.asarray(atoms.get_masses(), dtype=np.float64)
    if isotopes is not None:
        heavy = np.isfinite(isotopes)
        masses = np.where(heavy, isotopes, masses)
    source = "symbols D and T"
    for name in names:
        column = _checked_masses(where, name, atoms)
        if isotopes is not None and np.abs(column - masses)[heavy].max(initial=0.0) > 0.05:
            k = int(np.flatnonzero(heavy)[np.abs(column - masses)[heavy].argmax()])
            expected = f"{masses[k]:.3f} amu, as its symbol D or T says"
            raise InputError(where, name, f"{column[k]:g} at atom {k}", expected)
        if source in names and not np.allclose(column, masses, rtol=1e-4):
            raise InputError(where, name, f"other masses than '{source}'", "one column of masses")
        masses, source = column, name
    for name in names:
        del atoms.arrays[name]
    atoms.set_masses(masses)
    return f"masses from {source if source not in names else f'column {source}'}"


def _checked_masses(where: str, name: str, atoms: Atoms) -> FloatArray:
    column = _numbers(where, name, atoms, (len(atoms),))
    bad = np.flatnonzero(~(np.isfinite(column) & (column > 0.0)))
    if len(bad):
        raise InputError(where, name, f"{column[bad[0]]:g} at atom {bad[0]}", "positive masses")
    ratio = column / atomic_masses[atoms.numbers]
    for unit, size in (("amu", 1.0), ("eV fs²/Å²", AMU_A2_PER_FS2_EV), ("me", 1 / _ELECTRON_MASS)):
        low, high = _PLAUSIBLE_MASS[0] * size, _PLAUSIBLE_MASS[1] * size
        if ((low < ratio) & (ratio < high)).all():
            if size != 1.0:
                log.warning("%s: masses of column %s are read in %s", where, name, unit)
            return column / size
    k = int(np.abs(np.log(ratio)).argmax())
    symbol = atoms.get_chemical_symbols()[k]
    raise InputError(
        where,
        name,
        f"{column[k]:g} for {symbol} at atom {k}",
        f"masses in amu, about {atomic_masses[atoms.numbers[k]]:.3f} for {symbol}; correct the "
        "column, or rename it if it is something else",
    )


# ---------------------------------------------------------------------- velocities


def _take_velocities(where: str, atoms: Atoms) -> str:
    masses = np.asarray(atoms.get_masses(), dtype=np.float64)
    known: FloatArray | None = None
    note = ""
    if atoms.has("momenta"):
        known = np.asarray(atoms.get_momenta()) / masses[:, None] * units.fs
        if not np.isfinite(known).all():
            raise InputError(where, "momenta", "values that are not finite", "finite numbers")
        note = "velocities from momenta"
    for name, unit in _COLUMN_UNITS.items():
        if name not in atoms.arrays:
            continue
        column = _numbers(where, name, atoms, (len(atoms), 3))
        if not np.isfinite(column).all():
            raise InputError(where, name, "values that are not finite", "finite numbers")
        unit = _unit_of(where, name, unit, masses, column)
        velocities = column * VELOCITY_UNITS[unit]
        if known is not None and not _same(velocities, known):
            raise InputError(where, name, "velocities other than the frame's others", "one column")
        note = f"velocities from column {name} in {unit}"
        known = velocities
        del atoms.arrays[name]
    if known is not None and not atoms.has("momenta"):
        # constraints are those of the file: what they hold does not move there either
        atoms.set_momenta(masses[:, None] * known / units.fs, apply_constraint=False)
    return note


def _unit_of(where: str, name: str, unit: str, masses: FloatArray, column: FloatArray) -> str:
    """Unit of a column: that of its name, or the only one of a plausible temperature."""
    if not column.any():
        return unit or "Å/fs"  # at rest in any unit
    kelvin = {u: kinetic_temperature(masses, column * s) for u, s in VELOCITY_UNITS.items()}
    low, high = _PLAUSIBLE_K
    plausible = [u for u, value in kelvin.items() if low <= value <= high]
    expected = (
        "a column whose unit is known: vel or velo in Å/fs, or ASE's momenta; velocities are read "
        f"where one unit alone means {low:g} to {high:g} K"
    )
    if unit:
        if kelvin[unit] > _ABSURD_K or (kelvin[unit] < 0.1 * low and plausible):
            hint = f", but {kelvin[plausible[0]]:.3g} K in {plausible[0]}" if plausible else ""
            raise InputError(where, name, f"{kelvin[unit]:.3g} K in {unit}{hint}", expected)
        return unit
    if len(plausible) != 1:
        found = ", ".join(f"{value:.3g} K in {u}" for u, value in kelvin.items())
        raise InputError(where, name, f"an unknown unit ({found})", expected)
    return plausible[0]


def _same(first: FloatArray, second: FloatArray) -> bool:
    return bool(np.abs(first - second).max() <= 1e-3 * max(np.abs(second).max(), 1e-12))


def _numbers(where: str, name: str, atoms: Atoms, shape: tuple[int, ...]) -> FloatArray:
    array = np.asarray(atoms.arrays[name])
    if array.shape != shape or array.dtype.kind not in "fiu":
        raise InputError(where, name, f"shape {array.shape} of {array.dtype}", f"numbers, {shape}")
    return array.astype(np.float64)
