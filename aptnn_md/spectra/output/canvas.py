"""What all pictures of spectra share: the canvas, the axes, curves with error bands."""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import AutoMinorLocator

from aptnn_md.arrays import AnyArray, FloatArray
from aptnn_md.errors import InputError
from aptnn_md.files import write_output
from aptnn_md.spectra.analysis.alarms import Alarm

LINE, BAND, EXPERIMENT = "#0b4f8a", "#8fbce6", "#c8501e"
"""Colours of a spectrum, its error band, and experiments."""

COLOURS = ("#0b4f8a", "#009e73", "#cc3d75", "#e69f00", "#56b4e9", "#7a5195", "#8c6d31", "#444444")
"""Colours of several curves, which colour-blind readers can tell apart."""

_VISIBLE = 0.02
_WAVENUMBER = "wavenumber  $\\tilde{\\nu}$  (cm$^{-1}$)"


def new_figure(
    path: str | os.PathLike[str], n_panels: int = 1, height: float = 4.4, share_x: bool = True
) -> tuple[Figure, list[Axes]]:
    """A figure with panels below each other; InputError where the suffix is no known format.

    Parameters
    ----------
    path : file to be written
    height : of the whole figure, inches
    """
    target = Path(path)
    figure = Figure(figsize=(7.2, height), dpi=200, layout="constrained")
    known = sorted(FigureCanvasAgg(figure).get_supported_filetypes())
    if target.suffix.lstrip(".").lower() not in known:
        raise InputError(target, "suffix", repr(target.suffix), "one of " + ", ".join(known))
    panels = figure.subplots(n_panels, 1, sharex=share_x, squeeze=False)
    return figure, [axes for (axes,) in panels]


def save(figure: Figure, path: str | os.PathLike[str]) -> None:
    """Write a figure; InputError where that is not possible."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format=Path(path).suffix.lstrip(".").lower())
    write_output(Path(path), buffer.getvalue())


def style(axes: Axes, x_label: str | None = _WAVENUMBER) -> None:
    """Draw the ticks, and the label of the x axis."""
    if x_label is not None:
        axes.set_xlabel(x_label)
    for axis in (axes.xaxis, axes.yaxis):
        if axis.get_scale() == "linear":
            axis.set_minor_locator(AutoMinorLocator())
    axes.tick_params(which="both", direction="in", top=True, right=True)


@dataclass(frozen=True)
class Scale:
    """A power of 1000 by which values are divided, so that axes have short numbers."""

    power: int

    @classmethod
    def of(cls, largest: float) -> Scale:
        """The scale that suits a largest value."""
        return cls(3 * int(np.log10(max(float(largest), 1e-300) / 2.0) // 3))

    @property
    def factor(self) -> float:
        """Divisor of values."""
        return 10.0**self.power


def draw_band(
    axes: Axes,
    x: FloatArray,
    y: FloatArray,
    error: FloatArray,
    *,
    color: str = LINE,
    band: str | None = None,
    label: str | None = None,
    positive: bool = False,
) -> None:
    """A curve and its band of one standard error.

    Parameters
    ----------
    positive : values cannot be negative: cut the band at 0
    """
    low = np.maximum(y - error, 0.0) if positive else y - error
    light = {"color": band} if band else {"color": color, "alpha": 0.22}
    axes.fill_between(x, low, y + error, linewidth=0, **light)
    axes.plot(x, y, color=color, linewidth=1.2, label=label)


def legend(axes: Axes, **more: object) -> None:
    """A legend without a frame, if any curve has a label."""
    if axes.get_legend_handles_labels()[0]:
        axes.legend(frameon=False, fontsize=8.5, loc="best", **more)


class OfRuns(Protocol):
    """A spectrum of runs."""

    @property
    def temperature(self) -> float:
        """K."""

    @property
    def run_lengths(self) -> tuple[float, ...]:
        """(n_runs,) fs."""

    @property
    def resolution(self) -> float:
        """Full width at half maximum of an infinitely narrow line, cm⁻¹."""


def describe_runs(spectrum: OfRuns, volume: float | None = None) -> str:
    """Conditions and lengths, for a title; the volume (Å³) where it matters."""
    n_runs = len(spectrum.run_lengths)
    runs = f"{n_runs} runs, " if n_runs > 1 else ""
    size = "" if volume is None else f"{volume:.5g} Å³,  "
    length = 1e-3 * sum(spectrum.run_lengths)
    return (
        f"{spectrum.temperature:.4g} K,  {size}{runs}{length:.4g} ps,  "
        f"resolution {spectrum.resolution:.3g} cm$^{{-1}}$"
    )


def title(axes: Axes, text: str, alarms: Sequence[Alarm] = ()) -> None:
    """A small grey title, and below it in red the names of alarms."""
    axes.set_title(text, fontsize=9.5, color="0.25", pad=18.0 if alarms else None)
    if alarms:
        names = ", ".join(alarm.name for alarm in alarms)
        axes.text(
            0.5,
            1.01,
            f"WARNING: {names} (see the report)",
            transform=axes.transAxes,
            ha="center",
            va="bottom",
            fontsize=9.0,
            color="tab:red",
        )


def end_of_absorption(
    wavenumber: FloatArray, curve: AnyArray, positions: Sequence[float] = ()
) -> float:
    """Wavenumber beyond which nothing is visible, with some room, rounded up.

    Parameters
    ----------
    positions : wavenumbers that must be seen, cm⁻¹
    """
    visible = curve > _VISIBLE * curve.max(initial=0.0)
    last = max([float(wavenumber[visible].max(initial=0.0)), *positions])
    step = 500.0 if last > 1000.0 else 100.0
    return float(min(step * np.ceil(1.05 * last / step), wavenumber[-1]))
