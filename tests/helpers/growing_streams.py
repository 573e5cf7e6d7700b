"""Streams of white noise that grow while a test looks at them."""

from __future__ import annotations

import numpy as np

from aptnn_md.stream import StreamHeader, StreamWriter

HEADER = StreamHeader(timestep=2.0, groups=("O", "H"), temperature=300.0, volume=1000.0)
RATES = np.random.default_rng(8).normal(size=(40_000, 2, 3)) * 0.01


def append(writer: StreamWriter, start: int, stop: int) -> None:
    for k in range(start, stop):
        writer.append(k, 2.0 * k, {"bead": RATES[k]})
    writer.commit()
