"""Progress of long work: a bar on a terminal, log lines elsewhere."""

from __future__ import annotations

import logging
import sys
import time
from types import TracebackType

from tqdm import tqdm

log = logging.getLogger("aptnn_md")


class Progress:
    """Count of work done, shown on stderr.

    Parameters
    ----------
    total : number of units of work
    title : what is being done
    unit : name of a unit, e.g. ``"step"``
    every : seconds between log lines when stderr is not a terminal
    """

    def __init__(self, total: int, title: str, unit: str = "step", every: float = 15.0) -> None:
        self.total, self.title, self.every = total, title, every
        self._units = unit if unit == "%" else f"{unit}s"
        self.done = 0
        self._note = ""
        self._next_line = time.monotonic() + every
        interactive = sys.stderr is not None and sys.stderr.isatty()
        self._bar = tqdm(total=total, desc=title, unit=unit) if interactive else None

    def update(self, n: int = 1, note: str = "") -> None:
        """Record ``n`` more units; ``note`` is shown after the count."""
        self.done += n
        self._note = note or self._note
        if self._bar is not None:
            self._bar.set_postfix_str(self._note, refresh=False)
            self._bar.update(n)
        elif time.monotonic() >= self._next_line:
            self._next_line = time.monotonic() + self.every
            log.info(
                "%s: %s of %s %s %s", self.title, self.done, self.total, self._units, self._note
            )

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.close()
        elif error is None:
            log.info("%s: %s %s done %s", self.title, self.done, self._units, self._note)
