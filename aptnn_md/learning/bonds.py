"""Whether a structure still has the bonds that it began with.

A learned potential knows nothing of fragments. A replica that lost a bond, or made a new one, is
therefore stopped: the structures after that are not worth a label.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from ase import Atoms
from ase.data import covalent_radii

from aptnn_md.arrays import FloatArray, IntArray
from aptnn_md.atoms.molecules import ION_NUMBERS, bonds
from aptnn_md.atoms.neighbours import neighbour_pairs
from aptnn_md.atoms.snapshot import nearest_images
from aptnn_md.errors import InputError

BROKEN = 1.6
"""A bond is broken where it is longer than this factor times the sum of the covalent radii: C-H
beyond 1.71 Å, C-C beyond 2.43 Å; at 500 K thermal motion reaches 1.35."""

MADE = 1.05
"""Two atoms that were not bonded are where they are closer than this factor times the sum of their
covalent radii: O and H below 1.02 Å, while the proton of a strong hydrogen bond stays beyond 1.2 Å
from the acceptor."""


@dataclass(frozen=True, eq=False)
class BondGraph:
    """The bonds of a structure, by which others of the same atoms are judged.

    Attributes
    ----------
    start : the structure; cell and periodicity are those of all that are judged
    first, second : (n_bonds,), the bonded atoms, each bond once
    """

    start: Atoms
    first: IntArray
    second: IntArray

    @classmethod
    def of(cls, atoms: Atoms) -> BondGraph:
        """The bonds of ``atoms`` (:data:`aptnn_md.atoms.molecules.BOND_FACTOR`)."""
        i, j, _ = bonds(atoms)
        pairs = np.unique(np.stack([i[i < j], j[i < j]], axis=1), axis=0)
        return cls(atoms.copy(), pairs[:, 0], pairs[:, 1])

    def intact(self, positions: FloatArray) -> bool:
        """Whether at ``positions`` (n_atoms, 3), Å, no bond is broken and none is new.

        Positions that are not finite, and coinciding atoms, are not intact.
        """
        if not np.isfinite(positions).all():
            return False
        return not self._any_broken(positions) and not self._any_made(positions)

    def _any_broken(self, positions: FloatArray) -> bool:
        pbc = self.start.pbc
        vectors = nearest_images(
            positions[self.second] - positions[self.first],
            self.start.cell.array,
            (bool(pbc[0]), bool(pbc[1]), bool(pbc[2])),
        )
        radii = covalent_radii[self.start.numbers]
        longest = BROKEN * (radii[self.first] + radii[self.second])
        return bool((np.linalg.norm(vectors, axis=1) > longest).any())

    def _any_made(self, positions: FloatArray) -> bool:
        numbers = self.start.numbers
        radii = np.where(np.isin(numbers, ION_NUMBERS), 0.0, covalent_radii[numbers])
        cutoff = 2.0 * MADE * float(radii.max(initial=0.0))
        if cutoff == 0.0:
            return False
        atoms = Atoms(numbers, positions, cell=self.start.cell, pbc=self.start.pbc)
        try:
            i, j, vectors = neighbour_pairs(atoms, cutoff)
        except InputError:  # atoms in one place
            return True
        close = np.linalg.norm(vectors, axis=1) < MADE * (radii[i] + radii[j])
        close &= (radii[i] > 0.0) & (radii[j] > 0.0) & (i < j)
        known = np.isin(i * len(numbers) + j, self.first * len(numbers) + self.second)
        return bool((close & ~known).any())
