"""Where the atoms are at one time, and nearest periodic images."""

from __future__ import annotations

import functools
import itertools
from dataclasses import dataclass

import numpy as np
from ase import Atoms
from ase.geometry import complete_cell, minkowski_reduce
from numpy.typing import ArrayLike

from aptnn_md.arrays import FloatArray
from aptnn_md.errors import InputError


@dataclass(frozen=True)
class Snapshot:
    """Where the atoms are at one time.

    Parameters
    ----------
    positions : (..., n_atoms, 3), Å; leading axes, such as beads, as for the velocities
    cell : (3, 3), Å, rows are lattice vectors; None: no cell
    pbc : in which directions the structure is periodic

    Raises
    ------
    InputError
        Shapes that are no positions and no cell, or a periodic direction without a cell.
    """

    positions: FloatArray
    cell: FloatArray | None = None
    pbc: tuple[bool, bool, bool] = (False, False, False)

    def __post_init__(self) -> None:
        # copies: the snapshot stays what it is while the simulation goes on
        positions = np.array(self.positions, dtype=np.float64)
        if positions.ndim < 2 or positions.shape[-1] != 3:
            raise InputError(
                "snapshot", "positions", f"shape {positions.shape}", "(..., n_atoms, 3)"
            )
        cell = None if self.cell is None else np.array(self.cell, dtype=np.float64)
        pbc = np.broadcast_to(np.asarray(self.pbc, dtype=bool), 3)
        if cell is None and pbc.any():
            raise InputError("snapshot", "cell", "None", f"lattice vectors for pbc {pbc.tolist()}")
        if cell is not None and cell.shape != (3, 3):
            raise InputError("snapshot", "cell", f"shape {cell.shape}", "(3, 3)")
        object.__setattr__(self, "positions", positions)
        object.__setattr__(self, "cell", cell)
        object.__setattr__(self, "pbc", tuple(bool(p) for p in pbc))

    @classmethod
    def of(cls, atoms: Atoms) -> Snapshot:
        """Positions and cell of ``atoms``."""
        return cls(atoms.positions, atoms.cell.array, tuple(atoms.pbc))

    @property
    def n_atoms(self) -> int:
        """Number of atoms."""
        return int(self.positions.shape[-2])

    @property
    def volume(self) -> float:
        """Volume of the cell, Å³; 0 without a cell."""
        return 0.0 if self.cell is None else abs(float(np.linalg.det(self.cell)))

    def centroid(self) -> Snapshot:
        """Mean over all leading axes (beads), each bead at its image nearest to the first one.

        It is always the same object, so that what is found there is found once.
        """
        return self._centroid

    @functools.cached_property
    def _centroid(self) -> Snapshot:
        if self.positions.ndim == 2:
            return self
        beads = self.positions.reshape(-1, self.n_atoms, 3)
        shifts = nearest_images(beads - beads[0], self.cell, self.pbc)
        return Snapshot(beads[0] + shifts.mean(axis=0), self.cell, self.pbc)

    def atoms(self, numbers: ArrayLike) -> Atoms:
        """The snapshot as a structure of these atomic numbers; without leading axes."""
        return Atoms(np.asarray(numbers), self.positions, cell=self.cell, pbc=self.pbc)


def nearest_images(
    vectors: FloatArray, cell: FloatArray | None, pbc: tuple[bool, bool, bool]
) -> FloatArray:
    """The shortest of each vector's periodic images, in any cell.

    Parameters
    ----------
    vectors : (..., 3), Å
    cell : (3, 3), Å
    pbc : periodic directions
    """
    if cell is None or not any(pbc):
        return vectors
    reduced, inverse, safe, shifts = _reduced_cell(cell.tobytes(), tuple(pbc))
    fractions = np.round(vectors @ inverse)
    if not all(pbc):
        fractions[..., ~np.array(pbc)] = 0.0
    nearest: FloatArray = vectors - fractions @ reduced
    # a vector shorter than half the distance of the lattice planes has no shorter image
    far = (nearest**2).sum(axis=-1) >= safe**2
    if far.any():
        images = nearest[far][:, None, :] + shifts
        best = (images**2).sum(axis=-1).argmin(axis=1)
        nearest[far] = images[np.arange(len(images)), best]
    return nearest


def shortest_vector(cell: FloatArray, pbc: tuple[bool, bool, bool] = (True, True, True)) -> float:
    """Length of the shortest lattice vector in the periodic directions, Å."""
    reduced = np.asarray(minkowski_reduce(complete_cell(cell), pbc)[0])
    return float(np.linalg.norm(reduced[np.array(pbc)], axis=1).min())


@functools.lru_cache(maxsize=8)
def _reduced_cell(
    cell_bytes: bytes, pbc: tuple[bool, bool, bool]
) -> tuple[FloatArray, FloatArray, float, FloatArray]:
    """Compact cell of the same lattice, its inverse, half the least distance of its planes, and
    the lattice vectors around the origin (27 or fewer), among which the shortest image is found.
    """
    periodic = np.array(pbc)
    cell = np.frombuffer(cell_bytes).reshape(3, 3).copy()
    cell[~periodic] = 0.0
    reduced = np.array(minkowski_reduce(complete_cell(cell), pbc)[0])
    inverse = np.linalg.inv(reduced)
    spacing = 1.0 / np.linalg.norm(inverse, axis=0)
    steps = itertools.product(*[(-1, 0, 1) if p else (0,) for p in pbc])
    shifts = np.array(list(steps), dtype=np.float64) @ reduced
    return reduced, inverse, 0.5 * float(spacing[periodic].min()), shifts
