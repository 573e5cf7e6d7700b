"""The time that a training has worked."""

from __future__ import annotations

import time

LEAST_SHARE = 0.05
"""Of a core that a process has while it works, however busy the machine."""


class WorkClock:
    """Seconds in which this process and those before it worked.

    It is the time on the wall, less that in which the process was stopped or the machine slept:
    of each stretch between two readings counts at most what would leave the process
    :data:`LEAST_SHARE` of a core. Read it often, at each step of the work.

    Parameters
    ----------
    before : seconds of earlier processes
    """

    def __init__(self, before: float = 0.0) -> None:
        self._counted = before
        self._wall, self._own = time.monotonic(), time.process_time()

    def read(self) -> float:
        """Seconds until now."""
        wall, own = time.monotonic(), time.process_time()
        self._counted += min(wall - self._wall, (own - self._own) / LEAST_SHARE)
        self._wall, self._own = wall, own
        return self._counted
