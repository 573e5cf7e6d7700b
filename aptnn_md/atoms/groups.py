"""Groups of atoms whose dipole rates are kept apart.

Ṁ is a sum over atoms, so it can be streamed in parts: by element, by molecule, by kind of
molecule or by labels of the user, and each of these by motion (:mod:`aptnn_md.atoms.motion`). Every
atom is in exactly one group, so the parts add up to the total, and spectra get auto and cross terms
without any trajectory.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.data import chemical_symbols

from aptnn_md.arrays import IntArray
from aptnn_md.atoms.frame import Frame
from aptnn_md.atoms.molecules import Molecules
from aptnn_md.atoms.motion import MotionGroups
from aptnn_md.atoms.selection import EXPECTED as SELECTIONS
from aptnn_md.atoms.selection import is_selection, select_atoms
from aptnn_md.errors import InputError

KINDS = ("all", "element", "molecule", "molecule-kind")
"""What :func:`parse_groups` understands besides selections and the name of a file."""


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

    def index_in(self, frame: Frame | None) -> IntArray:
        """Group of each atom (n_atoms,) in a frame; it is always the same one but for
        :class:`MovingSelection`.
        """
        return self.index

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
        """Groups ``selected`` and ``rest``; see :func:`aptnn_md.atoms.selection.select_atoms`."""
        chosen = select_atoms(text, atoms)
        if chosen.all():
            raise InputError(f"groups {text}", "atoms", "all of them", "some, and a rest")
        return cls(("selected", "rest"), np.where(chosen, 0, 1).astype(np.int64))


@dataclass(frozen=True)
class MovingSelection(Groups):
    """Groups ``selected`` and ``rest`` that are found anew in each frame: a solvation shell.

    For path integrals the centroids say who is selected. An atom that enters or leaves takes its
    Ṁ with it, so the parts have steps in time, and broad weak wings in their spectra.

    Parameters
    ----------
    labels, index : at the start
    text : selection; see :func:`aptnn_md.atoms.selection.select_atoms`
    numbers : (n_atoms,), atomic numbers
    """

    text: str
    numbers: IntArray

    @classmethod
    def of(cls, text: str, atoms: Atoms) -> MovingSelection:
        """Selection that follows ``atoms``."""
        start = Groups.by_selection(text, atoms)
        return cls(start.labels, start.index, text, np.array(atoms.numbers, dtype=np.int64))

    def index_in(self, frame: Frame | None) -> IntArray:
        """0 for selected atoms, 1 for the rest, (n_atoms,)."""
        if frame is None:
            raise InputError(f"groups {self.text}", "frame", "None", "where the atoms are")
        chosen = select_atoms(self.text, frame.centroid().atoms(self.numbers))
        return np.where(chosen, 0, 1).astype(np.int64)


def parse_groups(text: str, atoms: Atoms) -> Groups | MotionGroups:
    """Groups as the command line names them.

    Parameters
    ----------
    text : one of :data:`KINDS`; a selection (:func:`aptnn_md.atoms.selection.select_atoms`), whose
        groups are ``selected`` and ``rest``, at the start or, with ``+each-step`` behind it, in
        each frame; or a text file with one label per atom, separated by blanks or line ends.
        ``+motion`` behind it keeps translation, libration and vibration of
        each group apart, with the molecules of ``atoms``; ``+motion-each-step`` finds molecules
        anew in each frame, and with ``molecule-kind`` also the kinds. ``motion`` and
        ``motion-each-step`` alone are those of all atoms
    atoms : the structure

    Raises
    ------
    InputError
        No such file, or a number of labels that is not the number of atoms.
    """
    base, each_step = text, False
    for suffix in ("motion-each-step", "motion"):
        if text == suffix or text.endswith(f"+{suffix}"):
            base, each_step = text.removesuffix(suffix).rstrip("+") or "all", suffix != "motion"
            break
    else:
        return _of_atoms(text, atoms)
    if base == "molecule" and each_step:
        expected = "molecule+motion or molecule-kind+motion-each-step"
        raise InputError("groups", "name", f"{text!r}: molecules that may not last", expected)
    return MotionGroups(
        _of_atoms(base, atoms), atoms, each_step=each_step, by_kind=base == "molecule-kind"
    )


def atom_fields(atoms: Atoms, groups: Groups | MotionGroups) -> dict[str, Any]:
    """Fields of :class:`aptnn_md.stream.StreamHeader` that a stream with velocities needs."""
    of_atoms = groups.groups if isinstance(groups, MotionGroups) else groups
    return {
        "atom_numbers": tuple(int(z) for z in atoms.numbers),
        "atom_masses": tuple(float(m) for m in atoms.get_masses()),
        "atom_groups": tuple(int(g) for g in of_atoms.index),
        "atom_labels": of_atoms.labels,
    }


def _of_atoms(text: str, atoms: Atoms) -> Groups:
    """Groups by anything but motion."""
    known = {
        "all": Groups.all_atoms,
        "element": Groups.by_element,
        "molecule": Groups.by_molecule,
        "molecule-kind": Groups.by_molecule_kind,
    }
    if text in known:
        return known[text](atoms)
    if is_selection(text):
        selection = text.removesuffix("+each-step")
        if selection != text:
            return MovingSelection.of(selection, atoms)
        return Groups.by_selection(text, atoms)
    try:
        labels = Path(text).read_text(encoding="utf-8").split()
    except (OSError, UnicodeDecodeError) as error:
        expected = (
            f"one of {', '.join(KINDS)}, motion, a selection ({SELECTIONS}), "
            "or a text file with one label per atom"
        )
        raise InputError("groups", "name", repr(text), expected) from error
    if len(labels) != len(atoms):
        raise InputError(text, "labels", len(labels), f"{len(atoms)}, one for each atom")
    return Groups.by_labels(labels)
