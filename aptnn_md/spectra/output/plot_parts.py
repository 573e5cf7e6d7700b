"""The picture of a spectrum in parts: groups alone, and their cross terms."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes

from aptnn_md.arrays import FloatArray
from aptnn_md.errors import InputError
from aptnn_md.spectra.estimation.parts import is_cross, part_name
from aptnn_md.spectra.estimation.power import PowerBlocks
from aptnn_md.spectra.estimation.terms import Part
from aptnn_md.spectra.output.canvas import (
    COLOURS,
    Scale,
    draw_band,
    legend,
    new_figure,
    save,
    style,
    title,
)
from aptnn_md.spectra.output.columns import in_range
from aptnn_md.spectra.output.ordinate import Ordinate

MAX_DRAWN = 8
"""More groups or pairs than that, by their largest values, are not drawn."""


@dataclass(frozen=True, eq=False)
class DrawnParts:
    """A curve and its parts, as they are drawn.

    Attributes
    ----------
    total : the curve
    parts : what adds up to it
    ordinate : what their values are
    title : of the picture
    """

    total: PowerBlocks
    parts: Mapping[Part, PowerBlocks]
    ordinate: Ordinate
    title: str


def draw_parts_of(
    path: str | os.PathLike[str], drawn: DrawnParts, limits: tuple[float, float]
) -> None:
    """Draw the groups alone above, the cross terms below, both with the total.

    Parameters
    ----------
    path : file whose suffix says the format
    limits : the range to draw, cm⁻¹

    Raises
    ------
    InputError
        No parts, a file that cannot be written, an unknown format, or an empty range.
    """
    if not drawn.parts:
        raise InputError("spectrum", "parts", "none", "streams with two groups or more")
    cross = {part: curve for part, curve in drawn.parts.items() if is_cross(part)}
    alone = {part: curve for part, curve in drawn.parts.items() if part not in cross}
    inside, total = in_range(drawn.total, limits), drawn.total.mean
    figure, (above, below) = new_figure(path, 2, height=6.4)
    for axes, parts, kind, (name, curve) in (
        (above, alone, "groups alone", ("total", total)),
        (below, cross, "cross terms", ("all together", total - _sum(alone))),
    ):
        scale = Scale.of(max(np.max(np.abs(part.mean[inside])) for part in parts.values()))
        x = drawn.total.wavenumber[inside]
        axes.plot(x, curve[inside] / scale.factor, color="0.6", linewidth=0.9, label=name)
        _draw(axes, x, parts, inside, scale)
        axes.set_ylabel(drawn.ordinate.label(scale.power))
        legend(axes, title=kind, title_fontsize=8.5, ncols=2 if len(parts) > 3 else 1)
    below.axhline(0.0, color="0.5", linewidth=0.6)
    above.set_ylim(bottom=0.0)
    above.set_xlim(*limits)
    style(above, None)
    style(below)
    title(above, drawn.title)
    save(figure, path)


def _draw(
    axes: Axes,
    x: FloatArray,
    parts: Mapping[Part, PowerBlocks],
    inside: np.ndarray[tuple[int], np.dtype[np.bool_]],
    scale: Scale,
) -> None:
    """The largest of the parts."""
    largest = sorted(parts, key=lambda part: -float(np.max(np.abs(parts[part].mean[inside]))))
    shown = [part for part in parts if part in largest[:MAX_DRAWN]]
    for number, part in enumerate(shown):
        value, error = parts[part].mean[inside], parts[part].standard_error[inside]
        color = COLOURS[number % len(COLOURS)]
        draw_band(
            axes, x, value / scale.factor, error / scale.factor, color=color, label=part_name(part)
        )


def _sum(parts: Mapping[Part, PowerBlocks]) -> FloatArray:
    return np.asarray(np.sum([curve.mean for curve in parts.values()], axis=0))
