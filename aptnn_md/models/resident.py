"""Structures that stay on a device: only positions and cells go there at each step.

Pairs within the cutoff and a skin are found on the device (:mod:`aptnn_md.models.pair_search`) and
serve until an atom has moved too far, which is known from the positions before they are sent: no
step waits for the device. Pairs of the skin are evaluated with the others; every function of the
networks vanishes beyond its cutoff.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from ase import Atoms
from torch import Tensor

from aptnn_md.arrays import FloatArray, IntArray
from aptnn_md.atoms.neighbours import LARGEST_HEAP, check_crowding
from aptnn_md.models.neighbour_lists import SKIN
from aptnn_md.models.pair_search import (
    Boxes,
    ImagePairs,
    Images,
    images_within,
    pairs_of_images,
)
from aptnn_md.structure_checks import check_structure

RESIDENT = {"cuda"}
"""Types of devices where structures stay."""

Composition = tuple[bytes, tuple[int, ...], bytes]
"""Atomic numbers, sizes of the structures and their periodic directions."""


def stays_on(device: torch.device) -> bool:
    """Whether structures that are evaluated on a device stay there from call to call."""
    return device.type in RESIDENT


def composition(structures: Sequence[Atoms]) -> Composition:
    """What a list of structures is made of: what must not change while they stay on a device."""
    numbers = np.concatenate([atoms.numbers for atoms in structures]).astype(np.int64)
    pbc = np.array([atoms.pbc for atoms in structures], dtype=bool)
    return numbers.tobytes(), tuple(len(atoms) for atoms in structures), pbc.tobytes()


class ResidentStructures:
    """Positions, cells and neighbour pairs of structures on a device.

    Parameters
    ----------
    structures : their composition stays; positions and cells are those of :meth:`update`
    order : (n_atoms,): atoms of all structures in the order in which they are kept
    cutoff : Å
    device : where

    Attributes
    ----------
    order, structure_of_atom : (n_atoms,), on the device
    positions, cells : (n_atoms, 3), (n_structures, 3, 3), Å, in double precision
    images, pairs : of the last search
    searches : how many there were
    """

    images: Images
    pairs: ImagePairs

    def __init__(
        self, structures: Sequence[Atoms], order: IntArray, cutoff: float, device: torch.device
    ) -> None:
        self.cutoff, self.device = cutoff, device
        self.sizes = tuple(len(atoms) for atoms in structures)
        self.searches = 0
        self._order = order
        self._pbc = np.array([atoms.pbc for atoms in structures], dtype=bool)
        owner = np.repeat(np.arange(len(self.sizes)), self.sizes)[order]
        self._owner = owner
        self.order = torch.from_numpy(order).to(device)
        self.structure_of_atom = torch.from_numpy(owner).to(device)
        pinned = device.type == "cuda"
        options: dict[str, Any] = {"dtype": torch.float64, "pin_memory": pinned}
        self._host_positions = torch.zeros(len(order), 3, **options)
        self._host_cells = torch.zeros(len(self.sizes), 3, 3, **options)
        # made outside of inference mode, as derivatives start from them
        with torch.inference_mode(False):
            self.positions = self._host_positions.to(device, copy=True)
            self.cells = self._host_cells.to(device, copy=True)
        self._found_at: tuple[FloatArray, FloatArray] | None = None

    def update(self, structures: Sequence[Atoms]) -> bool:
        """Send positions and cells, and find pairs anew where they are needed: whether they were.

        Raises
        ------
        InputError
            See :func:`aptnn_md.structure_checks.check_structure`; or crowded atoms.
        """
        positions, cells = self._host_positions.numpy(), self._host_cells.numpy()
        np.concatenate([atoms.positions for atoms in structures]).take(
            self._order, axis=0, out=positions
        )
        cells[:] = [atoms.cell.array for atoms in structures]
        cells[~self._pbc] = 0.0
        anew = not self._pairs_hold(positions, cells)
        if anew:
            for atoms in structures:
                check_structure(atoms)
        self.positions.copy_(self._host_positions, non_blocking=True)
        self.cells.copy_(self._host_cells, non_blocking=True)
        if anew:
            self._found_at = None
            self._search(structures)
            self._found_at = positions.copy(), cells.copy()
        return anew

    def image_positions(self, images: Images) -> Tensor:
        """(n_images, 3), Å, of the present positions and cells."""
        return images.positions(self.positions, self.cells, self.structure_of_atom)

    def _search(self, structures: Sequence[Atoms]) -> None:
        reach = self.cutoff + SKIN
        with torch.no_grad():
            self.images = images_within(
                self.positions, self.structure_of_atom, Boxes.of(structures), reach
            )
            owners = self.structure_of_atom[self.images.atoms]
            points = self.image_positions(self.images)
            self.pairs = pairs_of_images(points, owners, len(self.positions), reach)
        self.searches += 1
        if self.pairs.most_in_cube > LARGEST_HEAP:
            for atoms in structures:
                check_crowding(atoms, self.cutoff)

    def _pairs_hold(self, positions: FloatArray, cells: FloatArray) -> bool:
        """Whether the pairs of the last search contain all that are within the cutoff.

        A cell that is deformed by F takes its atoms along, and what is left are displacements u.
        A pair that was not found was farther apart than cutoff + skin, and is now farther apart
        than (cutoff + skin) σ - 2 max |u|, with σ the smallest singular value of F.
        """
        if self._found_at is None:
            return False
        earlier, earlier_cells = self._found_at
        if np.array_equal(cells, earlier_cells):
            return bool(_longest(positions - earlier) < 0.5 * SKIN)
        if not self._pbc.all() or not np.isfinite(cells).all():
            return False
        deformations = np.linalg.solve(earlier_cells, cells)
        left = positions - np.einsum("ij,ijk->ik", earlier, deformations[self._owner])
        smallest = float(np.linalg.svd(deformations, compute_uv=False).min())
        reach = (self.cutoff + SKIN) * smallest - 2.0 * _longest(left)
        return bool(reach > self.cutoff)


def _longest(vectors: FloatArray) -> float:
    """Length of the longest vector; NaN if one is none."""
    return float(np.sqrt(np.einsum("ij,ij->i", vectors, vectors).max(initial=0.0)))


class Received:
    """Results of a device, copied into page-locked memory, which is faster, and waited for."""

    def __init__(self) -> None:
        self._memory: Tensor | None = None

    def __call__(self, values: Tensor) -> FloatArray:
        """A copy (n,) in the processor's memory of values (n,) in double precision."""
        if values.device.type != "cuda":
            return values.cpu().numpy().copy()
        if self._memory is None or self._memory.shape != values.shape:
            self._memory = torch.empty(values.shape, dtype=values.dtype, pin_memory=True)
        self._memory.copy_(values, non_blocking=True)
        torch.cuda.current_stream(values.device).synchronize()
        return self._memory.numpy().copy()


def sum_of_structures(of_atoms: Tensor, sizes: Sequence[int], owners: Tensor) -> Tensor:
    """(n_atoms, ...) in the order of the structures -> (n_structures, ...).

    Parameters
    ----------
    of_atoms : quantities of atoms
    sizes : atoms of each structure
    owners : (n_atoms,): the structure of each atom
    """
    if len(set(sizes)) == 1:
        return of_atoms.unflatten(0, (len(sizes), -1)).sum(dim=1)
    sums = of_atoms.new_zeros(len(sizes), *of_atoms.shape[1:])
    return sums.index_add(0, owners, of_atoms)
