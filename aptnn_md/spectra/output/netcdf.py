"""Datasets of xarray, which is optional, and their NetCDF files."""

from __future__ import annotations

import importlib.util
import os
import tempfile
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from aptnn_md.errors import InputError
from aptnn_md.files import write_output

if TYPE_CHECKING:
    import xarray

_INSTALL = "xarray and h5netcdf: pip install 'aptnn_md[netcdf]'"


def imported_xarray() -> ModuleType:
    """The module, which is optional; InputError where it is not installed."""
    try:
        import xarray
    except ImportError as error:
        raise InputError("NetCDF", "xarray", "not installed", _INSTALL) from error
    return xarray


def save_dataset(path: str | os.PathLike[str], dataset: xarray.Dataset) -> None:
    """Write a dataset to a NetCDF 4 file.

    Raises
    ------
    InputError
        h5netcdf is not installed, or the file cannot be written.
    """
    if importlib.util.find_spec("h5netcdf") is None:
        raise InputError("NetCDF", "h5netcdf", "not installed", _INSTALL)
    with tempfile.TemporaryDirectory() as folder:
        partial = Path(folder) / "spectrum.nc"
        dataset.to_netcdf(partial, engine="h5netcdf")
        write_output(Path(path), partial.read_bytes())
