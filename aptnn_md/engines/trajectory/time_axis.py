"""The time axis of what was stored: repeated frames of restarts go, gaps are refused.

A run that was killed and resumed from an earlier checkpoint writes some steps twice, in one file or
in the next. What came later belongs to the trajectory that goes on, so the earlier frames of those
steps are dropped, as in a stream that is resumed.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from aptnn_md.arrays import FloatArray, IntArray
from aptnn_md.errors import InputError

_FEW, _UNEVEN = 10, 0.02
"""Of so few times the distance is not known better: they may have been rounded for printing."""

_PRINTED = 5e-4
"""Of the spacing: a time step that is given may have been rounded by this."""

_TOLD = 1e-3
"""Of the spacing: a time step that the file tells must be known better."""


@dataclass(frozen=True)
class TimeAxis:
    """Equidistant frames.

    Attributes
    ----------
    timestep : MD time step, fs
    stride : MD steps between frames
    first_step : step of the first frame
    """

    timestep: float
    stride: int
    first_step: int

    @property
    def spacing(self) -> float:
        """Time between frames, fs."""
        return self.timestep * self.stride

    def step(self, frame: int) -> int:
        """Step of a frame, counted from 0."""
        return self.first_step + frame * self.stride


def without_repeats(steps: ArrayLike) -> IntArray:
    """Numbers of the frames that remain: of a step that is there again, the last one.

    Parameters
    ----------
    steps : (n,) or times, in the order of the files
    """
    values = np.asarray(steps)
    # what comes later has larger steps than a frame that stays
    later = np.minimum.accumulate(values[::-1])[::-1]
    stays = np.ones(len(values), dtype=bool)
    stays[:-1] = values[:-1] < later[1:]
    return np.flatnonzero(stays)


def time_axis(
    where: Callable[[int], str],
    steps: IntArray | None,
    times: FloatArray | None,
    *,
    timestep: float | None,
    stride: int | None,
    first_step: int = 0,
    parts: str = "",
) -> TimeAxis:
    """The axis of frames without repeats.

    Parameters
    ----------
    where : names a frame, counted from 0, in messages
    steps : (n,) MD steps that the files give; None: they do not
    times : (n,) fs; None: the files give none, or in an unknown unit
    timestep : MD time step that the user gives, fs
    stride : steps between frames that the user gives
    first_step : of the first frame, where files give no steps
    parts : option by which a part of the frames is chosen, for messages

    Raises
    ------
    InputError
        Frames that are missing or not equidistant, a time step that is unknown, or what the user
        gives and the files say disagree.
    """
    found = None
    if steps is not None and len(steps) > 1:
        found = _even_steps(where, steps, parts)
    spacing, uncertainty = None, 0.0
    if times is not None and len(times) > 1:
        if found is None:
            _refuse_uneven(where, times, parts)
        spacing, uncertainty = _distance(times)
    stride = _agreed_stride(where, found, stride)
    if timestep is None:
        if spacing is None:
            expected = "--timestep FS, the time between two steps"
            raise InputError(where(0), "time step", "no times in the file", expected)
        if uncertainty > _TOLD * spacing:
            percent = 100.0 * uncertainty / spacing
            expected = "--timestep FS: so few times, or times so rounded, do not tell it"
            raise InputError(where(0), "time step", f"known to {percent:.2g} % only", expected)
        timestep = _rounded(spacing / stride)
    elif spacing is not None and abs(timestep * stride - spacing) > _allowed(
        times, spacing, uncertainty
    ):
        raise InputError(
            where(0),
            "time step",
            f"frames {spacing:.6g} fs apart",
            f"{timestep * stride:.6g} fs = {stride} steps of {timestep:g} fs; correct --timestep "
            "or --stride",
        )
    return TimeAxis(timestep, stride, first_step if steps is None else int(steps[0]))


def _allowed(times: FloatArray | None, spacing: float, uncertainty: float) -> float:
    """How far a time step that is given may be from that of the file, fs."""
    if times is None or len(times) <= _FEW:
        return max(uncertainty, _UNEVEN * spacing)
    return max(uncertainty + _digits(times) / len(times), _PRINTED * spacing)


def _agreed_stride(where: Callable[[int], str], found: int | None, given: int | None) -> int:
    if found is not None and given is not None and found != given:
        expected = f"{given} as given; leave --stride out to take the file's"
        raise InputError(where(0), "stride", f"frames {found} steps apart", expected)
    return found or given or 1


def _even_steps(where: Callable[[int], str], steps: IntArray, parts: str) -> int:
    """The distance of equidistant steps."""
    gaps = np.diff(steps)
    usual = int(np.bincount(gaps).argmax()) if gaps.max() < 10**7 else int(np.median(gaps))
    odd = np.flatnonzero(gaps != usual)
    if len(odd):
        k = int(odd[0])
        raise _gap(where, k, f"steps {steps[k]} and {steps[k + 1]}", f"steps {usual} apart", parts)
    return usual


def _refuse_uneven(where: Callable[[int], str], times: FloatArray, parts: str) -> None:
    """Refuse times that are not equidistant."""
    gaps = np.diff(times)
    usual = float(np.median(gaps))
    if not usual > 0.0:
        expected = "times that grow from frame to frame"
        raise InputError(where(0), "time", f"frames {usual:g} fs apart", expected)
    odd = np.flatnonzero(np.abs(gaps - usual) > 0.25 * usual + _digits(times))
    if len(odd):
        k = int(odd[0])
        found = f"times {times[k]:.10g} and {times[k + 1]:.10g} fs"
        raise _gap(where, k, found, f"times {usual:.6g} fs apart", parts)


def _digits(times: FloatArray) -> float:
    """What single precision leaves of the last digit of times, fs."""
    return 4.0 * float(np.spacing(np.abs(times).max().astype(np.float32)))


def _distance(times: FloatArray) -> tuple[float, float]:
    """The distance of equidistant times, and how far it may be off, fs, as far as they show that
    they were rounded."""
    n_gaps = len(times) - 1
    distance = float(times[-1] - times[0]) / n_gaps
    off = float(np.abs(times - times[0] - distance * np.arange(len(times))).max())
    return distance, 2.0 * off / n_gaps


def _gap(
    where: Callable[[int], str], frame: int, found: str, expected: str, parts: str
) -> InputError:
    how = f"{parts} {frame + 1}: is what follows" if parts else "in files of their own"
    return InputError(
        where(frame + 1),
        "frames",
        f"{found} one after the other",
        f"{expected} without a gap; make a stream of each part ({how}), which spectrum takes as "
        "runs of their own",
    )


def _rounded(timestep: float) -> float:
    """A time step without the noise of a division, where it is a short number."""
    for digits in range(1, 7):
        short = round(timestep, digits)
        if short > 0.0 and math.isclose(short, timestep, rel_tol=1e-5):
            return short
    return timestep
