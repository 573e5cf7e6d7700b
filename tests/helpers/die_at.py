"""Processes that die at a chosen file operation, as if the machine had lost its power there."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from helpers.short_runs import ShortRun

FORK = multiprocessing.get_context("fork")

CHANGES = {"os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.truncate", "os.link"}
"""Audit events that change a directory; ``open`` counts too, where it may write."""


def run_and_die(work: Callable[[], object], directory: Path, operation: int = 0) -> int:
    """Run ``work`` in a forked process that is killed right before a file operation.

    Parameters
    ----------
    work : what to run
    directory : only operations on what is inside it count
    operation : number of the operation, from 1 on; 0: none, the process ends by itself

    Returns
    -------
    operations that there were, or 0 where the process was killed

    Raises
    ------
    RuntimeError
        The process ended in another way.
    """
    receiver, sender = FORK.Pipe(duplex=False)
    process = FORK.Process(target=_work, args=(work, str(directory), operation, sender))
    process.start()
    sender.close()
    process.join(120)
    if process.exitcode == -signal.SIGKILL and operation:
        return 0
    if process.exitcode != 0 or not receiver.poll():
        process.kill()
        raise RuntimeError(f"exit code {process.exitcode}")
    return int(receiver.recv())


def killed_at_operations(run: ShortRun, directory: Path, operations: Iterable[int]) -> int:
    """Kill a run at each of these file operations and run it again: the same as unbroken.

    Returns
    -------
    kills; fewer than asked for where there are no more operations

    Raises
    ------
    AssertionError
        Something else came out, or a file that is written in one step was there in part.
    """
    whole = _prepared(run, directory / "unbroken")
    run.work(whole)  # in this process, so that the forked ones need not import anything
    from helpers.short_runs import file_bytes  # torch is not everywhere that kills are tested

    expected, complete = run.content(whole), file_bytes(whole, run.whole)
    kills = 0
    for number in operations:
        broken = _prepared(run, directory / f"at-{number}")
        work = partial(run.work, broken)
        if run_and_die(work, broken, number):
            break
        kills += 1
        for name, data in file_bytes(broken, run.whole).items():
            assert data == complete[name], f"{name} in part, killed at operation {number}"
        run_and_die(work, broken)
        found = run.content(broken)
        different = sorted(n for n in expected | found if expected.get(n) != found.get(n))
        assert not different, f"{different} differ, killed at operation {number}"
    return kills


def _prepared(run: ShortRun, directory: Path) -> Path:
    directory.mkdir(parents=True)
    run.prepare(directory)
    return directory


def _work(work: Callable[[], object], directory: str, operation: int, sender: object) -> None:
    count = 0

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal count
        if event == "open":
            flags = arguments[2]
            changes = isinstance(flags, int) and bool(flags & (os.O_WRONLY | os.O_RDWR))
        else:
            changes = event in CHANGES
        if not changes or not any(_inside(a, directory) for a in arguments[:2]):
            return
        count += 1
        if count == operation:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)
    work()
    sender.send(count)  # type: ignore[attr-defined]
    sender.close()  # type: ignore[attr-defined]
    os._exit(0)  # other hooks and threads of the test process are none of ours


def _inside(argument: object, directory: str) -> bool:
    if not isinstance(argument, str | bytes | os.PathLike):
        return False
    return os.path.abspath(os.fsdecode(argument)).startswith(directory)
