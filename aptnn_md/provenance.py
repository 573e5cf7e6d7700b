"""The command that made an output, as it is recorded there."""

from __future__ import annotations

import contextlib
import shlex
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

_commands: list[str] = []


@contextlib.contextmanager
def running(command: Sequence[str]) -> Iterator[None]:
    """Record that a command of this package runs, from the shell or from Python."""
    _commands.append(shlex.join(command))
    try:
        yield
    finally:
        _commands.pop()


def command_line() -> str:
    """Return the running command of this package, or else the script without its directory."""
    if _commands:
        return _commands[-1]
    program, *arguments = sys.argv or [""]
    return shlex.join([Path(program).name, *arguments])
