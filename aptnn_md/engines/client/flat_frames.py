"""Frames of increments as rows of numbers, which is how a trail keeps them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from aptnn_md.arrays import FloatArray
from aptnn_md.stream import StreamHeader
from aptnn_md.stream.layout import StreamFrame, layouts


class FlatFrames:
    """Turns frames of a stream into rows of ``n_values`` numbers and back.

    Parameters
    ----------
    header : of the stream
    names : of the arrays in a frame
    """

    def __init__(self, header: StreamHeader, names: Iterable[str]) -> None:
        names = list(names)
        planned = layouts(header, names)
        self._shapes = {name: planned[name].frame_shape for name in planned if name in names}

    @property
    def n_values(self) -> int:
        """Numbers of a frame."""
        return sum(int(np.prod(shape)) for shape in self._shapes.values())

    def row(self, arrays: Mapping[str, FloatArray]) -> FloatArray:
        """The arrays of a frame as a row."""
        return np.concatenate([np.ravel(arrays[name]) for name in self._shapes])

    def frame(self, row: FloatArray, step: int, time: float) -> StreamFrame:
        """The frame of a row."""
        ends = np.cumsum([int(np.prod(shape)) for shape in self._shapes.values()])[:-1]
        parts = zip(self._shapes.items(), np.split(row, ends), strict=True)
        arrays = {name: part.reshape(shape) for (name, shape), part in parts}
        return StreamFrame(step, time, arrays)
