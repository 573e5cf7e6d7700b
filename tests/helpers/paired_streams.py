"""Streams of two models on one trajectory of damped oscillators."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from aptnn_md.arrays import FloatArray
from aptnn_md.stream import StreamHeader, StreamWriter
from helpers.oscillators import langevin_velocities

SPACING, VOLUME = 2.0, 1000.0
BANDS = {"low": (400.0, 900.0), "high": (1400.0, 1900.0)}
POSITIONS, WIDTHS = (650.0, 1650.0), (90.0, 60.0)
FIRST_CHARGES, SECOND_CHARGES = (0.6, 0.4), (0.63, 0.395)
"""Of the oscillators, in the two models."""


def trajectories(n_frames: int, n_runs: int, seed: int = 0) -> FloatArray:
    """Velocities (n_runs, n_frames, 2, 3), Å/fs, of two oscillators in three directions."""
    modes = [
        langevin_velocities((n_frames, 3 * n_runs), SPACING, *mode, seed=seed + k)
        for k, mode in enumerate(zip(POSITIONS, WIDTHS, strict=True))
    ]
    return np.moveaxis(np.stack(modes, axis=1).reshape(n_frames, 2, n_runs, 3), 2, 0)


def rates_of(velocities: FloatArray, charges: tuple[float, ...], seed: int) -> FloatArray:
    """Ṁ (n_frames, 3) of a model: charges times velocities, and a little noise of its own."""
    rates = np.einsum("k,fkx->fx", np.asarray(charges), velocities)
    noise = np.random.default_rng(seed).normal(size=rates.shape)
    return np.asarray(rates + 0.01 * rates.std() * noise)


def temperatures_of(velocities: FloatArray) -> FloatArray:
    """(n_frames,) K, whose mean is 300."""
    kinetic = (velocities**2).sum(axis=(1, 2))
    return np.asarray(300.0 * kinetic / kinetic.mean())


def write_stream(
    path: Path,
    rates: FloatArray | dict[str, FloatArray],
    temperatures: FloatArray | None = None,
    first_frame: int = 0,
    **header: object,
) -> Path:
    """A stream of one group; the frames are numbered from ``first_frame`` on."""
    by_estimator = rates if isinstance(rates, dict) else {"bead": rates}
    known: dict[str, object] = {
        "timestep": 0.5,
        "stride": 4,
        "temperature": 300.0,
        "volume": VOLUME,
    }
    known |= {"estimators": tuple(by_estimator)}
    constants = StreamHeader(**(known | header))  # type: ignore[arg-type]
    first = first_frame * constants.stride
    # a stream begins where its first step is
    with StreamWriter(path, constants, first) as writer:
        for k in range(len(next(iter(by_estimator.values())))):
            step = first + k * constants.stride
            frame = {name: values[k][None] for name, values in by_estimator.items()}
            heat = None if temperatures is None else temperatures[k]
            writer.append(step, step * constants.timestep, frame, temperature=heat)
    return path
