"""Arrays of a stream: names, shapes, chunks, and how many frames of them are committed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import zarr
from numpy.typing import ArrayLike
from zarr.codecs import Crc32cCodec

from aptnn_md.arrays import AnyArray
from aptnn_md.errors import InputError
from aptnn_md.stream.header import StreamHeader
from aptnn_md.targets import APT, TARGETS

_CHUNK_BYTES = 2**16
_CHUNK_BYTES_PER_ATOM = 2**20  # else as many files as thousands of frames
_FrameShape: TypeAlias = tuple[tuple[str, ...], tuple[int, ...]]


@dataclass(frozen=True)
class ArrayLayout:
    """Name, type and shape of one frame of an array."""

    name: str
    dtype: str
    dimension_names: tuple[str, ...]
    frame_shape: tuple[int, ...]

    @property
    def fill_value(self) -> float | int:
        """Value that stands for no data."""
        return -1 if self.dtype == "int64" else float("nan")

    @property
    def chunk_frames(self) -> int:
        """Frames in a chunk: small enough to be rewritten at each commit, else few files."""
        frame_bytes = np.dtype(self.dtype).itemsize * int(np.prod(self.frame_shape, initial=1))
        chunk_bytes = _CHUNK_BYTES_PER_ATOM if "atom" in self.dimension_names else _CHUNK_BYTES
        return int(2 ** np.clip(np.floor(np.log2(chunk_bytes / frame_bytes)), 3, 12))


@dataclass(frozen=True)
class StreamFrame:
    """What a stream holds of one time.

    Attributes
    ----------
    step : MD step
    time : fs
    arrays : name of each other array (:mod:`aptnn_md.stream`) -> its value in this frame
    """

    step: int
    time: float
    arrays: Mapping[str, ArrayLike]


def optional_arrays() -> tuple[str, ...]:
    """Arrays that a stream may hold besides ``step``, ``time`` and ``dipole_rate/<estimator>``, in
    the order in which they are created. The name of another rate, ``polarizability_rate``, stands
    for one array for each estimator.
    """
    others = [target.rate_name for target in TARGETS.values() if target is not APT]
    of_others = [name for rate in others for name in (rate, f"{rate}_std")]
    of_dipole = ("dipole_rate_std", "extrapolation", "dipole_rate_beads")
    return ("volume", "temperature", "f_sum", *of_dipole, *of_others, "velocity")


def layouts(header: StreamHeader, optional: Iterable[str]) -> dict[str, ArrayLayout]:
    """Arrays of a stream in the order in which they are created; ``step`` is the last."""
    n_groups = len(header.groups)
    scalar: _FrameShape = (("frame",), ())
    per_bead: _FrameShape = (("frame", "bead", "group", "axis"), (header.n_beads, n_groups, 3))
    shapes = {
        "f_sum": (("frame", "group"), (n_groups,)),
        "dipole_rate_beads": per_bead,
        "velocity": (("frame", "atom", "axis"), (header.n_atoms, 3)),
    }
    rates = {target.rate_name: target for target in TARGETS.values()}
    for name, target in rates.items():
        dimensions = ("frame", "group", target.rate_axis)
        shapes[name] = shapes[f"{name}_std"] = (dimensions, (n_groups, target.n_components))
    # a rate is there for all estimators or none
    chosen = {name.partition("/")[0] for name in optional} | {APT.rate_name}
    found = {}
    for name in (APT.rate_name, *optional_arrays(), "time"):
        names = [f"{name}/{estimator}" for estimator in header.estimators]
        if name in chosen or name == "time":
            dtype = "float32" if name == "velocity" else "float64"
            for each in names if name in rates else [name]:
                found[each] = ArrayLayout(each, dtype, *shapes.get(name, scalar))
    found["step"] = ArrayLayout("step", "int64", *scalar)
    return found


def create_array(group: zarr.Group, layout: ArrayLayout) -> zarr.Array[Any]:
    """Make an empty array of the stream, its chunks checksummed."""
    return group.create_array(
        layout.name,
        shape=(0, *layout.frame_shape),
        dtype=layout.dtype,
        chunks=(layout.chunk_frames, *layout.frame_shape),
        compressors=Crc32cCodec(),
        chunk_key_encoding={"name": "default", "separator": "."},
        fill_value=layout.fill_value,
        dimension_names=layout.dimension_names,
    )


def open_arrays(group: zarr.Group, header: StreamHeader) -> dict[str, zarr.Array[Any]]:
    """Arrays that the stream has; empty where it was not yet given a frame.

    ``step`` is created last, so where it is there the others are too.
    """
    arrays: dict[str, zarr.Array[Any]] = {}
    # step first: its frame count is the last to grow, so the others read after it hold as many
    for name in ("step", *layouts(header, optional_arrays())):
        found = group.get(name)
        if isinstance(found, zarr.Array):
            arrays[name] = found
        elif name == "step":
            return {}
    return arrays


def read_array(where: object, array: zarr.Array[Any], start: int, stop: int) -> AnyArray:
    """Frames ``start`` to ``stop`` of an array of the stream at ``where``.

    Raises
    ------
    InputError
        A checksum is wrong, or a file cannot be read.
    """
    try:
        return np.asarray(array[start:stop])
    except (ValueError, RuntimeError, OSError) as error:
        expected = f"whole frames {start} to {stop - 1}"
        raise InputError(where, array.path, f"damaged data ({error})", expected) from error


def committed_frames(where: object, arrays: Mapping[str, zarr.Array[Any]]) -> int:
    """Number of frames that every array holds, without tails that were never filled."""
    if not arrays:
        return 0
    n_frames = min(array.shape[0] for array in arrays.values())
    for array in arrays.values():
        n_frames = _filled(where, array, n_frames)
    return n_frames


def _filled(where: object, array: zarr.Array[Any], n_frames: int) -> int:
    """Number of leading frames whose tail is not the fill value; looks at tail chunks only."""
    chunk = array.chunks[0]
    while n_frames > 0:
        start = (n_frames - 1) // chunk * chunk
        values = read_array(where, array, start, n_frames).reshape(n_frames - start, -1)
        empty = np.isnan(values) if values.dtype.kind == "f" else values == -1
        filled = np.flatnonzero(~empty.any(axis=1))
        if len(filled):
            return int(start + filled[-1] + 1)
        n_frames = start
    return 0
