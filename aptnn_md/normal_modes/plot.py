"""The picture of a harmonic spectrum: lines as sticks, and broadened."""

from __future__ import annotations

import os

import numpy as np
from matplotlib.axes import Axes

from aptnn_md.arrays import FloatArray
from aptnn_md.normal_modes.broadening import DEFAULT_LINE, LineShape
from aptnn_md.normal_modes.infrared import InfraredModes
from aptnn_md.normal_modes.raman import RamanModes
from aptnn_md.spectra.output.canvas import EXPERIMENT, LINE, new_figure, save, style, title


def draw_modes(
    path: str | os.PathLike[str],
    infrared: InfraredModes,
    wavenumber: FloatArray,
    line: LineShape = DEFAULT_LINE,
    name: str = "",
    raman: RamanModes | None = None,
) -> None:
    """Draw sticks of the intensities, and their broadened sum; Raman activities below.

    Parameters
    ----------
    path : file whose suffix says the format, e.g. ``modes.png``
    wavenumber : (n,) where to draw the sum, cm⁻¹
    line : width and shape of the broadened lines
    name : for the title

    Raises
    ------
    InputError
        The file cannot be written, or its format is unknown.
    """
    figure, panels = new_figure(*((path,) if raman is None else (path, 2, 8.4)))
    modes = infrared.modes.wavenumber
    curve = infrared.broadened(wavenumber, line)
    unit = "km mol$^{-1}$ cm" if infrared.volume is None else "cm$^{-1}$"
    quantity = "molar absorption" if infrared.volume is None else "$n\\alpha$"
    sticks = _draw(panels[0], wavenumber, curve, modes, infrared.intensity)
    panels[0].set_ylabel(f"{quantity}, {line.shape} lines  ({unit})")
    sticks.set_ylabel("sticks: intensity  (km mol$^{-1}$)", color=EXPERIMENT)
    if raman is not None:
        activity = raman.broadened(wavenumber, line)
        sticks = _draw(panels[1], wavenumber, activity, modes, raman.activity)
        panels[1].set_ylabel(f"Raman, {line.shape} lines  (Å$^4$ amu$^{{-1}}$ cm)")
        sticks.set_ylabel("sticks: activity  (Å$^4$ amu$^{-1}$)", color=EXPERIMENT)
    for axes in panels[:-1]:
        style(axes, None)
    style(panels[-1])
    for axes in panels:
        axes.tick_params(right=False, which="both")
    title(panels[0], f"{name}  {len(modes)} modes, width {line.width:g} cm$^{{-1}}$".strip())
    save(figure, path)


def _draw(
    axes: Axes, wavenumber: FloatArray, curve: FloatArray, modes: FloatArray, heights: FloatArray
) -> Axes:
    """A curve in front of sticks at the modes, on axes of their own, which are returned."""
    sticks = axes.twinx()
    shown = (modes > 0) & (modes >= wavenumber[0]) & (modes <= wavenumber[-1])
    sticks.vlines(modes[shown], 0.0, heights[shown], color=EXPERIMENT, linewidth=1.2)
    sticks.set_ylim(0.0, 1.08 * (float(heights[shown].max(initial=0.0)) or 1.0))
    sticks.tick_params(direction="in")
    axes.plot(wavenumber, curve, color=LINE, linewidth=1.3)
    axes.set_ylim(0.0, 1.08 * (float(np.max(curve)) or 1.0))
    axes.set_xlim(wavenumber[0], wavenumber[-1])
    # the curve in front of the sticks
    axes.set_zorder(sticks.get_zorder() + 1)
    axes.patch.set_visible(False)
    return sticks
