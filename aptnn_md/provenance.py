"""The command that makes what is written."""

from __future__ import annotations

import contextlib
import shlex
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

_commands: list[str] = []


@contextlib.contextmanager
def running(command: Sequence[str]) -> Iterator[None]:
    """Say that a command of this package runs, be it from the shell or from Python."""
    _commands.append(shlex.join(command))
    try:
        yield
    finally:
        _commands.pop()


def command_line() -> str:
    """The command of this package that runs, else the script, without its directory."""
    if _commands:
        return _commands[-1]
    program, *arguments = sys.argv or [""]
    return shlex.join([Path(program).name, *arguments])
