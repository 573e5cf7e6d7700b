"""Means of a series over blocks of frames, while it is read piece by piece."""

from __future__ import annotations

import numpy as np

from aptnn_md.arrays import FloatArray, IntArray

_MAX_BINS = 128


class RunningMeans:
    """Means of consecutive frames of a series of unknown length, in bounded memory.

    Attributes
    ----------
    n_frames : that have been added
    """

    def __init__(self) -> None:
        self.n_frames = 0
        self._length = 1
        self._sums: FloatArray | None = None
        self._counts = np.zeros(0, dtype=np.int64)

    def add(self, values: FloatArray) -> None:
        """Add frames (frames, k)."""
        if not len(values):
            return
        bins = (self.n_frames + np.arange(len(values))) // self._length
        self.n_frames += len(values)
        n = int(bins[-1]) + 1
        sums = np.zeros((n, values.shape[1]))
        counts = np.zeros(n, dtype=np.int64)
        if self._sums is not None:
            sums[: len(self._sums)], counts[: len(self._counts)] = self._sums, self._counts
        np.add.at(sums, bins, values)
        counts += np.bincount(bins, minlength=n)
        while len(counts) > _MAX_BINS:
            starts = np.arange(0, len(counts), 2)
            sums, counts = np.add.reduceat(sums, starts), np.add.reduceat(counts, starts)
            self._length *= 2
        self._sums, self._counts = sums, counts

    def blocks(self, n: int) -> tuple[FloatArray, IntArray]:
        """At most ``n`` blocks: their means (n, k), and numbers of frames (n,)."""
        if self._sums is None:
            return np.zeros((0, 0)), self._counts
        starts = np.unique(np.linspace(0, len(self._counts), n + 1).astype(int)[:-1])
        counts = np.add.reduceat(self._counts, starts)
        return np.add.reduceat(self._sums, starts) / counts[:, None], counts
