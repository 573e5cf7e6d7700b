"""Runs that are killed at random moments and started again until they are complete.

:data:`KILLED_RUNS` is the table of what is killed; a new engine is added there.
"""

from __future__ import annotations

import importlib.util
import os
import random
import signal
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

import torch

from helpers import campaigns, lammps_runs, openmm_runs, short_runs
from helpers.processes import FORK
from helpers.short_runs import Content

INTERRUPTED = 130
"""Exit code of a run that a signal asked to end."""


class Process(Protocol):
    """A process, as ``subprocess.Popen`` is one."""

    def poll(self) -> int | None:
        """Exit code, None while it runs."""

    def send_signal(self, signal: int, /) -> None:
        """Send a signal."""

    def wait(self, timeout: float | None = None) -> int:
        """Exit code, at the end."""


class Forked:
    """A function in a forked process, which need not import anything; prints into a log.

    The process has exit code 0 if the function returns None or 0, 1 if it raises.
    """

    def __init__(self, work: Callable[[], object], log: Path) -> None:
        self.log = log
        self._process = FORK.Process(target=_logged, args=(work, log), daemon=True)
        self._process.start()

    def poll(self) -> int | None:
        """Exit code, None while it runs."""
        return self._process.exitcode

    def send_signal(self, number: int) -> None:
        """Send a signal, unless it has ended."""
        if self._process.is_alive():
            assert self._process.pid is not None
            os.kill(self._process.pid, number)

    def wait(self, timeout: float | None = None) -> int:
        """Exit code, at the end."""
        self._process.join(timeout)
        if self._process.exitcode is None:
            self._process.kill()
            raise AssertionError(f"no end after {timeout} s: {self.log.read_text()[-2000:]}")
        return self._process.exitcode


def _logged(work: Callable[[], object], log: Path) -> None:
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for stream in (1, 2):
        os.dup2(descriptor, stream)
    sys.stdout = sys.stderr = open(descriptor, "w", buffering=1)  # noqa: SIM115 its whole life
    # the threads of the one that was forked are not here, and OpenMP would wait for them
    torch.set_num_threads(1)
    try:
        code = work()
    except BaseException:
        traceback.print_exc()
        code = 1
    os._exit(int(code or 0))  # type: ignore[call-overload]


@dataclass(frozen=True)
class KilledRun:
    """A run that can be killed.

    Attributes
    ----------
    start : begins or resumes in a directory
    content : what is compared at the end
    progress : changes as the run gets on
    prepare : makes the input
    signals : that are sent, one of them each time
    longest : seconds from the first progress to the signal
    longest_start : seconds from the start to a signal that is to come at any moment
    check : of the directory after each signal
    """

    start: Callable[[Path], Process]
    content: Callable[[Path], Content]
    progress: Callable[[Path], object]
    prepare: Callable[[Path], object] = lambda directory: None
    signals: Sequence[int] = (signal.SIGKILL,)
    longest: float = 0.25
    longest_start: float = 0.4
    check: Callable[[Path], object] = lambda directory: None


def kill_until_complete(
    run: KilledRun, directory: Path, rng: random.Random, most: int = 200
) -> list[int]:
    """Kill and start again until the run is complete, or ``most`` times; the signals sent.

    Most signals come while the run gets on, every fifth at any moment of its start.
    """
    sent: list[int] = []
    while True:
        before = run.progress(directory)
        process = run.start(directory)
        number = 0
        if len(sent) < most:
            any_moment = len(sent) % 5 == 4
            if any_moment or _gets_on(process, run, directory, before):
                longest = run.longest_start if any_moment else run.longest
                time.sleep(rng.uniform(0.0, longest))
                number = rng.choice(run.signals)
                process.send_signal(number)
        code = process.wait(120)
        if code == 0:
            return sent
        assert number, f"{directory}: exit code {code} without a signal: {_said(directory)}"
        assert code in (-number, INTERRUPTED), f"exit code {code}: {_said(directory)}"
        sent.append(number)
        run.check(directory)


def _gets_on(process: Process, run: KilledRun, directory: Path, before: object) -> bool:
    """Wait for progress; False if the process ended."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        if process.poll() is not None:
            return False
        if run.progress(directory) != before:
            return True
        time.sleep(0.002)
    raise AssertionError("the run does not get on")


def _said(directory: Path) -> str:
    log = directory / "log"
    return log.read_text()[-2000:] if log.exists() else ""


def killed_as_unbroken(
    run: KilledRun, directory: Path, n_kills: int, seed: int = 0, most: int = 25
) -> int:
    """Kill runs ``n_kills`` times, each at most ``most`` times; all equal an unbroken one.

    Raises
    ------
    AssertionError
        A run ended by itself with an error, or its end differs.
    """
    unbroken = _prepared(run, directory / "unbroken")
    code = run.start(unbroken).wait(300)
    assert code == 0, _said(unbroken)
    expected = run.content(unbroken)
    rng, kills, n_runs = random.Random(seed), 0, 0
    while kills < n_kills:
        broken = _prepared(run, directory / f"broken-{n_runs}")
        more = len(kill_until_complete(run, broken, rng, min(most, n_kills - kills)))
        found = run.content(broken)
        different = sorted(n for n in expected | found if expected.get(n) != found.get(n))
        assert not different, f"{broken}: {different} differ after {more} kills"
        kills, n_runs = kills + more, n_runs + 1
        assert n_runs < 20 + n_kills, "too few kills in each run"
    return kills


def _prepared(run: KilledRun, directory: Path) -> Path:
    directory.mkdir(parents=True)
    run.prepare(directory)
    return directory


def forked(work: Callable[[Path], object]) -> Callable[[Path], Process]:
    """Starts ``work(directory)`` in a forked process."""
    return lambda directory: Forked(partial(work, directory), directory / "log")


def newest(*patterns: str) -> Callable[[Path], object]:
    """Progress: when files of these names were changed last, and how many there are."""

    def look(directory: Path) -> object:
        times = []
        for pattern in patterns:
            for path in directory.glob(pattern):
                try:
                    times.append(path.stat().st_mtime_ns)
                except FileNotFoundError:
                    continue
        return len(times), max(times, default=0)

    return look


# ---------------------------------------------------------------------- the runs


def _md(directory: Path) -> int:
    finished = short_runs.md(
        directory, n_steps=450, thermostat="bussi", pause=1.5e-3, checkpoint_seconds=0.03
    )
    return 0 if finished else INTERRUPTED


def _trajectory(directory: Path) -> int:
    finished = short_runs.trajectory(directory, increments=True, pause=0.01, commit_seconds=0.03)
    return 0 if finished else INTERRUPTED


def _ensemble(directory: Path) -> int:
    finished = short_runs.ensemble(
        directory, n_runs=4, n_steps=90, pause=1.5e-3, checkpoint_seconds=0.03
    )
    return 0 if finished else INTERRUPTED


def _label(directory: Path) -> None:
    short_runs.label(directory, n_frames=6, delay=0.01)


KILLED_RUNS: dict[str, KilledRun] = {
    "md": KilledRun(
        forked(_md),
        lambda directory: short_runs.stream_content(directory / "stream"),
        newest("run.npz"),
        signals=(signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGHUP),
    ),
    "trajectory": KilledRun(
        forked(_trajectory),
        lambda directory: short_runs.stream_content(directory / "stream"),
        newest("stream/step/zarr.json"),
        short_runs.prepare_trajectory,
        signals=(signal.SIGKILL, signal.SIGKILL, signal.SIGTERM),
    ),
    "ensemble": KilledRun(
        forked(_ensemble),
        lambda directory: short_runs.ensemble_content(directory / "runs"),
        newest("run.npz"),
        signals=(signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGHUP),
    ),
    "label": KilledRun(
        forked(_label),
        partial(short_runs.file_bytes, patterns=("*.extxyz",)),
        newest("out.extxyz.work/*/*.json"),
    ),
    "train": KilledRun(
        forked(partial(short_runs.train, epochs=20)),
        short_runs.training_content,
        newest("model.pt.state"),
        short_runs.prepare_training,
        longest=0.1,
    ),
}

KILLED_RUNS["learn"] = KilledRun(
    forked(campaigns.learn),
    campaigns.learned,
    newest("out/*/*", "out/*/runs-0/*.npz", "out/points/*/*.json"),
    campaigns.prepare_campaign,
    signals=(signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGHUP),
    longest=1.0,
    longest_start=3.0,
)

if importlib.util.find_spec("mace") is not None:
    KILLED_RUNS["train potential"] = KilledRun(
        forked(campaigns.train_potential),
        campaigns.potential_content,
        newest("p.json.state"),
        campaigns.prepare_potential,
        longest=0.3,
    )

if not lammps_runs.why_not():
    KILLED_RUNS["lammps"] = KilledRun(
        lammps_runs.start_resumed,
        lammps_runs.resumed_content,
        newest("run.*.restart"),
        signals=(signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGHUP),
        longest_start=1.5,
    )

if importlib.util.find_spec("openmm") is not None:
    KILLED_RUNS["openmm"] = KilledRun(
        forked(openmm_runs.resumed),
        lambda directory: short_runs.stream_content(directory / "stream"),
        newest("run.chk"),
    )
