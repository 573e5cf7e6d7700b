"""A Raman spectrum as a CSV table."""

from __future__ import annotations

import os

from aptnn_md._version import __version__
from aptnn_md.arrays import FloatArray
from aptnn_md.spectra.estimation.parts import part_name
from aptnn_md.spectra.estimation.power import PowerBlocks
from aptnn_md.spectra.output.columns import in_range, with_error_column, write_columns
from aptnn_md.spectra.raman.curves import ANISOTROPIC, ISOTROPIC, RamanCurves
from aptnn_md.spectra.raman.report import TITLES, report_raman
from aptnn_md.spectra.raman.spectrum import RamanSpectrum


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
    write_columns(path, *raman_table(spectrum, wavenumbers, provenance))


def raman_table(
    spectrum: RamanSpectrum,
    wavenumbers: tuple[float, float] | None = None,
    provenance: str = "",
) -> tuple[dict[str, FloatArray], list[str]]:
    """Columns and header of the file that :func:`write_raman` writes.

    Wavenumbers come first, then the curves, the depolarisation ratio and the parts, each followed
    by its standard error.

    Raises
    ------
    InputError
        The range has no values.
    """
    inside = in_range(spectrum, wavenumbers)
    columns = {"wavenumber (cm^-1)": spectrum.wavenumber}
    for name, curve in spectrum.total.named.items():
        title = TITLES.get(name, name)
        columns |= with_error_column(title, spectrum.unit, curve.mean, curve.standard_error)
    columns |= with_error_column("depolarisation ratio", "", *spectrum.total.depolarisation())
    for part, curves in spectrum.parts.items():
        for name, curve in curves_of_part(curves).items():
            title = f"{part_name(part)} {TITLES.get(name, name)}"
            columns |= with_error_column(title, spectrum.unit, curve.mean, curve.standard_error)
    lines = describe_raman(spectrum, provenance)
    if spectrum.parts:
        lines.append(f"parts, whose sum is the total: {' + '.join(map(part_name, spectrum.parts))}")
    return {name: values[inside] for name, values in columns.items()}, lines


def describe_raman(spectrum: RamanSpectrum, provenance: str = "") -> list[str]:
    """What a spectrum is and where it comes from, line by line."""
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


def curves_of_part(curves: RamanCurves) -> dict[str, PowerBlocks]:
    """Curves of a part from which the others follow."""
    return {name: curves.named[name] for name in (ISOTROPIC, ANISOTROPIC, *curves.components)}
