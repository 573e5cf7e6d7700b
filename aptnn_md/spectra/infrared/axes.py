"""Axes of infrared absorption, and experiments drawn on them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patheffects import withStroke

from aptnn_md.spectra.analysis.experiment import ReferenceCurve
from aptnn_md.spectra.analysis.reference_bands import Reference
from aptnn_md.spectra.output.canvas import EXPERIMENT, Scale
from aptnn_md.spectra.output.ordinate import N_ALPHA, Ordinate


def label_absorption(
    axes: Axes, scale: Scale, prefix: str = "", ordinate: Ordinate = N_ALPHA
) -> None:
    """Name the y axis of values that were divided by a scale."""
    axes.set_ylabel(ordinate.label(scale.power, prefix))


def draw_references(
    axes: Axes,
    references: Sequence[ReferenceCurve],
    scale: Scale,
    wavenumbers: tuple[float, float],
) -> None:
    """Experimental curves, the first one in the colour of experiments."""
    dashes = ("-", (0, (5, 2)), (0, (1, 1.5)), (0, (5, 2, 1, 2)))
    for number, curve in enumerate(references):
        inside = (curve.wavenumber >= wavenumbers[0]) & (curve.wavenumber <= wavenumbers[1])
        axes.plot(
            curve.wavenumber[inside],
            curve.absorption[inside] / scale.factor,
            color=EXPERIMENT,
            linewidth=1.1,
            linestyle=dashes[number % len(dashes)],
            label=curve.name,
        )


def mark_bands(
    axes: Axes, reference: Reference, scale: Scale, wavenumbers: tuple[float, float]
) -> None:
    """Experimental maxima with their errors, and lines that lead the eye to the axis."""
    bands = [b for b in reference.bands if wavenumbers[0] <= b.position <= wavenumbers[1]]
    position = np.array([band.position for band in bands])
    height = np.array([band.height for band in bands]) / scale.factor
    axes.vlines(position, 0.0, height, color=EXPERIMENT, linewidth=0.8, linestyle=(0, (4, 3)))
    axes.errorbar(
        position,
        height,
        xerr=[band.position_error for band in bands],
        yerr=np.array([band.height_error for band in bands]) / scale.factor,
        fmt="D",
        markersize=4.5,
        markerfacecolor="white",
        markeredgewidth=1.2,
        color=EXPERIMENT,
        elinewidth=1.0,
        capsize=2,
        zorder=3,
        label=f"maxima of {reference.substance}:\n{reference.citation}",
    )
    for band, x in zip(bands, position, strict=True):
        axes.annotate(
            f"{band.position:.0f}",
            (x, (band.height + band.height_error) / scale.factor),
            xytext=(0, 3),
            textcoords="offset points",
            ha="center",
            fontsize=7.5,
            color=EXPERIMENT,
            path_effects=[withStroke(linewidth=2.5, foreground="white")],
        )
