"""What a trajectory looks like to whoever makes streams of it.

Files of each kind are opened once, looked through for where their frames are and of which steps,
and then read frame by frame, so memory does not grow with their length.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from ase import Atoms

from aptnn_md.arrays import FloatArray, IntArray
from aptnn_md.atoms.snapshot import Snapshot


@dataclass(frozen=True)
class Frame:
    """Where the atoms are, and how they move.

    Attributes
    ----------
    positions : (n_atoms, 3), or (n_beads, n_atoms, 3), Å
    velocities : the same shape, Å/fs; None where there are none
    cell : (3, 3), rows, Å; None where the file gives none
    pbc : periodic directions
    charge : e, as the frame says it; None: it does not
    """

    positions: FloatArray
    velocities: FloatArray | None = None
    cell: FloatArray | None = None
    pbc: tuple[bool, bool, bool] = (False, False, False)
    charge: float | None = None

    def snapshot(self) -> Snapshot:
        """Positions and cell."""
        return Snapshot(self.positions, self.cell, self.pbc)

    def atoms(self, template: Atoms, positions: FloatArray | None = None) -> Atoms:
        """The structure, with all else as in ``template``."""
        atoms: Atoms = template.copy()
        atoms.calc = None
        atoms.positions = self.positions if positions is None else positions
        atoms.set_cell(np.zeros((3, 3)) if self.cell is None else self.cell)
        atoms.pbc = self.pbc
        return atoms


class FrameFile(Protocol):
    """A file of frames."""

    @property
    def path(self) -> Path:
        """Where it is."""

    @property
    def template(self) -> Atoms | None:
        """Elements, masses, charge and constraints; None where the file has no elements."""

    @property
    def bead(self) -> int | None:
        """Which bead of a path integral, counted from 0; None where the file does not say."""

    @property
    def quantity(self) -> str:
        """What i-PI says that it holds, e.g. ``"x_centroid"``; empty where nobody says it."""

    @property
    def n_frames(self) -> int:
        """Number of complete frames."""

    @property
    def steps(self) -> IntArray | None:
        """(n_frames,) MD steps; None where the file has none."""

    @property
    def times(self) -> FloatArray | None:
        """(n_frames,) fs; None where the file has none, or in an unknown unit."""

    @property
    def note(self) -> str:
        """Where velocities come from and in which unit, for the log; empty without velocities."""

    def read(self, frame: int) -> Frame:
        """A frame, counted from 0."""

    def close(self) -> None:
        """Close the file; it can still be read, for which it is opened again."""
