"""A Raman spectrum as an xarray dataset, and as a NetCDF file."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np

from aptnn_md.spectra.analysis.alarms import warning_lines
from aptnn_md.spectra.estimation.parts import part_name
from aptnn_md.spectra.output.columns import in_range
from aptnn_md.spectra.output.netcdf import imported_xarray, save_dataset
from aptnn_md.spectra.raman.report import TITLES
from aptnn_md.spectra.raman.spectrum import RamanSpectrum
from aptnn_md.spectra.raman.table import curves_of_part, describe_raman

if TYPE_CHECKING:
    import xarray


def raman_dataset(spectrum: RamanSpectrum, provenance: str = "") -> xarray.Dataset:
    """Everything that is known about a spectrum, over the coordinate ``wavenumber``.

    Curves are ``isotropic``, ``anisotropic``, ``VV``, ``VH``, ``unpolarised`` and the single
    components; those of parts ``part_isotropic`` and so on over the coordinate ``part``; standard
    errors end in ``_error``. The blocks of the data are ``block_isotropic`` and
    ``block_anisotropic`` with ``block_weight`` and ``block_run``, so that errors of anything else
    can be computed.

    Raises
    ------
    InputError
        xarray is not installed.
    """
    library = imported_xarray()
    total, unit = spectrum.total, {"units": spectrum.unit}
    curve, blocks = ("wavenumber",), total.isotropic
    variables: dict[str, tuple[tuple[str, ...], Any, dict[str, str]]] = {}
    for name, found in total.named.items():
        variables[name] = (curve, found.mean, unit | {"long_name": TITLES.get(name, name)})
        variables[f"{name}_error"] = (curve, found.standard_error, unit)
    ratio, error = total.depolarisation()
    variables["depolarisation_ratio"] = (curve, ratio, {"units": "1"})
    variables["depolarisation_ratio_error"] = (curve, error, {"units": "1"})
    for name, found in (("isotropic", total.isotropic), ("anisotropic", total.anisotropic)):
        variables[f"block_{name}"] = (("block", *curve), found.values, unit)
    variables["block_weight"] = (("block",), blocks.weights, {"units": "1"})
    variables["block_run"] = (("block",), blocks.runs, {"units": "1"})
    coordinates: dict[str, Any] = {"wavenumber": (curve, spectrum.wavenumber, {"units": "cm-1"})}
    if spectrum.parts:
        coordinates["part"] = (("part",), [part_name(part) for part in spectrum.parts])
        of_parts = [curves_of_part(curves) for curves in spectrum.parts.values()]
        for name in of_parts[0]:
            over, each = ("part", *curve), [part[name] for part in of_parts]
            variables[f"part_{name}"] = (over, np.array([c.mean for c in each]), unit)
            errors = np.array([c.standard_error for c in each])
            variables[f"part_{name}_error"] = (over, errors, unit)
    attributes: dict[str, Any] = {
        "title": "Raman spectrum",
        "temperature_K": spectrum.temperature,
        "resolution_cm-1": spectrum.resolution,
        "frame_spacing_fs": spectrum.spacing,
        "run_lengths_fs": list(spectrum.run_lengths),
        "n_molecules": spectrum.n_molecules,
        "warnings": "\n".join(warning_lines(spectrum.alarms)),
        "history": "\n".join(describe_raman(spectrum, provenance)),
    }
    if spectrum.laser is not None:
        attributes["laser_cm-1"] = spectrum.laser
    dataset: xarray.Dataset = library.Dataset(variables, coords=coordinates, attrs=attributes)
    return dataset


def write_raman_netcdf(
    path: str | os.PathLike[str],
    spectrum: RamanSpectrum,
    wavenumbers: tuple[float, float] | None = None,
    provenance: str = "",
) -> None:
    """Write :func:`raman_dataset` to a NetCDF 4 file; ``xarray.open_dataset(path)`` reads it.

    Raises
    ------
    InputError
        xarray or h5netcdf are not installed, the file cannot be written, or the range has no
        values.
    """
    inside = in_range(spectrum, wavenumbers)
    save_dataset(path, raman_dataset(spectrum, provenance).isel(wavenumber=inside))
