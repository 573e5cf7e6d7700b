"""What a page shows, whatever the spectrum is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from aptnn_md.arrays import FloatArray
from aptnn_md.spectra.analysis.alarms import Alarm
from aptnn_md.spectra.analysis.error_parts import (
    STATISTICAL_ERRORS,
    UNKNOWN_POTENTIAL,
    ErrorParts,
)
from aptnn_md.spectra.analysis.reference_bands import Reference
from aptnn_md.spectra.analysis.sticks import Sticks
from aptnn_md.spectra.convergence.monitor import Convergence
from aptnn_md.spectra.estimation.parts import is_cross, part_name
from aptnn_md.spectra.estimation.power import PowerBlocks
from aptnn_md.spectra.estimation.terms import Part
from aptnn_md.spectra.output.plot_parts import MAX_DRAWN


@dataclass(frozen=True)
class Curve:
    """A curve of the page's table, with its error band.

    Attributes
    ----------
    name : in the legend
    column : index of its values among the columns of the table; the next one is its standard error
    shown : from the beginning; else only once its name in the legend is clicked
    """

    name: str
    column: int
    shown: bool = True


@dataclass(frozen=True)
class Mark:
    """A measured maximum with its errors, in the units of the axes."""

    name: str
    x: float
    x_error: float
    y: float
    y_error: float


@dataclass(frozen=True, eq=False)
class Line:
    """A curve or sticks that are not in the table, such as an experiment."""

    name: str
    x: FloatArray
    y: FloatArray


@dataclass(frozen=True)
class Panel:
    """A plot.

    Attributes
    ----------
    title : heading; empty: none
    label : of the vertical axis
    curves, lines, marks : what is drawn
    marks_name : of all marks together, in the legend
    sticks : drawn on an axis of their own at the right
    sticks_label : of that axis
    ceiling : largest value of the vertical axis; None: by the data
    """

    title: str
    label: str
    curves: tuple[Curve, ...]
    lines: tuple[Line, ...] = ()
    marks: tuple[Mark, ...] = ()
    marks_name: str = ""
    sticks: Line | None = None
    sticks_label: str = ""
    ceiling: float | None = None


@dataclass(frozen=True)
class Grid:
    """A table for people.

    Attributes
    ----------
    title : heading
    rows : of cells, the first one with the titles of the columns; a row of one cell is a heading
    remark : below it
    """

    title: str
    rows: Sequence[Sequence[str]]
    remark: str = ""


def integrals_of_parts(rows: Sequence[Sequence[str]]) -> Grid:
    """The table of what the parts of a spectrum contribute to its bands."""
    remark = "cross terms of groups may be negative; all parts add up to the total"
    return Grid("Integrals of parts", rows, remark)


@dataclass(frozen=True, eq=False)
class Page:
    """A spectrum as a page.

    Attributes
    ----------
    title, subtitle : headings
    facts : what was found, one sentence each
    table : CSV, as ``--out`` writes it
    table_name : name of the file that a button saves
    panels : plots over the wavenumber, the spectrum first
    limits : wavenumbers that are shown at first, cm⁻¹
    grids : bands, and parts
    bands : CSV, as ``--band-table`` writes it; empty: none
    alarms : reasons not to trust the spectrum
    notes : what the reader should know
    convergence : how the error fell with the length of the runs; empty: not known
    convergence_range : over which, cm⁻¹
    quantity : whose error it is
    """

    title: str
    subtitle: str
    facts: Sequence[str]
    table: str
    table_name: str
    panels: Sequence[Panel]
    limits: tuple[float, float]
    grids: Sequence[Grid] = ()
    bands: str = ""
    alarms: Sequence[Alarm] = ()
    notes: Sequence[str] = ()
    convergence: Sequence[Convergence] = ()
    convergence_range: tuple[float, float] = (0.0, 0.0)
    quantity: str = ""


@dataclass(frozen=True, eq=False)
class PageOptions:
    """What the reader of a page wants.

    Attributes
    ----------
    wavenumbers : that are shown at first, cm⁻¹; None: from 0 to where the spectrum ends
    provenance : command line
    convergence, convergence_range : see :class:`Page`
    errors : of the spectrum by their origin, before further corrections; None: not known
    """

    wavenumbers: tuple[float, float] | None = None
    provenance: str = ""
    convergence: Sequence[Convergence] = ()
    convergence_range: tuple[float, float] = (0.0, 0.0)
    errors: ErrorParts | None = None


def marks_of(reference: Reference | None) -> tuple[Mark, ...]:
    """The maxima of a substance that was measured."""
    return tuple(
        Mark(band.name, band.position, band.position_error, band.height, band.height_error)
        for band in (reference.bands if reference is not None else ())
    )


def with_sticks(panel: Panel, sticks: Sticks | None, label: str) -> Panel:
    """A panel with the sticks of a harmonic calculation, where there is one.

    Parameters
    ----------
    label : what the areas of sticks are, and their unit
    """
    if sticks is None:
        return panel
    line = Line(sticks.name, sticks.wavenumber, sticks.area)
    return replace(panel, sticks=line, sticks_label=f"{sticks.name} {label}")


def error_facts(options: PageOptions) -> list[str]:
    """What the errors of a page are, and what is not in them."""
    errors = options.errors
    if errors is not None and errors.tensors is not None and errors.potential is None:
        return [STATISTICAL_ERRORS, f"errors by origin: {UNKNOWN_POTENTIAL}"]
    return [STATISTICAL_ERRORS]


def error_panels(options: PageOptions, label: str) -> list[Panel]:
    """Errors by their origin, where more than the statistical one is known.

    Parameters
    ----------
    label : of the vertical axis, that of the spectrum
    """
    errors = options.errors
    if errors is None or (errors.tensors is None and errors.potential is None):
        return []
    low, high = options.wavenumbers or (0.0, float(errors.wavenumber[-1]))
    inside = (errors.wavenumber >= low) & (errors.wavenumber <= high)
    shares = errors.relative(*options.convergence_range)
    lines = tuple(
        Line(
            f"{name}: {100.0 * share:.1f} % of the integral",
            errors.wavenumber[inside],
            getattr(errors, name)[inside],
        )
        for name, share in shares.items()
    )
    return [Panel("Errors by origin", f"error of {label}", (), lines)]


def part_panels(
    parts: Mapping[Part, PowerBlocks], columns: Mapping[Part, int], label: str
) -> list[Panel]:
    """Groups alone, and their cross terms; the largest of them are shown from the beginning.

    Parameters
    ----------
    parts : the curves
    columns : part -> index of its values among the columns of the table
    label : of the vertical axis
    """
    sizes = {part: float(np.max(np.abs(curve.mean))) for part, curve in parts.items()}
    panels = []
    for title, cross in (("Groups alone", False), ("Cross terms of groups", True)):
        inside = [part for part in parts if is_cross(part) == cross]
        largest = sorted(inside, key=lambda part: -sizes[part])[:MAX_DRAWN]
        curves = [Curve(part_name(part), columns[part], part in largest) for part in inside]
        if curves:
            panels.append(Panel(title, label, tuple(curves)))
    return panels
