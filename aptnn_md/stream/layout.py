"""Arrays of a stream: names, types, shapes, chunks, and the documents that describe them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from aptnn_md.stream.digest import DIGEST
from aptnn_md.stream.header import StreamHeader
from aptnn_md.stream.metadata import Document
from aptnn_md.targets import APT, TARGETS

_CHUNK_BYTES = 2**16
_CHUNK_BYTES_PER_ATOM = 2**20  # else as many files as thousands of frames
LATER_ARRAYS = (
    "motion_temperature",
    "coordinate_temperature",
    "conserved_energy",
)
"""Arrays that older streams of the same runs lack; a run that continues such a stream leaves them
out."""

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
        return {"int64": -1, "uint32": 0}.get(self.dtype, float("nan"))

    @property
    def frame_bytes(self) -> int:
        """Size of a frame."""
        return int(np.dtype(self.dtype).itemsize * np.prod(self.frame_shape, initial=1))

    @property
    def chunk_frames(self) -> int:
        """Frames in a chunk: small enough to be rewritten at each commit, else few files."""
        chunk_bytes = _CHUNK_BYTES_PER_ATOM if "atom" in self.dimension_names else _CHUNK_BYTES
        return int(2 ** np.clip(np.floor(np.log2(chunk_bytes / self.frame_bytes)), 3, 12))

    def document(self, n_frames: int, chunk_frames: int) -> Document:
        """Metadata of the array as Zarr v3 has them."""
        fill_value = self.fill_value
        return {
            "shape": [n_frames, *self.frame_shape],
            "data_type": self.dtype,
            "chunk_grid": {
                "name": "regular",
                "configuration": {"chunk_shape": [chunk_frames, *self.frame_shape]},
            },
            "chunk_key_encoding": {"name": "default", "configuration": {"separator": "."}},
            "fill_value": "NaN" if np.isnan(fill_value) else fill_value,
            "codecs": [
                {"name": "bytes", "configuration": {"endian": "little"}},
                {"name": "crc32c"},
            ],
            "attributes": {},
            "dimension_names": list(self.dimension_names),
            "zarr_format": 3,
            "node_type": "array",
            "storage_transformers": [],
        }


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
    for one array for each estimator; a stream may hold those of some estimators only, for a
    potential's own dipole has no polarizability.
    """
    others = [target.rate_name for target in TARGETS.values() if target is not APT]
    of_others = [name for rate in others for name in (rate, f"{rate}_std")]
    of_dipole = ("dipole_rate_std", "extrapolation", "spread_ratio", "dipole_rate_beads")
    temperatures = ("temperature", "motion_temperature", "coordinate_temperature")
    of_state = ("volume", *temperatures, "conserved_energy", "f_sum")
    return (*of_state, *of_dipole, *of_others, "velocity")


def layouts(header: StreamHeader, optional: Iterable[str]) -> dict[str, ArrayLayout]:
    """Arrays of a stream in the order in which they are created; ``step`` is the last."""
    n_groups = len(header.groups)
    scalar: _FrameShape = (("frame",), ())
    per_bead: _FrameShape = (("frame", "bead", "group", "axis"), (header.n_beads, n_groups, 3))
    shapes = {
        "f_sum": (("frame", "group"), (n_groups,)),
        "dipole_rate_beads": per_bead,
        "motion_temperature": (("frame", "motion"), (3,)),
        "coordinate_temperature": (("frame", "coordinate"), (len(header.coordinates),)),
        "velocity": (("frame", "atom", "axis"), (header.n_atoms, 3)),
    }
    rates = {target.rate_name: target for target in TARGETS.values()}
    for name, target in rates.items():
        dimensions = ("frame", "group", target.rate_axis)
        shapes[name] = shapes[f"{name}_std"] = (dimensions, (n_groups, target.n_components))
    chosen = {*optional, APT.rate_name, "time"}
    found = {}
    for name in (APT.rate_name, *optional_arrays(), "time"):
        of_estimators = [f"{name}/{estimator}" for estimator in header.estimators]
        dtype = "float32" if name == "velocity" else "float64"
        for each in of_estimators if name in rates else [name]:
            if chosen & {each, name}:
                found[each] = ArrayLayout(each, dtype, *shapes.get(name, scalar))
    found["step"] = ArrayLayout("step", "int64", *scalar)
    return found


def digest_layout(n_arrays: int) -> ArrayLayout:
    """The array of the digests of the frames of ``n_arrays`` arrays."""
    return ArrayLayout(DIGEST, "uint32", ("frame", "array"), (n_arrays,))
