"""Neighbour pairs found by torch, on any device: a list for structures that stay on a GPU.

Atoms are wrapped into their cells, and periodic images of them are laid around each cell, as far as
the cutoff reaches; then no direction is periodic any more. Atoms and images are sorted by the cubes
of a grid that they are in, and every atom looks through the 27 cubes about its own, which are nine
stretches of the sorted list. The work depends on the atoms alone, not on the space between them,
and any cell will do: triclinic, smaller than the cutoff, periodic in some directions or in none.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from ase import Atoms
from ase.geometry import complete_cell, minkowski_reduce
from torch import Tensor

from aptnn_md.arrays import FloatArray

CANDIDATES = {"cpu": 2**20}
"""Pairs whose distances are computed together; other devices: :data:`MANY_CANDIDATES`."""

MANY_CANDIDATES = 2**23

MANY_IMAGES = 2**23
"""Possible images that are looked at together; of more one axis after the other."""

LARGEST_KEY = 2**62
"""Of a cube of the grid, in 64-bit integers."""


@dataclass(frozen=True)
class Boxes:
    """Cells of several structures, reduced to the shortest vectors; rows are vectors.

    Attributes
    ----------
    vectors : (n_structures, 3, 3), Å, with vectors of our own where a direction is not periodic
    coefficients : (n_structures, 3, 3): these vectors in terms of those of the structures
    periodic : (n_structures, 3)
    """

    vectors: FloatArray
    coefficients: FloatArray
    periodic: FloatArray

    @classmethod
    def of(cls, structures: Sequence[Atoms]) -> Boxes:
        """Boxes of structures that :func:`aptnn_md.structure_checks.check_structure` accepts."""
        found = [
            _reduced(
                np.asarray(atoms.cell.array, dtype=np.float64).tobytes(),
                tuple(bool(p) for p in atoms.pbc),
            )
            for atoms in structures
        ]
        periodic = np.array([atoms.pbc for atoms in structures], dtype=np.float64)
        vectors, coefficients = zip(*found, strict=True)
        return cls(np.array(vectors), np.array(coefficients), periodic)


@functools.lru_cache(maxsize=256)
def _reduced(cell_bytes: bytes, pbc: tuple[bool, ...]) -> tuple[FloatArray, FloatArray]:
    cell = np.frombuffer(cell_bytes).reshape(3, 3).copy()
    cell[~np.array(pbc)] = 0.0
    if not any(pbc):
        return np.eye(3), np.eye(3)
    vectors, coefficients = minkowski_reduce(complete_cell(cell), pbc)
    return np.array(vectors), np.array(coefficients, dtype=np.float64)


@dataclass(frozen=True)
class Images:
    """The atoms, wrapped into their cells, and then the images of atoms around the cells.

    Attributes
    ----------
    atoms : (n_images,): whose image each is; the first n_atoms are the atoms in order
    shifts : (n_images, 3): multiples of the cell vectors that are added to the atom's position
    """

    atoms: Tensor
    shifts: Tensor

    def positions(self, of_atoms: Tensor, cells: Tensor, structures: Tensor) -> Tensor:
        """(n_images, 3), Å.

        Parameters
        ----------
        of_atoms : (n_atoms, 3), Å
        cells : (n_structures, 3, 3), rows, Å
        structures : (n_atoms,): which structure an atom belongs to
        """
        if len(cells) == 1:
            return torch.addmm(of_atoms.index_select(0, self.atoms), self.shifts, cells[0])
        vectors = cells.index_select(0, structures.index_select(0, self.atoms))
        shifts = (self.shifts.unsqueeze(2) * vectors).sum(dim=1)
        return of_atoms.index_select(0, self.atoms) + shifts


def images_within(positions: Tensor, structures: Tensor, boxes: Boxes, cutoff: float) -> Images:
    """All images that can be within a cutoff of an atom of their structure.

    Parameters
    ----------
    positions : (n_atoms, 3), Å, anywhere
    structures : (n_atoms,), ascending
    boxes : of the structures
    cutoff : Å
    """

    def of_atoms(values: FloatArray) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(values)).to(positions)[structures]

    inverses = np.linalg.inv(boxes.vectors).astype(np.float64)
    # distances of opposite faces are the inverse lengths of the columns
    margins = (cutoff * np.linalg.norm(inverses, axis=1)).astype(np.float64)
    periodic = of_atoms(boxes.periodic)
    fractions = (positions.unsqueeze(2) * of_atoms(inverses)).sum(dim=1)
    wraps = torch.floor(fractions) * periodic
    # directions that are not periodic are within reach wherever they are
    reach = of_atoms(np.where(boxes.periodic > 0, margins, np.inf))
    most = np.ceil(np.where(boxes.periodic > 0, margins, 0.0).max(axis=0)).astype(int)
    atoms, shifts = _shifted(fractions - wraps, reach, most.tolist(), periodic)
    shifts = shifts - wraps[atoms]
    coefficients = of_atoms(boxes.coefficients)[atoms]
    return Images(atoms, (shifts.unsqueeze(2) * coefficients).sum(dim=1))


def _shifted(
    fractions: Tensor, reach: Tensor, most: Sequence[int], periodic: Tensor
) -> tuple[Tensor, Tensor]:
    """Atoms and shifts (n_images, 3), in terms of the boxes, of the images within reach.

    Parameters
    ----------
    fractions : (n_atoms, 3), inside of the boxes
    reach : (n_atoms, 3): how far outside of them an image may be, infinite where no shift is
    most : largest shifts along the three vectors
    periodic : (n_atoms, 3): 1 where a direction is periodic
    """
    device = fractions.device
    atoms = torch.arange(len(fractions), device=device)
    shifts = torch.zeros_like(fractions)
    axes = [axis for axis in range(3) if most[axis]]
    together = [axes]
    if len(atoms) * np.prod([2 * n + 1 for n in most]) > MANY_IMAGES:
        together = [[axis] for axis in axes]
    for several in together:
        steps = [range(-n, n + 1) if axis in several else (0,) for axis, n in enumerate(most)]
        others = [step for step in itertools.product(*steps) if any(step)]
        step = torch.tensor(others, dtype=fractions.dtype).view(-1, 3).to(device)
        moved = (fractions[atoms] + shifts).unsqueeze(1) + step
        far = reach[atoms].unsqueeze(1)
        near = (moved >= -far) & (moved <= 1.0 + far)
        near &= (periodic[atoms].unsqueeze(1) > 0) | (step == 0)
        number, which = torch.nonzero(near.all(dim=2)).unbind(1)
        atoms, shifts = (
            torch.cat([atoms, atoms[number]]),
            torch.cat([shifts, shifts[number] + step[which]]),
        )
    return atoms, shifts


@dataclass(frozen=True)
class ImagePairs:
    """Pairs of atoms and images.

    Attributes
    ----------
    centres : (n_pairs,), ascending: atoms
    images : (n_pairs,): the images that they see
    squares : (n_pairs,): squared distances, Å²
    most_in_cube : images in one cube of the grid, at most
    """

    centres: Tensor
    images: Tensor
    squares: Tensor
    most_in_cube: int


def pairs_of_images(
    positions: Tensor, structures: Tensor, n_centres: int, cutoff: float
) -> ImagePairs:
    """Pairs of the first positions with all others of the same structure within a cutoff.

    Parameters
    ----------
    positions : (n_images, 3), Å; the first ``n_centres`` are those that see
    structures : (n_images,): only positions of one structure see each other
    n_centres : how many see
    cutoff : Å
    """
    keys, steps = _grid_keys(positions, structures, cutoff)
    ordered, by_key = torch.sort(keys)
    # stretches of three cubes along z
    rows = torch.tensor([dx * steps[0] + dy * steps[1] for dx in (-1, 0, 1) for dy in (-1, 0, 1)])
    middles = keys[:n_centres, None] + rows.to(keys)
    first = torch.searchsorted(ordered, middles - 1)
    lengths = torch.searchsorted(ordered, middles + 1, right=True) - first
    ends = np.cumsum(lengths.sum(dim=1).cpu().numpy())
    found = []
    for centres in _divided(ends, CANDIDATES.get(positions.device.type, MANY_CANDIDATES)):
        n_candidates = int(
            ends[centres.stop - 1] - (ends[centres.start - 1] if centres.start else 0)
        )
        of_rows = lengths[centres].flatten()
        row = torch.repeat_interleave(of_rows, output_size=n_candidates)
        skipped = torch.cumsum(of_rows, 0) - of_rows
        place = (first[centres].flatten() - skipped)[row] + torch.arange(
            n_candidates, device=row.device
        )
        image, centre = by_key[place], row // len(rows) + centres.start
        squares = (positions[image] - positions[centre]).square().sum(dim=1)
        near = torch.nonzero((squares < cutoff * cutoff) & (image != centre)).squeeze(1)
        found.append((centre[near], image[near], squares[near]))
    if not found:
        none = keys.new_zeros(0)
        return ImagePairs(none, none, positions.new_zeros(0), 0)
    most = int(torch.unique_consecutive(ordered, return_counts=True)[1].max())
    found_centres, images, squares = (torch.cat(part) for part in zip(*found, strict=True))
    return ImagePairs(found_centres, images, squares, most)


def _grid_keys(
    positions: Tensor, structures: Tensor, cutoff: float
) -> tuple[Tensor, tuple[int, int]]:
    """Numbers of the cubes that positions are in, and how they change along x and y; along z by 1.

    No two cubes have the same number, and around every cube there is room for empty ones.
    """
    if len(positions) == 0:
        return structures, (1, 1)
    cubes = torch.floor((positions - positions.amin(dim=0)) / cutoff).long() + 1
    sizes = [size + 2 for size in cubes.amax(dim=0).tolist()]
    n_structures = int(structures.amax()) + 1
    if n_structures * sizes[0] * sizes[1] * sizes[2] > LARGEST_KEY:
        cubes = torch.stack([_without_gaps(column) for column in cubes.unbind(1)], dim=1)
        sizes = [size + 2 for size in cubes.amax(dim=0).tolist()]
    steps = (sizes[1] * sizes[2], sizes[2])
    keys = structures * (sizes[0] * steps[0])
    return keys + cubes[:, 0] * steps[0] + cubes[:, 1] * steps[1] + cubes[:, 2], steps


def _without_gaps(column: Tensor) -> Tensor:
    """Whole numbers from 1 on in the same order, with gaps of more than two closed to two."""
    values, which = torch.unique(column, return_inverse=True)
    gaps = torch.diff(values, prepend=values[:1] - 1).clamp(max=2)
    return torch.cumsum(gaps, 0)[which]


def _divided(ends: FloatArray, most: int) -> list[slice]:
    """Stretches of centres with at most so many candidates together, or of one centre."""
    parts, first = [], 0
    while first < len(ends):
        before = ends[first - 1] if first else 0
        last = max(first + 1, int(np.searchsorted(ends, before + most, side="right")))
        parts.append(slice(first, last))
        first = last
    return parts
