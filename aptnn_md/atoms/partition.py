"""The interface of whatever divides rates into parts, and its names on the command line.

A partition divides the rates of all atoms into labelled parts that add up to the total: groups of
atoms, groups that change with time, or motions of molecules. Code that makes rates knows
only :class:`Partition`; a new kind is a class with these methods, and a name in
:func:`parse_groups`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from ase import Atoms

from aptnn_md.arrays import FloatArray
from aptnn_md.atoms.groups import Groups, MovingSelection
from aptnn_md.atoms.motion import MotionGroups
from aptnn_md.atoms.selection import EXPECTED as SELECTIONS
from aptnn_md.atoms.selection import is_selection
from aptnn_md.atoms.snapshot import Snapshot
from aptnn_md.errors import InputError

KINDS = ("all", "element", "molecule", "molecule-kind")
"""What :func:`parse_groups` understands besides selections and the name of a file."""

_MOTIONS = ("motion-each-step", "motion")


class Partition(Protocol):
    """Labelled parts of the rates of all atoms; they add up to the total."""

    @property
    def labels(self) -> tuple[str, ...]:
        """Name of each part, all different."""

    @property
    def n_atoms(self) -> int:
        """Number of atoms."""

    @property
    def atom_groups(self) -> Groups:
        """The groups of atoms that the parts are made of, at the start."""

    def __len__(self) -> int:
        """Number of parts."""

    def rates(
        self, rows: FloatArray, velocities: FloatArray, snapshot: Snapshot | None = None
    ) -> FloatArray:
        """Rates Σᵢ rows[i] @ v[i] of each part, (..., n_parts, k).

        Parameters
        ----------
        rows : (..., n_atoms, k, 3), gradients of k numbers; see
            :attr:`aptnn_md.targets.Target.rows`
        velocities : (..., n_atoms, 3), Å/fs, with the same leading axes, e.g. of beads, or fewer
        snapshot : where the atoms are; groups that never change do without

        Raises
        ------
        InputError
            Another number of atoms, or no snapshot where one is needed.
        """

    def f_sums(
        self, apt: FloatArray, masses: FloatArray, snapshot: Snapshot | None = None
    ) -> FloatArray:
        """⟨|Ṁ|²⟩/(3 k_B T) of each part for thermal velocities, (..., n_parts), e²/amu.

        Parameters
        ----------
        apt : (..., n_atoms, 3, 3), e
        masses : (n_atoms,), amu
        snapshot : see :meth:`rates`

        Raises
        ------
        InputError
            Other masses than those of the motions, another number of atoms, or no snapshot where
            one is needed.
        """


def parse_groups(text: str, atoms: Atoms) -> Partition:
    """The partition that a name on the command line stands for.

    Parameters
    ----------
    text : one of :data:`KINDS`; a selection, whose groups are ``selected`` and ``rest``, or several
        with names (:mod:`aptnn_md.atoms.selection`), as they are at the start or, with
        ``+each-step`` at the end, in each frame; or a text file with one label per atom, separated
        by blanks or line ends. ``+motion`` after any of them keeps translation, libration and
        vibration of each group apart, with the molecules of ``atoms``; ``+motion-each-step`` finds
        molecules again in each frame, and with ``molecule-kind`` also the kinds. ``motion`` and
        ``motion-each-step`` alone are those of all atoms. A file that has the name of a selection
        or ends like this is read as a file
    atoms : the structure

    Raises
    ------
    InputError
        No such file, or a number of labels that is not the number of atoms.
    """
    if text not in (*KINDS, *_MOTIONS) and Path(text).is_file():
        return _of_file(text, atoms)
    base, each_step = text, False
    for suffix in _MOTIONS:
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
    if Path(text).is_file():
        return _of_file(text, atoms)
    if is_selection(text):
        selection = text.removesuffix("+each-step")
        if selection != text:
            return MovingSelection.of(selection, atoms)
        return Groups.by_selection(text, atoms)
    return _of_file(text, atoms)


def _of_file(text: str, atoms: Atoms) -> Groups:
    """Groups by the labels of a file."""
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
