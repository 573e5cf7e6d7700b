"""Append frames to a stream so that the process may die at any moment."""

from __future__ import annotations

import atexit
import contextlib
import os
import shutil
import time as clock
import weakref
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import zarr
from numpy.typing import ArrayLike
from zarr.storage import LocalStore

from aptnn_md.arrays import AnyArray
from aptnn_md.errors import InputError, RunError
from aptnn_md.stream.header import StreamHeader
from aptnn_md.stream.layout import (
    ArrayLayout,
    committed_frames,
    create_array,
    layouts,
    open_arrays,
)
from aptnn_md.stream.reader import read_header
from aptnn_md.stream.store import PARTIAL, OrderedStore

try:
    import fcntl
except ImportError:  # no flock here: a second writer goes unnoticed
    fcntl = None  # type: ignore[assignment]


class StreamWriter:
    """The one writer of a stream; a context manager.

    Where ``path`` does not exist a stream is made. Where it does, the run goes on: frames from
    ``first_step`` on are dropped and new ones appended.

    Parameters
    ----------
    path : directory of the stream
    header : constants of the run
    first_step : step of the next frame; needed where the stream exists
    commit_frames : commit when that many frames are in memory
    commit_seconds : commit when the last commit was that long ago, s; looked at in ``append``

    Raises
    ------
    InputError
        ``path`` cannot be written, is no stream, is open in another writer, belongs to another
        run, or has no frame at ``first_step - stride`` to go on from.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        header: StreamHeader,
        first_step: int | None = None,
        *,
        commit_frames: int = 1024,
        commit_seconds: float = 5.0,
    ) -> None:
        self.path, self.header = Path(path), header
        self.commit_frames, self.commit_seconds = max(1, int(commit_frames)), commit_seconds
        self._layouts: dict[str, ArrayLayout] = {}
        self._arrays: dict[str, zarr.Array[Any]] = {}
        self._buffer: list[dict[str, AnyArray]] = []
        self._n_committed = 0
        self._next_step = None if first_step is None else int(first_step)
        self._last: tuple[int, float] | None = None
        self._last_commit = clock.monotonic()
        self._lock = _lock_directory(self.path)
        try:
            self._store = OrderedStore(LocalStore(self.path))
            if any(child.suffix != PARTIAL for child in self.path.iterdir()):
                self._reopen(first_step)
            else:
                self._create()
        except BaseException as error:
            os.close(self._lock)
            if isinstance(error, OSError):
                raise InputError(path, "stream", error, "a directory to write in") from error
            raise
        self._closed = False
        self._at_exit = _close_at_exit(self)

    @property
    def n_committed(self) -> int:
        """Number of frames that are safe on disk."""
        return self._n_committed

    @property
    def last_step(self) -> int | None:
        """Step of the last frame that was appended, committed or not; None before the first."""
        return None if self._last is None else self._last[0]

    def append(
        self,
        step: int,
        time: float,
        rates: Mapping[str, ArrayLike],
        *,
        volume: float | None = None,
        temperature: float | None = None,
        f_sum: ArrayLike | None = None,
        dipole_rate_std: ArrayLike | None = None,
        extrapolation: float | None = None,
    ) -> None:
        """Add a frame.

        Parameters
        ----------
        step : MD step, the previous one plus the stride
        time : fs
        rates : estimator -> (n_groups, 3) e Å/fs
        volume : Å³
        temperature : instantaneous, K
        f_sum : (n_groups,) e²/amu; see :func:`aptnn_md.rates.f_sum`
        dipole_rate_std : (n_groups, 3) e Å/fs, over a committee
        extrapolation : largest committee standard deviation of an atom's APT, e

        What of the optional ones is given with the first frame must be given with every frame.

        Raises
        ------
        RunError
            The frame does not follow the last one, a value is not finite, or the disk is full.
        InputError
            An estimator or an optional value is missing or too much, or a shape is wrong.
        """
        if self._closed:
            raise RunError(f"{self.path}: step {step}: the stream is closed")
        self._check_sequence(step, time)
        optional = {
            "volume": volume,
            "temperature": temperature,
            "f_sum": f_sum,
            "dipole_rate_std": dipole_rate_std,
            "extrapolation": extrapolation,
        }
        given: dict[str, ArrayLike] = {n: v for n, v in optional.items() if v is not None}
        given |= {f"dipole_rate/{name}": rate for name, rate in rates.items()}
        given |= {"step": step, "time": time}
        self._layouts = self._layouts or layouts(self.header, given)
        self._buffer.append(self._checked(step, given))
        self._last = (int(step), float(time))
        waited = clock.monotonic() - self._last_commit
        if len(self._buffer) >= self.commit_frames or waited >= self.commit_seconds:
            self.commit()

    def commit(self) -> None:
        """Put all appended frames on disk.

        Raises
        ------
        RunError
            They cannot be written (e.g. disk full). What was committed before is intact, the
            frames stay in memory, and another ``commit`` may succeed.
        """
        self._last_commit = clock.monotonic()
        if not self._buffer:
            return
        start, stop = self._n_committed, self._n_committed + len(self._buffer)
        try:
            if not self._arrays:
                self._create_arrays()
            with self._store.hold_metadata(last="step"):
                for name, array in self._arrays.items():
                    array.resize((stop, *array.shape[1:]))
                    array[start:stop] = np.stack([frame[name] for frame in self._buffer])
        except OSError as error:
            self._arrays = {}
            n = len(self._buffer)
            raise RunError(
                f"{self.path}: {n} frames up to step {self.last_step} cannot be written "
                f"({error.strerror or error}); the {start} frames before are safe"
            ) from error
        self._n_committed = stop
        self._buffer.clear()

    def close(self) -> None:
        """Commit and let go of the stream; nothing happens the second time."""
        if self._closed:
            return
        self._closed = True
        atexit.unregister(self._at_exit)
        try:
            self.commit()
        finally:
            os.close(self._lock)

    def __enter__(self) -> StreamWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        # the first error is the one to tell; a failed commit would hide it
        with contextlib.suppress(RunError) if error is not None else contextlib.nullcontext():
            self.close()

    def _create(self) -> None:
        group = zarr.create_group(self._store, zarr_format=3)
        group.update_attributes(self.header.to_attributes() | {"first_step": self._next_step})

    def _create_arrays(self) -> None:
        group = zarr.open_group(self._store, mode="r+", zarr_format=3)
        self._arrays = open_arrays(group, self.header)
        if not self._arrays:
            self._remove_arrays()
            self._arrays = {n: create_array(group, made) for n, made in self._layouts.items()}

    def _remove_arrays(self) -> None:
        for child in self.path.iterdir():
            if child.is_dir():
                shutil.rmtree(child)

    def _reopen(self, first_step: int | None) -> None:
        header, attributes = read_header(self.path)
        if first_step is None:
            found = f"a stream of {attributes.get('formula') or 'another run'}"
            raise InputError(self.path, "stream", found, "no such path, or the step to go on from")
        self.header.check_same_run(self.path, header)
        for partial in self.path.rglob(f"*{PARTIAL}"):
            partial.unlink(missing_ok=True)
        group = zarr.open_group(self._store, mode="r+", zarr_format=3)
        self._arrays = open_arrays(group, header)
        if committed_frames(self._arrays) > 0:
            self._truncate(first_step)
            self._layouts = layouts(header, self._arrays)
        else:
            planned = attributes.get("first_step")
            if planned not in (None, first_step):
                raise InputError(
                    self.path, "frames", "none", f"frames from step {planned} to {first_step}"
                )
            self._arrays = {}
            self._remove_arrays()
        restarts = [*attributes.get("restarts", ()), _restart(first_step, self.header)]
        group.update_attributes({"restarts": restarts})

    def _truncate(self, first_step: int) -> None:
        n_frames = committed_frames(self._arrays)
        steps = np.asarray(self._arrays["step"][:n_frames])
        keep = int(np.searchsorted(steps, first_step))
        stride = self.header.stride
        if keep == 0 and steps[0] != first_step:
            raise InputError(
                self.path, "first step", steps[0], f"at most {first_step}, where this run begins"
            )
        if keep > 0 and steps[keep - 1] + stride != first_step:
            raise InputError(
                self.path,
                "steps",
                f"{steps[keep - 1]} as the last before {first_step}",
                f"{first_step - stride} (stride {stride}), else frames would be missing",
            )
        with self._store.hold_metadata(first="step"):
            for array in self._arrays.values():
                array.resize((keep, *array.shape[1:]))
        self._n_committed = keep
        if keep > 0:
            time = float(np.asarray(self._arrays["time"][keep - 1]))
            self._last = (int(steps[keep - 1]), time)

    def _check_sequence(self, step: int, time: float) -> None:
        expected = self._next_step
        if self._last is not None:
            expected = self._last[0] + self.header.stride
            spacing = self.header.timestep * self.header.stride
            expected_time = self._last[1] + spacing
            if not abs(time - expected_time) <= 1e-3 * spacing + 1e-9 * abs(time):
                raise RunError(
                    f"{self.path}: step {step}: found time {time} fs, expected {expected_time} fs"
                )
        if expected is not None and step != expected:
            raise RunError(f"{self.path}: found step {step}, expected {expected}")

    def _checked(self, step: int, given: Mapping[str, ArrayLike]) -> dict[str, AnyArray]:
        if given.keys() != self._layouts.keys():
            raise InputError(
                f"{self.path}, step {step}", "arrays", sorted(given), sorted(self._layouts)
            )
        frame: dict[str, AnyArray] = {}
        for name, layout in self._layouts.items():
            # a copy: the caller may go on to use its array
            value = np.array(given[name], dtype=layout.dtype)
            if value.shape != layout.frame_shape:
                raise InputError(
                    f"{self.path}, step {step}",
                    name,
                    f"shape {value.shape}",
                    f"shape {layout.frame_shape}",
                )
            if not np.isfinite(value).all():
                raise RunError(f"{self.path}: step {step}: {name} is not finite: {value.tolist()}")
            frame[name] = value
        return frame


def _lock_directory(path: Path) -> int:
    """Make and lock a directory; the kernel unlocks it when the process ends, however it does."""
    try:
        path.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDONLY)
    except FileExistsError:
        raise InputError(path, "stream", "a file", "a directory or nothing") from None
    except OSError as error:
        raise InputError(path, "stream", error.strerror, "a directory to write in") from error
    if fcntl is None:
        return descriptor
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise InputError(path, "stream", "another process writing it", "no other") from None
    except OSError:
        pass  # file systems without locks (some NFS) have no such protection
    return descriptor


def _restart(first_step: int, header: StreamHeader) -> dict[str, Any]:
    from aptnn_md import __version__

    return {
        "first_step": first_step,
        "package_version": __version__,
        "provenance": header.provenance,
    }


def _close_at_exit(writer: StreamWriter) -> Any:
    """Close a writer that was forgotten, without keeping it alive until then."""
    reference = weakref.ref(writer)

    def close() -> None:
        if (alive := reference()) is not None:
            alive.close()

    return atexit.register(close)
