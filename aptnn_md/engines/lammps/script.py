"""LAMMPS input scripts, one command after the other, so that something can be done before each.

The library executes single commands, but reads loops and branches only from a file. So ``include``,
``jump``, ``label``, ``next``, ``if`` and ``quit`` are followed here; everything else is LAMMPS's,
variables, conditions and the command ``run`` included.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aptnn_md.engines.lammps.library import lammps_message
from aptnn_md.errors import InputError, RunError

_WORD = re.compile(r'"""(.*?)"""|"([^"]*)"|\'([^\']*)\'|([^\s"\'#]+)|(#.*)', re.DOTALL)
_BRANCH = "aptnn_md_branch"

_REFUSED = {
    "rerun": "run: it has no velocities of its own; aptnn-md trajectory reads stored frames",
    **dict.fromkeys(
        ("temper", "temper/grem", "temper/npt"),
        "run: exchange changes the temperature of each replica on the way",
    ),
    **dict.fromkeys(
        ("prd", "tad", "hyper"), "run: events on a clock of their own are no dynamics in time"
    ),
}
"""Commands that move atoms, but not in time -> what is expected in their place."""


def words_of(text: str) -> list[str]:
    """Words of a command, those in quotes without them; a comment ends it."""
    words = []
    for match in _WORD.finditer(text):
        if match.group(5) is not None:
            break
        words.append(next(group for group in match.groups() if group is not None))
    return words


@dataclass(frozen=True)
class Line:
    """A command of a script.

    Attributes
    ----------
    path, number : file, and its line, counted from 1
    text : the command; lines that ``&`` or triple quotes continue are in it
    """

    path: Path
    number: int
    text: str

    @property
    def where(self) -> str:
        """File and line, for messages."""
        return f"{self.path}, line {self.number}"


def read_lines(path: Path) -> list[Line]:
    """Commands of a script file.

    Raises
    ------
    InputError
        The file cannot be read.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:  # the name may hold a NUL, the text bad UTF-8
        raise InputError(path, "LAMMPS script", str(error), "a text file") from error
    lines, first, parts = [], 0, ""
    # not splitlines, which also splits at characters that end no line of LAMMPS
    for number, raw in enumerate(text.removesuffix("\n").split("\n"), 1):
        first = first or number
        parts += raw
        stripped = parts.rstrip()
        if stripped.endswith("&"):
            parts = stripped[:-1] + " "
        elif parts.count('"""') % 2:
            parts += "\n"
        else:
            lines.append(Line(path, first, parts))
            first, parts = 0, ""
    if parts:
        lines.append(Line(path, first, parts))
    return lines


def branches_of(words: list[str]) -> list[tuple[str | None, list[str]]]:
    """Conditions of an ``if`` command, None for ``else``, and the commands of each."""
    branches: list[tuple[str | None, list[str]]] = []
    rest = words[1:]
    while rest:
        condition: str | None = rest[0]
        start = 2
        if branches and rest[0] == "else":
            condition, start = None, 1
        elif branches and rest[0] == "elif":
            condition, start = rest[1] if len(rest) > 1 else "", 2
        end = start
        while end < len(rest) and rest[end] not in ("elif", "else"):
            end += 1
        branches.append((condition, rest[start:end]))
        rest = rest[end:]
    return branches


@dataclass
class _File:
    lines: list[Line]
    next: int = 0


@dataclass
class Interpreter:
    """Executes a script by LAMMPS.

    Parameters
    ----------
    lmp : an instance of LAMMPS
    before : called with the words of each command, variables not yet substituted
    run : called for ``run`` commands in place of LAMMPS
    """

    lmp: Any
    before: Callable[[Line, list[str]], None]
    run: Callable[[Line, list[str]], None]
    stopped: bool = False
    _files: list[_File] = field(default_factory=list)
    _skip_jump: bool = False

    def execute(self, path: Path) -> None:
        """Execute a script to its end, or until :attr:`stopped` is set.

        Raises
        ------
        InputError
            LAMMPS refuses a command, or the script does something other than dynamics in time.
        RunError
            A run fails.
        """
        self._files = [_File(read_lines(path))]
        while self._files and not self.stopped:
            file = self._files[-1]
            if file.next >= len(file.lines):
                self._files.pop()
                continue
            line = file.lines[file.next]
            file.next += 1
            self._step(line)

    def expanded(self, line: Line) -> list[str]:
        """Words of a line after LAMMPS has substituted its variables."""
        if "$" not in line.text:
            return words_of(line.text)
        with _Errors(line):
            return words_of(str(self.lmp.expand(line.text)))

    def command(self, line: Line, text: str | None = None) -> None:
        """Have LAMMPS execute a command.

        Raises
        ------
        InputError
            LAMMPS refuses it.
        """
        with _Errors(line):
            self.lmp.command(line.text if text is None else text)

    def _step(self, line: Line) -> None:
        words = words_of(line.text)
        if not words:
            return
        if "$" in words[0]:
            words = self.expanded(line)
        special = _SPECIAL.get(words[0])
        if special is not None:
            special(self, line, words)
            return
        if words[0] in _REFUSED:
            raise InputError(line.where, "command", words[0], _REFUSED[words[0]])
        self.before(line, words)
        if words[0] == "run":
            self.run(line, words)
        else:
            self.command(line)

    def _include(self, line: Line, words: list[str]) -> None:
        names = self.expanded(line)
        self._files.append(_File(read_lines(Path(_argument(line, names, 1)))))

    def _jump(self, line: Line, words: list[str]) -> None:
        if self._skip_jump:
            self._skip_jump = False
            return
        words = self.expanded(line)
        name = _argument(line, words, 1)
        file = self._files[-1]
        if name != "SELF":
            file.lines, file.next = read_lines(Path(name)), 0
        elif len(words) < 3:
            file.next = 0
        if len(words) > 2:
            label = ["label", words[2]]
            heads = [words_of(other.text)[:2] for other in file.lines]
            if label not in heads:
                expected = "a label of the file"
                raise InputError(line.where, "jump", f"no label {words[2]}", expected)
            file.next = heads.index(label)

    def _next(self, line: Line, words: list[str]) -> None:
        self.command(line)
        # variables that are exhausted are deleted, all of a command at once
        names = self.expanded(line)
        self._skip_jump = not self.lmp.has_id("variable", _argument(line, names, 1))

    def _if(self, line: Line, words: list[str]) -> None:
        branches = branches_of(words)
        text = "if"
        for number, (condition, _) in enumerate(branches):
            choice = f'"variable {_BRANCH} string {number}"'
            quote = '"""' if '"' in (condition or "") else '"'
            head = "else" if condition is None else f"{quote}{condition}{quote}"
            if number and condition is not None:
                head = f"elif {head}"
            text += f" {head} {choice}" if number else f" {head} then {choice}"
        self.command(line, f"variable {_BRANCH} string none")
        self.command(line, text)
        chosen = self.lmp.extract_variable(_BRANCH)
        if chosen != "none":
            for command in branches[int(chosen)][1]:
                self._step(Line(line.path, line.number, command))
                if self.stopped:
                    return

    def _label(self, line: Line, words: list[str]) -> None:
        return

    def _quit(self, line: Line, words: list[str]) -> None:
        self.stopped = True


_SPECIAL: dict[str, Callable[[Interpreter, Line, list[str]], None]] = {
    "include": Interpreter._include,
    "jump": Interpreter._jump,
    "label": Interpreter._label,
    "next": Interpreter._next,
    "if": Interpreter._if,
    "quit": Interpreter._quit,
}


def _argument(line: Line, words: list[str], number: int) -> str:
    if len(words) <= number:
        raise InputError(line.where, words[0], "nothing after it", "what LAMMPS's manual asks for")
    return words[number]


class _Errors:
    """Shows LAMMPS's errors as such, with the line of the script."""

    def __init__(self, line: Line) -> None:
        self.line = line

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if error is None or not isinstance(error, Exception):
            return
        if isinstance(error, InputError | RunError):
            return
        text = lammps_message(error)
        if words_of(self.line.text)[:1] == ["run"]:
            raise RunError(f"{self.line.where}: LAMMPS: {text}") from error
        name = (words_of(self.line.text) or ["command"])[0]
        raise InputError(self.line.where, name, text, "a command that LAMMPS accepts") from error
