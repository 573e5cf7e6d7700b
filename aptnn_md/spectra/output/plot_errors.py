"""Picture of the errors of a spectrum by their origin."""

from __future__ import annotations

import os

from aptnn_md.spectra.analysis.error_parts import ErrorParts
from aptnn_md.spectra.output.canvas import (
    COLOURS,
    Scale,
    end_of_absorption,
    legend,
    new_figure,
    save,
    style,
)
from aptnn_md.spectra.output.ordinate import Ordinate


def draw_error_parts(
    path: str | os.PathLike[str],
    parts: ErrorParts,
    ordinate: Ordinate,
    wavenumbers: tuple[float, float] | None = None,
) -> None:
    """Draw the spectrum above, and its errors below, each as a curve of its own.

    Parameters
    ----------
    path : picture to write
    parts : the errors
    ordinate : what the spectrum is
    wavenumbers : the range to draw, cm⁻¹; default: from 0 to where the spectrum ends

    Raises
    ------
    InputError
        The file cannot be written, or its format is unknown.
    """
    figure, (above, below) = new_figure(path, 2, height=5.6)
    limits = wavenumbers or (0.0, end_of_absorption(parts.wavenumber, parts.curve))
    inside = (parts.wavenumber >= limits[0]) & (parts.wavenumber <= limits[1])
    x = parts.wavenumber[inside]
    scale = Scale.of(float(parts.curve[inside].max(initial=0.0)))
    above.plot(x, parts.curve[inside] / scale.factor, color=COLOURS[0], linewidth=1.2)
    curves = {
        "statistical": parts.statistical,
        "tensors": parts.tensors,
        "potential": parts.potential,
    }
    for number, (name, values) in enumerate(curves.items()):
        if values is not None:
            share = 100.0 * parts.relative(*limits)[name]
            label = f"{name}: {share:.1f} % of the integral"
            colour = COLOURS[number + 1]
            below.plot(x, values[inside] / scale.factor, color=colour, linewidth=1.2, label=label)
        else:
            below.plot([], [], linestyle="none", label=f"{name}: not known")
    above.set_ylabel(ordinate.label(scale.power))
    below.set_ylabel(ordinate.label(scale.power, "error of "))
    above.set_ylim(bottom=0.0)
    below.set_ylim(bottom=0.0)
    below.set_xlim(*limits)
    style(above, None)
    style(below)
    legend(below)
    save(figure, path)
