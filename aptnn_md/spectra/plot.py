"""Pictures of spectra."""

from __future__ import annotations

import io
import os
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.patheffects import withStroke
from matplotlib.ticker import AutoMinorLocator

from aptnn_md.arrays import AnyArray
from aptnn_md.errors import InputError
from aptnn_md.files import write_output
from aptnn_md.spectra.bands import Reference
from aptnn_md.spectra.infrared import InfraredSpectrum
from aptnn_md.spectra.table import in_range

_LINE, _BAND, _EXPERIMENT = "#0b4f8a", "#8fbce6", "#c8501e"
_VISIBLE = 0.02


def draw_spectrum(
    path: str | os.PathLike[str],
    spectrum: InfraredSpectrum,
    *,
    reference: Reference | None = None,
    wavenumbers: tuple[float, float] | None = None,
) -> None:
    """Draw a spectrum with its error band.

    Parameters
    ----------
    path : file whose suffix says the format, e.g. ``ir.png`` or ``ir.pdf``
    reference : experiment whose maxima are marked
    wavenumbers : the range to draw, cm⁻¹; default: from 0 to where the absorption ends

    Raises
    ------
    InputError
        The file cannot be written, its format is unknown, or the range has no values.
    """
    target = Path(path)
    figure = Figure(figsize=(7.2, 4.4), dpi=200, layout="constrained")
    canvas = FigureCanvasAgg(figure)
    known = sorted(canvas.get_supported_filetypes())
    suffix = target.suffix.lstrip(".").lower()
    if suffix not in known:
        raise InputError(target, "suffix", repr(target.suffix), "one of " + ", ".join(known))
    low, high = wavenumbers or (0.0, _end_of_absorption(spectrum, reference))
    inside = in_range(spectrum, (low, high))
    axes = figure.add_subplot()
    scale = _draw_curve(axes, spectrum, inside)
    if reference is not None:
        _mark(axes, reference, scale, (low, high))
    axes.set_xlim(low, high)
    axes.set_ylim(0.0, 1.06 * axes.get_ylim()[1])
    axes.set_xlabel("wavenumber  $\\tilde{\\nu}$  (cm$^{-1}$)")
    axes.xaxis.set_minor_locator(AutoMinorLocator())
    axes.yaxis.set_minor_locator(AutoMinorLocator())
    axes.tick_params(which="both", direction="in", top=True, right=True)
    axes.set_title(_title(spectrum), fontsize=9.5, color="0.25")
    curve = (Patch(color=_BAND, linewidth=0), Line2D([], [], color=_LINE, linewidth=1.2))
    handles, labels = axes.get_legend_handles_labels()
    axes.legend(
        [curve, *handles],
        ["simulation ±1 standard error", *labels],
        frameon=False,
        fontsize=8.5,
        loc="best",
    )
    buffer = io.BytesIO()
    figure.savefig(buffer, format=suffix)
    write_output(target, buffer.getvalue())


def _draw_curve(axes: Axes, spectrum: InfraredSpectrum, inside: AnyArray) -> float:
    """Curve and band; the scale by which values were divided."""
    x, y = spectrum.wavenumber[inside], spectrum.absorption[inside]
    error = spectrum.standard_error[inside]
    power = 3 * int(np.log10(max(float(np.max(y + error)), 1e-300) / 2.0) // 3)
    scale = 10.0**power
    unit = "cm$^{-1}$" if power == 0 else f"$10^{{{power}}}$ cm$^{{-1}}$"
    axes.set_ylabel(f"$n(\\tilde{{\\nu}})\\,\\alpha(\\tilde{{\\nu}})$  ({unit})")
    low, high = np.maximum(y - error, 0.0) / scale, (y + error) / scale
    axes.fill_between(x, low, high, color=_BAND, linewidth=0)
    axes.plot(x, y / scale, color=_LINE, linewidth=1.2)
    return scale


def _mark(axes: Axes, reference: Reference, scale: float, wavenumbers: tuple[float, float]) -> None:
    """Experimental maxima with their errors, and lines that lead the eye to the axis."""
    bands = [b for b in reference.bands if wavenumbers[0] <= b.position <= wavenumbers[1]]
    position = np.array([band.position for band in bands])
    height = np.array([band.height for band in bands]) / scale
    axes.vlines(position, 0.0, height, color=_EXPERIMENT, linewidth=0.8, linestyle=(0, (4, 3)))
    axes.errorbar(
        position,
        height,
        xerr=[band.position_error for band in bands],
        yerr=np.array([band.height_error for band in bands]) / scale,
        fmt="D",
        markersize=4.5,
        markerfacecolor="white",
        markeredgewidth=1.2,
        color=_EXPERIMENT,
        elinewidth=1.0,
        capsize=2,
        zorder=3,
        label=f"maxima of {reference.substance}:\n{reference.citation}",
    )
    for band, x in zip(bands, position, strict=True):
        axes.annotate(
            f"{band.position:.0f}",
            (x, (band.height + band.height_error) / scale),
            xytext=(0, 3),
            textcoords="offset points",
            ha="center",
            fontsize=7.5,
            color=_EXPERIMENT,
            path_effects=[withStroke(linewidth=2.5, foreground="white")],
        )


def _title(spectrum: InfraredSpectrum) -> str:
    n_runs = len(spectrum.run_lengths)
    runs = f"{n_runs} runs, " if n_runs > 1 else ""
    return (
        f"{spectrum.temperature:.4g} K,  {spectrum.volume:.5g} Å³,  "
        f"{runs}{1e-3 * spectrum.length:.4g} ps,  "
        f"resolution {spectrum.resolution:.3g} cm$^{{-1}}$"
    )


def _end_of_absorption(spectrum: InfraredSpectrum, reference: Reference | None) -> float:
    """Wavenumber beyond which there is nothing to see, with some room, rounded up."""
    visible = spectrum.absorption > _VISIBLE * spectrum.absorption.max(initial=0.0)
    ends = [float(spectrum.wavenumber[visible].max(initial=0.0))]
    ends += [band.position for band in reference.bands] if reference is not None else []
    step = 500.0 if max(ends) > 1000.0 else 100.0
    return float(min(step * np.ceil(1.05 * max(ends) / step), spectrum.wavenumber[-1]))
