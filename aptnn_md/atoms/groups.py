"""Groups of atoms whose rates are kept separately, and sums over them.

Ṁ is a sum over atoms, so it can be streamed in parts: by element, by molecule, by kind of
molecule or by labels of the user, and each of these by motion (:mod:`aptnn_md.atoms.motion`). Every
atom is in exactly one group, so the parts add up to the total, and spectra get auto and cross terms
without any trajectory. :mod:`aptnn_md.atoms.partition` finds groups by the names of the command
line.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
from ase import Atoms
from ase.data import chemical_symbols
from scipy.sparse import csc_matrix

from aptnn_md.arrays import FloatArray, IntArray
from aptnn_md.atoms.molecules import Molecules
from aptnn_md.atoms.selection import REST, assign_atoms, named_selections
from aptnn_md.atoms.snapshot import Snapshot
from aptnn_md.errors import InputError

Summation: TypeAlias = Any
"""A sparse matrix of scipy, which has no types: :func:`summation`."""


@dataclass(frozen=True)
class Groups:
    """A partition of the atoms of a structure.

    Parameters
    ----------
    labels : name of each group, all different
    index : (n_atoms,), for each atom the number of its group in ``labels``

    Raises
    ------
    InputError
        Labels that are empty or repeated, an index outside of them, or a group without atoms.
    """

    labels: tuple[str, ...]
    index: IntArray

    def __post_init__(self) -> None:
        if "" in self.labels or len(set(self.labels)) != len(self.labels):
            raise InputError(
                "groups", "labels", self.labels, "different labels, none of them empty"
            )
        if not np.array_equal(np.unique(self.index), np.arange(len(self.labels))):
            raise InputError(
                "groups",
                "index",
                np.unique(self.index).tolist(),
                f"0 to {len(self.labels) - 1}, each used",
            )

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def n_atoms(self) -> int:
        """Number of atoms."""
        return len(self.index)

    @property
    def atom_groups(self) -> Groups:
        """These groups: they are groups of atoms already."""
        return self

    def index_in(self, snapshot: Snapshot | None) -> IntArray:
        """Group of each atom (n_atoms,) in a snapshot; always the same one, except for
        :class:`MovingSelection`.
        """
        return self.index

    def rates(
        self, rows: FloatArray, velocities: FloatArray, snapshot: Snapshot | None = None
    ) -> FloatArray:
        """Σᵢ rows[i] @ v[i] over the atoms of each group, (..., n_groups, k); see
        :meth:`aptnn_md.atoms.partition.Partition.rates`.
        """
        self._check_atoms(rows.shape[-3])
        of_atoms = np.einsum("...nab,...nb->...na", rows, velocities)
        return group_sums(of_atoms, self._summation(snapshot))

    def f_sums(
        self, apt: FloatArray, masses: FloatArray, snapshot: Snapshot | None = None
    ) -> FloatArray:
        """Σᵢ Σ_αβ apt[i, α, β]² / (3 mᵢ) over the atoms of each group, (..., n_groups), e²/amu."""
        self._check_atoms(apt.shape[-3])
        of_atoms = np.einsum("...nab,...nab->...n", apt, apt) / (3.0 * masses)
        return group_sums(of_atoms[..., None], self._summation(snapshot))[..., 0]

    @classmethod
    def all_atoms(cls, atoms: Atoms) -> Groups:
        """One group, ``all``."""
        return cls(("all",), np.zeros(len(atoms), dtype=np.int64))

    @classmethod
    def by_element(cls, atoms: Atoms) -> Groups:
        """A group for each element, lightest first, labelled by its symbol."""
        numbers, index = np.unique(atoms.numbers, return_inverse=True)
        return cls(tuple(chemical_symbols[z] for z in numbers), index.astype(np.int64))

    @classmethod
    def by_labels(cls, labels: Sequence[object]) -> Groups:
        """A group for each different label, in order of first appearance.

        Parameters
        ----------
        labels : one for each atom, in the order of the atoms
        """
        texts = [str(label) for label in labels]
        order = tuple(dict.fromkeys(texts))
        number = {text: n for n, text in enumerate(order)}
        return cls(order, np.array([number[text] for text in texts], dtype=np.int64))

    @classmethod
    def by_molecule(cls, atoms: Atoms) -> Groups:
        """A group for each molecule, labelled ``H2O-1``, ``H2O-2``, ... in order of first atoms.

        Molecules (:mod:`aptnn_md.atoms.molecules`) are found once: an atom that changes its
        molecule during a run stays with the group it started in.
        """
        found = Molecules.of(atoms)
        count: dict[str, int] = {}
        labels = []
        for formula in found.formulas(atoms.numbers):
            count[formula] = count.get(formula, 0) + 1
            labels.append(f"{formula}-{count[formula]}")
        return cls(tuple(labels), found.index)

    @classmethod
    def by_molecule_kind(cls, atoms: Atoms) -> Groups:
        """A group for each kind of molecule, labelled by its formula (Hill order)."""
        found = Molecules.of(atoms)
        formulas = found.formulas(atoms.numbers)
        return cls.by_labels([formulas[m] for m in found.index])

    @classmethod
    def by_selection(cls, text: str, atoms: Atoms) -> Groups:
        """Groups by selections (:mod:`aptnn_md.atoms.selection`) and a rest, if there is one."""
        selections = named_selections(text)
        index = assign_atoms(selections, atoms)
        labels = (*selections, REST)
        there = np.unique(index)
        if missing := [label for n, label in enumerate(selections) if n not in there]:
            found = f"no atom for '{missing[0]}' that no selection before it has"
            raise InputError(f"groups {text}", "atoms", found, "another order of the selections")
        if len(selections) == 1 and len(there) == 1:
            raise InputError(f"groups {text}", "atoms", "all of them", f"some, and a {REST}")
        return cls(labels[: len(there)], index)

    def _summation(self, snapshot: Snapshot | None) -> Summation:
        return self._at_start

    @functools.cached_property
    def _at_start(self) -> Summation:
        return summation(self.index, len(self))

    def _check_atoms(self, n_atoms: int) -> None:
        if n_atoms != self.n_atoms:
            raise InputError("groups", "atoms", self.n_atoms, f"{n_atoms} as in the structure")


@dataclass(frozen=True)
class MovingSelection(Groups):
    """Groups by selections that are found again in each frame, e.g. a solvation shell, and a rest.

    For path integrals the centroids say who is selected. An atom that enters or leaves takes its
    Ṁ with it, so the parts have steps in time, and broad weak wings in their spectra.

    Parameters
    ----------
    labels, index : at the start
    text : selections; see :mod:`aptnn_md.atoms.selection`
    numbers : (n_atoms,), atomic numbers
    """

    text: str
    numbers: IntArray
    _last: list[tuple[Snapshot, IntArray]] = field(default_factory=list, repr=False, compare=False)

    @classmethod
    def of(cls, text: str, atoms: Atoms) -> MovingSelection:
        """Selection that follows ``atoms``."""
        start = Groups.by_selection(text, atoms)
        if REST not in start.labels:
            # atoms that leave all selections must have a place
            raise InputError(f"groups {text}", "atoms", "all of them", f"some, and a {REST}")
        return cls(start.labels, start.index, text, np.array(atoms.numbers, dtype=np.int64))

    def index_in(self, snapshot: Snapshot | None) -> IntArray:
        """Number of the group of each atom, (n_atoms,); the rest is the last one."""
        if snapshot is None:
            raise InputError(f"groups {self.text}", "snapshot", "None", "where the atoms are")
        # all rates of a frame ask for the same
        if not self._last or self._last[0][0] is not snapshot:
            now = snapshot.centroid().atoms(self.numbers)
            self._last[:] = [(snapshot, assign_atoms(named_selections(self.text), now))]
        return self._last[0][1]

    def _summation(self, snapshot: Snapshot | None) -> Summation:
        return summation(self.index_in(snapshot), len(self))


def summation(index: IntArray, n_groups: int) -> Summation:
    """The matrix of sums over groups, (n_groups, n): 1 for the members of a group, else 0.

    Parameters
    ----------
    index : (n,), group of each
    n_groups : number of groups
    """
    n = len(index)
    return csc_matrix((np.ones(n), index, np.arange(n + 1)), shape=(n_groups, n))


def group_sums(values: FloatArray, groups: Summation, tail: int = 1) -> FloatArray:
    """Sums over the atoms of each group, or the parts of each molecule.

    Parameters
    ----------
    values : (..., n, k) or, with two axes as ``tail`` of each atom, (..., n, k, l)
    groups : (n_groups, n); see :func:`summation`

    Returns
    -------
    (..., n_groups, k) or (..., n_groups, k, l)
    """
    n_groups, n = groups.shape
    if values.ndim == 1 + tail:
        alone: FloatArray = (groups @ values.reshape(n, -1)).reshape(n_groups, *values.shape[1:])
        return alone
    moved = np.moveaxis(values, -1 - tail, 0)
    summed = (groups @ moved.reshape(n, -1)).reshape(n_groups, *moved.shape[1:])
    result: FloatArray = np.moveaxis(summed, 0, -1 - tail)
    return result
