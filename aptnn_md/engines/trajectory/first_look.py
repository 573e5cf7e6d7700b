"""What is looked at before a trajectory is evaluated: velocities, rounding, volumes."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from aptnn_md.arrays import FloatArray
from aptnn_md.engines.trajectory.displacements import displacement
from aptnn_md.engines.trajectory.frames import Frame
from aptnn_md.engines.trajectory.joined import Joined
from aptnn_md.engines.trajectory.rounding import rounded_to
from aptnn_md.engines.trajectory.settings import TrajectorySettings
from aptnn_md.engines.trajectory.time_axis import TimeAxis
from aptnn_md.engines.trajectory.velocity_check import MOST_FRAMES, check_velocities
from aptnn_md.errors import InputError
from aptnn_md.progress import log

_SAMPLES = 20
_ROUNDING = 0.01
_MOST_NUMBERS = 3_000_000


def volumes(frames: Joined) -> FloatArray:
    """Of some frames, Å³."""
    some = np.unique(np.linspace(0, len(frames) - 1, _SAMPLES).astype(int))
    return np.array([frames.read(int(k)).snapshot().volume for k in some])


def check_motion(
    frames: Joined,
    axis: TimeAxis,
    first: Frame,
    settings: TrajectorySettings,
    increments: bool,
) -> None:
    """Say where velocities come from, and refuse those of another time."""
    if not increments:
        log.info("velocities: %s", frames.note)
        most = int(np.clip(_MOST_NUMBERS // first.positions.size, 3, MOST_FRAMES))
        some = [frames.read(k) for k in range(min(len(frames), most))]
        check_velocities(some, axis.spacing, axis.timestep, frames.where)
        return
    if settings.velocities:
        expected = "velocities in the trajectory, or the stream without"
        raise InputError("--velocities", "velocities", "none", expected)
    if len(frames) < 2:
        raise InputError(frames.where(0), "frames", len(frames), "two or more for increments")
    why = "as asked for" if first.velocities is not None else "the trajectory has no velocities"
    log.info("increments of the dipole from positions: %s", why)
    _warn_of_rounding(frames)


def _warn_of_rounding(frames: Joined) -> None:
    """Positions that were rounded move by steps; say how much of the increments that is."""
    some = [frames.read(k) for k in range(min(len(frames), 20))]
    steps = [displacement(a, b, frames.where(k + 1)) for k, (a, b) in enumerate(pairwise(some))]
    unit = rounded_to(np.array([frame.positions for frame in some]))
    moved = np.concatenate([step.ravel() for step in steps])
    noise = unit**2 / 6.0 / max(float(np.mean(moved**2)), 1e-300)
    if noise > _ROUNDING**2:
        log.warning(
            "%s: positions are rounded to %g Å, which makes %.2g of the mean displacement "
            "between frames: increments are that noisy. Write positions with more digits, or "
            "velocities",
            *(frames.where(0), unit, np.sqrt(noise)),
        )
