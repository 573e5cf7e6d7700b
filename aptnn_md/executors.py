"""Where work is done in parallel: processes of this machine, MPI processes, or parsl's pilot jobs.

All of them stand behind :class:`concurrent.futures.Executor`. What must outlive a run is in the
files of whoever uses it; an executor keeps nothing.
"""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Iterator
from concurrent.futures import BrokenExecutor, Executor, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from aptnn_md.errors import InputError, RunError
from aptnn_md.parsl_executor import parsl_workers

PROCESSES, MPI, PARSL = "processes", "mpi", "parsl:"
"""Names of executors; the last one is followed by the path of a configuration."""


def check_executor(where: str, executor: str, jobs: int) -> None:
    """Refuse what :func:`workers` cannot use.

    Parameters
    ----------
    where : for messages
    executor, jobs : as for :func:`workers`

    Raises
    ------
    InputError
        No such executor, or a number of processes for one that has its own.
    """
    of_parsl = executor.startswith(PARSL) and executor != PARSL
    if executor not in (PROCESSES, MPI) and not of_parsl:
        expected = f"{PROCESSES}, {MPI}, or {PARSL}FILE with a configuration of parsl"
        raise InputError(where, "--executor", repr(executor), expected)
    if executor != PROCESSES and jobs != 1:
        own = "mpirun -n says how many" if executor == MPI else "the configuration says how many"
        raise InputError(where, "--jobs", f"{jobs} with {executor}", f"no --jobs: {own}")


@contextmanager
def workers(executor: str = PROCESSES, jobs: int = 1) -> Iterator[tuple[Executor | None, int]]:
    """An executor (None: this process), and how many pieces of work it does at the same time.

    Parameters
    ----------
    executor : ``processes``; ``mpi``, those of ``mpirun -n N python -m mpi4py.futures``; or
        ``parsl:FILE``, a Python file that defines ``config = parsl.Config(...)``
    jobs : number of processes of the first kind

    Raises
    ------
    InputError
        No such executor, or a configuration that is none.
    RunError
        mpi4py or parsl is not installed, or parsl could not start.
    """
    check_executor("options", executor, jobs)
    if executor == MPI:
        with _mpi_workers() as found:
            yield found
    elif executor.startswith(PARSL):
        with parsl_workers(Path(executor.removeprefix(PARSL))) as found:
            yield found
    elif jobs == 1:
        yield None, 1
    else:
        context = multiprocessing.get_context("spawn")
        pool = ProcessPoolExecutor(
            jobs, mp_context=context, initializer=_begin_worker, initargs=(jobs,)
        )
        try:
            yield pool, jobs
        finally:
            pool.shutdown(cancel_futures=True)


def how_it_broke(error: BrokenExecutor) -> str:
    """What ended the executor, in words."""
    if isinstance(error, BrokenProcessPool):
        return "a process died (out of memory?)"
    return str(error)


@contextmanager
def _mpi_workers() -> Iterator[tuple[Executor, int]]:
    try:
        from mpi4py.futures import MPIPoolExecutor
    except ImportError as error:
        raise RunError(
            f'--executor mpi: mpi4py is not installed: pip install "aptnn_md[mpi]" ({error})'
        ) from error
    with MPIPoolExecutor() as executor:
        yield executor, max(1, int(executor.num_workers))


def _begin_worker(jobs: int) -> None:
    """Share the cores with the other workers, unless the user says how many threads to use."""
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // jobs)))
    _end_with_parent()


def _end_with_parent() -> None:
    """End this process when its parent has ended, for whatever reason."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def follow(parent: Any = parent) -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=follow, daemon=True).start()
