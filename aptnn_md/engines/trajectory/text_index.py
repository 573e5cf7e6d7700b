"""Where the frames of a text file begin."""

from __future__ import annotations

import gzip
import sys
from array import array
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import IO, TypeAlias

import numpy as np

from aptnn_md.arrays import FloatArray, IntArray
from aptnn_md.errors import InputError
from aptnn_md.progress import log


def open_bytes(path: Path) -> IO[bytes]:
    """A file, also compressed by gzip.

    Raises
    ------
    InputError
        It cannot be opened.
    """
    try:
        if path.suffix == ".gz":
            return gzip.open(path, "rb")  # type: ignore[return-value]
        return path.open("rb")
    except OSError as error:
        raise InputError(path, "file", error.strerror or error, "a trajectory") from error


MOST_STEPS = 2**53
"""Beyond it steps would not be exact as numbers of other programs."""

_MOST_DIGITS = 20
"""More than any number of 64 bits has; Python refuses to read thousands."""

Head: TypeAlias = "tuple[int, int | None, float | None]"
"""Number of lines of atoms, MD step, time."""


def whole_number(text: str | bytes) -> int:
    """The number that digits stand for; of more digits than any count has, one as large.

    Raises
    ------
    ValueError
        Something else than a sign and digits.
    """
    words = text.decode(errors="replace") if isinstance(text, bytes) else text
    digits = words.strip().lstrip("+-")
    if digits.isdecimal() and len(digits) > _MOST_DIGITS:
        return int("1" + _MOST_DIGITS * "0")
    return int(words)


class FrameIndex:
    """Begins of the frames, and what their heads say.

    Parameters
    ----------
    path : file
    head : reads the head of a frame from a file and returns the number of lines that follow, the
        MD step and the time, None where there is none; None at the end of the file

    Attributes
    ----------
    steps, times : (n,) of the complete frames; None unless all have them
    """

    def __init__(self, path: Path, head: Callable[[IO[bytes], int], Head | None]) -> None:
        self.path = path
        begins, steps, times = array("q", [0]), array("q"), array("d")
        have_steps = have_times = True
        with open_bytes(path) as file:
            try:
                while (found := head(file, len(steps))) is not None:
                    n_lines, step, time = found
                    last, n_read = b"\n", 0
                    # no file has more, and islice takes no more
                    for last in islice(file, min(n_lines, sys.maxsize)):  # noqa: B007 the last one is looked at
                        n_read += 1
                    # a number may be cut, too
                    if n_read < n_lines or not last.endswith(b"\n"):
                        log.warning("%s: the last frame is incomplete and left out", path)
                        break
                    have_steps = have_steps and step is not None
                    have_times = have_times and time is not None
                    if step is not None and step > MOST_STEPS:
                        where = f"{path}, frame {len(steps)}"
                        raise InputError(where, "step", step, f"at most {MOST_STEPS}")
                    steps.append(step or 0)
                    times.append(time or 0.0)
                    begins.append(file.tell())
            except (EOFError, gzip.BadGzipFile) as error:
                log.warning("%s: the file ends early (%s); frames before are used", path, error)
        self._begins: IntArray = np.array(begins, dtype=np.int64)
        self.steps: IntArray | None = np.array(steps) if have_steps else None
        self.times: FloatArray | None = np.array(times) if have_times else None
        self._file: IO[bytes] | None = None

    def __len__(self) -> int:
        """Number of complete frames."""
        return len(self._begins) - 1

    def text(self, frame: int) -> str:
        """All lines of a frame."""
        if self._file is None:
            self._file = open_bytes(self.path)
        begin, end = int(self._begins[frame]), int(self._begins[frame + 1])
        self._file.seek(begin)
        return self._file.read(end - begin).decode("utf-8", errors="replace")

    def close(self) -> None:
        """Close the file until a frame is read."""
        if self._file is not None:
            self._file.close()
            self._file = None
