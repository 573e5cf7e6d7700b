"""Append frames to a stream so that the process may die at any moment."""

from __future__ import annotations

import atexit
import logging
import operator
import os
import time as clock
import weakref
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import ArrayLike

from aptnn_md.arrays import AnyArray
from aptnn_md.errors import InputError, RunError
from aptnn_md.stream.directory import DirectoryGone, StreamDirectory
from aptnn_md.stream.header import StreamHeader
from aptnn_md.stream.layout import LATER_ARRAYS, ArrayLayout, StreamFrame, layouts
from aptnn_md.targets import APT, TARGETS

log = logging.getLogger(__name__)

COMMIT_BYTES = 2**25
"""Frames in memory that are committed whenever the last commit was."""

COMMIT_SECONDS = (5.0, 60.0)
"""Shortest and longest time between commits, where it is chosen here."""

COMMIT_SHARE = 0.01
"""Of the time of a run that its commits may take, within :data:`COMMIT_SECONDS`: one waits for the
disk, 20 to 200 ms for a local one."""


_ARRAY_BYTES = 128  # of an array of numpy besides its values


class StreamWriter:
    """The one writer of a stream; a context manager.

    Where ``path`` does not exist a stream is made. Where it does, the run is continued: frames from
    ``first_step`` on are dropped and new ones appended.

    Parameters
    ----------
    path : directory of the stream
    header : constants of the run
    first_step : step of the next frame; needed where the stream exists
    commit_frames : commit when that many frames are in memory; None: when they take
        :data:`COMMIT_BYTES`
    commit_seconds : commit when the last commit was that long ago, s; checked in ``append``. None:
        5 s, or longer, up to a minute, where the last commit took more than 1 % of that
    durable : wait in each commit until the disk has it, so that what is committed survives that
        the power fails; else it survives only that the process is killed

    Raises
    ------
    InputError
        ``path`` cannot be written, is no stream, is open in another writer, belongs to another
        run, or has no frame at ``first_step - stride`` to continue from.

    Notes
    -----
    A second writer is noticed by a lock that the kernel releases when a process ends; file
    systems without such locks (some NFS) do not have this protection.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        header: StreamHeader,
        first_step: int | None = None,
        *,
        commit_frames: int | None = None,
        commit_seconds: float | None = None,
        durable: bool = True,
    ) -> None:
        self._closed, self._process = True, os.getpid()
        self.path, self.header = Path(path), header
        self.commit_frames, self.commit_seconds = commit_frames, commit_seconds
        self._buffer: list[dict[str, AnyArray]] = []
        self._first_step = None if first_step is None else operator.index(first_step)
        self._directory = StreamDirectory(self.path, header, self._first_step, durable)
        self._last = self._directory.last
        self._layouts = self._directory.layouts
        self._last_commit, self._commit_took = clock.monotonic(), 0.0
        self._at_exit = _close_at_exit(self)
        self._closed = False

    @property
    def n_committed(self) -> int:
        """Number of frames that are safe on disk."""
        return self._directory.n_frames

    @property
    def last_step(self) -> int | None:
        """Step of the last frame that was appended, committed or not; None before the first."""
        return None if self._last is None else self._last[0]

    def append(
        self,
        step: int,
        time: float,
        rates: Mapping[str, ArrayLike],
        **optional: ArrayLike | Mapping[str, ArrayLike] | None,
    ) -> None:
        """Add a frame.

        Parameters
        ----------
        step : MD step, the previous one plus the stride
        time : fs
        rates : estimator -> (n_groups, 3) Ṁ in e Å/fs
        optional : any of the other arrays in the table of :mod:`aptnn_md.stream`, by name; rates
            other than Ṁ in the plural, as mappings like ``rates``: ``polarizability_rates``. What
            is given with the first frame must be given with every frame; None is not given

        Raises
        ------
        RunError
            The frame does not follow the last one, a value is not finite, or the disk is full.
        InputError
            An estimator or an optional array is missing or unexpected, or a shape is wrong.
        """
        by_estimator = {"rates": APT.rate_name} | {
            f"{target.rate_name}s": target.rate_name for target in TARGETS.values()
        }
        arrays: dict[str, ArrayLike] = {}
        for name, value in {"rates": rates, **optional}.items():
            if isinstance(value, Mapping):
                prefix = by_estimator.get(name, name)
                arrays |= {f"{prefix}/{estimator}": each for estimator, each in value.items()}
            elif value is not None:
                arrays[name] = value
        self.append_frame(StreamFrame(step, time, arrays))

    def append_frame(self, frame: StreamFrame) -> None:
        """Add a frame of :class:`aptnn_md.stream.frame.FrameRates`; see :meth:`append`."""
        step, time = operator.index(frame.step), frame.time
        if self._closed:
            raise RunError(f"{self.path}: step {step}: the stream is closed")
        self._check_sequence(step, time)
        given = {**frame.arrays, "step": step, "time": time}
        planned = self._layouts or layouts(self.header, given)
        for name in LATER_ARRAYS:
            if name not in planned:
                given.pop(name, None)
        self._buffer.append(_checked(f"{self.path}, step {step}", planned, given))
        self._layouts, self._last = planned, (step, float(time))
        if self._is_full() or clock.monotonic() - self._last_commit >= self._interval():
            self.commit()

    def commit(self) -> None:
        """Write all appended frames to disk.

        Raises
        ------
        RunError
            They cannot be written: the disk is full, or the directory was moved, removed or
            replaced. What was committed before is intact where the directory is, the frames stay
            in memory, and another ``commit`` may succeed when the reason is gone.
        """
        begun = self._last_commit = clock.monotonic()
        if not self._buffer:
            return
        self._directory.layouts = self._layouts
        try:
            self._directory.extend(
                {name: np.stack([frame[name] for frame in self._buffer]) for name in self._layouts}
            )
        except OSError as error:
            safe = f"the {self.n_committed} before are "
            safe += (
                "in that directory, if it still exists"
                if isinstance(error, DirectoryGone)
                else "safe"
            )
            raise RunError(
                f"{self.path}: {len(self._buffer)} frames up to step {self.last_step} cannot be "
                f"written ({error.strerror or error}); {safe}"
            ) from error
        self._buffer.clear()
        self._last_commit = clock.monotonic()
        self._commit_took = self._last_commit - begun

    def close(self) -> None:
        """Commit and release the stream; a second call does nothing.

        Raises
        ------
        RunError
            The last frames cannot be written, and are lost.
        """
        # a forked child has a copy of the buffer, and must not write it
        if self._closed or os.getpid() != self._process:
            return
        self._closed = True
        atexit.unregister(self._at_exit)
        try:
            self.commit()
        except RunError as error:
            raise RunError(f"{error}; those that are not written are lost") from error
        finally:
            self._directory.close()

    def __enter__(self) -> StreamWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            self.close()
        except RunError as lost:
            if error is None:
                raise
            # the first error is the one to raise
            log.error("%s", lost)

    def __del__(self) -> None:
        self.close()

    def _is_full(self) -> bool:
        """Whether what is in memory is enough for a commit at once."""
        if self.commit_frames is not None:
            return len(self._buffer) >= self.commit_frames
        frame = sum(_ARRAY_BYTES + values.nbytes for values in self._buffer[-1].values())
        return len(self._buffer) * frame >= COMMIT_BYTES

    def _interval(self) -> float:
        """Time between two commits, s."""
        if self.commit_seconds is not None:
            return self.commit_seconds
        least, most = COMMIT_SECONDS
        return min(max(least, self._commit_took / COMMIT_SHARE), most)

    def _check_sequence(self, step: int, time: float) -> None:
        if self._last is not None:
            spacing = self.header.timestep * self.header.stride
            expected, expected_time = self._last[0] + self.header.stride, self._last[1] + spacing
            # times that were converted or summed up are not exact
            if not abs(time - expected_time) <= 1e-3 * spacing + 1e-9 * abs(time):
                raise RunError(
                    f"{self.path}: step {step}: found time {time} fs, expected {expected_time} fs"
                )
        else:
            expected = max(0, step) if self._first_step is None else self._first_step
        if step != expected:
            raise RunError(f"{self.path}: found step {step}, expected {expected}")


def _checked(
    where: str, planned: Mapping[str, ArrayLayout], given: Mapping[str, ArrayLike]
) -> dict[str, AnyArray]:
    """Copies of what the caller gave, who may keep using the arrays."""
    if given.keys() != planned.keys():
        raise InputError(where, "arrays", ", ".join(sorted(given)), ", ".join(sorted(planned)))
    frame: dict[str, AnyArray] = {}
    for name, layout in planned.items():
        value = np.array(given[name], dtype=layout.dtype)
        if value.shape != layout.frame_shape:
            raise InputError(where, name, f"shape {value.shape}", f"shape {layout.frame_shape}")
        if not np.isfinite(value).all():
            raise RunError(f"{where}: {name}: found {_not_finite(value)}, expected finite numbers")
        frame[name] = value
    return frame


def _not_finite(value: AnyArray) -> str:
    index = tuple(int(i) for i in np.argwhere(~np.isfinite(value))[0])
    return f"{value[index]} at {index}" if index else str(value)


def _close_at_exit(writer: StreamWriter) -> Callable[[], None]:
    """Close a writer that was forgotten, without keeping it alive until then."""
    reference = weakref.ref(writer)

    def close() -> None:
        if (alive := reference()) is not None:
            alive.close()

    return atexit.register(close)
