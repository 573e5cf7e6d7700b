"""Structures and committee members divided over the ranks of MPI.

Rank 0 talks to the server and calls the pool as it would call an evaluator; the others wait in
:meth:`RankPool.serve`. A call is one broadcast of four integers, one scatter of positions and one
gather of results. Beads are divided first; where there are more ranks than beads, the members of
the committee are, too.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from aptnn_md.arrays import FloatArray
from aptnn_md.engines.client.evaluator import (
    Evaluator,
    Results,
    check_n_atoms,
    check_structures,
)
from aptnn_md.errors import InputError, RunError
from aptnn_md.prediction.interface import member_slices
from aptnn_md.targets import TARGETS

_STOP, _EVALUATE, _TELL_ERRORS = 0, 1, 2
_PAUSE = 1e-4


@dataclass(frozen=True)
class Share:
    """What a rank evaluates.

    Attributes
    ----------
    structures : which of them
    members : of the first target's committee
    by_target : the members of each target that go with them
    forces : or not
    """

    structures: slice
    members: slice
    by_target: Mapping[str, slice]
    forces: bool

    @property
    def n_structures(self) -> int:
        """Number of structures."""
        return _length(self.structures)

    @property
    def n_members(self) -> int:
        """Number of members of the first target's committee."""
        return _length(self.members)

    def n_values(self, n_atoms: int) -> int:
        """How many numbers its results are."""
        of_forces = 1 + 3 * n_atoms + 9 if self.forces else 0
        of_tensors = sum(
            _length(members) * TARGETS[name].n_columns * n_atoms
            for name, members in self.by_target.items()
        )
        return self.n_structures * (of_forces + of_tensors)


def shares(n_structures: int, committee_sizes: Mapping[str, int], n_ranks: int) -> list[Share]:
    """Share of each rank; each structure is evaluated once by each member, its forces once.

    Parameters
    ----------
    n_structures : to evaluate
    committee_sizes : members of each target, the first of which are divided; empty: only forces
    n_ranks : that there are
    """
    n_members = next(iter(committee_sizes.values()), 0)
    columns = min(n_ranks, n_structures)
    rows = max(1, min(n_members, n_ranks // columns))
    nothing = slice(0, 0)
    idle = Share(nothing, nothing, dict.fromkeys(committee_sizes, nothing), forces=False)
    divided = [idle] * n_ranks
    for rank in range(rows * columns):
        members = _part(n_members, rank // columns, rows)
        divided[rank] = Share(
            structures=_part(n_structures, rank % columns, columns),
            members=members,
            by_target=member_slices(committee_sizes, members),
            forces=rank < columns,
        )
    return divided


LAUNCHERS = {
    "OMPI_COMM_WORLD_SIZE": "Open MPI",
    "PMI_SIZE": "MPICH or Intel MPI",
    "MPI_LOCALNRANKS": "MPICH",
    "MV2_COMM_WORLD_SIZE": "MVAPICH",
    "SLURM_STEP_NUM_TASKS": "srun",
    "JSM_NAMESPACE_SIZE": "jsrun",
    "FLUX_JOB_SIZE": "flux",
}
"""Variables in which a launcher says how many processes it has started, and its name.

``SLURM_NTASKS`` is not among them: a script of sbatch has it, too, where nothing was launched.
"""

HINTS = ("PMIX_RANK", "PMI_RANK", "PALS_RANKID", "I_MPI_HYDRA_HOST_FILE", "ALPS_APP_PE")
"""Variables of launchers that may have started several processes without saying how many."""


def world(insist: bool = False) -> Any:
    """The communicator of all ranks where this process was started as one of several, else None.

    mpi4py is asked wherever an environment variable of a launcher is there. It is not otherwise, as
    initialising MPI in a process of its own takes time and fails on some login nodes.

    Parameters
    ----------
    insist : ask mpi4py in any case, and accept nothing but several ranks

    Raises
    ------
    RunError
        Several processes were started, and mpi4py is missing or does not find the others: each
        would believe to be alone.
    """
    sizes = {
        name: int(os.environ[name]) for name in LAUNCHERS if os.environ.get(name, "").isdecimal()
    }
    name, size = max(sizes.items(), key=lambda each: each[1], default=("", 1))
    if not insist and size < 2 and (sizes or not any(hint in os.environ for hint in HINTS)):
        return None
    try:
        from mpi4py import MPI
    except ImportError as error:
        if not insist and size < 2:
            return None
        which = f"{size} MPI ranks need" if size > 1 else "--mpi needs"
        raise RunError(f'{which} mpi4py: pip install "aptnn_md[mpi]" ({error})') from error
    found = MPI.COMM_WORLD.Get_size()
    if found == 1 and size > 1:
        raise RunError(
            f"{LAUNCHERS[name]} started {size} processes ({name}), but mpi4py finds this one only: "
            "it is built for another MPI; use that one's mpirun (or srun --mpi=pmix or pmi2), or "
            "install mpi4py for this one"
        )
    if found == 1 and insist:
        raise RunError(
            "--mpi: there is one rank only; start the command with mpirun -n K or srun -n K, or "
            "leave --mpi out"
        )
    return MPI.COMM_WORLD if found > 1 else None


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

    @property
    def n_atoms(self) -> int:
        """Number of atoms."""
        return self.evaluator.n_atoms

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
        check_n_atoms(n_atoms, self.n_atoms)
        check_structures(self.evaluator.structures(cells, positions))
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

        n_atoms = self.evaluator.n_atoms
        committee_sizes = self.evaluator.committee_sizes if tensors else {}
        divided = shares(n_structures, committee_sizes, self.n_ranks)
        share = divided[self.rank]
        width = 9 + 3 * n_atoms
        mine = np.zeros((share.n_structures, width))
        sent = None
        if rows is not None:
            counts = [part.n_structures * width for part in divided]
            data = np.concatenate([rows[part.structures] for part in divided])
            sent = [data, counts, MPI.DOUBLE]
        self.communicator.Scatterv(sent, mine, root=0)
        part = self.own_part(share, mine, tensors)
        sizes = [1 + one.n_values(n_atoms) for one in divided]
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
        empty = Results.zeros(n_structures, n_atoms, committee_sizes)
        return filled(empty, divided, [one[1:] for one in parts])

    def own_part(self, share: Share, rows: FloatArray, tensors: bool) -> FloatArray:
        """1 + numbers of a share: 0, or 1 where it failed, and the results."""
        n_atoms = self.evaluator.n_atoms
        part = np.zeros(1 + share.n_values(n_atoms))
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
        arrays += results.tensors.values()
        part[1:] = np.concatenate([array.reshape(-1) for array in arrays])
        return part


def _part(n: int, index: int, n_parts: int) -> slice:
    """One of ``n_parts`` nearly equal parts of ``range(n)``."""
    return slice(n * index // n_parts, n * (index + 1) // n_parts)


def _length(part: slice) -> int:
    return len(range(part.start, part.stop))


def filled(results: Results, divided: list[Share], parts: list[FloatArray]) -> Results:
    """Results with the numbers of all shares in their places."""
    for share, part in zip(divided, parts, strict=True):
        places = []
        if share.forces:
            of_forces = (results.energy, results.forces, results.virial)
            places += [array[share.structures] for array in of_forces]
        places += [
            values[share.structures, share.by_target[name]]
            for name, values in results.tensors.items()
        ]
        start = 0
        for place in places:
            place[...] = part[start : start + place.size].reshape(place.shape)
            start += place.size
    return results
