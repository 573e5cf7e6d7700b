"""Which request is which bead, and when all beads of a step are there."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from aptnn_md.arrays import FloatArray
from aptnn_md.engines.client.dipole_change import nearest_image
from aptnn_md.errors import RunError
from aptnn_md.targets import Tensors

LARGEST_SPREAD = 3.0
"""Å: an atom's beads are closer to their centroid than this, else they are no ring polymer."""


@dataclass(frozen=True)
class Step:
    """All beads at one step.

    Attributes
    ----------
    cell : (3, 3), rows, Å
    positions : (n_beads, n_atoms, 3), Å
    tensors : target -> (n_beads, n_members, n_atoms, *shape)
    earlier : numbers of the beads that came to an earlier client only
    """

    cell: FloatArray
    positions: FloatArray
    tensors: Tensors
    earlier: tuple[int, ...] = ()


class BeadOrder:
    """Collects requests, in whatever order, until a step is complete.

    All beads of a step are answered before the server moves them. So each replica comes once in a
    step; the same positions may come again, when the server repeats a request.

    Parameters
    ----------
    n_beads : number of beads. Their replica numbers follow each other; those of a server that has
        only one kind of request may start at any number. Later numbers belong to other things
        (finite differences of Suzuki-Chin factorisation) and are left out
    """

    def __init__(self, n_beads: int) -> None:
        self.n_beads = n_beads
        self._lowest: int | None = None
        self._here: dict[int, tuple[FloatArray, FloatArray, Tensors]] = {}
        self._before: dict[int, FloatArray] = {}
        self._earlier: dict[int, tuple[FloatArray, FloatArray, Tensors]] = {}

    @property
    def lowest(self) -> int:
        """Number of the first replica; known after a step."""
        assert self._lowest is not None
        return self._lowest

    @property
    def n_here(self) -> int:
        """Number of beads of the step that is not complete."""
        return len(self._here)

    def expect(
        self, replica: int, cell: FloatArray, positions: FloatArray, tensors: Tensors
    ) -> None:
        """Take a bead that had come to a client before it was killed.

        If the server is still at that step, it asks for those only that were not answered.
        """
        self._earlier[replica] = (cell, positions, tensors)

    def without_earlier(self, step: Step) -> None:
        """Wait for the beads of a step that earlier ones do not belong to after all."""
        lowest = self._lowest or 0
        own = [n for n in range(self.n_beads) if n not in step.earlier]
        self._here = {
            lowest + n: (
                step.cell,
                step.positions[n],
                {name: values[n] for name, values in step.tensors.items()},
            )
            for n in own
        }
        self._lowest, self._before = None, {}

    def forget(self) -> None:
        """Begin anew: the connection was lost, and replicas may have other numbers."""
        self._lowest, self._here, self._before, self._earlier = None, {}, {}, {}

    def add(
        self,
        replica: int,
        cell: FloatArray,
        positions: FloatArray,
        tensors: Tensors,
        is_copy: bool = False,
    ) -> Step | None:
        """Add a request; the step if it is complete with it.

        Parameters
        ----------
        replica : its number
        cell : (3, 3), rows, Å
        positions : (n_atoms, 3), Å
        tensors : of each member of a committee
        is_copy : the same as the one before in a batch, perhaps only to fill it

        Raises
        ------
        RunError
            The requests are not those of ``n_beads`` beads that all come here.
        """
        if self._lowest is not None and not 0 <= replica - self._lowest < self.n_beads:
            if replica - self._lowest == self.n_beads and not is_copy:
                raise RunError(
                    f"the server has more replicas than {self.n_beads} "
                    f"({self._lowest} to {replica} at least): for a path integral give their "
                    "number (--beads); several systems or force components need a client each"
                )
            return None
        if np.array_equal(self._before.get(replica, ()), positions):
            return None
        if replica in self._here:
            if np.array_equal(self._here[replica][1], positions):
                return None
            raise RunError(
                f"replica {replica} moved on before {self._missing()} of {self.n_beads} came: "
                "another client takes part of them, so increments would be lost; start one "
                "client only (it may have several connections and MPI ranks)"
            )
        if replica in self._earlier:
            if np.array_equal(self._earlier[replica][1], positions):
                del self._earlier[replica]
            else:  # the server is at another step
                self._earlier = {}
        self._here[replica] = (cell, positions, tensors)
        known = self._earlier | self._here
        if max(known) - min(known) >= self.n_beads:  # a server that counts otherwise
            known, self._earlier = self._here, {}
        lowest = min(known) if self._lowest is None else self._lowest
        replicas = range(lowest, lowest + self.n_beads)
        if not all(number in known for number in replicas):
            return None
        if self._lowest is None:
            self._check_spread([known[number] for number in replicas])
        self._lowest = lowest
        earlier = tuple(n for n, number in enumerate(replicas) if number not in self._here)
        cells, beads, of_beads = zip(*(known[number] for number in replicas), strict=True)
        self._before, self._here = dict(zip(replicas, beads, strict=True)), {}
        self._earlier = {}
        stacked = {name: np.stack([each[name] for each in of_beads]) for name in of_beads[0]}
        return Step(cells[0], np.stack(beads), stacked, earlier)

    def _missing(self) -> str:
        missing = self.n_beads - len(self._here)
        return f"{missing} other{'s' if missing > 1 else ''}"

    def _check_spread(self, beads: list[tuple[FloatArray, FloatArray, Tensors]]) -> None:
        first = beads[0][1]
        relative = np.stack([nearest_image(q - first, cell) for cell, q, _ in beads])
        spread = np.linalg.norm(relative - relative.mean(axis=0), axis=-1).max()
        if spread > LARGEST_SPREAD:
            raise RunError(
                f"an atom's positions in {self.n_beads} replicas are {spread:.1f} Å from their "
                "mean: these are no beads of one ring polymer but, e.g., several systems"
            )
