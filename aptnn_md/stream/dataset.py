"""Streams as datasets of xarray, which is optional."""

from __future__ import annotations

import json
import os
from collections.abc import Collection
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from aptnn_md.arrays import AnyArray
from aptnn_md.errors import InputError
from aptnn_md.stream.ensemble import is_ensemble, stream_paths
from aptnn_md.stream.header import MOTIONS, StreamHeader, array_units
from aptnn_md.stream.layout import layouts
from aptnn_md.stream.reader import StreamReader
from aptnn_md.targets import TARGETS

if TYPE_CHECKING:
    import xarray

_LISTS = ("estimators", "groups", "motion_freedom", "coordinates", "start_positions", "start_cell")


def open_stream(
    path: str | os.PathLike[str], variables: Collection[str] | None = None
) -> xarray.Dataset:
    """The committed frames of a stream, or of an ensemble, as a dataset of xarray, in memory.

    Its variables are named like the arrays of the stream (:mod:`aptnn_md.stream`), with the units
    in their attributes, and the estimators of a rate are an axis of it::

        stream = aptnn_md.open_stream("water.zarr")
        stream.dipole_rate.sel(estimator="bead", group="O", axis="z").plot(x="time")

    Dimensions are ``frame``, ``group``, ``axis`` (x, y, z), ``estimator``, ``bead``, ``atom`` and
    ``component`` of the polarizability rate (xx, yy, zz, yz, xz, xy), each where it is needed.
    ``time`` (fs) and ``step`` are coordinates of ``frame``; numbers, masses and groups of atoms
    are those of ``atom``. The other fields of the header are attributes of the dataset. A directory
    of runs, as ``aptnn-md md`` makes it of a molecule, gives its complete runs along another
    dimension, ``run``.

    Parameters
    ----------
    path : directory of the stream, or of an ensemble
    variables : names of those to read, of many gigabytes of velocities only what is needed; None:
        all

    Raises
    ------
    InputError
        There is no stream, no such variable in it, or xarray is not installed.
    """
    try:
        import xarray
    except ImportError as error:
        raise InputError(
            "open_stream", "xarray", "not installed", "pip install 'aptnn_md[netcdf]'"
        ) from error
    if is_ensemble(path):
        paths = stream_paths([path])
        if variables is None:
            # runs from before an array was known lack it
            of_runs = [_variables(StreamReader(run)) for run in paths]
            variables = [name for name in of_runs[0] if all(name in each for each in of_runs)]
        runs = [_dataset(run, variables) for run in paths]
        # what differs between the headers of runs, such as their identity, is left out
        return xarray.concat(runs, dim="run", combine_attrs="drop_conflicts", join="exact")
    return _dataset(path, variables)


def _dataset(path: str | os.PathLike[str], variables: Collection[str] | None) -> xarray.Dataset:
    """That of one stream."""
    import xarray

    reader = StreamReader(path)
    header = reader.header
    coordinates = _coordinates(reader)
    dataset = xarray.Dataset(coords=coordinates, attrs=_attributes(header))
    there = _variables(reader)
    for name in there if variables is None else variables:
        if name not in there:
            raise InputError(path, "variables", repr(name), f"of {', '.join(there)}")
        dimensions, values = _values(reader, name)
        dataset[name] = (dimensions, values, {"units": array_units()[name]})
    used = {dimension for variable in dataset.data_vars.values() for dimension in variable.dims}
    unused = [
        name for name, (dimension, *_) in coordinates.items() if dimension not in {*used, "frame"}
    ]
    return dataset.drop_vars(unused)


def _variables(reader: StreamReader) -> list[str]:
    """Names of the variables of a stream."""
    names = dict.fromkeys(name.partition("/")[0] for name in reader.arrays)
    return [name for name in names if name not in ("step", "time")]


def _values(reader: StreamReader, name: str) -> tuple[tuple[str, ...], AnyArray]:
    """Dimensions and values of a variable; those of all estimators together, NaN of one that has no
    such rate."""
    known = layouts(reader.header, reader.arrays)
    if name in known:
        return known[name].dimension_names, np.asarray(reader.read(name))
    of_estimators = {e: reader.read(f"{name}/{e}") for e in reader.header.estimators}
    layout = next(known[f"{name}/{e}"] for e, read in of_estimators.items() if read is not None)
    nothing = np.full((reader.n_frames, *layout.frame_shape), np.nan)
    values = [nothing if read is None else read for read in of_estimators.values()]
    return ("estimator", *layout.dimension_names), np.stack(values)


def _coordinates(reader: StreamReader) -> dict[str, tuple[Any, ...]]:
    """Name -> dimension, values and attributes."""
    header = reader.header
    found: dict[str, tuple[Any, ...]] = {
        "time": ("frame", reader.time, {"units": array_units()["time"]}),
        "step": ("frame", reader.step, {"units": array_units()["step"]}),
        "estimator": ("estimator", list(header.estimators)),
        "group": ("group", list(header.groups)),
        "axis": ("axis", ["x", "y", "z"]),
        "motion": ("motion", list(MOTIONS)),
        "coordinate": ("coordinate", list(header.coordinates)),
    }
    for target in TARGETS.values():
        found[target.rate_axis] = (target.rate_axis, list(target.rate_components))
    if header.atom_numbers:
        labels = [header.atom_labels[k] for k in header.atom_groups]
        found["atom_number"] = ("atom", list(header.atom_numbers))
        found["atom_mass"] = ("atom", list(header.atom_masses), {"units": "amu"})
        found["atom_group"] = ("atom", labels)
    return found


def _attributes(header: StreamHeader) -> dict[str, Any]:
    """What the header says besides; numbers and texts, as NetCDF takes them."""
    fields = {
        name: json.dumps(value) if isinstance(value, dict) else value
        for name, value in asdict(header).items()
        if not name.startswith("atom_") and name not in _LISTS and value not in (None, "")
    }
    return {**fields, "timestep_units": "fs", "temperature_units": "K", "volume_units": "Å³"}
