"""Where the frames of a text file begin."""

from __future__ import annotations

import gzip
from array import array
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import IO, Any

import numpy as np

from aptnn_md.arrays import IntArray
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


class FrameIndex:
    """Begins of the frames, and what their heads say.

    Parameters
    ----------
    path : file
    head : reads the head of a frame from a file and returns the number of lines that follow and
        what to keep of the head; None at the end of the file

    Attributes
    ----------
    heads : what was kept of each complete frame
    """

    def __init__(
        self, path: Path, head: Callable[[IO[bytes], int], tuple[int, Any] | None]
    ) -> None:
        self.path, self.heads = path, list[Any]()
        begins = array("q", [0])
        with open_bytes(path) as file:
            try:
                while (found := head(file, len(self.heads))) is not None:
                    n_lines, kept = found
                    last, n_read = b"\n", 0
                    for last in islice(file, n_lines):  # noqa: B007 the last one is looked at
                        n_read += 1
                    # a number may be cut, too
                    if n_read < n_lines or not last.endswith(b"\n"):
                        log.warning("%s: the last frame is incomplete and left out", path)
                        break
                    self.heads.append(kept)
                    begins.append(file.tell())
            except (EOFError, gzip.BadGzipFile) as error:
                log.warning("%s: the file ends early (%s); frames before are used", path, error)
        self._begins: IntArray = np.array(begins, dtype=np.int64)
        self._file: IO[bytes] | None = None

    def __len__(self) -> int:
        """Number of complete frames."""
        return len(self.heads)

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
