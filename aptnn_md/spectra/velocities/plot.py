"""The picture of velocity spectra."""

from __future__ import annotations

import os

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
from aptnn_md.spectra.output.columns import in_range
from aptnn_md.spectra.velocities.report import TOTAL_NAME, named_curves
from aptnn_md.spectra.velocities.spectrum import VelocitySpectrum


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
    figure, (axes,) = new_figure(path)
    end = end_of_absorption(spectrum.wavenumber, spectrum.total.mean)
    limits = wavenumbers or (0.0, end)
    inside = in_range(spectrum, limits)
    sizes = {label: spectrum.freedom[label].found for label in spectrum.groups}
    shown = sorted(sizes, key=lambda label: -sizes[label])[: len(COLOURS) - 1]
    curves = [pair for pair in named_curves(spectrum) if pair[0] in (TOTAL_NAME, *shown)]
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
        spectrum.alarms,
    )
    legend(axes)
    save(figure, path)
