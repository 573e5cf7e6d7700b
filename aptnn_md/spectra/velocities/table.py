"""Velocity spectra as a CSV table."""

from __future__ import annotations

import os

from aptnn_md.spectra.output.columns import in_range, with_error_column, write_columns
from aptnn_md.spectra.velocities.report import named_curves, report_velocities
from aptnn_md.spectra.velocities.spectrum import VelocitySpectrum

_UNIT = "1/cm^-1"


def write_velocities(
    path: str | os.PathLike[str],
    spectrum: VelocitySpectrum,
    wavenumbers: tuple[float, float] | None = None,
    provenance: str = "",
) -> None:
    """Write total and groups, with their standard errors, to a CSV file.

    Raises
    ------
    InputError
        The file cannot be written, or the range has no values.
    """
    inside = in_range(spectrum, wavenumbers)
    columns = {"wavenumber (cm^-1)": spectrum.wavenumber}
    for label, curve in named_curves(spectrum):
        columns |= with_error_column(label, _UNIT, curve.mean, curve.standard_error)
    header = [
        "Velocity spectra by aptnn_md: degrees of freedom per cm^-1, integral over all wavenumbers "
        "= sum of m <v^2> / kT",
        *report_velocities(spectrum),
        *(f"stream: {source}" for source in spectrum.sources),
        *([f"provenance: {provenance}"] if provenance else []),
    ]
    write_columns(path, {name: values[inside] for name, values in columns.items()}, header)
