"""What trainings of any label share."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from aptnn_md.training.batch_errors import errors_in
from aptnn_md.training.batches import Batch
from aptnn_md.training.trainer import Trainer


def assert_resumed_is_whole(fresh: Callable[[], Trainer], labels: set[str]) -> None:
    """A training that is resumed from its state after two epochs of four has the same weights."""
    whole, first, second = fresh(), fresh(), fresh()
    for _ in range(4):
        whole.run_epoch()
    for _ in range(2):
        first.run_epoch()
    second.load_state(first.state())
    for _ in range(2):
        second.run_epoch()
    assert set(whole.records[-1].valid_by_target) == labels
    expected, found = whole.weights(), second.weights()
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def assert_rows_stand_for_all(model, batch: Batch, target: str, n: int) -> None:
    """The mean square of rows along random directions is that of all components."""

    def mean_square(generator: torch.Generator | None = None) -> float:
        return float(errors_in(model, batch, generator)[target].detach().pow(2).mean())

    generator = torch.Generator().manual_seed(0)
    every, found = mean_square(), [mean_square(generator) for _ in range(n)]
    assert abs(np.mean(found) - every) < 4.0 * np.std(found) / np.sqrt(n)
    assert 0.01 * every < np.std(found) < every
