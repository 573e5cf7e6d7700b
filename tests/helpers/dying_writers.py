"""A process that writes a stream until it is killed, whose frames tell which process wrote them."""

from __future__ import annotations

from multiprocessing.synchronize import Event
from pathlib import Path

import numpy as np

from aptnn_md.stream import StreamHeader, StreamWriter

STRIDE = 3
# large frames, so that chunks are short and restarts cut and drop many of them
N_GROUPS = 150
HEADER = StreamHeader(
    timestep=0.5, stride=STRIDE, groups=tuple(f"molecule {i}" for i in range(N_GROUPS))
)


def rate_of(step: int, generation: int) -> np.ndarray:
    """Ṁ that tells which process wrote it."""
    group, axis = np.ogrid[:N_GROUPS, :3]
    rate = np.sin(step + 3.0 * group + axis)
    rate[0, 0] = generation
    return rate


def write_for_ever(path: Path, checkpoint: Path, generation: int, ready: Event) -> None:
    """An MD run: continues from its checkpoint, which it writes after a commit of the stream."""
    step = int(checkpoint.read_text()) if checkpoint.exists() else 0
    rng = np.random.default_rng(generation)
    first_step = step
    if generation % 5 == 4:
        ready.set()
    with StreamWriter(path, HEADER, step, commit_frames=11, commit_seconds=1e9) as writer:
        while True:
            rate = rate_of(step, generation)
            changes = {"bead": np.concatenate([rate, -rate], axis=1)}
            writer.append(
                step, 0.5 * step, {"bead": rate}, f_sum=[1.0] * 150, polarizability_rates=changes
            )
            step += STRIDE
            # on a busy machine a start takes long, and most kills are to fall into writing
            if step == first_step + 12 * STRIDE:
                ready.set()
            if rng.random() < 0.02:
                writer.commit()
                partial = checkpoint.with_suffix(".partial")
                partial.write_text(str(step))
                partial.replace(checkpoint)
