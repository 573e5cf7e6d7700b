"""An infrared spectrum as an xarray dataset, and as a NetCDF file."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from aptnn_md.spectra.analysis.alarms import warning_lines
from aptnn_md.spectra.estimation.parts import part_name
from aptnn_md.spectra.infrared.dielectric import Quantity
from aptnn_md.spectra.infrared.spectrum import InfraredSpectrum
from aptnn_md.spectra.infrared.table import describe
from aptnn_md.spectra.output.columns import in_range
from aptnn_md.spectra.output.netcdf import imported_xarray, save_dataset

if TYPE_CHECKING:
    import xarray


def to_dataset(
    spectrum: InfraredSpectrum, provenance: str = "", quantities: Sequence[Quantity] = ()
) -> xarray.Dataset:
    """Everything that is known about a spectrum, over the coordinate ``wavenumber``.

    ``n_alpha`` is the absorption, ``molar_absorption`` that of a molecule; its parts are
    ``part_n_alpha`` over the coordinate ``part``; quantities have their own names with ``_`` for
    ``-``; standard errors end in ``_error``. The blocks of the data are ``block_n_alpha`` with
    ``block_weight`` and ``block_run``, so that errors of anything else can be computed.

    Raises
    ------
    InputError
        xarray is not installed.
    """
    library = imported_xarray()
    ordinate, blocks = spectrum.ordinate, spectrum.blocks
    curve, unit, of = ("wavenumber",), {"units": ordinate.units}, ordinate.variable
    variables: dict[str, tuple[tuple[str, ...], Any, dict[str, str]]] = {
        of: (curve, spectrum.absorption, unit | {"long_name": ordinate.meaning}),
        f"{of}_error": (curve, spectrum.standard_error, unit),
        f"block_{of}": (("block", *curve), blocks.values, unit),
        "block_weight": (("block",), blocks.weights, {"units": "1"}),
        "block_run": (("block",), blocks.runs, {"units": "1"}),
    }
    coordinates: dict[str, Any] = {"wavenumber": (curve, spectrum.wavenumber, {"units": "cm-1"})}
    if spectrum.parts:
        parts = spectrum.parts.values()
        coordinates["part"] = (("part",), [part_name(part) for part in spectrum.parts])
        over = ("part", *curve)
        variables[f"part_{of}"] = (over, np.array([p.mean for p in parts]), unit)
        errors = np.array([p.standard_error for p in parts])
        variables[f"part_{of}_error"] = (over, errors, unit)
    for quantity in quantities:
        name = quantity.name.replace("-", "_")
        attributes = {"units": quantity.unit.replace("^", "") or "1", "long_name": quantity.symbol}
        variables[name] = (curve, quantity.values, attributes)
        variables[f"{name}_error"] = (curve, quantity.standard_error, attributes)
    attributes = _attributes(spectrum, provenance)
    dataset: xarray.Dataset = library.Dataset(variables, coords=coordinates, attrs=attributes)
    return dataset


def write_netcdf(
    path: str | os.PathLike[str],
    spectrum: InfraredSpectrum,
    wavenumbers: tuple[float, float] | None = None,
    provenance: str = "",
    quantities: Sequence[Quantity] = (),
) -> None:
    """Write :func:`to_dataset` to a NetCDF 4 file; ``xarray.open_dataset(path)`` reads it.

    Parameters
    ----------
    wavenumbers : the range to write, cm⁻¹; default: all
    provenance : command line
    quantities : further variables, by :func:`aptnn_md.spectra.infrared.dielectric.quantities`

    Raises
    ------
    InputError
        xarray or h5netcdf are not installed, the file cannot be written, or the range has no
        values.
    """
    dataset = to_dataset(spectrum, provenance, quantities)
    save_dataset(path, dataset.isel(wavenumber=in_range(spectrum, wavenumbers)))


def _attributes(spectrum: InfraredSpectrum, provenance: str) -> dict[str, Any]:
    rule, molecule = spectrum.sum_rule, spectrum.volume is None
    unit = "km_mol-1" if molecule else "cm-2"
    attributes: dict[str, Any] = {
        "title": "infrared absorption",
        "temperature_K": spectrum.temperature,
        "n_molecules" if molecule else "volume_A3": spectrum.volume or spectrum.n_molecules,
        "resolution_cm-1": spectrum.resolution,
        "frame_spacing_fs": spectrum.spacing,
        "run_lengths_fs": list(spectrum.run_lengths),
        f"integral_{unit}": rule.found,
        f"integral_error_{unit}": rule.standard_error,
        "warnings": "\n".join(warning_lines(spectrum.alarms)),
        "history": "\n".join(describe(spectrum, provenance)),
    }
    if rule.expected is not None:
        attributes[f"f_sum_rule_{unit}"] = rule.expected
    return attributes
