"""Whether a structure still has the bonds that it began with.

A learned potential knows nothing of fragments. A replica that lost a bond, or made a new one, is
therefore stopped: the structures after that are not worth a label.

Protons are an exception. Along a strong hydrogen bond, of an ion above all, they move from one
heavy atom to the other at room temperature, and that is no reaction that a potential invented. They
may do so in the dynamics of the engine itself, and in those of a learned potential if they did in
the engine's.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from ase import Atoms
from ase.data import covalent_radii

from aptnn_md.arrays import BoolArray, FloatArray, IntArray
from aptnn_md.atoms.molecules import ION_NUMBERS, bonds
from aptnn_md.atoms.neighbours import neighbour_pairs
from aptnn_md.atoms.snapshot import nearest_images
from aptnn_md.errors import InputError

BROKEN = 1.6
"""A bond is broken where it is longer than this factor times the sum of the covalent radii: C-H
beyond 1.71 Å, C-C beyond 2.43 Å; at 500 K thermal motion reaches 1.35."""

MADE = 1.05
"""Two atoms that were not bonded are where they are closer than this factor times the sum of their
covalent radii: O and H below 1.02 Å, while most protons of hydrogen bonds stay beyond 1.2 Å from
the acceptor."""

PROTON_HOLDERS = (7, 8, 9, 16, 17, 35, 53)
"""Elements whose hydrogen atoms may move as protons to others of them: N, O, F, S, Cl, Br, I."""


@dataclass(frozen=True, eq=False)
class BondGraph:
    """The bonds of a structure, by which others of the same atoms are judged.

    Attributes
    ----------
    start : the structure; cell and periodicity are those of all that are judged
    first, second : (n_bonds,), the bonded atoms, each bond once
    protons : (n_atoms,), hydrogen atoms that may move between :data:`PROTON_HOLDERS`: the bonds
        between the two may be longer, as long as each proton is near one of them, and new
    """

    start: Atoms
    first: IntArray
    second: IntArray
    protons: BoolArray

    @classmethod
    def of(cls, atoms: Atoms, moving_protons: bool = False) -> BondGraph:
        """The bonds of ``atoms`` (:data:`aptnn_md.atoms.molecules.BOND_FACTOR`).

        Parameters
        ----------
        atoms : the structure
        moving_protons : whether hydrogen atoms that are bonded to :data:`PROTON_HOLDERS`, and to
            nothing else, may move to others of them
        """
        i, j, _ = bonds(atoms)
        pairs = np.unique(np.stack([i[i < j], j[i < j]], axis=1), axis=0)
        protons = np.zeros(len(atoms), dtype=bool)
        if moving_protons:
            held = np.isin(atoms.numbers, PROTON_HOLDERS)
            protons[i[held[j]]] = True
            protons[i[~held[j]]] = False
            protons &= atoms.numbers == 1
        return cls(atoms.copy(), pairs[:, 0], pairs[:, 1], protons)

    @classmethod
    def from_dynamics(cls, atoms: Atoms, frames: Iterable[Atoms]) -> BondGraph:
        """The bonds of ``atoms``, whose protons may move if they do in frames of its dynamics."""
        strict, lenient = cls.of(atoms), cls.of(atoms, moving_protons=True)
        places = [frame.positions for frame in frames]
        moved = any(lenient.intact(place) and not strict.intact(place) for place in places)
        return lenient if moved else strict

    @property
    def moving_protons(self) -> bool:
        """Whether any proton may move."""
        return bool(self.protons.any())

    def intact(self, positions: FloatArray) -> bool:
        """Whether at ``positions`` (n_atoms, 3), Å, no bond is broken and none is new.

        Positions that are not finite, and coinciding atoms, are not intact.
        """
        if not np.isfinite(positions).all():
            return False
        return not (
            self._any_broken(positions) or self._any_lost(positions) or self._any_made(positions)
        )

    def _any_broken(self, positions: FloatArray) -> bool:
        kept = ~self._of_protons(self.first, self.second)
        return bool(
            (self._stretches(self.first[kept], self.second[kept], positions) > BROKEN).any()
        )

    def _any_lost(self, positions: FloatArray) -> bool:
        """Whether a proton is near no atom that can hold it."""
        if not self.moving_protons:
            return False
        protons = np.flatnonzero(self.protons)
        holders = np.flatnonzero(np.isin(self.start.numbers, PROTON_HOLDERS))
        first, second = (each.ravel() for each in np.meshgrid(protons, holders, indexing="ij"))
        stretches = self._stretches(first, second, positions).reshape(len(protons), len(holders))
        return bool((stretches.min(axis=1, initial=np.inf) > BROKEN).any())

    def _of_protons(self, first: IntArray, second: IntArray) -> BoolArray:
        """Which pairs are a proton and an atom that can hold it."""
        if not self.moving_protons:
            return np.zeros(len(first), dtype=bool)
        holders = np.isin(self.start.numbers, PROTON_HOLDERS)
        found: BoolArray = self.protons[first] & holders[second]
        found |= self.protons[second] & holders[first]
        return found

    def _stretches(self, first: IntArray, second: IntArray, positions: FloatArray) -> FloatArray:
        """Distances of pairs in units of the sum of their covalent radii."""
        pbc = self.start.pbc
        vectors = nearest_images(
            positions[second] - positions[first],
            self.start.cell.array,
            (bool(pbc[0]), bool(pbc[1]), bool(pbc[2])),
        )
        radii = covalent_radii[self.start.numbers]
        found: FloatArray = np.linalg.norm(vectors, axis=1) / (radii[first] + radii[second])
        return found

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
        close &= (radii[i] > 0.0) & (radii[j] > 0.0) & (i < j) & ~self._of_protons(i, j)
        known = np.isin(i * len(numbers) + j, self.first * len(numbers) + self.second)
        return bool((close & ~known).any())
