"""The picture of how errors fall while runs grow."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

import numpy as np

from aptnn_md.errors import InputError
from aptnn_md.spectra.convergence.monitor import Convergence
from aptnn_md.spectra.output.canvas import COLOURS, legend, new_figure, save, style, title
from aptnn_md.spectra.output.ordinate import N_ALPHA


def draw_convergence(
    path: str | os.PathLike[str],
    histories: Mapping[str, Sequence[Convergence]],
    *,
    tolerance: float | None = None,
    subject: str = "",
    quantity: str = N_ALPHA.symbol,
) -> None:
    """Draw relative standard errors against length, and how they must fall: like 1/√length.

    Parameters
    ----------
    path : file whose suffix says the format
    histories : name -> by :func:`aptnn_md.spectra.convergence.monitor.history`
    tolerance : where a run may stop
    subject : for the title
    quantity : whose error it is

    Raises
    ------
    InputError
        No history has two points, the file cannot be written, or its format is unknown.
    """
    known = {name: points for name, points in histories.items() if len(points) >= 2}
    if not known:
        raise InputError("convergence", "lengths", "fewer than two", "runs of several segments")
    figure, (axes,) = new_figure(path)
    for number, (name, points) in enumerate(known.items()):
        color = COLOURS[number % len(COLOURS)]
        length = np.array([1e-3 * point.length for point in points])
        percent = np.array([100.0 * point.relative_error for point in points])
        axes.plot(length, percent, "o-", markersize=3.5, linewidth=1.2, color=color, label=name)
        expected = percent[-1] * np.sqrt(length[-1] / length)
        axes.plot(length, expected, color=color, linewidth=0.8, linestyle=(0, (4, 3)))
    axes.plot([], [], color="0.4", linewidth=0.8, linestyle=(0, (4, 3)), label="1/√length")
    if tolerance is not None:
        axes.axhline(100.0 * tolerance, color="0.6", linewidth=0.8, label="tolerance")
    axes.set_xscale("log")
    axes.set_yscale("log")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter("{x:g}")
        axis.set_minor_formatter("{x:g}")
    axes.set_ylabel(f"relative standard error of {quantity}  (%)")
    style(axes, "length of all runs  (ps)")
    title(axes, subject)
    legend(axes)
    save(figure, path)
