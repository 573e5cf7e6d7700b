"""Pictures of an infrared spectrum, of its parts, and of what follows from it."""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np

from aptnn_md.errors import InputError
from aptnn_md.spectra.analysis.experiment import ReferenceCurve
from aptnn_md.spectra.analysis.reference_bands import Reference
from aptnn_md.spectra.analysis.sticks import Sticks
from aptnn_md.spectra.infrared.axes import draw_references, label_absorption, mark_bands
from aptnn_md.spectra.infrared.dielectric import Quantity
from aptnn_md.spectra.infrared.intensity import check_comparable
from aptnn_md.spectra.infrared.spectrum import InfraredSpectrum
from aptnn_md.spectra.output.canvas import (
    BAND,
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
from aptnn_md.spectra.output.plot_sticks import draw_sticks, sticks_seen


def draw_spectrum(
    path: str | os.PathLike[str],
    spectrum: InfraredSpectrum,
    *,
    reference: Reference | None = None,
    curves: Sequence[ReferenceCurve] = (),
    wavenumbers: tuple[float, float] | None = None,
    sticks: Sticks | None = None,
) -> None:
    """Draw a spectrum with its error band.

    Parameters
    ----------
    path : file whose suffix says the format, e.g. ``ir.png`` or ``ir.pdf``
    reference : experiment whose maxima are marked
    curves : experimental curves
    wavenumbers : the range to draw, cm⁻¹; default: from 0 to where the absorption ends
    sticks : of a harmonic calculation, drawn on an axis of their own at the right

    Raises
    ------
    InputError
        The file cannot be written, its format is unknown, or the range has no values.
    """
    check_comparable(spectrum.ordinate, reference, curves)
    figure, (axes,) = new_figure(path)
    positions = [band.position for band in reference.bands] if reference is not None else []
    positions += sticks_seen(sticks)
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
    label_absorption(axes, scale, ordinate=spectrum.ordinate)
    style(axes)
    if sticks is not None:
        unit = spectrum.ordinate.symbol_integral_unit
        draw_sticks(axes, sticks, limits, f"intensity  ({unit})")
    title(axes, describe_runs(spectrum, spectrum.volume), spectrum.alarms)
    legend(axes)
    save(figure, path)


def draw_parts(
    path: str | os.PathLike[str],
    spectrum: InfraredSpectrum,
    *,
    wavenumbers: tuple[float, float] | None = None,
) -> None:
    """Draw the groups alone above, the cross terms below, both with the total.

    Raises
    ------
    InputError
        The spectrum has no parts, or what :func:`draw_spectrum` raises.
    """
    name = describe_runs(spectrum, spectrum.volume)
    limits = wavenumbers or (0.0, end_of_absorption(spectrum.wavenumber, spectrum.absorption))
    drawn = DrawnParts(spectrum.blocks, spectrum.parts, spectrum.ordinate, name)
    draw_parts_of(path, drawn, limits)


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
        No quantities, or what :func:`draw_spectrum` raises.
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
    title(panels[0], describe_runs(spectrum, spectrum.volume), spectrum.alarms)
    save(figure, path)
