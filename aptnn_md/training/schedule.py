"""The schedule of a training: how far it is, and the learning rate there."""

from __future__ import annotations

import math


def finished_fraction(epochs: float, planned: int, seconds: float, max_minutes: float) -> float:
    """Finished part of a training, 0 to 1, by epochs or by its time limit, whichever is further.

    Parameters
    ----------
    epochs : done, the part of the present one included
    planned : number of epochs
    seconds : of work
    max_minutes : of work
    """
    return min(1.0, max(epochs / planned, seconds / (60.0 * max_minutes)))


def scheduled(learning_rate: float, n_steps: int, warmup_steps: int, fraction: float) -> float:
    """Learning rate of the next step: a linear warm-up, and half a cosine to zero.

    Parameters
    ----------
    learning_rate : after the warm-up
    n_steps : done
    warmup_steps : at least one
    fraction : of :func:`finished_fraction`
    """
    warmup = min(1.0, (n_steps + 1) / warmup_steps)
    return learning_rate * warmup * 0.5 * (1.0 + math.cos(math.pi * fraction))
