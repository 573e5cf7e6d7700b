"""Whether velocities in a trajectory are those of its positions, at the same time.

Leap-frog programs write velocities half a step from the positions, and units are easily mistaken.
Positions know better, where frames are close enough: with the central difference c = (r₊ - r₋)/2Δ
and the acceleration a = (r₊ - 2 r + r₋)/Δ², velocities that are late by τ are v ≈ c - τ a. The
error of c is along v, which is uncorrelated with a, so τ = -Σ(v - c)·a / Σ a·a is found although
the difference itself is not exact. Random forces of a thermostat before and after the frame cancel.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from aptnn_md.arrays import FloatArray
from aptnn_md.engines.trajectory.displacements import displacement
from aptnn_md.engines.trajectory.frames import Frame
from aptnn_md.errors import InputError, RunError
from aptnn_md.progress import log

MOST_FRAMES = 200
"""That are looked at."""

_COHERENT = 0.7
"""Smallest coherence of velocities that belong to the positions of frames that are close."""

_SMOOTH = 0.9
"""Smallest smoothness of frames that are close."""

_SCALES = (0.8, 2.5)
_LATE = 0.25
_SIGNIFICANT = 5.0


@dataclass(frozen=True)
class VelocityCheck:
    """What was found.

    Attributes
    ----------
    smoothness : correlation of displacements one after the other, 1 where frames are close
    coherence : correlation of velocities and central differences, 1 where frames are close
    scale : size of the velocities relative to the differences
    lag, lag_error : by which velocities are late, fs, and its standard error
    """

    smoothness: float
    coherence: float
    scale: float
    lag: float
    lag_error: float


def compare(frames: Sequence[Frame], spacing: float, where: Callable[[int], str]) -> VelocityCheck:
    """Compare velocities with positions.

    Parameters
    ----------
    frames : three or more, one after the other, with velocities
    spacing : between them, fs
    where : names a frame, for messages

    Raises
    ------
    RunError
        Displacements cannot be known; see :func:`displacement`.
    """
    moved = np.array(
        [
            _centroid(displacement(one, other, where(k + 1)))
            for k, (one, other) in enumerate(pairwise(frames))
        ]
    )
    velocities = np.array(
        [_centroid(frame.velocities) for frame in frames[1:-1] if frame.velocities is not None]
    )
    central = (moved[1:] + moved[:-1]) / (2.0 * spacing)
    acceleration = (moved[1:] - moved[:-1]) / spacing**2
    squares = (moved**2).sum(axis=(1, 2))
    smoothness = float((moved[1:] * moved[:-1]).sum()) / max(
        float(np.sqrt(squares[1:].sum() * squares[:-1].sum())), 1e-300
    )
    both = float((velocities * central).sum())
    norms = float((velocities**2).sum()), float((central**2).sum())
    coherence = both / np.sqrt(max(norms[0] * norms[1], 1e-300))
    scale = np.sqrt(norms[0] / max(norms[1], 1e-300))
    # of each atom and each tenth of the frames, as neither is independent of itself
    parts = np.array_split(np.arange(len(central)), min(10, len(central)))
    late = -(velocities - central) * acceleration
    upper = _sums(late, parts)
    lower = _sums(acceleration**2, parts)
    if not lower.sum() > 0.0:
        return VelocityCheck(smoothness, coherence, scale, 0.0, np.inf)
    lag = upper.sum() / lower.sum()
    error = np.sqrt(((upper - lag * lower) ** 2).sum()) / lower.sum()
    return VelocityCheck(smoothness, coherence, scale, float(lag), float(error))


def check_velocities(
    frames: Sequence[Frame], spacing: float, timestep: float, where: Callable[[int], str]
) -> VelocityCheck | None:
    """Refuse velocities of another time or in another unit; None where this cannot be known.

    Parameters
    ----------
    frames : of the beginning
    spacing : between them, fs
    timestep : MD time step, fs

    Raises
    ------
    InputError
        Velocities are late or early by a part of a step, or of another size.
    """
    if len(frames) < 3 or any(frame.velocities is None for frame in frames):
        return None
    try:
        found = compare(frames, spacing, where)
    except RunError as error:
        log.info("velocities cannot be compared with positions: %s", error)
        return None
    expected = "those of the same time as the positions; --increments uses positions alone"
    if found.smoothness > _SMOOTH and found.coherence < _COHERENT:
        looked = "what atoms do not move by from frame to frame"
        if not any(np.any(frame.velocities) for frame in frames):
            looked = "zero, though atoms move"
        raise InputError(where(0), "velocities", looked, expected)
    if found.coherence > _COHERENT and not _SCALES[0] < found.scale < _SCALES[1]:
        raise InputError(
            where(0),
            "velocities",
            f"{found.scale:.4g} times the differences of positions over the time step",
            "the right --timestep, --stride and unit of the velocities (--velocity-unit, "
            "--lammps-units)",
        )
    if abs(found.lag) > max(_LATE * timestep, _SIGNIFICANT * found.lag_error):
        word = "late" if found.lag > 0.0 else "early"
        half = ", half a step as leap-frog programs write them"
        close = abs(abs(found.lag) - 0.5 * timestep) < 0.2 * timestep
        raise InputError(
            where(0),
            "velocities",
            f"values that are {abs(found.lag):.3g} ± {found.lag_error:.1g} fs {word} compared with "
            f"the positions, by a time step of {timestep:g} fs{half if close else ''}",
            expected,
        )
    if found.coherence > _COHERENT:
        log.info(
            "velocities belong to the time of the positions: %.3g ± %.1g fs late",
            *(found.lag, found.lag_error),
        )
    else:
        log.info("frames are too far apart to compare velocities with positions")
    return found


def _centroid(vectors: FloatArray) -> FloatArray:
    """Mean over beads, which is what a thermostat of a ring polymer disturbs least."""
    return vectors.mean(axis=0) if vectors.ndim == 3 else vectors


def _sums(values: FloatArray, parts: Sequence[np.ndarray]) -> FloatArray:
    """Over the frames of each part and the three directions, of each atom, (parts, ...)."""
    return np.array([values[part].sum(axis=(0, -1)) for part in parts])
