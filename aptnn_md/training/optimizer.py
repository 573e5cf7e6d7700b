"""The optimiser of a training: whole matrices are turned, single numbers follow Adam.

Most weights of ``ace`` are matrices that mix channels. Adam scales the steps of their elements one
by one; where a few directions dominate a gradient, as between densities that vary together, the
others are learned late. Here a step of a matrix is its averaged gradient with all singular values
made equal, by the iteration of Newton and Schulz (K. Jordan et al., "Muon", 2024), and with the
root mean square that steps of Adam have, so that one learning rate serves both. All other weights
are learned by AdamW.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, Literal

import torch
from torch import Tensor, nn

from aptnn_md.models.layers import ChannelMixing

Kind = Literal["muon", "adamw"]

Choice = Literal["auto", "muon", "adamw"]

MOMENTUM = 0.95
"""Of the averaged gradients of matrices."""

SQUARES = 0.95
"""Of AdamW's averaged squares beside matrices; with 0.999, as for AdamW alone, the large first
gradients are remembered for most of a short training."""

ITERATIONS = 5

COEFFICIENTS = (3.4445, -4.7750, 2.0315)
"""Of x, x³ and x⁵ in an iteration: singular values from 0.01 to 1 end between 0.7 and 1.2."""

SIZE_OF_STEPS = 0.2
"""Root mean square of a step in units of the learning rate, as Adam's steps typically have."""


class Optimizer:
    """Takes the steps of a training.

    Parameters
    ----------
    model : whose weights are learned
    kind : ``"muon"``: as the module's docstring says; ``"adamw"``: AdamW for all weights
    learning_rate, weight_decay : of both
    """

    def __init__(
        self, model: nn.Module, kind: Kind, learning_rate: float, weight_decay: float
    ) -> None:
        own = [m.weight for m in model.modules() if isinstance(m, ChannelMixing)]
        self._matrices = own if kind == "muon" else []
        known = set(map(id, self._matrices))
        others = [parameter for parameter in model.parameters() if id(parameter) not in known]
        self._averages = [torch.zeros_like(matrix) for matrix in self._matrices]
        self._weight_decay, self.learning_rate = weight_decay, learning_rate
        self._others = torch.optim.AdamW(
            others,
            lr=learning_rate,
            betas=(0.9, SQUARES if self._matrices else 0.999),
            weight_decay=weight_decay,
            fused=True,
        )

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for matrix in self._matrices:
            matrix.grad = None
        self._others.zero_grad()

    @torch.no_grad()
    def step(self) -> None:
        """Change the weights by their gradients."""
        for group in self._others.param_groups:
            group["lr"] = self.learning_rate
        self._others.step()
        for matrix, average in zip(self._matrices, self._averages, strict=True):
            if matrix.grad is not None:
                self._turn(matrix, matrix.grad, average)

    def _turn(self, matrix: Tensor, gradient: Tensor, average: Tensor) -> None:
        """One step of matrices (..., rows, columns)."""
        average.lerp_(gradient, 1.0 - MOMENTUM)
        step = orthogonalised(gradient.lerp(average, MOMENTUM))
        # elements that a batch lacks stay as they are: the size of a step does not tell
        step *= gradient.abs().amax(dim=(-2, -1), keepdim=True) > 0.0
        size = SIZE_OF_STEPS * math.sqrt(max(matrix.shape[-2:]))
        matrix.mul_(1.0 - self.learning_rate * self._weight_decay)
        matrix.add_(step, alpha=-self.learning_rate * size)

    def state_dict(self) -> dict[str, Any]:
        """All that later steps depend on."""
        return {"averages": self._averages, "others": self._others.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue where :meth:`state_dict` was taken; its tensors may be on another device."""
        _copy(self._averages, state["averages"])
        self._others.load_state_dict(state["others"])


def orthogonalised(matrices: Tensor) -> Tensor:
    """Matrices (..., rows, columns) with the same singular vectors, and values from 0.7 to 1.2.

    Values below a hundredth of the Frobenius norm become smaller ones, a matrix of zeros stays.
    """
    tall = matrices.shape[-2] > matrices.shape[-1]
    x: Tensor = matrices.mT if tall else matrices
    # squares of very small elements, as of gradients that vanish by symmetry, would be zero
    largest = x.abs().amax(dim=(-2, -1), keepdim=True)
    x = torch.where(largest > 0.0, x / largest, 0.0)
    norm: Tensor = torch.linalg.matrix_norm(x, keepdim=True)
    x = x / torch.where(norm > 0.0, norm, 1.0)
    first, third, fifth = COEFFICIENTS
    for _ in range(ITERATIONS):
        squares = x @ x.mT
        x = first * x + (third * squares + fifth * squares @ squares) @ x
    return x.mT if tall else x


def _copy(targets: Iterable[Tensor], values: Iterable[Tensor]) -> None:
    for target, value in zip(targets, values, strict=True):
        target.copy_(value)
