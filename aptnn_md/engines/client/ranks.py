"""Structures and committee members divided over the ranks of MPI.

Rank 0 talks to the server and calls the pool as it would call an evaluator; the others wait in
:meth:`RankPool.serve`. A call is one broadcast of four integers, one scatter of positions and one
gather of results. Beads are divided first; where there are more ranks than beads, the members of
the committee are, too.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from aptnn_md.arrays import FloatArray
from aptnn_md.engines.client.evaluator import Evaluator, Results, pgt_members
from aptnn_md.errors import InputError, RunError

_STOP, _EVALUATE, _TELL_ERRORS = 0, 1, 2
_PAUSE = 1e-4


@dataclass(frozen=True)
class Share:
    """What a rank evaluates: structures, members of the committees, and forces or not."""

    structures: slice
    members: slice
    forces: bool
    pgt: slice

    @property
    def n_structures(self) -> int:
        """Number of structures."""
        return len(range(self.structures.start, self.structures.stop))

    @property
    def n_members(self) -> int:
        """Number of members."""
        return len(range(self.members.start, self.members.stop))

    @property
    def n_pgt_members(self) -> int:
        """Number of members that give PGTs."""
        return len(range(self.pgt.start, self.pgt.stop))


def shares(n_structures: int, n_members: int, n_ranks: int, n_pgt: int = 0) -> list[Share]:
    """Share of each rank; each structure is evaluated once by each member, its forces once.

    Parameters
    ----------
    n_structures : to evaluate
    n_members : of the committee of APTs; 0: only forces
    n_ranks : that there are
    n_pgt : members of the committee of PGTs
    """
    columns = min(n_ranks, n_structures)
    rows = max(1, min(n_members, n_ranks // columns))
    nothing = slice(0, 0)
    divided = [Share(nothing, nothing, False, nothing)] * n_ranks
    for rank in range(rows * columns):
        members = _part(n_members, rank // columns, rows)
        divided[rank] = Share(
            structures=_part(n_structures, rank % columns, columns),
            members=members,
            forces=rank < columns,
            pgt=pgt_members(members, n_members, n_pgt),
        )
    return divided


def world() -> Any:
    """The communicator of all ranks where this process was started as one of several, else None.

    Raises
    ------
    RunError
        It was, and mpi4py is missing.
    """
    names = ("OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "MPI_LOCALNRANKS")
    sizes = [int(os.environ[name]) for name in names if os.environ.get(name, "").isdigit()]
    if max(sizes, default=1) < 2:
        return None
    try:
        from mpi4py import MPI
    except ImportError as error:
        raise RunError(
            f'{max(sizes)} MPI ranks need mpi4py: pip install "aptnn_md[mpi]" ({error})'
        ) from error
    return MPI.COMM_WORLD


def local_device(device: str, communicator: Any) -> str:
    """Device of this rank: of several GPUs of a node the ranks take one after the other."""
    if communicator is None or device != "cuda":
        return device
    import torch
    from mpi4py import MPI

    node = communicator.Split_type(MPI.COMM_TYPE_SHARED)
    return f"cuda:{node.Get_rank() % max(1, torch.cuda.device_count())}"


class RankPool:
    """An evaluator on every rank, called on rank 0.

    Parameters
    ----------
    evaluator : the same on every rank
    communicator : of mpi4py
    """

    def __init__(self, evaluator: Evaluator, communicator: Any) -> None:
        self.evaluator, self.communicator = evaluator, communicator
        self.rank, self.n_ranks = communicator.Get_rank(), communicator.Get_size()

    def __call__(self, cells: FloatArray, positions: FloatArray, tensors: bool = True) -> Results:
        """Results of structures, as of
        :meth:`aptnn_md.engines.client.evaluator.Evaluator.__call__`.

        Raises
        ------
        InputError
            Another number of atoms.
        RunError
            What went wrong on which rank.
        """
        n_structures, n_atoms = positions.shape[:2]
        if n_atoms != self.evaluator.n_atoms:
            # the one-structure call says it in the evaluator's words
            return self.evaluator(cells, positions, tensors)
        self._broadcast(_EVALUATE, n_structures, n_atoms, int(tensors))
        rows = np.concatenate(
            [cells.reshape(n_structures, 9), positions.reshape(n_structures, -1)], axis=1
        )
        results = self._evaluate(n_structures, tensors, rows)
        assert results is not None
        return results

    def stop(self) -> None:
        """Let the other ranks return from :meth:`serve`; on rank 0, at the end."""
        self._broadcast(_STOP)

    def serve(self) -> None:
        """Evaluate what rank 0 sends until it stops; on the other ranks."""
        while True:
            control = np.zeros(4, dtype=np.int64)
            request = self.communicator.Ibcast(control, root=0)
            # a rank that waits leaves its core to others
            while not request.Test():
                time.sleep(_PAUSE)
            command, n_structures, _, tensors = (int(number) for number in control)
            if command == _STOP:
                return
            if command == _TELL_ERRORS:
                self.communicator.gather(self._error, root=0)
            else:
                self._evaluate(n_structures, bool(tensors), None)

    def _broadcast(self, *control: int) -> None:
        numbers = np.zeros(4, dtype=np.int64)
        numbers[: len(control)] = control
        self.communicator.Ibcast(numbers, root=0).Wait()

    def _evaluate(
        self, n_structures: int, tensors: bool, rows: FloatArray | None
    ) -> Results | None:
        """This rank's part of a call, and on rank 0 the whole of it."""
        from mpi4py import MPI

        n_atoms, whole = self.evaluator.n_atoms, self.evaluator
        n_members, n_pgt = (whole.n_members, whole.n_pgt_members) if tensors else (0, 0)
        divided = shares(n_structures, n_members, self.n_ranks, n_pgt)
        share = divided[self.rank]
        width = 9 + 3 * n_atoms
        mine = np.zeros((share.n_structures, width))
        sent = None
        if rows is not None:
            counts = [part.n_structures * width for part in divided]
            data = np.concatenate([rows[part.structures] for part in divided])
            sent = [data, counts, MPI.DOUBLE]
        self.communicator.Scatterv(sent, mine, root=0)
        part = self._own_part(share, mine, tensors)
        sizes = [1 + _size(one, n_atoms) for one in divided]
        gathered = np.zeros(sum(sizes)) if rows is not None else None
        received = None if gathered is None else [gathered, sizes, MPI.DOUBLE]
        self.communicator.Gatherv(part, received, root=0)
        if gathered is None:
            return None
        parts = np.split(gathered, np.cumsum(sizes)[:-1])
        if any(one[0] != 0.0 for one in parts):
            self._broadcast(_TELL_ERRORS)
            texts = self.communicator.gather(self._error, root=0)
            raise RunError("; ".join(f"rank {n}: {text}" for n, text in enumerate(texts) if text))
        empty = Results(
            energy=np.zeros(n_structures),
            forces=np.zeros((n_structures, n_atoms, 3)),
            virial=np.zeros((n_structures, 3, 3)),
            apt=np.zeros((n_structures, n_members, n_atoms, 3, 3)) if n_members else None,
            pgt=np.zeros((n_structures, n_pgt, n_atoms, 3, 3, 3)) if n_pgt else None,
        )
        return _filled(empty, divided, [one[1:] for one in parts])

    def _own_part(self, share: Share, rows: FloatArray, tensors: bool) -> FloatArray:
        """1 + numbers of a share: 0, or 1 where it failed, and the results."""
        n_atoms = self.evaluator.n_atoms
        part = np.zeros(1 + _size(share, n_atoms))
        self._error = ""
        if share.n_structures == 0:
            return part
        evaluator = self.evaluator.subset(share.members) if tensors else self.evaluator
        if not share.forces:
            evaluator = evaluator.without_forces()
        try:
            cells = rows[:, :9].reshape(-1, 3, 3)
            positions = rows[:, 9:].reshape(-1, n_atoms, 3)
            results = evaluator(cells, positions, tensors)
        except Exception as error:
            # told to rank 0, which ends all ranks
            self._error = str(error) if isinstance(error, InputError | RunError) else repr(error)
            part[0] = 1.0
            return part
        arrays: list[FloatArray] = []
        if share.forces:
            arrays += [results.energy, results.forces, results.virial]
        arrays += [array for array in (results.apt, results.pgt) if array is not None]
        part[1:] = np.concatenate([array.reshape(-1) for array in arrays])
        return part


def _part(n: int, index: int, n_parts: int) -> slice:
    """One of ``n_parts`` nearly equal parts of ``range(n)``."""
    return slice(n * index // n_parts, n * (index + 1) // n_parts)


def _size(share: Share, n_atoms: int) -> int:
    """Numbers in the results of a share."""
    of_forces = 1 + 3 * n_atoms + 9 if share.forces else 0
    of_tensors = (9 * share.n_members + 27 * share.n_pgt_members) * n_atoms
    return share.n_structures * (of_forces + of_tensors)


def _filled(results: Results, divided: list[Share], parts: list[FloatArray]) -> Results:
    """Results with the numbers of all shares in their places."""
    for share, part in zip(divided, parts, strict=True):
        places = []
        if share.forces:
            of_forces = (results.energy, results.forces, results.virial)
            places += [array[share.structures] for array in of_forces]
        if results.apt is not None:
            places.append(results.apt[share.structures, share.members])
        if results.pgt is not None:
            places.append(results.pgt[share.structures, share.pgt])
        start = 0
        for place in places:
            place[...] = part[start : start + place.size].reshape(place.shape)
            start += place.size
    return results
