"""The ``run`` commands of a LAMMPS script: where they are, and which of them are streamed."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

from aptnn_md.engines.lammps.script import branches_of, read_lines, words_of
from aptnn_md.errors import InputError


def chosen_runs(path: Path, runs: str) -> set[tuple[Path, int]] | None:
    """Where the ``run`` commands are that are streamed; None: all.

    Raises
    ------
    InputError
        A choice that is none, or none where there are several commands.
    """
    lines = run_lines(path)
    places = [number for _, number in lines]
    if not runs:
        if len(lines) > 1:
            found = f"{len(lines)} run commands in lines {', '.join(map(str, places))}"
            expected = "--runs last, all, or numbers such as 2 or 2-: what is not equilibration"
            raise InputError(path, "run", found, expected)
        return None
    if runs == "all":
        return None
    if runs == "last":
        return set(lines[-1:])
    chosen: set[tuple[Path, int]] = set()
    for part in runs.split(","):
        first, dash, last = part.strip().partition("-")
        end = last if last or dash else first
        numbers = [int(n) for n in (first, end or str(len(lines))) if n.isdecimal()]
        if len(numbers) < 2 or not 1 <= numbers[0] <= numbers[1] <= len(lines):
            expected = f"all, last, or numbers from 1 to {len(lines)} such as 2, 2-3 or 2-"
            raise InputError(path, "--runs", repr(runs), expected)
        chosen |= set(lines[numbers[0] - 1 : numbers[1]])
    return chosen


def run_lines(path: Path, within: tuple[Path, ...] = ()) -> list[tuple[Path, int]]:
    """Where the ``run`` commands of a script are, those of files that it includes by their plain
    name too; ``run 0`` is not among them, as no time passes.

    Parameters
    ----------
    path : of the script
    within : files that include it
    """
    found = []
    for line in read_lines(path):
        words = words_of(line.text)
        if words[:1] == ["include"] and len(words) > 1 and os.path.isfile(words[1]):
            included = Path(words[1])
            if included.resolve() in {other.resolve() for other in (*within, path)}:
                expected = "files that do not include themselves"
                raise InputError(line.where, "include", included, expected)
            found += run_lines(included, (*within, path))
        for command in _plain_commands(words):
            if command[:1] == ["run"] and command[1:2] != ["0"]:
                found.append((path, line.number))
    return list(dict.fromkeys(found))


def _plain_commands(words: list[str]) -> list[list[str]]:
    """The command itself, or those of the branches of an ``if``."""
    if words[:1] != ["if"]:
        return [words]
    return [words_of(text) for _, commands in branches_of(words) for text in commands]


def has_pre_no(words: Sequence[str]) -> bool:
    """Whether a ``run`` command continues without setting anything up."""
    return any(list(words[n : n + 2]) == ["pre", "no"] for n in range(len(words)))


def without_pre_no(text: str) -> str:
    """A ``run`` command that sets everything up, as new fixes ask for."""
    return re.sub(r"\s+pre\s+no(?=\s|$)", "", text)
