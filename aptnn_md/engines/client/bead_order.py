"""Which request is which bead, and when all beads of a step are there."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from aptnn_md.arrays import FloatArray
from aptnn_md.engines.client.beads_file import Bead
from aptnn_md.engines.client.dipole_change import nearest_image
from aptnn_md.errors import RunError
from aptnn_md.progress import log
from aptnn_md.targets import Tensors

LARGEST_SPREAD = 3.0
"""Å: an atom's beads are closer to their centroid than this, else they are no ring polymer."""

_MOST_BEGINNINGS = 3
"""Times that the beginning of a step is sought before the next one is taken for it."""

_Arrival = tuple[Bead, Tensors]


@dataclass(frozen=True)
class Step:
    """All beads at one step.

    Attributes
    ----------
    cell : (3, 3), rows, Å
    positions : (n_beads, n_atoms, 3), Å
    tensors : target -> (n_beads, n_members, n_atoms, *shape)
    clients : of each bead the client that it came to, the present one has the highest number
    calls : of each bead the call in which it came
    """

    cell: FloatArray
    positions: FloatArray
    tensors: Tensors
    clients: tuple[int, ...]
    calls: tuple[int, ...]

    def parts(self) -> list[list[int]]:
        """Numbers of the beads in each part of the step that may be of another step.

        That is what came to one client, and what came to it before the first bead, as a step begins
        with that one at most servers.
        """
        kinds = [
            (client, client == self.clients[0] and call >= self.calls[0])
            for client, call in zip(self.clients, self.calls, strict=True)
        ]
        return [[n for n, one in enumerate(kinds) if one == kind] for kind in sorted(set(kinds))]


class BeadOrder:
    """Collects requests, in whatever order, until a step is complete.

    All beads of a step are answered before the server moves them. So each replica comes once in a
    step; the same positions may come again, when the server repeats a request.

    A client may come to a server that is in the middle of a step of which others have had the rest
    (:meth:`join`). The protocol does not tell, but a replica that comes again, elsewhere, belongs
    to another step, and i-PI begins a step with its first bead or with the one that the connection
    had last. So the beads before that are recognised and left out.

    Parameters
    ----------
    n_beads : number of beads. Their replica numbers follow each other; those of a server that has
        only one kind of request may start at any number. Later numbers belong to other things
        (finite differences of Suzuki-Chin factorisation) and are left out
    """

    def __init__(self, n_beads: int) -> None:
        self.n_beads = n_beads
        self._lowest: int | None = None
        self._here: dict[int, _Arrival] = {}
        self._before: dict[int, FloatArray] = {}
        self._earlier: dict[int, _Arrival] = {}
        self._from_its_beginning, self._n_beginnings = True, 0

    @property
    def lowest(self) -> int:
        """Number of the first replica; known after a step."""
        assert self._lowest is not None
        return self._lowest

    @property
    def is_empty(self) -> bool:
        """Whether no bead is known of the step that comes next."""
        return not self._here and not self._earlier

    def join(self) -> None:
        """Look for a step that is there from its beginning on; none before it is known."""
        self._from_its_beginning, self._n_beginnings = False, 0

    def expect(self, bead: Bead, tensors: Tensors) -> None:
        """Take a bead that had come to a client before it was killed, in the order of time.

        If the server is still at that step, it asks for those only that were not answered.
        """
        self._drop_contradicted(bead)
        self._earlier[bead.replica] = (bead, tensors)

    def without_oldest(self, step: Step) -> None:
        """Wait for the beads of a step that those of the oldest client do not belong to after all.

        Parameters
        ----------
        step : the last one, with beads of more than one client
        """
        oldest, present = min(step.clients), max(step.clients)
        self._here, self._earlier = {}, {}
        for n, client in enumerate(step.clients):
            bead = Bead(self.lowest + n, step.cell, step.positions[n], step.calls[n], client)
            if client > oldest:
                kept = self._here if client == present else self._earlier
                kept[bead.replica] = (bead, {name: v[n] for name, v in step.tensors.items()})
        self._lowest, self._before = None, {}

    def forget(self) -> None:
        """Begin anew: the connection was lost, and replicas may have other numbers."""
        self._lowest, self._here, self._before, self._earlier = None, {}, {}, {}
        self._from_its_beginning = True

    def takes(self, bead: Bead, is_copy: bool = False) -> bool:
        """Whether a request is a bead that has not come yet.

        Parameters
        ----------
        bead : what is asked for
        is_copy : the same positions as the one before in a batch, perhaps only to fill it

        Raises
        ------
        RunError
            The requests are not those of ``n_beads`` beads that all come here.
        """
        if not self._is_of_the_range(bead.replica, is_copy):
            return False
        if is_copy and not self._all_coincide(bead.positions):
            return False
        if np.array_equal(self._before.get(bead.replica, ()), bead.positions):
            return False
        if bead.replica not in self._here:
            return True
        if np.array_equal(self._here[bead.replica][0].positions, bead.positions):
            return False
        if self._from_its_beginning:
            missing = self.n_beads - len(self._here)
            raise RunError(
                f"replica {bead.replica} moved on before {missing} other"
                f"{'s' if missing > 1 else ''} of {self.n_beads} came: "
                "another client takes part of them, so increments would be lost; start one "
                "client only (it may have several connections and MPI ranks)"
            )
        return True

    def add(self, bead: Bead, tensors: Tensors) -> Step | None:
        """Add a bead that :meth:`takes` let through; the step if it is complete with it.

        Parameters
        ----------
        bead : what is asked for
        tensors : of each member of a committee

        Raises
        ------
        RunError
            These are no beads of one ring polymer.
        """
        if bead.replica in self._here:
            self._begin_again(bead)
        self._drop_contradicted(bead)
        self._earlier.pop(bead.replica, None)
        self._here[bead.replica] = (bead, tensors)
        known = self._earlier | self._here
        if max(known) - min(known) >= self.n_beads:  # a server that counts otherwise
            known, self._earlier = self._here, {}
        lowest = min(known) if self._lowest is None else self._lowest
        replicas = range(lowest, lowest + self.n_beads)
        if not all(number in known for number in replicas):
            return None
        if not self._from_its_beginning:
            # a step begins with its first bead, or with one that is seen to come again
            self._leave_out_before(self._here[lowest][0].call)
            if not all(number in self._here for number in replicas):
                return None
        arrivals = [known[number] for number in replicas]
        if self._lowest is None:
            self._check_spread([bead for bead, _ in arrivals])
        self._lowest, self._here, self._earlier = lowest, {}, {}
        self._from_its_beginning = True
        return self._step(arrivals)

    def _step(self, arrivals: Iterable[_Arrival]) -> Step:
        beads, of_beads = zip(*arrivals, strict=True)
        self._before = {bead.replica: bead.positions for bead in beads}
        stacked = {name: np.stack([each[name] for each in of_beads]) for name in of_beads[0]}
        return Step(
            cell=beads[0].cell,
            positions=np.stack([bead.positions for bead in beads]),
            tensors=stacked,
            clients=tuple(bead.client for bead in beads),
            calls=tuple(bead.call for bead in beads),
        )

    def _is_of_the_range(self, replica: int, is_copy: bool) -> bool:
        """Whether a replica is one of the beads, as far as their numbers are known."""
        if self._lowest is None or 0 <= replica - self._lowest < self.n_beads:
            return True
        last = self._lowest + self.n_beads - 1
        if replica == last + 1 and not is_copy:
            raise RunError(
                f"the server has more replicas than {self.n_beads} "
                f"({self._lowest} to {replica} at least): for a path integral give their "
                "number (--beads); several systems or force components need a client each"
            )
        if replica < self._lowest:
            raise RunError(
                f"replica {replica} comes after {self._lowest} to {last} were taken for the "
                f"{self.n_beads} beads: they were something else. Start a new --stream, with the "
                "client in place before the server"
            )
        return False

    def _all_coincide(self, positions: FloatArray) -> bool:
        """Whether all beads are at one place, as at the start of many path integrals."""
        before = list(self._before.values())
        here = [bead.positions for bead, _ in self._here.values()]
        return all(np.array_equal(q, before[0]) for q in before) and all(
            np.array_equal(q, positions) for q in here
        )

    def _drop_contradicted(self, bead: Bead) -> None:
        """The server has left the step of a client whose bead is elsewhere now."""
        if bead.replica not in self._earlier:
            return
        known = self._earlier[bead.replica][0]
        if not np.array_equal(known.positions, bead.positions):
            self._earlier = {
                replica: arrival
                for replica, arrival in self._earlier.items()
                if arrival[0].client > known.client
            }

    def _begin_again(self, bead: Bead) -> None:
        """Leave out a step whose beginning is not known, now that a bead of the next one is here.

        Between the two times of that bead the step ended; where, is certain only if no other call
        lies between them.
        """
        previous = self._here[bead.replica][0].call
        calls = {one.replica: one.call for one, _ in self._here.values()} | {
            bead.replica: bead.call
        }
        beginnings = {call for call in calls.values() if call > previous}
        first = calls[min(calls)]
        self._leave_out_before(first if first in beginnings else bead.call)
        self._here.pop(bead.replica, None)
        self._n_beginnings += 1
        is_known = len(beginnings) == 1 or first in beginnings
        self._from_its_beginning = is_known or self._n_beginnings == _MOST_BEGINNINGS

    def _leave_out_before(self, call: int) -> None:
        kept = {n: arrival for n, arrival in self._here.items() if arrival[0].call >= call}
        n_left_out = len(self._here) - len(kept)
        self._here = kept
        if n_left_out:
            log.warning(
                "the server was in the middle of a step when this client came: the stream begins "
                "with the next step, without the %d of %d beads that came first",
                n_left_out,
                self.n_beads,
            )

    def _check_spread(self, beads: list[Bead]) -> None:
        first = beads[0].positions
        relative = np.stack([nearest_image(one.positions - first, one.cell) for one in beads])
        spread = np.linalg.norm(relative - relative.mean(axis=0), axis=-1).max()
        if spread > LARGEST_SPREAD:
            raise RunError(
                f"an atom's positions in {self.n_beads} replicas are {spread:.1f} Å from their "
                "mean: these are no beads of one ring polymer but, e.g., several systems"
            )
