"""Tables in text files: columns with names, as programs write dipoles along a run.

CSV and text with ``#`` comments, LAMMPS' ``fix ave/time`` and thermo output in ``log.lammps``,
i-PI's properties.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from aptnn_md.arrays import FloatArray, IntArray
from aptnn_md.errors import InputError
from aptnn_md.progress import log

_IPI_COLUMN = re.compile(
    r"#\s*(?:column\s+(?P<one>\d+)|cols\.\s+(?P<first>\d+)-(?P<last>\d+))\s+-->\s+"
    r"(?P<name>\w+(?:\([^)]*\))?)(?P<unit>\{[^}]*\})?"
)
_NAME = re.compile(r"[^\s\[\](){}]+(?:\s?[\[({][^\])}]*[\])}])?")
_MOST_HEADERS = 10
_THERMO_END = ("Loop time", "ERROR")


@dataclass
class Table:
    """Numbers in columns.

    Attributes
    ----------
    path : file
    names : of the columns, with their units in brackets; empty where the file gives none
    values : (rows, columns)
    lines : (rows,) number of each row's line, counted from 1
    ipi : whether i-PI wrote it, whose numbers without a unit are in atomic units
    """

    path: Path
    names: tuple[str, ...] = ()
    values: FloatArray = field(default_factory=lambda: np.zeros((0, 0)))
    lines: IntArray = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    ipi: bool = False


def read_table(path: Path) -> Table:
    """The table of a text file.

    Raises
    ------
    InputError
        The file cannot be read, a line has other columns than the first one, or there are none.
    """
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            first = file.readline()
            file.seek(0)
            lines: Iterator[tuple[int, str]] = enumerate(file, start=1)
            if first.startswith("LAMMPS"):
                lines = _thermo_lines(lines)
            table = _parsed(path, lines)
    except OSError as error:
        raise InputError(path, "file", error.strerror or error, "a file of dipoles") from error
    if not len(table.values):
        raise InputError(path, "file", "no rows of numbers", "a table, or another known format")
    return table


def _thermo_lines(lines: Iterator[tuple[int, str]]) -> Iterator[tuple[int, str]]:
    """Header and rows of thermo output, the header as a comment."""
    header = ""
    for number, line in lines:
        words = line.split()
        if not header and words[:1] == ["Step"]:
            header = line
            yield number, f"# {line}"
        elif header and line.startswith(_THERMO_END):
            header = ""
        elif header and words and _numbers(words) is not None:
            yield number, line


def _parsed(path: Path, lines: Iterator[tuple[int, str]]) -> Table:
    names: tuple[str, ...] = ()
    ipi: dict[int, str] = {}
    numbers, values, n_columns = array("q"), array("d"), 0
    torn: tuple[int, str] | None = None
    n_words = 0
    for number, line in lines:
        text = line.strip()
        if not text:
            continue
        if torn is not None:
            raise _wrong_line(path, torn, n_columns)
        if text.startswith("#"):
            ipi |= _ipi_columns(text)
            names = _names(text.lstrip("#")) if not n_columns else names
            continue
        row = _numbers(_words(text))
        if row is None and not n_columns:
            n_words += 1
            if n_words > _MOST_HEADERS:
                raise InputError(f"{path}, line {number}", "columns", repr(text[:60]), "numbers")
            names = _names(text)
        elif row is None or len(row) != (n_columns or len(row)):
            torn = number, text  # the last line of a program that was killed
        else:
            n_columns = len(row)
            values.extend(row)
            numbers.append(number)
    if torn is not None:
        log.warning("%s, line %d: incomplete, left out: %r", path, torn[0], torn[1][:60])
    if ipi:
        names = tuple(ipi.get(k, "") for k in range(n_columns))
    if len(names) != n_columns:
        names = ()
    shape = (len(numbers), n_columns)
    found = np.array(values).reshape(shape)
    return Table(path, names, found, np.array(numbers, dtype=np.int64), bool(ipi))


def _wrong_line(path: Path, torn: tuple[int, str], n_columns: int) -> InputError:
    where = f"{path}, line {torn[0]}"
    return InputError(where, "columns", repr(torn[1][:60]), f"{n_columns} numbers")


def _words(text: str) -> list[str]:
    for separator in (",", ";"):
        if separator in text:
            return [word.strip() for word in text.split(separator)]
    return text.split()


def _numbers(words: list[str]) -> list[float] | None:
    try:
        return [float(word) for word in words]
    except ValueError:
        return None


def _names(text: str) -> tuple[str, ...]:
    if "," in text or ";" in text:
        return tuple(word.strip("\"'") for word in _words(text))
    return tuple(_NAME.findall(text))


def _ipi_columns(text: str) -> dict[int, str]:
    """Column -> name of what i-PI writes there; of vectors ``name[1]{unit}``."""
    found = _IPI_COLUMN.match(text)
    if found is None:
        return {}
    name, unit = found["name"], found["unit"] or ""
    if found["one"]:
        return {int(found["one"]) - 1: name + unit}
    first, last = int(found["first"]) - 1, int(found["last"])
    return {k: f"{name}[{k - first + 1}]{unit}" for k in range(first, min(last, first + 999))}
