"""Velocity spectra as text, table and picture."""

from __future__ import annotations

import os

import numpy as np

from aptnn_md.spectra.estimation.power import PowerBlocks
from aptnn_md.spectra.infrared.table import in_range, with_error_column, write_columns
from aptnn_md.spectra.velocities.vdos import VelocitySpectrum

_UNIT, _TOTAL = "1/cm^-1", "total"


def report_velocities(spectrum: VelocitySpectrum) -> list[str]:
    """Lines that say what was found: for each group the degrees of freedom."""
    n_runs = len(spectrum.run_lengths)
    runs = f" in {n_runs} runs" if n_runs > 1 else ""
    lines = [
        f"velocity spectrum: {1e-3 * sum(spectrum.run_lengths):.4g} ps{runs}, frames "
        f"{spectrum.plan.spacing:g} fs apart, {spectrum.temperature:.4g} K",
        f"resolution {spectrum.plan.resolution:.3g} cm⁻¹ (full width at half maximum): "
        f"{spectrum.plan.text}",
    ]
    if spectrum.n_beads > 1:
        lines.append(f"velocities of the centroids of {spectrum.n_beads} beads")
    lines.append("group                 atoms   degrees of freedom   expected    ratio")
    for label, freedom in spectrum.freedom.items():
        expected = np.nan if freedom.expected is None else freedom.expected
        lines.append(
            f"{label or _TOTAL:<20s} {freedom.n_atoms:6d}   {freedom.found:9.2f} ± "
            f"{freedom.standard_error:<6.2g} {expected:10.2f} "
            f"{freedom.found / expected if expected else np.nan:8.4f}"
        )
    return [*lines, *(f"note: {note}" for note in spectrum.notes)]


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
    for label, curve in _curves(spectrum):
        columns |= with_error_column(label, _UNIT, curve.mean, curve.standard_error)
    header = [
        "Velocity spectra by aptnn_md: degrees of freedom per cm^-1, integral over all wavenumbers "
        "= sum of m <v^2> / kT",
        *report_velocities(spectrum),
        *(f"stream: {source}" for source in spectrum.sources),
        *([f"provenance: {provenance}"] if provenance else []),
    ]
    write_columns(path, {name: values[inside] for name, values in columns.items()}, header)


def draw_velocities(
    path: str | os.PathLike[str],
    spectrum: VelocitySpectrum,
    wavenumbers: tuple[float, float] | None = None,
) -> None:
    """Draw total and groups with their error bands; of many groups the largest.

    Raises
    ------
    InputError
        The file cannot be written, its format is unknown, or the range has no values.
    """
    from aptnn_md.spectra.output.canvas import (
        COLOURS,
        draw_band,
        end_of_absorption,
        legend,
        new_figure,
        save,
        style,
        title,
    )

    figure, (axes,) = new_figure(path)
    end = end_of_absorption(spectrum.wavenumber, spectrum.total.mean)
    limits = wavenumbers or (0.0, end)
    inside = in_range(spectrum, limits)
    sizes = {label: spectrum.freedom[label].found for label in spectrum.groups}
    shown = sorted(sizes, key=lambda label: -sizes[label])[: len(COLOURS) - 1]
    curves = [pair for pair in _curves(spectrum) if pair[0] in (_TOTAL, *shown)]
    for colour, (label, curve) in zip(("0.15", *COLOURS), curves, strict=False):
        draw_band(
            axes,
            spectrum.wavenumber[inside],
            curve.mean[inside],
            curve.standard_error[inside],
            color=colour,
            label=label,
            positive=True,
        )
    axes.set_xlim(*limits)
    axes.set_ylim(bottom=0.0)
    axes.set_ylabel("degrees of freedom  (per cm$^{-1}$)")
    style(axes)
    title(
        axes,
        f"velocity spectrum,  {spectrum.temperature:.4g} K,  "
        f"{1e-3 * sum(spectrum.run_lengths):.4g} ps,  "
        f"resolution {spectrum.plan.resolution:.3g} cm$^{{-1}}$",
    )
    legend(axes)
    save(figure, path)


def _curves(spectrum: VelocitySpectrum) -> list[tuple[str, PowerBlocks]]:
    """The total, and the groups where there are several."""
    groups = list(spectrum.groups.items())
    return [(_TOTAL, spectrum.total), *(groups if len(groups) > 1 else ())]
