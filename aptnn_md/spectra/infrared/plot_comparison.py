"""Pictures of several infrared spectra: side by side, and the differences between two."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes

from aptnn_md.errors import InputError
from aptnn_md.spectra.analysis.experiment import ReferenceCurve
from aptnn_md.spectra.analysis.reference_bands import Reference
from aptnn_md.spectra.analysis.sticks import Sticks
from aptnn_md.spectra.infrared.axes import draw_references, label_absorption, mark_bands
from aptnn_md.spectra.infrared.comparison import Difference, common_ordinate
from aptnn_md.spectra.infrared.intensity import check_comparable
from aptnn_md.spectra.infrared.spectrum import InfraredSpectrum
from aptnn_md.spectra.output.canvas import (
    COLOURS,
    Scale,
    draw_band,
    end_of_absorption,
    legend,
    new_figure,
    save,
    style,
    title,
)
from aptnn_md.spectra.output.columns import in_range
from aptnn_md.spectra.output.plot_sticks import draw_sticks, sticks_seen


def draw_comparison(
    path: str | os.PathLike[str],
    spectra: Mapping[str, InfraredSpectrum],
    *,
    differences: Mapping[str, Difference] | None = None,
    reference: Reference | None = None,
    curves: Sequence[ReferenceCurve] = (),
    wavenumbers: tuple[float, float] | None = None,
    sticks: Sticks | None = None,
) -> None:
    """Draw several spectra with their error bands, and differences in a panel below.

    Parameters
    ----------
    spectra : name -> spectrum
    differences : name -> difference, by :func:`aptnn_md.spectra.infrared.comparison.difference`
    reference : experiment whose maxima are marked
    curves : experimental curves
    wavenumbers : the range to draw, cm⁻¹; default: from 0 to where the absorption ends
    sticks : of a harmonic calculation, drawn on an axis of their own at the right

    Raises
    ------
    InputError
        No spectra, or what :func:`aptnn_md.spectra.infrared.plot.draw_spectrum` raises.
    """
    if not spectra:
        raise InputError("comparison", "spectra", "none", "one or more")
    ordinate = common_ordinate(spectra)
    check_comparable(ordinate, reference, curves)
    positions = [band.position for band in reference.bands] if reference is not None else []
    positions += sticks_seen(sticks)
    ends = [end_of_absorption(s.wavenumber, s.absorption, positions) for s in spectra.values()]
    limits = wavenumbers or (0.0, min(max(ends), *(s.wavenumber[-1] for s in spectra.values())))
    masks = {name: in_range(spectrum, limits) for name, spectrum in spectra.items()}
    tops = [(s.absorption + s.standard_error)[masks[name]].max() for name, s in spectra.items()]
    scale = Scale.of(max(tops))
    n_panels = 2 if differences else 1
    figure, panels = new_figure(path, n_panels, height=4.4 + 2.0 * (n_panels - 1))
    axes = panels[0]
    for number, (name, spectrum) in enumerate(spectra.items()):
        inside = masks[name]
        draw_band(
            axes,
            spectrum.wavenumber[inside],
            spectrum.absorption[inside] / scale.factor,
            spectrum.standard_error[inside] / scale.factor,
            color=COLOURS[number % len(COLOURS)],
            label=name,
            positive=True,
        )
    draw_references(axes, curves, scale, limits)
    if reference is not None:
        mark_bands(axes, reference, scale, limits)
    axes.set_ylim(0.0, 1.06 * axes.get_ylim()[1])
    axes.set_xlim(*limits)
    label_absorption(axes, scale, ordinate=ordinate)
    title(axes, _title(spectra))
    legend(axes)
    if differences:
        style(axes, None)
        _draw_differences(panels[1], differences, limits, scale)
    style(panels[-1])
    if sticks is not None:
        draw_sticks(axes, sticks, limits, f"intensity  ({ordinate.symbol_integral_unit})")
    save(figure, path)


def _draw_differences(
    axes: Axes,
    differences: Mapping[str, Difference],
    limits: tuple[float, float],
    scale: Scale,
) -> None:
    """Each in the colour of the spectrum that is compared with the first one."""
    for number, (name, found) in enumerate(differences.items(), start=1):
        shown = (found.wavenumber >= limits[0]) & (found.wavenumber <= limits[1])
        value, error = found.absorption[shown], found.standard_error[shown]
        draw_band(
            axes,
            found.wavenumber[shown],
            value / scale.factor,
            error / scale.factor,
            color=COLOURS[number % len(COLOURS)],
            label=f"{name} ({'paired' if found.paired else 'independent'})",
        )
    axes.axhline(0.0, color="0.5", linewidth=0.6)
    label_absorption(axes, scale, "Δ ", next(iter(differences.values())).ordinate)
    legend(axes)


def _title(spectra: Mapping[str, InfraredSpectrum]) -> str:
    temperatures = sorted({f"{s.temperature:.4g}" for s in spectra.values()}, key=float)
    resolutions = sorted({f"{s.resolution:.3g}" for s in spectra.values()}, key=float)
    lengths = ", ".join(f"{name} {1e-3 * s.length:.4g} ps" for name, s in spectra.items())
    resolution = " and ".join(resolutions) + " cm$^{-1}$"
    return f"{' and '.join(temperatures)} K;  {lengths};  resolution {resolution}"
