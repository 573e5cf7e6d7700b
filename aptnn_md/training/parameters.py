"""Parameters of networks, put aside and put back."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor


def copies(parameters: Iterable[Tensor]) -> list[Tensor]:
    """Copies without history."""
    return [parameter.detach().clone() for parameter in parameters]


@torch.no_grad()
def load(parameters: Iterable[Tensor], values: Iterable[Tensor]) -> None:
    """Give parameters the values of others, in place."""
    for parameter, value in zip(parameters, values, strict=True):
        parameter.copy_(value)
