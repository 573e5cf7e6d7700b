"""The committed part of a stream on disk: create, resume after a restart, extend."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import zarr
from zarr.storage import LocalStore

from aptnn_md.arrays import AnyArray
from aptnn_md.errors import InputError
from aptnn_md.files import PARTIAL
from aptnn_md.locks import lock
from aptnn_md.stream.header import StreamHeader
from aptnn_md.stream.layout import (
    ArrayLayout,
    committed_frames,
    create_array,
    layouts,
    open_arrays,
    read_array,
)
from aptnn_md.stream.reader import read_header
from aptnn_md.stream.store import OrderedStore


class StreamDirectory:
    """Directory of a stream, locked for one writer.

    Parameters
    ----------
    path : directory; made where there is none
    header : constants of the run
    first_step : step of the next frame; frames from there on are dropped

    Attributes
    ----------
    n_frames : number of committed frames
    last : step and time of the last of them, fs; None where there is none
    layouts : arrays of the stream; empty until the first frame says which optional ones it has

    Raises
    ------
    InputError
        See :class:`aptnn_md.stream.StreamWriter`.
    """

    def __init__(self, path: Path, header: StreamHeader, first_step: int | None) -> None:
        self.path, self.header = path, header
        self.n_frames = 0
        self.last: tuple[int, float] | None = None
        self.layouts: dict[str, ArrayLayout] = {}
        self._arrays: dict[str, zarr.Array[Any]] = {}
        self._lock = lock_directory(path)
        self._store = OrderedStore(LocalStore(path))
        try:
            if any(child.suffix != PARTIAL for child in path.iterdir()):
                self._reopen(first_step)
            else:
                self._create(first_step)
        except OSError as error:
            self.close()
            raise _unwritable(path, error) from error
        except BaseException:
            self.close()
            raise

    def extend(self, arrays: Mapping[str, AnyArray]) -> None:
        """Add frames to all arrays at once.

        Parameters
        ----------
        arrays : name -> (frames, ...), the arrays of ``layouts``

        Raises
        ------
        OSError
            They cannot be written; the frames that were there before still are, alone.
        """
        start, stop = self.n_frames, self.n_frames + len(arrays["step"])
        try:
            if not self._arrays:
                self._open_or_create_arrays()
            with self._store.hold_metadata(last="step"):
                for name, array in self._arrays.items():
                    array.resize((stop, *array.shape[1:]))
                    array[start:stop] = arrays[name]
        except BaseException:
            self._arrays = {}  # they have the new shape, the disk the old one
            raise
        self.n_frames = stop
        self.last = int(arrays["step"][-1]), float(arrays["time"][-1])

    def close(self) -> None:
        """Unlock the directory."""
        os.close(self._lock)

    def _create(self, first_step: int | None) -> None:
        # in one write: a group without these attributes would not be a stream
        attributes = self.header.to_attributes() | {"first_step": first_step}
        zarr.create_group(self._store, zarr_format=3, attributes=attributes)

    def _open_or_create_arrays(self) -> None:
        group = zarr.open_group(self._store, mode="r+", zarr_format=3)
        self._arrays = open_arrays(group, self.header)
        if not self._arrays:
            self._remove_arrays()
            self._arrays = {n: create_array(group, made) for n, made in self.layouts.items()}

    def _remove_arrays(self) -> None:
        for child in self.path.iterdir():
            if child.is_dir():
                shutil.rmtree(child)

    def _reopen(self, first_step: int | None) -> None:
        header, attributes = read_header(self.path)
        if first_step is None:
            found = f"a stream of {header.formula or 'another run'}"
            raise InputError(self.path, "stream", found, "no such path, or a step to resume from")
        self.header.check_same_run(self.path, header)
        for partial in self.path.rglob(f".*{PARTIAL}"):
            partial.unlink(missing_ok=True)
        group = zarr.open_group(self._store, mode="r+", zarr_format=3)
        self._arrays = open_arrays(group, header)
        n_frames = committed_frames(self.path, self._arrays)
        if n_frames > 0:
            self._truncate(n_frames, first_step)
            self.layouts = layouts(header, self._arrays)
        else:
            self._begin_again(attributes.get("first_step"), first_step)
        restarts = [*attributes.get("restarts", ()), self._restart(first_step)]
        group.update_attributes({"restarts": restarts})

    def _begin_again(self, planned: int | None, first_step: int) -> None:
        if planned not in (None, first_step):
            expected = f"those from step {planned} to {first_step - self.header.stride}"
            raise InputError(self.path, "frames", "none", expected)
        self._arrays = {}
        self._remove_arrays()

    def _truncate(self, n_frames: int, first_step: int) -> None:
        """Drop frames from ``first_step`` on; refuse where one before it is missing."""
        steps = read_array(self.path, self._arrays["step"], 0, n_frames)
        keep, stride = int(steps.searchsorted(first_step)), self.header.stride
        if keep == 0 and steps[0] != first_step:
            expected = f"at most {first_step}, where this run begins"
            raise InputError(self.path, "first step", steps[0], expected)
        if keep > 0 and steps[keep - 1] + stride != first_step:
            found = f"{steps[keep - 1]} as the last before {first_step}"
            expected = f"{first_step - stride} (stride {stride}), else frames would be missing"
            raise InputError(self.path, "steps", found, expected)
        with self._store.hold_metadata(first="step"):
            for array in self._arrays.values():
                array.resize((keep, *array.shape[1:]))
        self.n_frames = keep
        if keep > 0:
            time = read_array(self.path, self._arrays["time"], keep - 1, keep)
            self.last = int(steps[keep - 1]), float(time[0])

    def _restart(self, first_step: int) -> dict[str, Any]:
        from aptnn_md._version import __version__

        provenance = self.header.provenance
        return {
            "first_step": first_step,
            "package_version": __version__,
            "provenance": provenance,
        }


def lock_directory(path: Path) -> int:
    """Make and lock a directory; the descriptor that holds the lock until it is closed."""
    try:
        path.mkdir(parents=True, exist_ok=True)
        return lock(path)
    except FileExistsError:
        raise InputError(path, "stream", "a file", "a directory or nothing") from None
    except OSError as error:
        raise _unwritable(path, error) from error


def _unwritable(path: Path, error: OSError) -> InputError:
    return InputError(path, "stream", error.strerror or error, "a directory that can be written")
