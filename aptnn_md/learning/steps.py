"""Names of the steps of a campaign, by which their times are known."""

from __future__ import annotations

FIRST_FRAMES, FIRST_LABELS, FIRST_MODES = (
    "first frames",
    "first labels",
    "normal modes of the engine",
)
"""Steps of the start."""

TRAINING, SAMPLING, LABELLING, TEST, DYNAMICS = STEPS_OF_A_CYCLE = (
    "training",
    "sampling",
    "labelling",
    "honest test",
    "dynamics",
)
"""Steps of each cycle."""

FINAL_TRAINING, FINAL_TEST, FINAL_DYNAMICS = STEPS_OF_THE_END = (
    "final training",
    "final honest test",
    "final dynamics",
)
"""Steps of the end."""


def step_of_cycle(number: int, step: str) -> str:
    """Name of a step of a cycle, which is counted from 0."""
    return f"cycle {number + 1}: {step}"
