"""Pictures of Raman spectra."""

from __future__ import annotations

import os

import numpy as np
from matplotlib.axes import Axes

from aptnn_md.spectra.analysis.sticks import Sticks
from aptnn_md.spectra.output.canvas import (
    COLOURS,
    Scale,
    describe_runs,
    draw_band,
    end_of_absorption,
    legend,
    new_figure,
    save,
    style,
    title,
)
from aptnn_md.spectra.output.columns import in_range
from aptnn_md.spectra.output.plot_parts import DrawnParts, draw_parts_of
from aptnn_md.spectra.output.plot_sticks import draw_sticks
from aptnn_md.spectra.raman.spectrum import RamanSpectrum

_DRAWN = {
    "VV": "polarised, VV: $45\\,a^2 + 4\\gamma^2$",
    "VH": "depolarised, VH: $3\\gamma^2$",
    "isotropic": "isotropic: $45\\,a^2$",
}
_VISIBLE = 0.02  # of the largest VV: below, ρ says nothing
_LARGEST_RATIO = 0.75


def draw_raman(
    path: str | os.PathLike[str],
    spectrum: RamanSpectrum,
    *,
    wavenumbers: tuple[float, float] | None = None,
    sticks: Sticks | None = None,
) -> None:
    """Draw VV, VH and the isotropic spectrum above, the depolarisation ratio below; in a third
    panel single components, if any. Bands are one standard error.

    Parameters
    ----------
    path : file whose suffix says the format, e.g. ``raman.png`` or ``raman.pdf``
    wavenumbers : the range to draw, cm⁻¹; default: from 0 to where the scattering ends
    sticks : of a harmonic calculation, 45a² + 7γ², drawn on an axis of their own at the right

    Raises
    ------
    InputError
        The file cannot be written, its format is unknown, or the range has no values.
    """
    single = spectrum.total.components
    figure, panels = new_figure(path, 3 if single else 2, height=8.2 if single else 6.4)
    limits = _limits(spectrum, wavenumbers)
    inside = in_range(spectrum, limits)
    polarised = spectrum.total.polarised
    scale = Scale.of(np.max((polarised.mean + polarised.standard_error)[inside]))
    x, named = spectrum.wavenumber[inside], spectrum.total.named
    curves = {label: named[name] for name, label in _DRAWN.items()}
    groups = [(panels[0], curves), (panels[-1], single)] if single else [(panels[0], curves)]
    for axes, drawn in groups:
        for colour, (label, curve) in zip(COLOURS, drawn.items(), strict=False):
            value, error = curve.mean[inside] / scale.factor, curve.standard_error[inside]
            error = error / scale.factor
            draw_band(axes, x, value, error, color=colour, label=label, positive=True)
        axes.set_ylim(bottom=0.0)
        axes.set_ylabel(spectrum.ordinate.label(scale.power))
        legend(axes)
    _draw_ratio(panels[1], spectrum, inside)
    panels[0].set_xlim(*limits)
    for axes in panels[:-1]:
        style(axes, None)
    style(panels[-1])
    if sticks is not None:
        name = f"{spectrum.ordinate.symbol}, $45\\,a^2 + 7\\gamma^2$"
        unit = spectrum.ordinate.symbol_integral_unit
        draw_sticks(panels[0], sticks, limits, f"{name}  ({unit})")
    title(panels[0], describe_runs(spectrum), spectrum.alarms)
    save(figure, path)


def draw_raman_parts(
    path: str | os.PathLike[str],
    spectrum: RamanSpectrum,
    *,
    wavenumbers: tuple[float, float] | None = None,
) -> None:
    """Draw the unpolarised spectrum of groups alone above, of cross terms below.

    Raises
    ------
    InputError
        The spectrum has no parts, or what :func:`draw_raman` raises.
    """

    parts = {part: curves.unpolarised for part, curves in spectrum.parts.items()}
    drawn = DrawnParts(spectrum.blocks, parts, spectrum.ordinate, describe_runs(spectrum))
    draw_parts_of(path, drawn, _limits(spectrum, wavenumbers))


def _draw_ratio(
    axes: Axes, spectrum: RamanSpectrum, inside: np.ndarray[tuple[int], np.dtype[np.bool_]]
) -> None:
    """ρ where the scattering is strong enough for one."""
    ratio, error = spectrum.total.depolarisation()
    polarised = spectrum.total.polarised.mean
    seen = inside & (polarised > _VISIBLE * polarised[inside].max(initial=0.0))
    seen &= error < _LARGEST_RATIO
    value = np.where(seen, ratio, np.nan)[inside]
    draw_band(axes, spectrum.wavenumber[inside], value, error[inside], color="0.25")
    axes.axhline(_LARGEST_RATIO, color="0.6", linewidth=0.7, linestyle=(0, (4, 3)))
    axes.set_ylim(0.0, 0.9)
    axes.set_ylabel("depolarisation ratio  VH/VV")


def _limits(
    spectrum: RamanSpectrum, wavenumbers: tuple[float, float] | None
) -> tuple[float, float]:
    end = end_of_absorption(spectrum.wavenumber, spectrum.total.polarised.mean)
    return wavenumbers or (0.0, end)
