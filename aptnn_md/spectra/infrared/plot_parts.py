"""Pictures of a spectrum taken apart, and of what follows from it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes

from aptnn_md.arrays import FloatArray
from aptnn_md.errors import InputError
from aptnn_md.spectra.estimation.parts import is_cross
from aptnn_md.spectra.estimation.power import PowerBlocks
from aptnn_md.spectra.infrared.dielectric import Quantity
from aptnn_md.spectra.infrared.spectrum import InfraredSpectrum
from aptnn_md.spectra.infrared.table import in_range
from aptnn_md.spectra.output.canvas import (
    COLOURS,
    Scale,
    describe_runs,
    draw_band,
    end_of_absorption,
    label_absorption,
    legend,
    new_figure,
    save,
    style,
    title,
)
from aptnn_md.spectra.raman.spectrum import RamanSpectrum

MAX_DRAWN = 8
"""More groups or pairs than that, by their largest values, are not drawn."""


def draw_parts(
    path: str | os.PathLike[str],
    spectrum: InfraredSpectrum,
    *,
    wavenumbers: tuple[float, float] | None = None,
) -> None:
    """Draw the groups alone above, the cross terms below, both beside the total.

    Raises
    ------
    InputError
        The spectrum has no parts, or what :func:`aptnn_md.spectra.infrared.plot.draw_spectrum`
        raises.
    """
    if not spectrum.parts:
        expected = "streams with two groups or more"
        raise InputError("spectrum", "parts", "none", expected)
    draw_parts_of(
        path, spectrum, spectrum.absorption, spectrum.parts, label_absorption, wavenumbers
    )


def draw_parts_of(
    path: str | os.PathLike[str],
    spectrum: InfraredSpectrum | RamanSpectrum,
    total: FloatArray,
    all_parts: Mapping[str, PowerBlocks],
    label: Callable[[Axes, Scale], None],
    wavenumbers: tuple[float, float] | None = None,
) -> None:
    """:func:`draw_parts` of one curve of a spectrum of any kind.

    Parameters
    ----------
    total : (n,) the curve
    all_parts : name -> its part
    label : names the y axis
    """
    cross = {name: part for name, part in all_parts.items() if is_cross(name)}
    alone = {name: part for name, part in all_parts.items() if name not in cross}
    limits = wavenumbers or (0.0, end_of_absorption(spectrum.wavenumber, total))
    inside = in_range(spectrum, limits)
    figure, (above, below) = new_figure(path, 2, height=6.4)
    for axes, parts, kind, (name, curve) in (
        (above, alone, "groups alone", ("total", total)),
        (below, cross, "cross terms", ("all together", total - _sum(alone))),
    ):
        scale = Scale.of(max(np.max(np.abs(part.mean[inside])) for part in parts.values()))
        x = spectrum.wavenumber[inside]
        axes.plot(x, curve[inside] / scale.factor, color="0.6", linewidth=0.9, label=name)
        _draw(axes, x, parts, inside, scale)
        label(axes, scale)
        legend(axes, title=kind, title_fontsize=8.5, ncols=2 if len(parts) > 3 else 1)
    below.axhline(0.0, color="0.5", linewidth=0.6)
    above.set_ylim(bottom=0.0)
    above.set_xlim(*limits)
    style(above, None)
    style(below)
    title(above, describe_runs(spectrum))
    save(figure, path)


def draw_quantities(
    path: str | os.PathLike[str],
    spectrum: InfraredSpectrum,
    quantities: Sequence[Quantity],
    *,
    wavenumbers: tuple[float, float] | None = None,
) -> None:
    """Draw each quantity in a panel of its own.

    Raises
    ------
    InputError
        There are no quantities, or what :func:`aptnn_md.spectra.infrared.plot.draw_spectrum`
        raises.
    """
    if not quantities:
        raise InputError("spectrum", "quantities", "none", "one or more to draw")
    limits = wavenumbers or (0.0, end_of_absorption(spectrum.wavenumber, spectrum.absorption))
    inside = in_range(spectrum, limits)
    figure, panels = new_figure(path, len(quantities), height=1.2 + 1.8 * len(quantities))
    for number, (axes, quantity) in enumerate(zip(panels, quantities, strict=True)):
        draw_band(
            axes,
            spectrum.wavenumber[inside],
            quantity.values[inside],
            quantity.standard_error[inside],
            color=COLOURS[number % len(COLOURS)],
        )
        unit = quantity.unit.replace("^-1", "$^{-1}$")
        axes.set_ylabel(f"{quantity.symbol}  ({unit})" if unit else quantity.symbol)
        style(axes, None)
    panels[-1].set_xlim(*limits)
    style(panels[-1])
    title(panels[0], describe_runs(spectrum))
    save(figure, path)


def _draw(
    axes: Axes,
    x: FloatArray,
    parts: Mapping[str, PowerBlocks],
    inside: np.ndarray[tuple[int], np.dtype[np.bool_]],
    scale: Scale,
) -> None:
    """The largest of the parts."""
    largest = sorted(parts, key=lambda name: -float(np.max(np.abs(parts[name].mean[inside]))))
    drawn = [name for name in parts if name in largest[:MAX_DRAWN]]
    for number, name in enumerate(drawn):
        value, error = parts[name].mean[inside], parts[name].standard_error[inside]
        color = COLOURS[number % len(COLOURS)]
        draw_band(axes, x, value / scale.factor, error / scale.factor, color=color, label=name)


def _sum(parts: Mapping[str, PowerBlocks]) -> FloatArray:
    return np.asarray(np.sum([part.mean for part in parts.values()], axis=0))
