"""Which streams are of one trajectory, and which of their frames are of the same times.

Streams of one trajectory are written beside one run: two models on one dynamics, or two estimators
in one stream. Their rates fluctuate together, and a difference of their spectra is known far
better than that of two independent runs.

Two streams are of one trajectory if they have steps in common and one of these holds:

* they are the same stream;
* both have the instantaneous temperature, it fluctuates, and it is the same (to 10⁻⁹) in all common
  frames: the temperature of a trajectory is its fingerprint;
* they have the same ``run_id``, one of them has no temperature that fluctuates, and neither was
  ever resumed. (A copy of a run that is resumed in another way keeps its id.)
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from aptnn_md.arrays import FloatArray
from aptnn_md.errors import InputError
from aptnn_md.progress import log
from aptnn_md.spectra.sources.stream_run import StreamRun
from aptnn_md.stream import StreamHeader

_SAME_TEMPERATURE = 1e-9
_FLUCTUATES = 1e-6
_PIECE_FRAMES = 65536
_FINGERPRINT = 16  # frames whose temperatures tell whether it is worth reading more of them
_WAY_OUT = "; --unpaired (in Python, paired=False) takes them as independent"


@dataclass(frozen=True)
class CommonFrames:
    """The same frames of a trajectory in two streams.

    Attributes
    ----------
    runs : index of the run on the first and on the second side
    first, second : numbers of the frames in each stream, as many in both
    """

    runs: tuple[int, int]
    first: range
    second: range


def paired_runs(
    first: Sequence[StreamRun], second: Sequence[StreamRun]
) -> tuple[CommonFrames, ...]:
    """The frames that the runs of two sides have in common, in the order of the first side.

    Parameters
    ----------
    first, second : runs of which nothing was read yet

    Returns
    -------
    One for each run, or nothing where the sides are independent of each other

    Raises
    ------
    InputError
        Some runs are of one trajectory and others are not, a trajectory is there twice on a side,
        streams of one trajectory have other strides, or they are the same for a part of their
        common frames only.
    """
    found = [
        common
        for i, a in enumerate(first)
        for j, b in enumerate(second)
        if (common := _common_frames((i, j), a, b)) is not None
    ]
    if not found:
        return ()
    for side, runs in enumerate((first, second)):
        numbers = [common.runs[side] for common in found]
        for number, run in enumerate(runs):
            if numbers.count(number) != 1:
                _refuse_mixture(run, numbers.count(number), found[0], first, second)
    return tuple(found)


@dataclass(frozen=True, eq=False)
class Fingerprint:
    """What tells trajectories apart at a glance: the first temperatures.

    Attributes
    ----------
    steps : MD steps of the first frames
    temperature : (frames,) K; None where the stream has none
    """

    steps: range
    temperature: FloatArray | None

    @classmethod
    def of(cls, run: StreamRun) -> Fingerprint:
        """That of a run of which nothing was read yet."""
        steps = _steps(run)[:_FINGERPRINT]
        return cls(steps, _temperatures(run, steps) if steps else None)

    def differs(self, other: Fingerprint) -> bool:
        """Whether these are two trajectories for sure; otherwise one must look closer."""
        mine, theirs = self.temperature, other.temperature
        if mine is None or theirs is None or self.steps != other.steps:
            return False
        return bool((np.abs(mine - theirs) > _SAME_TEMPERATURE * np.abs(mine))[:2].any())


def shared_frames(first: StreamRun, second: StreamRun) -> int:
    """Number of frames of the same times of one trajectory that two streams have; 0 where they are
    of different trajectories, or of different times.

    Streams that have the same temperature to 10⁻⁹ at their first common steps share the frames up
    to where it begins to differ: one may be a copy of a run that was resumed in another way.
    Without temperatures that fluctuate, streams of the same ``run_id`` share all common steps.

    Parameters
    ----------
    first, second : runs of which nothing was read yet
    """
    steps = _intersection(_steps(first), _steps(second))
    a, b = first.reader.header, second.reader.header
    if not steps or not _can_be_one(a, b):
        return 0
    n_same, fluctuate = _same_temperatures(first, second, steps[:_FINGERPRINT])
    if n_same > 1 and fluctuate:
        n_same, _ = _same_temperatures(first, second, steps)
        return n_same
    known = n_same >= 0 and fluctuate
    return 0 if known or a.run_id == "" or a.run_id != b.run_id else len(steps)


def _refuse_mixture(
    run: StreamRun,
    n_partners: int,
    example: CommonFrames,
    first: Sequence[StreamRun],
    second: Sequence[StreamRun],
) -> None:
    a, b = first[example.runs[0]].name, second[example.runs[1]].name
    if n_partners:
        found = f"its trajectory in {n_partners} streams of the other side"
    else:
        found = f"no stream of its trajectory on the other side, while {a} and {b} are of one"
    expected = f"one partner for each stream, or none for all{_WAY_OUT}"
    raise InputError(run.name, "paired difference", found, expected)


def _common_frames(
    runs: tuple[int, int], first: StreamRun, second: StreamRun
) -> CommonFrames | None:
    """The common frames of two streams of one trajectory; None where they are not."""
    a, b = first.reader.header, second.reader.header
    steps, other_steps = _steps(first), _steps(second)
    common = _intersection(steps, other_steps)
    if not common or not _can_be_one(a, b) or not _is_one(first, second, common):
        return None
    if a.stride != b.stride:
        expected = f"{a.stride}, as in {first.name}, which is of the same trajectory{_WAY_OUT}"
        raise InputError(second.name, "stride", b.stride, expected)
    return CommonFrames(runs, _frames(first, common), _frames(second, common))


def _steps(run: StreamRun) -> range:
    """MD steps of the frames that are used of a run; its frames are equidistant."""
    if run.stop <= run.first:
        return range(0)
    (start,) = np.asarray(run.reader.read("step", run.first, run.first + 1), dtype=np.int64)
    stride = run.reader.header.stride
    return range(int(start), int(start) + stride * (run.stop - run.first), stride)


def _intersection(first: range, second: range) -> range:
    """What two ranges have in common."""
    step, begin = math.lcm(first.step, second.step), max(first.start, second.start)
    end = min(first.stop, second.stop)
    inside = (s for s in range(begin, min(begin + step, end)) if s in first and s in second)
    start = next(inside, None)
    return range(0) if start is None else range(start, end, step)


def _frames(run: StreamRun, steps: range) -> range:
    """Numbers of the frames of equidistant steps in a stream."""
    all_steps = _steps(run)
    start = run.first + all_steps.index(steps[0])
    distance = steps.step // all_steps.step
    return range(start, start + distance * len(steps), distance)


def _can_be_one(first: StreamHeader, second: StreamHeader) -> bool:
    """Whether atoms, beads and time step leave it possible."""
    systems = {header.system for header in (first, second)} - {""}
    same_time = math.isclose(first.timestep, second.timestep, rel_tol=1e-6)
    return len(systems) < 2 and first.n_beads == second.n_beads and same_time


def _is_one(first: StreamRun, second: StreamRun, steps: range) -> bool:
    """Whether two streams are of one trajectory.

    Raises
    ------
    InputError
        They have the same run id and differ from some common step on.
    """
    if first.reader.path.resolve() == second.reader.path.resolve():
        return True
    a, b = first.reader.header.run_id, second.reader.header.run_id
    same_id = a != "" and a == b
    n_same, fluctuate = _same_temperatures(first, second, steps)
    if n_same == len(steps) and fluctuate:
        return True
    if 0 <= n_same < len(steps):
        if same_id and n_same:
            found = f"the same run id as {first.name}, but another temperature at step"
            expected = "one trajectory or two, not a copy of a run that was continued otherwise"
            raise InputError(second.name, "run_id", f"{found} {steps[n_same]}", expected + _WAY_OUT)
        return False
    resumed = first.reader.n_restarts or second.reader.n_restarts
    if same_id and resumed:
        log.warning(
            "%s and %s have the same run id, but no temperatures that would show whether they "
            "stayed one trajectory when they were resumed: compared as independent",
            first.name,
            second.name,
        )
    return same_id and not resumed


def _same_temperatures(first: StreamRun, second: StreamRun, steps: range) -> tuple[int, bool]:
    """Number of leading common frames in which the temperatures agree, -1 where one of the streams
    has none; and whether the temperature fluctuates."""
    lowest, highest = math.inf, -math.inf
    for start in range(0, len(steps), _PIECE_FRAMES):
        piece = steps[start : start + _PIECE_FRAMES]
        a, b = _temperatures(first, piece), _temperatures(second, piece)
        if a is None or b is None:
            return -1, False
        differ = np.abs(a - b) > _SAME_TEMPERATURE * np.abs(a)
        if differ.any():
            return start + int(np.argmax(differ)), True
        lowest, highest = min(lowest, float(a.min())), max(highest, float(a.max()))
    return len(steps), highest - lowest > _FLUCTUATES * highest


def _temperatures(run: StreamRun, steps: range) -> FloatArray | None:
    frames = _frames(run, steps)
    found = run.reader.read("temperature", frames[0], frames[-1] + 1)
    return None if found is None else found[:: frames.step]
