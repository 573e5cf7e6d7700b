"""Files that hold the same frames side by side: velocities beside positions, beads of one ring."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from aptnn_md.arrays import IntArray
from aptnn_md.engines.trajectory.frames import Frame, FrameFile
from aptnn_md.engines.trajectory.time_axis import without_repeats
from aptnn_md.errors import InputError
from aptnn_md.progress import log


class SomeFrames:
    """Some frames of a file; see :class:`aptnn_md.engines.trajectory.frames.FrameFile`.

    Parameters
    ----------
    file : with all of them
    numbers : of those that are used
    """

    def __init__(self, file: FrameFile, numbers: IntArray) -> None:
        self._file, self._numbers = file, numbers
        self.path, self.template, self.note = file.path, file.template, file.note
        self.bead, self.quantity = file.bead, file.quantity
        self.n_frames = len(numbers)
        self.steps = None if file.steps is None else file.steps[numbers]
        self.times = None if file.times is None else file.times[numbers]

    def read(self, frame: int) -> Frame:
        """A frame."""
        return self._file.read(int(self._numbers[frame]))

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def side_by_side(files: Sequence[FrameFile]) -> list[FrameFile]:
    """Files of the same frames so that their frames agree, as far as steps tell.

    A program that is killed while it writes leaves a frame more in some of its files, and a restart
    then writes a step again in these alone. Of each step the last frame is used. Where that does
    not make steps equal the files are given back as they are.

    Parameters
    ----------
    files : of one part of a run
    """
    steps = [file.steps for file in files if file.steps is not None]
    n = min(file.n_frames for file in files)
    if len(steps) < len(files) or all(np.array_equal(s[:n], steps[0][:n]) for s in steps):
        return list(files)
    stays = [without_repeats(s) for s in steps]
    n = min(map(len, stays))
    kept = [s[numbers[:n]] for s, numbers in zip(steps, stays, strict=True)]
    if not all(np.array_equal(k, kept[0]) for k in kept):
        return list(files)
    log.info(
        "%s and the files beside it were cut at different frames before a restart: of each step "
        "the last frame is used",
        files[0].path,
    )
    return [SomeFrames(file, numbers[:n]) for file, numbers in zip(files, stays, strict=True)]


class WithVelocities:
    """Positions of one file, velocities of another.

    Parameters
    ----------
    positions, velocities : files of the same frames; the positions of the second one are velocities
    factor : Å/fs of its unit; 1 where it knows its own; None: its velocities have columns of their
        own
    note : of the velocities, for the log

    Raises
    ------
    InputError
        Another bead, other frames, or other steps.
    """

    def __init__(
        self, positions: FrameFile, velocities: FrameFile, factor: float | None, note: str
    ) -> None:
        self._positions, self._velocities, self._factor = positions, velocities, factor
        self.path, self.template, self.note = positions.path, positions.template, note
        self.steps, self.times, self.bead = positions.steps, positions.times, positions.bead
        self.quantity = positions.quantity
        self.n_frames = min(positions.n_frames, velocities.n_frames)
        if positions.n_frames != velocities.n_frames:
            # a run that was killed while it wrote
            log.warning(
                "%s has %d frames, %s %d: the first %d are used",
                *(positions.path, positions.n_frames, velocities.path, velocities.n_frames),
                self.n_frames,
            )
            self.steps = None if self.steps is None else self.steps[: self.n_frames]
            self.times = None if self.times is None else self.times[: self.n_frames]
        if None not in (self.bead, velocities.bead) and self.bead != velocities.bead:
            expected = f"{self.bead}, as of {positions.path}; files of velocities in the order of "
            expected += "those of positions"
            raise InputError(velocities.path, "bead", velocities.bead, expected)
        theirs = velocities.steps
        if self.steps is not None and theirs is not None:
            other = np.flatnonzero(self.steps != theirs[: self.n_frames])
            if len(other):
                k = int(other[0])
                expected = f"{self.steps[k]}, as in {positions.path}"
                raise InputError(velocities.path, f"step of frame {k}", theirs[k], expected)

    def close(self) -> None:
        """Close the files."""
        self._positions.close()
        self._velocities.close()

    def read(self, frame: int) -> Frame:
        """A frame."""
        here = self._positions.read(frame)
        there = self._velocities.read(frame)
        velocities = there.velocities if self._factor is None else there.positions * self._factor
        assert velocities is not None
        if velocities.shape != here.positions.shape:
            where = f"{self._velocities.path}, frame {frame}"
            raise InputError(where, "atoms", len(velocities), f"{len(here.positions)}")
        return replace(here, velocities=velocities)
