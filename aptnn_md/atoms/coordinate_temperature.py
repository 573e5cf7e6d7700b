"""Kinetic temperatures of the bonds, angles, torsions and rotations of a molecule.

Thermal velocities do not depend on where the atoms are. So for each coordinate q of the atoms, with
the gradients b_i = ∂q/∂r_i, the mean of q̇²/Σ b_i²/m_i is k_B T in a canonical ensemble: exactly,
for any potential, and also where the molecule turns or its centre of mass rests. So is that of
L_a²/I_a for each principal axis a. In single runs at constant energy it is not, because the energy
of a vibration or rotation hardly leaves it for picoseconds, and the intensity of its band is as
wrong as that energy is. What is known of the one tells the other
(:mod:`aptnn_md.spectra.estimation.known_means`).

Source: Wilson, Decius, Cross, Molecular Vibrations (1955), chapter 4, for the gradients and for G.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from ase import Atoms

from aptnn_md.arrays import FloatArray, IntArray
from aptnn_md.atoms.molecules import bonds
from aptnn_md.atoms.snapshot import Snapshot
from aptnn_md.units import AMU_A2_PER_FS2_EV, BOLTZMANN_EV_PER_K

_TINY = 1e-30
_STRAIGHT = 0.1  # sine of an angle, below which nothing turns about its sides


@dataclass(frozen=True, eq=False)
class CoordinateTemperatures:
    """Temperatures of each kind of bond, angle and torsion, the mean over those of a kind, and of
    the rotation about each principal axis.

    Attributes
    ----------
    kinds : e.g. ``"H-O"``, ``"H-C-O"``, ``"H-C-O-H"`` and ``"rotation 1"``, in this order
    masses : (n_atoms,), amu
    bonds, angles, torsions : (n, 2), (n, 3) and (n, 4) atoms along the bonds
    n_axes : of rotation, those with the largest moments of inertia
    kind_of : (n_bonds + n_angles + n_torsions,), place among the kinds
    """

    kinds: tuple[str, ...]
    masses: FloatArray
    bonds: IntArray
    angles: IntArray
    torsions: IntArray
    n_axes: int
    kind_of: IntArray

    @classmethod
    def of(cls, atoms: Atoms, *, turns: bool = True) -> CoordinateTemperatures | None:
        """Those of the bonds of a structure in open space; None where it has none, or constraints.

        Which atoms are said to be bonded need not be true: temperatures are those of any pairs.

        Parameters
        ----------
        atoms : the start
        turns : the whole rotates as it would thermally
        """
        if atoms.pbc.any() or atoms.constraints:
            return None
        first, second, _ = bonds(atoms)
        once = first < second
        pairs = sorted(zip(first[once].tolist(), second[once].tolist(), strict=True))
        if not pairs:
            return None
        others: dict[int, list[int]] = {}
        for i, j in pairs:
            others.setdefault(i, []).append(j)
            others.setdefault(j, []).append(i)
        corners = [
            (i, vertex, j)
            for vertex, ends in sorted(others.items())
            for i, j in combinations(sorted(ends), 2)
        ]
        chains = list(_chains(atoms, pairs, others))
        symbols = atoms.get_chemical_symbols()
        names = [_name(symbols, chain) for chain in (*pairs, *corners, *chains)]
        kinds = tuple(dict.fromkeys(names))
        n_axes = min(3, len(atoms)) if turns else 0
        return cls(
            kinds + tuple(f"rotation {axis}" for axis in range(1, n_axes + 1)),
            np.asarray(atoms.get_masses(), dtype=np.float64),
            np.array(pairs, dtype=np.int64),
            np.array(corners, dtype=np.int64).reshape(-1, 3),
            np.array(chains, dtype=np.int64).reshape(-1, 4),
            n_axes,
            np.array([kinds.index(name) for name in names]),
        )

    def of_instant(self, velocities: FloatArray, snapshot: Snapshot) -> FloatArray:
        """(n_kinds,) temperatures, K.

        Parameters
        ----------
        velocities : (n_atoms, 3), Å/fs
        snapshot : where the atoms are
        """
        positions = snapshot.positions
        coordinates = (
            (self.bonds, _of_bonds(positions[self.bonds])),
            (self.angles, _of_angles(positions[self.angles])),
            (self.torsions, _of_torsions(positions[self.torsions])),
        )
        each = np.concatenate(
            [self._kinetic(velocities, *coordinate) for coordinate in coordinates]
        )
        n_kinds = len(self.kinds) - self.n_axes
        sums = np.bincount(self.kind_of, weights=each, minlength=n_kinds)
        mean = sums / np.bincount(self.kind_of, minlength=n_kinds)
        found = np.concatenate([mean, self._of_rotations(velocities, positions)])
        return np.asarray(AMU_A2_PER_FS2_EV / BOLTZMANN_EV_PER_K * found)

    def _kinetic(
        self, velocities: FloatArray, atoms: IntArray, gradients: FloatArray
    ) -> FloatArray:
        """q̇²/G of coordinates of the atoms (n, k) with gradients (n, k, 3), amu Å²/fs²."""
        rates = np.einsum("nkx,nkx->n", gradients, velocities[atoms])
        g = np.einsum("nkx,nkx,nk->n", gradients, gradients, 1.0 / self.masses[atoms])
        return np.asarray(rates**2 / np.maximum(g, _TINY))

    def _of_rotations(self, velocities: FloatArray, positions: FloatArray) -> FloatArray:
        """L_a²/I_a of the principal axes with the largest moments of inertia, amu Å²/fs²."""
        masses = self.masses[:, None]
        relative = positions - np.sum(masses * positions, axis=0) / masses.sum()
        momentum = np.cross(relative, masses * velocities).sum(axis=0)
        second = relative.T @ (masses * relative)
        moments, axes = np.linalg.eigh(np.trace(second) * np.eye(3) - second)
        chosen = slice(3 - self.n_axes, 3)
        squares = (momentum @ axes)[chosen] ** 2
        return np.asarray(squares / np.maximum(moments[chosen], _TINY))


def _name(symbols: Sequence[str], chain: Sequence[int]) -> str:
    """The same from both ends."""
    forward = [symbols[atom] for atom in chain]
    return "-".join(min(forward, forward[::-1]))


def _chains(
    atoms: Atoms, pairs: Sequence[tuple[int, int]], others: dict[int, list[int]]
) -> Iterator[tuple[int, int, int, int]]:
    """Four atoms in a row, of which no three are in a line at the start."""
    for j, k in pairs:
        for i in others[j]:
            for last in others[k]:
                chain = (i, j, k, last)
                if len(set(chain)) < 4:
                    continue
                first, middle, end = np.diff(atoms.positions[list(chain)], axis=0)
                if min(_sine(first, middle), _sine(middle, end)) > _STRAIGHT:
                    yield chain


def _sine(a: FloatArray, b: FloatArray) -> float:
    return float(np.linalg.norm(np.cross(a, b)) / (np.linalg.norm(a) * np.linalg.norm(b)))


def _of_bonds(positions: FloatArray) -> FloatArray:
    """Gradients (n, 2, 3) of the distances of atoms at positions (n, 2, 3)."""
    along, _ = _unit(positions[:, 1] - positions[:, 0])
    return np.stack([-along, along], axis=1)


def _of_angles(positions: FloatArray) -> FloatArray:
    """Gradients (n, 3, 3) of the angles at the second of three atoms, times the sine."""
    to_first, near = _unit(positions[:, 0] - positions[:, 1])
    to_last, far = _unit(positions[:, 2] - positions[:, 1])
    cosine = np.sum(to_first * to_last, axis=1, keepdims=True)
    first, last = (cosine * to_first - to_last) / near, (cosine * to_last - to_first) / far
    return np.stack([first, -first - last, last], axis=1)


def _of_torsions(positions: FloatArray) -> FloatArray:
    """Gradients (n, 4, 3) of the torsions about the bonds between the second and third atoms."""
    before, middle, after = np.moveaxis(np.diff(positions, axis=1), 1, 0)
    left, right = np.cross(before, middle), np.cross(middle, after)
    length = np.linalg.norm(middle, axis=1, keepdims=True)
    first = -length * left / np.maximum(np.sum(left**2, axis=1, keepdims=True), _TINY)
    last = length * right / np.maximum(np.sum(right**2, axis=1, keepdims=True), _TINY)
    of_before = np.sum(before * middle, axis=1, keepdims=True) / length**2
    of_after = np.sum(after * middle, axis=1, keepdims=True) / length**2
    second = -first * (1.0 + of_before) + last * of_after
    third = -last * (1.0 + of_after) + first * of_before
    return np.stack([first, second, third, last], axis=1)


def _unit(vectors: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Directions (n, 3) and lengths (n, 1)."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / lengths, lengths
