"""Groups of atoms whose dipole rates are kept apart.

Ṁ is a sum over atoms, so it can be streamed in parts: by element, by molecule, by kind of
molecule or by labels of the user. Every atom is in exactly one group, so the parts add up to the
total, and spectra get auto and cross terms without any trajectory.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.data import chemical_symbols, covalent_radii
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from aptnn_md.arrays import IntArray
from aptnn_md.errors import InputError
from aptnn_md.graph import neighbour_pairs

BOND_FACTOR = 1.3
"""Two atoms are bonded when closer than this factor times the sum of their covalent radii: O-H up
to 1.26 Å, while hydrogen bonds of liquids are longer than 1.4 Å."""

ION_NUMBERS = (3, 4, 11, 12, 19, 20, 37, 38, 55, 56, 87, 88)
"""Alkali and alkaline-earth metals: ions by themselves, never bonded to their solvation shell,
which their covalent radii would include."""

KINDS = ("all", "element", "molecule", "molecule-kind")
"""What :func:`parse_groups` understands besides the name of a file."""


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

        Molecules are the connected parts of the graph of bonds (:data:`BOND_FACTOR`), through the
        periodic boundaries too. They are found once: an atom that changes its molecule during a
        run stays with the group it started in.
        """
        molecule = molecules(atoms)
        formulas = _formulas(atoms, molecule)
        count: dict[str, int] = {}
        labels = []
        for formula in formulas:
            count[formula] = count.get(formula, 0) + 1
            labels.append(f"{formula}-{count[formula]}")
        return cls(tuple(labels), molecule)

    @classmethod
    def by_molecule_kind(cls, atoms: Atoms) -> Groups:
        """A group for each kind of molecule, labelled by its formula (Hill order)."""
        molecule = molecules(atoms)
        formulas = _formulas(atoms, molecule)
        return cls.by_labels([formulas[m] for m in molecule])


def molecules(atoms: Atoms) -> IntArray:
    """Molecule of each atom (n_atoms,), counted from 0 in the order of their first atoms.

    Any cell will do: triclinic, periodic in some directions, smaller than a molecule, none.
    """
    radii = np.where(np.isin(atoms.numbers, ION_NUMBERS), 0.0, covalent_radii[atoms.numbers])
    cutoff = 2.0 * BOND_FACTOR * float(radii.max(initial=0.0))
    if cutoff == 0.0:
        return np.arange(len(atoms), dtype=np.int64)
    i, j, vectors = neighbour_pairs(atoms, cutoff)
    bonded = np.linalg.norm(vectors, axis=1) < BOND_FACTOR * (radii[i] + radii[j])
    bonded &= (radii[i] > 0.0) & (radii[j] > 0.0)
    i, j = i[bonded], j[bonded]
    graph = coo_matrix((np.ones(len(i)), (i, j)), shape=(len(atoms), len(atoms)))
    _, part = connected_components(graph, directed=False)
    _, first, inverse = np.unique(part, return_index=True, return_inverse=True)
    rank = np.empty(len(first), dtype=np.int64)
    rank[np.argsort(first)] = np.arange(len(first))
    molecule: IntArray = rank[inverse]
    return molecule


def parse_groups(text: str, atoms: Atoms) -> Groups:
    """Groups as the command line names them.

    Parameters
    ----------
    text : one of :data:`KINDS`, or a text file with one label per atom, separated by blanks or
        line ends
    atoms : the structure

    Raises
    ------
    InputError
        No such file, or a number of labels that is not the number of atoms.
    """
    known = {
        "all": Groups.all_atoms,
        "element": Groups.by_element,
        "molecule": Groups.by_molecule,
        "molecule-kind": Groups.by_molecule_kind,
    }
    if text in known:
        return known[text](atoms)
    try:
        labels = Path(text).read_text(encoding="utf-8").split()
    except (OSError, UnicodeDecodeError) as error:
        expected = f"one of {', '.join(KINDS)}, or a text file with one label per atom"
        raise InputError("groups", "name", repr(text), expected) from error
    if len(labels) != len(atoms):
        raise InputError(text, "labels", len(labels), f"{len(atoms)}, one for each atom")
    return Groups.by_labels(labels)


def _formulas(atoms: Atoms, molecule: IntArray) -> list[str]:
    """Formula of each molecule."""
    by_molecule = np.split(
        atoms.numbers[np.argsort(molecule, kind="stable")], np.cumsum(np.bincount(molecule))[:-1]
    )
    return [str(Atoms(numbers).get_chemical_formula("hill")) for numbers in by_molecule]
