"""Processes that tests start: their environment, mpirun, and processes that are killed."""

from __future__ import annotations

import functools
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from helpers.paths import TESTS

SCRIPTS = Path(sys.executable).parent
"""Where the commands of this environment are."""

FORK = multiprocessing.get_context("fork")
"""Starts processes that need not import everything again."""


def environment(**variables: str) -> dict[str, str]:
    """Environment for a child: one thread, ``helpers`` can be imported, commands are ours."""
    search = [str(TESTS), *filter(None, [os.environ.get("PYTHONPATH")])]
    ours = {
        "OMP_NUM_THREADS": "1",
        "PATH": os.pathsep.join([str(SCRIPTS), os.environ["PATH"]]),
        "PYTHONPATH": os.pathsep.join(search),
    }
    return {**os.environ, **ours, **variables}


def killed_after(work: Callable[..., object], *arguments: object, **options: object) -> None:
    """Call ``work`` in a process that is killed with SIGKILL as soon as it returns.

    What ``work`` returns keeps its files open until then: nothing is closed, flushed or unlocked.
    """
    process = FORK.Process(target=_work_and_die, args=(work, arguments, options))
    process.start()
    process.join(60)
    if process.is_alive():
        process.kill()
        raise AssertionError("the process that was to be killed is still at work")
    assert process.exitcode == -signal.SIGKILL, f"it failed before: exit code {process.exitcode}"


def _work_and_die(
    work: Callable[..., object], arguments: tuple[object, ...], options: dict[str, object]
) -> None:
    kept = work(*arguments, **options)
    die()
    del kept


def die() -> None:
    """End this process as ``kill -9`` does."""
    os.kill(os.getpid(), signal.SIGKILL)


def has_ended(pid: int) -> bool:
    """Whether a process is gone; one that only waits to be reaped has ended, too."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return True
    return state in "ZX"


def wait_for(condition: Callable[[], bool], seconds: float, what: str) -> None:
    """Look every 10 ms until ``condition`` holds; fail after ``seconds``."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.01)


def find_mpirun() -> str | None:
    """The launcher of this environment's MPI, which mpi4py loads; else the system's."""
    return shutil.which("mpirun", path=str(SCRIPTS)) or shutil.which("mpirun")


needs_mpirun = pytest.mark.skipif(find_mpirun() is None, reason="there is no mpirun")


@functools.cache
def is_open_mpi(mpirun: str) -> bool:
    """Whether a launcher is that of Open MPI."""
    said = subprocess.run([mpirun, "--version"], capture_output=True, text=True, check=True).stdout
    return "Open MPI" in said


def _options_of(mpirun: str) -> tuple[str, ...]:
    """Cores are shared with other work, perhaps with another mpirun."""
    # MPICH starts more ranks than there are cores without being told to
    return ("--oversubscribe", "--bind-to", "none") if is_open_mpi(mpirun) else ()


def mpirun_command(*words: object) -> list[str]:
    """Words of a command under mpirun, with Open MPI or MPICH."""
    mpirun = find_mpirun()
    assert mpirun is not None
    return [mpirun, *_options_of(mpirun), *map(str, words)]


def mpirun_environment(**variables: str) -> dict[str, str]:
    """Environment for :func:`mpirun_command`."""
    ours = {
        "OMPI_ALLOW_RUN_AS_ROOT": "1",
        "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
        "OMPI_MCA_mpi_yield_when_idle": "1",
    }
    found = environment(**ours, **variables)
    found.pop("PYTHONSAFEPATH", None)
    return found


def start_mpirun(*words: object, directory: Path = TESTS) -> subprocess.Popen[str]:
    """A program under mpirun; what it and its ranks print is in ``stdout``."""
    pytest.importorskip("mpi4py")
    return subprocess.Popen(
        mpirun_command(*words),
        cwd=directory,
        env=mpirun_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
