"""Dipoles in i-PI's files of extras, ``<trajectory extra_type='dipole'>extras</trajectory>``.

i-PI writes down what a driver sent, as it was sent; drivers of i-PI's own ``eda-nve`` send atomic
units.
"""

from __future__ import annotations

import re
from array import array
from pathlib import Path

import numpy as np

from aptnn_md.engines.trajectory.raw_series import RawSeries
from aptnn_md.engines.trajectory.text_index import MOST_STEPS, whole_number
from aptnn_md.errors import InputError
from aptnn_md.progress import log

_HEAD = re.compile(r"\s*#EXTRAS\w*\((?P<kind>[^)]*)\)#\s*Step:\s*(?P<step>\d+)")


def is_extras(head: str) -> bool:
    """Whether a file begins like one of extras."""
    return _HEAD.match(head) is not None


def read_extras(path: Path) -> RawSeries:
    """The dipoles of one bead.

    Raises
    ------
    InputError
        Extras of another kind, or not three numbers after a step.
    """
    steps, values, lines = array("q"), array("d"), array("q")
    step: int | None = None
    with path.open(encoding="utf-8", errors="replace") as file:
        for number, line in enumerate(file, start=1):
            head = _HEAD.match(line)
            if head is not None:
                _check_complete(path, number, step)
                _check_kind(path, number, head["kind"])
                step = whole_number(head["step"])
                if step > MOST_STEPS:
                    where = f"{path}, line {number}"
                    raise InputError(where, "step", head["step"][:40], f"at most {MOST_STEPS}")
            elif line.strip():
                row = _vector(path, number, line)
                if step is None or row is None:
                    expected = f"three numbers after each step{'' if row else ', and no more'}"
                    raise InputError(f"{path}, line {number}", "dipole", line.strip(), expected)
                steps.append(step)
                values.extend(row)
                lines.append(number)
                step = None
    if step is not None:
        log.warning("%s: the last step, %d, is incomplete and left out", path, step)
    shape = (len(steps), 3)
    at = np.array(lines, dtype=np.int64)
    found = np.array(values).reshape(shape)
    return RawSeries(str(path), found, at, "au", np.array(steps, dtype=np.int64))


def _check_complete(path: Path, line: int, step: int | None) -> None:
    if step is not None:
        raise InputError(f"{path}, line {line}", "dipole", f"none of step {step}", "three numbers")


def _check_kind(path: Path, line: int, kind: str) -> None:
    if kind.strip() != "dipole":
        expected = "extra_type='dipole' in the input of i-PI"
        raise InputError(f"{path}, line {line}", "extras", kind, expected)


def _vector(path: Path, line: int, text: str) -> list[float] | None:
    try:
        row = [float(word) for word in text.split()]
    except ValueError:
        return None
    return row if len(row) == 3 else None
