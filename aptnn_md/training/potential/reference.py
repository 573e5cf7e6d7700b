"""What the network need not learn: energies of the atoms, the scale of forces, neighbours.

The network gives the energy of a structure less those of its atoms, E₀ of each element. Where the
frames have enough different compositions, least squares decide. Where they have not (one
composition decides one number only), the E₀ nearest to those of free atoms are taken that fit the
compositions: proportional to Z^(7/3), as for all electrons in Thomas and Fermi's theory, or, where
the energies are smaller than that, to the square of the number of valence electrons, as with
pseudopotentials and in tight binding. A frame of a single atom gives its element's E₀.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from ase.data import atomic_numbers, chemical_symbols

from aptnn_md.arrays import FloatArray
from aptnn_md.atomic_units import HARTREE
from aptnn_md.training.potential.frames import EnergyFrame

ALL_ELECTRONS = (0.3, 0.9)
"""Energies, in hartree times the sum of Z^(7/3), that are those of all electrons: hydrogen has 0.5,
carbon 0.58, chlorine 0.62; with pseudopotentials carbon has 0.08."""

_NOBLE = (0, 2, 10, 18, 36, 54, 86)


def atomic_energies_of(
    frames: Sequence[EnergyFrame],
    elements: Sequence[int],
    given: Mapping[str, float],
) -> FloatArray:
    """E₀ of each element (n_elements,), eV.

    Parameters
    ----------
    frames : those without an energy do not count
    elements : atomic numbers, ascending
    given : element -> E₀, eV, of those that are known
    """
    known = {atomic_numbers[symbol]: energy for symbol, energy in given.items()}
    with_energy = [frame for frame in frames if frame.has_energy]
    for frame in with_energy:
        if len(frame.atoms) == 1:
            known.setdefault(int(frame.atoms.numbers[0]), frame.energy)
    counts, energies = mean_energies(with_energy, [f.energy for f in with_energy], elements)
    is_known = np.array([z in known for z in elements])
    found = np.array([known.get(z, 0.0) for z in elements])
    if is_known.all() or not len(energies):
        return found
    rest, free = energies - counts @ found, counts[:, ~is_known]
    guess = _guess(free, rest, [z for z in elements if z not in known])
    # the smallest change of the guess that fits best
    found[~is_known] = guess + np.linalg.lstsq(free, rest - free @ guess, rcond=1e-8)[0]
    return found


def mean_energies(
    frames: Sequence[EnergyFrame], energies: Sequence[float], elements: Sequence[int]
) -> tuple[FloatArray, FloatArray]:
    """Atoms of each element (n_compositions, n_elements) and mean energies, eV, by composition."""
    rows: dict[tuple[int, ...], list[float]] = {}
    for frame, energy in zip(frames, energies, strict=True):
        row = tuple(int((frame.atoms.numbers == z).sum()) for z in elements)
        rows.setdefault(row, []).append(energy)
    counts = np.array(list(rows), dtype=np.float64).reshape(len(rows), len(elements))
    return counts, np.array([np.mean(found) for found in rows.values()])


def _guess(counts: FloatArray, energies: FloatArray, elements: Sequence[int]) -> FloatArray:
    """Energies of free atoms, on the scale of these energies."""
    all_electrons = -0.5 * HARTREE * np.array([float(z) ** (7 / 3) for z in elements])
    size = _scale(counts @ all_electrons, energies)
    if ALL_ELECTRONS[0] < 0.5 * size < ALL_ELECTRONS[1]:
        return size * all_electrons
    valence = [z - max(n for n in _NOBLE if n < z) for z in elements]
    of_valence = -0.5 * HARTREE * np.array([float(n) ** 2 for n in valence])
    return _scale(counts @ of_valence, energies) * of_valence


def _scale(guessed: FloatArray, energies: FloatArray) -> float:
    """Factor of the guess that fits best."""
    return float(guessed @ energies / max(float(guessed @ guessed), 1e-300))


def shifted(
    start: FloatArray, counts: FloatArray, differences: FloatArray
) -> tuple[FloatArray, float]:
    """E₀ of a trained potential for frames of another level of theory or of other compositions.

    Parameters
    ----------
    start : (n_elements,), eV, of the potential
    counts : (n_compositions, n_elements)
    differences : (n_compositions,), eV, mean energy of the frames less that of the potential

    Returns
    -------
    E₀ with the smallest change that takes the differences out, as far as any can, and the largest
    difference for an atom, eV; up to :data:`SAME_LEVEL` ``start`` is returned as it is
    """
    size = float((np.abs(differences) / counts.sum(axis=1)).max(initial=0.0))
    if size <= SAME_LEVEL:
        return start, size
    return start + np.linalg.lstsq(counts, differences, rcond=1e-8)[0], size


SAME_LEVEL = 0.1
"""Mean difference of energies for an atom, eV, up to which E₀ of a trained potential are kept: a
poorly trained one is off by less, another level of theory by more."""


def named(energies: FloatArray, elements: Sequence[int]) -> dict[str, float]:
    """Element -> E₀, eV."""
    return {
        chemical_symbols[z]: float(energy) for z, energy in zip(elements, energies, strict=True)
    }
