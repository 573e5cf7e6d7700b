"""Sticks, such as those of a harmonic calculation, drawn beside the curve of a spectrum."""

from __future__ import annotations

from matplotlib.axes import Axes

from aptnn_md.spectra.analysis.sticks import Sticks
from aptnn_md.spectra.output.canvas import EXPERIMENT

_VISIBLE = 0.02  # of the largest one


def draw_sticks(axes: Axes, sticks: Sticks, limits: tuple[float, float], label: str) -> None:
    """Sticks on an axis of their own at the right, beginning at the same zero.

    How high a band is depends on its width, so heights of sticks and of a curve cannot be compared;
    areas of bands and heights of sticks can.

    Parameters
    ----------
    limits : the range drawn, cm⁻¹
    label : what the areas are and their unit, in the notation of matplotlib
    """
    shown = sticks.within(*limits)
    twin = axes.twinx()
    twin.vlines(shown.wavenumber, 0.0, shown.area, color=EXPERIMENT, linewidth=1.3)
    twin.set_ylim(0.0, 1.08 * (float(shown.area.max(initial=0.0)) or 1.0))
    twin.set_ylabel(f"sticks: {sticks.name} {label}", color=EXPERIMENT)
    twin.tick_params(direction="in")
    axes.tick_params(right=False, which="both")
    # the curve in front of the sticks
    axes.set_zorder(twin.get_zorder() + 1)
    axes.patch.set_visible(False)


def sticks_seen(sticks: Sticks | None) -> list[float]:
    """Wavenumbers of sticks that a picture should not leave out."""
    if sticks is None or not len(sticks.area):
        return []
    return [float(nu) for nu in sticks.wavenumber[sticks.area > _VISIBLE * sticks.area.max()]]
