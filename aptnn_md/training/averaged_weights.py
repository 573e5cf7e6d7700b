"""A moving average of weights, of which the best one is kept."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Sequence

import torch
from torch import Tensor

from aptnn_md.training.parameters import copies, load


class AveragedWeights:
    """Exponential moving average of parameters, and the average that was best.

    Parameters
    ----------
    parameters : that are trained; the average begins with their values
    decay : weight of the average in a step, once it has forgotten the first, poor values

    Attributes
    ----------
    values, best : the average now, and the one that was kept
    """

    def __init__(self, parameters: Iterable[Tensor], decay: float) -> None:
        self._parameters, self.decay = list(parameters), decay
        self.values = copies(self._parameters)
        self.best = copies(self._parameters)

    @torch.no_grad()
    def update(self, n_done: int) -> None:
        """Take the present parameters in.

        Parameters
        ----------
        n_done : epochs or steps before this one: early averages forget faster
        """
        decay = min(self.decay, (n_done + 1) / (n_done + 10))
        for average, parameter in zip(self.values, self._parameters, strict=True):
            average.lerp_(parameter, 1.0 - decay)

    def keep(self) -> None:
        """The present average is the best one."""
        self.best = copies(self.values)

    @contextlib.contextmanager
    def in_place(self, values: Sequence[Tensor] | None = None) -> Iterator[None]:
        """Within it the parameters have the values of the average, or these."""
        current = copies(self._parameters)
        load(self._parameters, self.values if values is None else values)
        try:
            yield
        finally:
            load(self._parameters, current)

    def restore(self, values: Sequence[Tensor], best: Sequence[Tensor] | None = None) -> None:
        """Take over averages, which may be on another device; ``best`` stays where it is None."""
        load(self.values, values)
        if best is not None:
            load(self.best, best)
