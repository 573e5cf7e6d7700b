"""An infrared spectrum as a CSV table that numpy and pandas read."""

from __future__ import annotations

import os
from collections.abc import Sequence

from aptnn_md._version import __version__
from aptnn_md.arrays import FloatArray
from aptnn_md.spectra.analysis.alarms import warning_lines
from aptnn_md.spectra.analysis.error_parts import STATISTICAL_ERRORS
from aptnn_md.spectra.estimation.parts import part_name
from aptnn_md.spectra.infrared.dielectric import Quantity
from aptnn_md.spectra.infrared.report import describe_quantum
from aptnn_md.spectra.infrared.spectrum import InfraredSpectrum
from aptnn_md.spectra.output.columns import in_range, with_error_column, write_columns


def write_table(
    path: str | os.PathLike[str],
    spectrum: InfraredSpectrum,
    wavenumbers: tuple[float, float] | None = None,
    provenance: str = "",
    quantities: Sequence[Quantity] = (),
) -> None:
    """Write a spectrum, its parts, and quantities that follow from it to a CSV file.

    Parameters
    ----------
    wavenumbers : the range to write, cm⁻¹; default: all
    provenance : command line
    quantities : further columns, by :func:`aptnn_md.spectra.infrared.dielectric.quantities`

    Raises
    ------
    InputError
        The file cannot be written, or the range has no values.
    """
    write_columns(path, *infrared_table(spectrum, wavenumbers, provenance, quantities))


def infrared_table(
    spectrum: InfraredSpectrum,
    wavenumbers: tuple[float, float] | None = None,
    provenance: str = "",
    quantities: Sequence[Quantity] = (),
) -> tuple[dict[str, FloatArray], list[str]]:
    """Columns and header of the file that :func:`write_table` writes.

    Wavenumbers come first, then the absorption, its parts and the quantities, each followed by its
    standard error.

    Raises
    ------
    InputError
        The range has no values.
    """
    name, unit = spectrum.ordinate.name, spectrum.ordinate.unit
    columns = {
        "wavenumber (cm^-1)": spectrum.wavenumber,
        f"{name} ({unit})": spectrum.absorption,
        f"standard error ({unit})": spectrum.standard_error,
    }
    for part, curve in spectrum.parts.items():
        columns |= with_error_column(part_name(part), unit, curve.mean, curve.standard_error)
    for quantity in quantities:
        values, error = quantity.values, quantity.standard_error
        columns |= with_error_column(quantity.name, quantity.unit, values, error)
    inside = in_range(spectrum, wavenumbers)
    lines = describe(spectrum, provenance)
    if spectrum.parts:
        lines.append(f"parts, whose sum is {name}: {' + '.join(map(part_name, spectrum.parts))}")
    return {name: values[inside] for name, values in columns.items()}, lines


def describe(spectrum: InfraredSpectrum, provenance: str = "") -> list[str]:
    """What a spectrum is and where it comes from, line by line."""
    rule, ordinate = spectrum.sum_rule, spectrum.ordinate
    lines = [
        f"Infrared spectrum by aptnn_md {__version__}",
        f"{ordinate.name}: {ordinate.meaning}",
        f"temperature: {spectrum.temperature:.6g} K",
        _system(spectrum),
        f"length: {1e-3 * spectrum.length:.6g} ps in {len(spectrum.run_lengths)} run(s), "
        f"frames {spectrum.spacing:g} fs apart",
        f"resolution: {spectrum.resolution:.4g} cm^-1 (full width at half maximum)",
        f"method: {spectrum.blocks.plan.text}, {spectrum.n_segments} segments",
        f"integral: {rule.found:.5g} +- {rule.standard_error:.2g} {ordinate.integral_unit}",
    ]
    if rule.ratio is not None:
        expected = f"{rule.expected:.5g} {ordinate.integral_unit}"
        lines.append(f"f-sum rule: {expected} expected, ratio {rule.ratio:.4f}")
    if spectrum.estimator:
        lines.append(f"estimator: {spectrum.estimator}")
    lines += [f"quantum effects: {describe_quantum(spectrum)}", STATISTICAL_ERRORS]
    lines[1:1] = warning_lines(spectrum.alarms)
    lines += [f"note: {note}" for note in spectrum.notes]
    lines += [f"stream: {source}" for source in spectrum.sources]
    if provenance:
        lines.append(f"provenance: {provenance}")
    return lines


def _system(spectrum: InfraredSpectrum) -> str:
    if spectrum.volume is not None:
        return f"volume: {spectrum.volume:.8g} A^3"
    return f"molecules: {spectrum.n_molecules:g}, alone: a system without a volume"
