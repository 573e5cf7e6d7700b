"""The picture of a harmonic spectrum: lines as sticks, and broadened."""

from __future__ import annotations

import os

import numpy as np

from aptnn_md.arrays import FloatArray
from aptnn_md.normal_modes.infrared import InfraredModes
from aptnn_md.spectra.picture import EXPERIMENT, LINE, new_figure, save, style, title


def draw_modes(
    path: str | os.PathLike[str],
    infrared: InfraredModes,
    wavenumber: FloatArray,
    width: float = 20.0,
    shape: str = "lorentzian",
    name: str = "",
) -> None:
    """Draw sticks of the intensities, and their broadened sum.

    Parameters
    ----------
    path : file whose suffix says the format, e.g. ``modes.png``
    wavenumber : (n,) where to draw the sum, cm⁻¹
    width, shape : see :meth:`InfraredModes.broadened`
    name : for the title

    Raises
    ------
    InputError
        The file cannot be written, or its format is unknown.
    """
    figure, (axes,) = new_figure(path)
    sticks = axes.twinx()
    modes = infrared.modes.wavenumber
    shown = (modes > 0) & (modes >= wavenumber[0]) & (modes <= wavenumber[-1])
    sticks.vlines(modes[shown], 0.0, infrared.intensity[shown], color=EXPERIMENT, linewidth=1.2)
    sticks.set_ylabel("sticks: intensity  (km mol$^{-1}$)", color=EXPERIMENT)
    highest = float(infrared.intensity[shown].max(initial=0.0)) or 1.0
    sticks.set_ylim(0.0, 1.08 * highest)
    curve = infrared.broadened(wavenumber, width, shape)
    axes.plot(wavenumber, curve, color=LINE, linewidth=1.3)
    unit = "km mol$^{-1}$ cm" if infrared.volume is None else "cm$^{-1}$"
    quantity = "molar absorption" if infrared.volume is None else "$n\\alpha$"
    axes.set_ylabel(f"{quantity}, {shape} lines  ({unit})")
    axes.set_ylim(0.0, 1.08 * (float(np.max(curve)) or 1.0))
    axes.set_xlim(wavenumber[0], wavenumber[-1])
    # the curve in front of the sticks
    axes.set_zorder(sticks.get_zorder() + 1)
    axes.patch.set_visible(False)
    style(axes)
    axes.tick_params(right=False, which="both")
    sticks.tick_params(direction="in")
    title(axes, f"{name}  {len(modes)} modes, width {width:g} cm$^{{-1}}$".strip())
    save(figure, path)
