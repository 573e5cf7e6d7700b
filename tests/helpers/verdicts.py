"""What the package makes of damaged input, judged in a process that may hang or die of it."""

from __future__ import annotations

import multiprocessing
import resource
import signal
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path

from aptnn_md.errors import InputError, RunError

FOUND, HARMLESS = "found", "harmless"
FORK = multiprocessing.get_context("fork")
MEMORY = 3 << 30
"""Bytes that a case may take beyond what the process has at its start."""
PATIENCE = 20
"""Seconds for a case."""


class Hang(BaseException):
    """A case took longer than :data:`PATIENCE`; no handler of ``Exception`` swallows it."""


@dataclass
class Verdicts:
    """Counts of what was found, what was harmless, and the cases that failed, in words."""

    counts: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)

    def add(self, case: str, verdict: str) -> None:
        """Count a verdict."""
        if verdict in (FOUND, HARMLESS):
            self.counts[verdict] += 1
            return
        self.counts["failed"] += 1
        self.failures.append(f"{case}: {verdict}")

    def __str__(self) -> str:
        counts = [f"{self.counts[name]} {name}" for name in (FOUND, HARMLESS, "failed")]
        return f"{self.counts.total()} cases: {', '.join(counts)}"


def judge(use: Callable[[], object], expected: object, named: Sequence[str] = ()) -> str:
    """What ``use`` does: an error in one sentence, the expected result, or a failure in words.

    Parameters
    ----------
    use : reads what is damaged
    expected : what it returns of the undamaged input; None: any result is right
    named : the message must contain one of these
    """
    try:
        with alarm(PATIENCE):
            result = use()
    except (InputError, RunError) as error:
        message = str(error)
        if not message or "\n" in message:
            return f"the message is not one line: {message!r}"
        if named and not any(name in message for name in named):
            return f"the message does not name it: {message!r}"
        return FOUND
    except Hang:
        return f"no end after {PATIENCE} s"
    except BaseException as error:
        return f"{type(error).__name__}: {str(error)[:200]}"
    if expected is None or result == expected:
        return HARMLESS
    return "another result without a word"


@contextmanager
def alarm(seconds: float) -> Iterator[None]:
    """Raise :class:`Hang` in the main thread after that time."""

    def ring(number: int, frame: object) -> None:
        raise Hang

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, before)


def judged_apart(cases: Sequence[int], case: Callable[[int], str]) -> Iterator[tuple[int, str]]:
    """Verdicts of ``case(n)``, each as soon as it is known, from a process with limited memory.

    A case that kills the process, or keeps it in C code for ever, is a failure, and another process
    continues with the next one.
    """
    done = 0
    while done < len(cases):
        receiver, sender = FORK.Pipe(duplex=False)
        process = FORK.Process(target=_judge_all, args=(cases[done:], case, sender), daemon=True)
        process.start()
        sender.close()
        try:
            while done < len(cases) and receiver.poll(PATIENCE + 20):
                verdict = receiver.recv()
                yield cases[done], verdict
                done += 1
        except EOFError:
            process.join()
            yield cases[done], f"the process died: exit code {process.exitcode}"
            done += 1
        else:
            if done < len(cases):
                yield cases[done], "no end, not even by a signal"
                done += 1
        finally:
            process.kill()
            process.join()
            receiver.close()


def _judge_all(cases: Sequence[int], case: Callable[[int], str], sender: Connection) -> None:
    in_use = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (in_use + MEMORY, in_use + MEMORY))
    for number in cases:
        sender.send(case(number))
