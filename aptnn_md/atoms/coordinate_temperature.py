"""Kinetic temperatures of the bonds and angles of a molecule.

Thermal velocities do not depend on where the atoms are. So for each coordinate q of the atoms, with
the gradients b_i = ∂q/∂r_i, the mean of q̇²/Σ b_i²/m_i is k_B T in a canonical ensemble: exactly,
for any potential, and also where the molecule turns or its centre of mass rests. In single runs at
constant energy it is not, because the energy of a vibration hardly leaves it for picoseconds, and
the intensity of its band is as wrong as that energy is. What is known of the one tells the other
(:mod:`aptnn_md.spectra.estimation.known_means`).

Source: Wilson, Decius, Cross, Molecular Vibrations (1955), chapter 4, for the gradients and for G.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np
from ase import Atoms

from aptnn_md.arrays import FloatArray, IntArray
from aptnn_md.atoms.molecules import bonds
from aptnn_md.atoms.snapshot import Snapshot
from aptnn_md.units import AMU_A2_PER_FS2_EV, BOLTZMANN_EV_PER_K

_TINY = 1e-30


@dataclass(frozen=True, eq=False)
class CoordinateTemperatures:
    """Temperatures of each kind of bond and angle, the mean over those of a kind.

    Attributes
    ----------
    kinds : e.g. ``"H-O"`` and ``"H-C-O"``, bonds before angles
    masses : (n_atoms,), amu
    bonds, angles : (n, 2) and (n, 3) atoms; those of an angle with its vertex in the middle
    kind_of : (n_bonds + n_angles,), place among the kinds
    """

    kinds: tuple[str, ...]
    masses: FloatArray
    bonds: IntArray
    angles: IntArray
    kind_of: IntArray

    @classmethod
    def of(cls, atoms: Atoms) -> CoordinateTemperatures | None:
        """Those of the bonds of a structure in open space; None where it has none, or constraints.

        Which atoms are said to be bonded need not be true: temperatures are those of any pairs.
        """
        if atoms.pbc.any() or atoms.constraints:
            return None
        first, second, _ = bonds(atoms)
        pairs = sorted(
            {(min(p), max(p)) for p in zip(first.tolist(), second.tolist(), strict=True)}
        )
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
        symbols = atoms.get_chemical_symbols()
        names = ["-".join(sorted(symbols[k] for k in pair)) for pair in pairs]
        for i, vertex, j in corners:
            low, high = sorted((symbols[i], symbols[j]))
            names.append(f"{low}-{symbols[vertex]}-{high}")
        kinds = tuple(dict.fromkeys(names))
        return cls(
            kinds,
            np.asarray(atoms.get_masses(), dtype=np.float64),
            np.array(pairs, dtype=np.int64),
            np.array(corners, dtype=np.int64).reshape(-1, 3),
            np.array([kinds.index(name) for name in names]),
        )

    def of_instant(self, velocities: FloatArray, snapshot: Snapshot) -> FloatArray:
        """(n_kinds,) temperatures, K.

        Parameters
        ----------
        velocities : (n_atoms, 3), Å/fs
        snapshot : where the atoms are
        """
        positions, inverse = snapshot.positions, 1.0 / self.masses
        i, j = self.bonds.T
        along, _ = _unit(positions[j] - positions[i])
        rates = np.sum(along * (velocities[j] - velocities[i]), axis=1)
        of_bonds = rates**2 / (inverse[i] + inverse[j])
        i, vertex, j = self.angles.T
        to_i, distance_i = _unit(positions[i] - positions[vertex])
        to_j, distance_j = _unit(positions[j] - positions[vertex])
        cosine = np.sum(to_i * to_j, axis=1, keepdims=True)
        # gradients times the sine, which is in the rate and in G
        of_i, of_j = (cosine * to_i - to_j) / distance_i, (cosine * to_j - to_i) / distance_j
        gradients = (of_i, -of_i - of_j, of_j)
        rates = sum(
            np.sum(gradient * velocities[atom], axis=1)
            for gradient, atom in zip(gradients, (i, vertex, j), strict=True)
        )
        g = sum(
            np.sum(gradient**2, axis=1) * inverse[atom]
            for gradient, atom in zip(gradients, (i, vertex, j), strict=True)
        )
        of_angles = rates**2 / np.maximum(g, _TINY)
        each = np.concatenate([of_bonds, of_angles])
        sums = np.bincount(self.kind_of, weights=each, minlength=len(self.kinds))
        mean = sums / np.bincount(self.kind_of, minlength=len(self.kinds))
        return np.asarray(AMU_A2_PER_FS2_EV / BOLTZMANN_EV_PER_K * mean)


def _unit(vectors: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Directions (n, 3) and lengths (n, 1)."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / lengths, lengths
