"""CUDA graphs: an evaluation whose kernels are recorded once and launched together.

A network of 192 atoms is about 240 kernels of a few microseconds each, and launching them one by
one takes longer than they run. What is recorded reads the same memory at each replay, so its inputs
must be kept in place and be overwritten.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from aptnn_md.progress import log

CALLS_BEFORE = 2
"""Evaluations as usual before one is recorded: a single one is not worth it."""


class CapturedCall:
    """A function without arguments that reads and writes memory of a device only.

    The first evaluations are done as usual, and then a CUDA graph is recorded and replayed. Where
    that fails, all evaluations are done as usual, after one warning. On other devices than a GPU of
    CUDA there are no graphs.

    Parameters
    ----------
    device : where the function computes
    enabled : record at all

    Attributes
    ----------
    replays : how often a graph was replayed
    failed : why there is none; empty if nothing failed
    """

    def __init__(self, device: torch.device, enabled: bool = True) -> None:
        self._device = device
        self._enabled = enabled and device.type == "cuda"
        self._calls = 0
        self._graph: Any = None
        self._result: Tensor | None = None
        self.replays, self.failed = 0, ""

    def forget(self) -> None:
        """What the function reads has been replaced, or it is another function."""
        self._calls, self._graph, self._result = 0, None, None

    def __call__(self, function: Callable[[], Tensor]) -> Tensor:
        """The function's result, valid until the next call."""
        if self._graph is None and self._enabled and self._calls >= CALLS_BEFORE:
            self._capture(function)
        if self._graph is not None and self._result is not None:
            self._graph.replay()
            self.replays += 1
            return self._result
        self._calls += 1
        return function()

    def _capture(self, function: Callable[[], Tensor]) -> None:
        """Record a graph; nothing is computed by that."""
        current = torch.cuda.current_stream(self._device)
        try:
            with torch.cuda.device(self._device):
                stream = torch.cuda.Stream()
                stream.wait_stream(current)
                # what libraries set up at a first call is not for recording, nor are kept matrices
                with torch.cuda.stream(stream):
                    function()
                current.wait_stream(stream)
                graph = torch.cuda.CUDAGraph()
                # other threads may use the device meanwhile
                with torch.cuda.graph(graph, stream=stream, capture_error_mode="thread_local"):
                    self._result = function()
            self._graph = graph
        except Exception as error:
            self._enabled, self._graph, self._result = False, None, None
            # torch leaves the stream of a recording that failed in place
            torch.cuda.set_stream(current)
            self.failed = next(iter(str(error).splitlines()), type(error).__name__)
            log.warning(
                "CUDA graph: none could be recorded, evaluations go on without one, slower for "
                "small systems: %s",
                self.failed,
            )
