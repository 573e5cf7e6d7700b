"""Work on a cluster by parsl: its pilot jobs wait in the queue once and then do many short pieces.

A configuration is a Python file that defines ``config = parsl.Config(...)``. The machines share the
file system with this one; the working directory of workers is that of this process.
"""

from __future__ import annotations

import contextlib
import logging
import os
import runpy
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import BrokenExecutor, Executor, Future
from pathlib import Path
from typing import Any, TypeVar

from aptnn_md.callables import working_directory_importable
from aptnn_md.errors import InputError, RunError, exception_text

Result = TypeVar("Result")

_DEFAULT_RUN_DIR = "runinfo"
"""Where parsl keeps logs and job scripts by default: in the working directory, among the data."""

_MOST = 10_000
"""Pieces of work at the same time, where a configuration has no limit."""

_WATCH = """
import os, signal, sys
sys.stdin.read()
for number in sys.argv[1:]:
    try:
        os.kill(int(number), signal.SIGTERM)
    except ProcessLookupError:
        pass
"""
"""Ends processes when the one at the other end of the pipe is gone."""


@contextlib.contextmanager
def parsl_workers(path: Path) -> Iterator[tuple[Executor, int]]:
    """An executor by parsl, and how many pieces of work it does at the same time at most.

    Logs and scripts are in the configuration's ``run_dir``. If it names none, they are in the
    user's cache directory, which is usually on all nodes, and are removed after success.

    Parameters
    ----------
    path : of the configuration

    Raises
    ------
    InputError
        A file that cannot be read, or without ``config``.
    RunError
        parsl is not installed, the file raised an error, or parsl could not start.
    """
    where = f"--executor parsl:{path}"
    try:
        from parsl import DataFlowKernel
        from parsl.concurrent import ParslPoolExecutor
    except ImportError as error:
        raise RunError(
            f'{where}: parsl is not installed: pip install "aptnn_md[cluster]" ({error})'
        ) from error
    config = _read_config(path, where)
    own = _run_directory() if config.run_dir == _DEFAULT_RUN_DIR else None
    config.run_dir = str(own or config.run_dir)
    # parsl tells all that it does; its own file has it
    logging.getLogger("parsl").propagate = False
    try:
        with _interrupts_ignored():
            kernel = DataFlowKernel(config)
    except Exception as error:  # providers raise whatever they like
        if own is not None:
            shutil.rmtree(own, ignore_errors=True)
        raise RunError(f"{where}: parsl could not start: {exception_text(error)}") from error
    watch = _watched([getattr(e, "interchange_proc", None) for e in config.executors])
    try:
        yield _Parsl(ParslPoolExecutor(dfk=kernel), kernel.run_dir), _capacity(config)
    except BaseException:
        own = None  # logs say what happened
        raise
    finally:
        # not the executor's own shutdown, which waits for all that is at work
        kernel.cleanup()
        watch.kill()
        watch.communicate()
    if own is not None:
        shutil.rmtree(own, ignore_errors=True)


class _Parsl(Executor):
    """Submits to parsl; what it raises is in our words.

    Parameters
    ----------
    pool : parsl's own executor
    logs : named in messages
    """

    def __init__(self, pool: Executor, logs: str) -> None:
        self._pool, self._logs = pool, logs

    def submit(
        self, function: Callable[..., Result], /, *args: Any, **keywords: Any
    ) -> Future[Result]:
        """Begin a piece of work in the working directory of this process."""
        future: Future[Result] = Future()
        future.set_running_or_notify_cancel()
        inner = self._pool.submit(_run_in, os.getcwd(), function, args, keywords)

        def ended(inner: Future[Result]) -> None:
            error = inner.exception()
            if error is None:
                future.set_result(inner.result())
            else:
                future.set_exception(self._in_our_words(error))

        inner.add_done_callback(ended)
        return future

    def _in_our_words(self, error: BaseException) -> BaseException:
        from parsl.errors import ParslError
        from parsl.executors.high_throughput.errors import ManagerLost, WorkerLost

        if isinstance(error, ImportError) or "ModuleNotFoundError" in str(error):
            return RunError(
                f"parsl: {exception_text(error)}; worker_init of the configuration must activate "
                "an environment with aptnn_md"
            )
        if isinstance(error, (ManagerLost, WorkerLost)):
            text = f"a worker died (out of memory or time?): {error}"
        elif isinstance(error, ParslError):
            text = f"workers could not be used: {exception_text(error)}"
        else:
            return error
        return BrokenExecutor(f"parsl: {text}; logs in {self._logs}")


def _run_in(
    directory: str,
    function: Callable[..., Result],
    args: tuple[Any, ...],
    keywords: dict[str, Any],
) -> Result:
    """Run a function in a directory, by which relative paths and modules are found."""
    try:
        os.chdir(directory)
    except OSError as error:
        raise RunError(
            f"parsl: a worker on {os.uname().nodename} sees no directory {directory} "
            f"({error.strerror}): begin on a file system that all nodes share"
        ) from error
    return function(*args, **keywords)


def _read_config(path: Path, where: str) -> Any:
    """The configuration in a file, new each time, as parsl can use it only once."""
    from parsl import Config

    if not path.is_file():
        expected = "a Python file that defines config = parsl.Config(...)"
        raise InputError(where, "file", "none", expected)
    try:
        with working_directory_importable():
            config = runpy.run_path(str(path)).get("config")
    except Exception as error:  # users raise whatever they like
        raise RunError(f"{where}: it raised {exception_text(error)}") from error
    if not isinstance(config, Config):
        found = "nothing" if config is None else f"an object of type {type(config).__name__}"
        raise InputError(where, "config", found, "config = parsl.Config(...) in this file")
    return config


def _run_directory() -> Path:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "aptnn_md" / "parsl"
    try:
        cache.mkdir(parents=True, exist_ok=True)
        return Path(tempfile.mkdtemp(dir=cache))
    except OSError as error:
        expected = "a writable place; run_dir=... in parsl.Config names another"
        raise InputError(cache, "directory of parsl's logs", error.strerror, expected) from error


@contextlib.contextmanager
def _interrupts_ignored() -> Iterator[None]:
    """Processes that begin here ignore Ctrl-C: this one ends them, in order."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _watched(processes: list[Any]) -> subprocess.Popen[bytes]:
    """A process that ends parsl's own ones when this process is killed.

    parsl's managers end by themselves when they hear no more of their interchange, but that one
    would wait for this process for ever.
    """
    numbers = [str(process.pid) for process in processes if process is not None]
    return subprocess.Popen(
        [sys.executable, "-c", _WATCH, *numbers], stdin=subprocess.PIPE, start_new_session=True
    )


def _capacity(config: Any) -> int:
    """Pieces of work that all workers together do at the same time, with all jobs there may be."""
    total = 0.0
    for executor in config.executors:
        provider = getattr(executor, "provider", None)
        nodes = 1.0
        if provider is not None:
            nodes = float(provider.max_blocks or 1) * float(provider.nodes_per_block or 1)
        threads = getattr(executor, "max_threads", 1)
        each = float(getattr(executor, "workers_per_node", None) or threads or 1)
        if getattr(executor, "max_workers_per_node", 1) == float("inf") and each == 1:
            each = os.cpu_count() or 1  # nothing says how many cores a node has
        total += nodes * each
    return int(max(1, min(total, _MOST)))
