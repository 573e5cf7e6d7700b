"""Tables of neighbours of a fixed shape, from which densities are made on a device.

The columns of a row belong to the neighbours of one atom, those of one element after those of the
other. Rows have room for more neighbours than were found, so that the next search fits into the
same memory, and a CUDA graph that reads it stays valid; when one does not fit, the tables grow.
The places of no neighbour hold an image far away from everything, where all functions are zero.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from aptnn_md.models.chunks import atoms_of_table
from aptnn_md.models.densities import (
    ACEConfig,
    AtomicDensities,
    density_of_table,
    joined,
    message_of_table,
)
from aptnn_md.models.neighbour_lists import SKIN
from aptnn_md.models.pair_search import Images
from aptnn_md.models.resident import ResidentStructures


@dataclass(frozen=True)
class Room:
    """What tables have room for.

    Attributes
    ----------
    images : images, with the one far away
    widths : neighbours of each element; the last one also has room for a place of none
    near : neighbours within the cutoff of messages
    """

    images: int
    widths: tuple[int, ...]
    near: int

    @property
    def width(self) -> int:
        """Columns of a row."""
        return sum(self.widths)

    def holds(self, other: Room) -> bool:
        """Whether what another has room for fits."""
        return (
            self.images >= other.images
            and self.near >= other.near
            and all(mine >= its for mine, its in zip(self.widths, other.widths, strict=True))
        )

    def enlarged(self, step: int = 8) -> Room:
        """With room for a sixteenth more, in multiples of ``step``."""

        def more(n: int) -> int:
            return step * math.ceil((n + n / 16) / step)

        return Room(more(self.images), tuple(map(more, self.widths)), more(self.near))


class PairTables:
    """Neighbour tables of resident structures, whose atoms are sorted by element.

    Parameters
    ----------
    structures : with their pairs
    config : cutoffs and elements
    bounds : first atom of each element, and n_atoms

    Attributes
    ----------
    room : their shape; tensors are replaced when it changes
    species : (n_atoms,): index of each atom's element
    neighbours : (n_atoms, width): atoms
    """

    neighbours: Tensor
    _columns: Tensor
    _near_neighbours: Tensor
    _table: Tensor
    _images: Images

    def __init__(
        self, structures: ResidentStructures, config: ACEConfig, bounds: tuple[int, ...]
    ) -> None:
        self.structures, self.config, self.bounds = structures, config, bounds
        self.room = Room(0, (0,) * len(config.elements), 0)
        device = structures.device
        sizes = torch.tensor(bounds).diff().to(device)
        self.species = torch.repeat_interleave(torch.arange(len(sizes), device=device), sizes)
        self._sorted = torch.arange(bounds[-1], device=device)

    @torch.no_grad()
    def fill(self) -> None:
        """Write the pairs of the last search into the tables."""
        images, pairs = self.structures.images, self.structures.pairs
        n_atoms, n_elements = self.bounds[-1], len(self.config.elements)
        atoms = images.atoms[pairs.images]
        group = pairs.centres * n_elements + self.species[atoms]
        by_group, counts = _places(group, n_atoms * n_elements)
        reach = self.config.message_cutoff + SKIN
        near = torch.nonzero(pairs.squares < reach * reach).squeeze(1)
        by_centre, near_counts = _places(pairs.centres[near], n_atoms)
        widths = counts.view(n_atoms, n_elements).amax(dim=0).tolist()
        widths[-1] += 1
        needed = Room(len(images.atoms) + 1, tuple(widths), int(near_counts.amax()))
        if not self.room.holds(needed):
            self._make_room(needed.enlarged())
        firsts = torch.tensor([sum(self.room.widths[:k]) for k in range(n_elements)])
        column = firsts.to(group)[self.species[atoms]] + by_group
        self._images.atoms[: len(images.atoms)] = images.atoms
        self._images.shifts[: len(images.atoms)] = images.shifts
        self._images.atoms[len(images.atoms) :] = 0
        self._images.shifts[len(images.atoms) :] = 0.0
        for table, row, place, values, nothing in (
            (self._table, pairs.centres, column, pairs.images, self.room.images - 1),
            (self.neighbours, pairs.centres, column, atoms, 0),
            (self._columns, pairs.centres[near], by_centre, column[near], self.room.width - 1),
            (self._near_neighbours, pairs.centres[near], by_centre, atoms[near], 0),
        ):
            table.fill_(nothing)
            table.index_put_((row, place), values)

    def _make_room(self, room: Room) -> None:
        n_atoms, like = self.bounds[-1], self._sorted
        self.room = room
        with torch.inference_mode(False):
            self._table, self.neighbours = (like.new_zeros(n_atoms, room.width) for _ in range(2))
            self._columns, self._near_neighbours = (
                like.new_zeros(n_atoms, room.near) for _ in range(2)
            )
            self._images = Images(
                like.new_zeros(room.images), self.structures.positions.new_zeros(room.images, 3)
            )

    # ------------------------------------------------------------------ on the device alone

    def centres(self) -> Tensor:
        """(n_atoms width,): the atom whose row a place is in."""
        return self._sorted.unsqueeze(1).expand(-1, self.room.width).flatten()

    def vectors(self, rows: slice, points: Tensor | None = None) -> Tensor:
        """(3, n_rows, width), Å, in double precision: from atoms to their neighbours."""
        points = self.points() if points is None else points
        table = self._table[rows]
        vectors = points.index_select(1, table.flatten()).unflatten(1, table.shape)
        return vectors.sub_(points[:, rows].unsqueeze(2))

    def points(self) -> Tensor:
        """(3, n_images), Å: where atoms and images are, the last one far away."""
        points = self.structures.image_positions(self._images)
        points[-1] = points.amin(dim=0) - 8.0 * self.config.cutoff
        return points.T.contiguous()

    def densities(self, dtype: torch.dtype, vectors: Tensor | None = None) -> AtomicDensities:
        """What the ``ace`` network reads, atoms sorted by element.

        Parameters
        ----------
        dtype : of what comes out
        vectors : (3, n_atoms, width), instead of those of the positions
        """
        points = self.points() if vectors is None else None
        step = atoms_of_table(self.structures.device)
        parts = []
        for first in range(0, self.bounds[-1], step):
            rows = slice(first, min(first + step, self.bounds[-1]))
            part = self.vectors(rows, points).to(dtype) if vectors is None else vectors[:, rows]
            density = density_of_table(self.config, part, self.room.widths)
            columns = self._columns[rows].expand(3, -1, -1)
            near = torch.gather(part, 2, columns)
            parts.append((density, *message_of_table(self.config, near)))
        densities, radial, harmonics = (list(part) for part in zip(*parts, strict=True))
        return AtomicDensities(
            order=self._sorted,
            element_bounds=self.bounds,
            density=joined(densities, 0),
            message_radial=joined(radial, 1),
            message_harmonics=joined(harmonics, 1),
            message_neighbours=self._near_neighbours,
        )


def _places(groups: Tensor, n_groups: int) -> tuple[Tensor, Tensor]:
    """Number of each entry within its group, and the sizes of the groups.

    Entries of a group are counted in their order.
    """
    ordered, order = torch.sort(groups, stable=True)
    counts = torch.bincount(groups, minlength=n_groups)
    first = torch.cumsum(counts, 0) - counts
    places = torch.empty_like(groups)
    places[order] = torch.arange(len(groups), device=groups.device) - first[ordered]
    return places, counts
