"""Pictures of a campaign: spectra of its cycles over each other, and errors against labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from aptnn_md.learning.judgement import Judgement
from aptnn_md.learning.measured import Measured
from aptnn_md.spectra.output.canvas import (
    COLOURS,
    draw_band,
    end_of_absorption,
    legend,
    new_figure,
    save,
    style,
)


def draw_spectra(
    path: Path,
    spectra: Mapping[str, Measured],
    wavenumbers: tuple[float, float],
) -> None:
    """Spectra of stages over each other, the last one with its standard error.

    Parameters
    ----------
    path : picture to write
    spectra : name of a stage -> its spectrum
    wavenumbers : range that is judged, cm⁻¹; drawn up to where the spectrum ends
    """
    figure, (axes,) = new_figure(path)
    names = list(spectra)
    for number, name in enumerate(names):
        blocks = spectra[name].blocks
        colour = COLOURS[(len(names) - 1 - number) % len(COLOURS)]
        if name == names[-1]:
            draw_band(
                axes,
                blocks.wavenumber,
                blocks.mean,
                blocks.standard_error,
                color=colour,
                label=f"{name} ±1 standard error",
                positive=True,
            )
        else:
            axes.plot(blocks.wavenumber, blocks.mean, color=colour, linewidth=0.8, label=name)
    last = spectra[names[-1]]
    end = end_of_absorption(last.blocks.wavenumber, last.blocks.mean)
    axes.set_xlim(wavenumbers[0], min(wavenumbers[1], end))
    axes.set_ylim(bottom=0.0)
    axes.set_ylabel(last.spectrum.ordinate.label())
    style(axes)
    legend(axes)
    save(figure, path)


def draw_errors(path: Path, rows: Sequence[tuple[int, Judgement]]) -> None:
    """The three errors of the worst spectrum of each stage against its labels.

    Parameters
    ----------
    path : picture to write
    rows : number of labels, and the judgement
    """
    figure, (axes,) = new_figure(path, height=3.4)
    labels = [str(n) for n, _ in rows]
    worst = [max(found.spectra, key=lambda s: s.total) for _, found in rows]
    for number, part in enumerate(("statistical", "tensors", "potential")):
        values = np.array([100.0 * getattr(spectrum, part) for spectrum in worst])
        if np.isfinite(values).any():
            places = np.arange(len(rows))
            axes.plot(places, values, "o-", color=COLOURS[number], label=part)
    axes.set_xticks(np.arange(len(rows)), labels)
    axes.set_yscale("log")
    axes.set_ylabel("error  (% of the integral)")
    style(axes, "labels")
    legend(axes)
    save(figure, path)
