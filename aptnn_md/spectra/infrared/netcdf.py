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

    ``n_alpha`` is the absorption; its parts are ``part_n_alpha`` over the coordinate ``part``;
    quantities have their own names with ``_`` for ``-``; standard errors end in ``_error``. The
    blocks of the data are ``block_n_alpha`` with ``block_weight`` and ``block_run``, so that
    errors of anything else can be computed.

    Raises
    ------
    InputError
        xarray is not installed.
    """
    library = imported_xarray()
    per_length = {"units": "cm-1"}
    curve, blocks = ("wavenumber",), spectrum.blocks
    variables: dict[str, tuple[tuple[str, ...], Any, dict[str, str]]] = {
        "n_alpha": (
            curve,
            spectrum.absorption,
            per_length | {"long_name": "neperian absorption coefficient times refractive index"},
        ),
        "n_alpha_error": (curve, spectrum.standard_error, per_length),
        "block_n_alpha": (("block", *curve), blocks.values, per_length),
        "block_weight": (("block",), blocks.weights, {"units": "1"}),
        "block_run": (("block",), blocks.runs, {"units": "1"}),
    }
    coordinates: dict[str, Any] = {"wavenumber": (curve, spectrum.wavenumber, per_length)}
    if spectrum.parts:
        parts = spectrum.parts.values()
        coordinates["part"] = (("part",), [part_name(part) for part in spectrum.parts])
        over = ("part", *curve)
        variables["part_n_alpha"] = (over, np.array([p.mean for p in parts]), per_length)
        errors = np.array([p.standard_error for p in parts])
        variables["part_n_alpha_error"] = (over, errors, per_length)
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
    rule = spectrum.sum_rule
    attributes: dict[str, Any] = {
        "title": "infrared absorption",
        "temperature_K": spectrum.temperature,
        "volume_A3": spectrum.volume,
        "resolution_cm-1": spectrum.resolution,
        "frame_spacing_fs": spectrum.spacing,
        "run_lengths_fs": list(spectrum.run_lengths),
        "integral_cm-2": rule.found,
        "integral_error_cm-2": rule.standard_error,
        "warnings": "\n".join(warning_lines(spectrum.alarms)),
        "history": "\n".join(describe(spectrum, provenance)),
    }
    if rule.expected is not None:
        attributes["f_sum_rule_cm-2"] = rule.expected
    return attributes
