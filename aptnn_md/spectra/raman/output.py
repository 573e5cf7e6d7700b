"""Raman spectra as text, table and NetCDF file."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from aptnn_md.spectra.analysis.band_table import aligned, with_error
from aptnn_md.spectra.analysis.bands import bands_of_blocks
from aptnn_md.spectra.infrared.netcdf import imported_xarray, save_dataset
from aptnn_md.spectra.infrared.table import in_range, with_error_column, write_columns
from aptnn_md.spectra.raman.scattering import describe_form, describe_quantum
from aptnn_md.spectra.raman.spectrum import RamanCurves, RamanSpectrum

if TYPE_CHECKING:
    import xarray

TITLES = {
    "isotropic": "isotropic 45a²",
    "anisotropic": "anisotropic γ²",
    "VV": "polarised VV 45a² + 4γ²",
    "VH": "depolarised VH 3γ²",
    "unpolarised": "unpolarised 45a² + 7γ²",
}
"""Name of a curve -> what it is; single components have no other name than their own."""

_PARTS = ("isotropic", "anisotropic")
_MEASURED_SCALE = 1e-30


def report_raman(
    spectrum: RamanSpectrum, ranges: Mapping[str, tuple[float, float]] | None = None
) -> list[str]:
    """Lines that say what was found.

    Parameters
    ----------
    ranges : bands to measure, name -> (low, high), cm⁻¹
    """
    n_runs = len(spectrum.run_lengths)
    runs = f" in {n_runs} runs" if n_runs > 1 else ""
    scale, unit = _integrals(spectrum)
    grid = spectrum.wavenumber
    found = [v / scale for v in spectrum.blocks.integral(grid[0], grid[-1])]
    ratio = spectrum.total.band_depolarisation(grid[0], grid[-1])
    lines = [
        f"Raman spectrum: {1e-3 * spectrum.length:.4g} ps{runs}, frames {spectrum.spacing:g} fs "
        f"apart, {spectrum.temperature:.4g} K",
        f"resolution {spectrum.resolution:.3g} cm⁻¹ (full width at half maximum): "
        f"{spectrum.plan.text}, {spectrum.n_segments} segments",
        describe_form(spectrum),
        describe_quantum(spectrum),
        f"integral of 45a² + 7γ²: {with_error(found[0], found[1])} {unit}; depolarisation ratio "
        f"of all of it: {with_error(*ratio)}",
    ]
    lines += [f"note: {note}" for note in spectrum.notes]
    if ranges:
        lines += ["", *band_lines(spectrum, ranges)]
    if ranges and spectrum.parts:
        lines += ["", *_part_lines(spectrum, ranges)]
    return lines


def band_lines(spectrum: RamanSpectrum, ranges: Mapping[str, tuple[float, float]]) -> list[str]:
    """Maximum of the unpolarised spectrum in each range, integrals, and their ρ."""
    scale, unit = _integrals(spectrum)
    bands = bands_of_blocks(spectrum.blocks, ranges)
    rows = [["band", *(f"{b.name}, {b.low:.0f}-{b.high:.0f} cm⁻¹" for b in bands)]]
    positions = [
        "no maximum" if b.at_edge else with_error(b.position, b.position_error) for b in bands
    ]
    rows.append(["maximum (cm⁻¹)", *positions])
    for name, curve in spectrum.total.named.items():
        values = [curve.integral(b.low, b.high) for b in bands]
        cells = [with_error(value / scale, error / scale) for value, error in values]
        rows.append([f"{TITLES.get(name, name)} ({unit})", *cells])
    ratios = [spectrum.total.band_depolarisation(b.low, b.high) for b in bands]
    return aligned([*rows, ["depolarisation ratio", *(with_error(*ratio) for ratio in ratios)]])


def write_raman(
    path: str | os.PathLike[str],
    spectrum: RamanSpectrum,
    wavenumbers: tuple[float, float] | None = None,
    provenance: str = "",
) -> None:
    """Write a spectrum, its depolarisation ratio and its parts, with standard errors, as CSV.

    Raises
    ------
    InputError
        The file cannot be written, or the range has no values.
    """
    inside = in_range(spectrum, wavenumbers)
    columns = {"wavenumber (cm^-1)": spectrum.wavenumber}
    for name, curve in spectrum.total.named.items():
        title = TITLES.get(name, name)
        columns |= with_error_column(title, spectrum.unit, curve.mean, curve.standard_error)
    columns |= with_error_column("depolarisation ratio", "", *spectrum.total.depolarisation())
    for part, curves in spectrum.parts.items():
        for name, curve in _of_part(curves).items():
            title = f"{part} {TITLES.get(name, name)}"
            columns |= with_error_column(title, spectrum.unit, curve.mean, curve.standard_error)
    lines = describe_raman(spectrum, provenance)
    if spectrum.parts:
        lines.append(f"parts, whose sum is the total: {' + '.join(spectrum.parts)}")
    write_columns(path, {name: values[inside] for name, values in columns.items()}, lines)


def describe_raman(spectrum: RamanSpectrum, provenance: str = "") -> list[str]:
    """What a spectrum is and where it comes from, line by line."""
    from aptnn_md._version import __version__

    lines = [f"Raman spectrum by aptnn_md {__version__}", *report_raman(spectrum)]
    if spectrum.total.components:
        lines.append(
            f"components {', '.join(spectrum.total.components)} of a sample that does not turn: "
            "45 times the square of one element"
        )
    if spectrum.estimator:
        lines.append(f"estimator: {spectrum.estimator}")
    lines += [f"stream: {source}" for source in spectrum.sources]
    return lines + ([f"provenance: {provenance}"] if provenance else [])


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
        coordinates["part"] = (("part",), list(spectrum.parts))
        of_parts = [_of_part(curves) for curves in spectrum.parts.values()]
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


def _integrals(spectrum: RamanSpectrum) -> tuple[float, str]:
    """Scale and unit in which integrals are shown."""
    return (1.0, "Å⁴/amu") if spectrum.laser is None else (_MEASURED_SCALE, "10⁻³⁰ cm²/sr")


def _of_part(curves: RamanCurves) -> dict[str, Any]:
    """Curves of a part from which the others follow."""
    return {name: curves.named[name] for name in (*_PARTS, *curves.components)}


def _part_lines(spectrum: RamanSpectrum, ranges: Mapping[str, tuple[float, float]]) -> list[str]:
    """Integrals of the unpolarised spectrum of parts over ranges, and of the total."""
    scale, unit = _integrals(spectrum)
    rows = [[f"integral of 45a² + 7γ² ({unit})", *ranges]]
    for name, curves in {**spectrum.parts, "total": spectrum.total}.items():
        values = [curves.unpolarised.integral(low, high) for low, high in ranges.values()]
        rows.append([name, *(with_error(value / scale, error / scale) for value, error in values)])
    return aligned(rows)
