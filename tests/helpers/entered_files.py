"""Which files of the package a call goes through: what a reader opens to follow it."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import aptnn_md

PACKAGE = Path(aptnn_md.__file__).parent


@contextmanager
def entered_files() -> Iterator[set[str]]:
    """Files of the package, relative to it, that are entered within the context, in any thread."""
    found: set[str] = set()

    def look(frame: FrameType, event: str, argument: object) -> None:
        if event == "call":
            path = Path(frame.f_code.co_filename)
            if path.is_relative_to(PACKAGE):
                found.add(str(path.relative_to(PACKAGE)))

    before = sys.getprofile()
    threading.setprofile(look)
    sys.setprofile(look)
    try:
        yield found
    finally:
        sys.setprofile(before)
        threading.setprofile(None)  # type: ignore[arg-type]
