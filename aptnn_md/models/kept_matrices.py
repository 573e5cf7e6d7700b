"""Layers that keep the matrices which they derive from their weights."""

from __future__ import annotations

from typing import Any, Self

import torch
from torch import Tensor, nn


class KeptMatrices(nn.Module):
    """A layer whose matrices are derived from its weights, for each element.

    Without gradients, ``eval()`` lets the layer keep them; ``train()``, loading weights and
    changing dtype or device drop them. So call ``train()`` before changing weights in place.
    """

    weight: nn.Parameter

    def __init__(self) -> None:
        super().__init__()
        # element -> matrices; None while weights may change
        self._kept: dict[int, tuple[Tensor, ...]] | None = None

    def matrices(self, element: int) -> tuple[Tensor, ...]:
        """The matrices of one element.

        In evaluation mode they are kept. Threads may evaluate one network together: entries are
        never changed, and one that two threads make at once is the same twice.
        """
        kept = self._kept
        if kept is None or (torch.is_grad_enabled() and self.weight.requires_grad):
            return self._derived(element)
        if element not in kept:
            # a tensor of inference mode could not take part in later differentiation
            with torch.inference_mode(False), torch.no_grad():
                kept[element] = self._derived(element)
        return kept[element]

    def _derived(self, element: int) -> tuple[Tensor, ...]:
        raise NotImplementedError

    def _forget(self) -> None:
        self._kept = None if self.training else {}

    def train(self, mode: bool = True) -> Self:
        super().train(mode)
        self._forget()
        return self

    def _load_from_state_dict(self, *arguments: Any, **options: Any) -> None:
        super()._load_from_state_dict(*arguments, **options)
        self._forget()

    def _apply(self, *arguments: Any, **options: Any) -> Self:
        super()._apply(*arguments, **options)  # type: ignore[no-untyped-call]
        self._forget()
        return self
