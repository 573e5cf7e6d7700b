"""The picture of one spectrum."""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np

from aptnn_md.spectra.analysis.bands import Reference
from aptnn_md.spectra.analysis.experiment import ReferenceCurve
from aptnn_md.spectra.infrared.spectrum import InfraredSpectrum
from aptnn_md.spectra.infrared.table import in_range
from aptnn_md.spectra.output.canvas import (
    BAND,
    Scale,
    describe_runs,
    draw_band,
    draw_references,
    end_of_absorption,
    label_absorption,
    legend,
    mark_bands,
    new_figure,
    save,
    style,
    title,
)


def draw_spectrum(
    path: str | os.PathLike[str],
    spectrum: InfraredSpectrum,
    *,
    reference: Reference | None = None,
    curves: Sequence[ReferenceCurve] = (),
    wavenumbers: tuple[float, float] | None = None,
) -> None:
    """Draw a spectrum with its error band.

    Parameters
    ----------
    path : file whose suffix says the format, e.g. ``ir.png`` or ``ir.pdf``
    reference : experiment whose maxima are marked
    curves : experimental curves
    wavenumbers : the range to draw, cm⁻¹; default: from 0 to where the absorption ends

    Raises
    ------
    InputError
        The file cannot be written, its format is unknown, or the range has no values.
    """
    figure, (axes,) = new_figure(path)
    positions = [band.position for band in reference.bands] if reference is not None else []
    end = end_of_absorption(spectrum.wavenumber, spectrum.absorption, positions)
    limits = wavenumbers or (0.0, end)
    inside = in_range(spectrum, limits)
    x, y, error = (
        values[inside]
        for values in (spectrum.wavenumber, spectrum.absorption, spectrum.standard_error)
    )
    scale = Scale.of(np.max(y + error))
    draw_band(
        axes,
        x,
        y / scale.factor,
        error / scale.factor,
        band=BAND,
        label="simulation ±1 standard error",
        positive=True,
    )
    draw_references(axes, curves, scale, limits)
    if reference is not None:
        mark_bands(axes, reference, scale, limits)
    axes.set_xlim(*limits)
    axes.set_ylim(0.0, 1.06 * axes.get_ylim()[1])
    label_absorption(axes, scale)
    style(axes)
    title(axes, describe_runs(spectrum))
    legend(axes)
    save(figure, path)
