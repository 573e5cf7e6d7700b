"""Tables of bands: spectra and experiments side by side, and integrals by parts."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Protocol

from aptnn_md.spectra.analysis.bands import Band
from aptnn_md.spectra.analysis.reference_bands import Reference
from aptnn_md.spectra.estimation.parts import part_name
from aptnn_md.spectra.estimation.power import PowerBlocks
from aptnn_md.spectra.estimation.terms import Part
from aptnn_md.spectra.output.ordinate import N_ALPHA, Ordinate
from aptnn_md.spectra.output.text import aligned, with_error

_EXPERIMENT = "experiment"
_ROUNDING = 1e-12  # of the total: a part that vanishes by symmetry
OF_MAXIMA = ("position", "height", "width")
"""What has no meaning where the largest value is at the edge of a range."""


class InParts(Protocol):
    """A spectrum with its parts."""

    @property
    def ordinate(self) -> Ordinate:
        """What its values are."""

    @property
    def blocks(self) -> PowerBlocks:
        """The whole of it."""

    @property
    def parts(self) -> Mapping[Part, PowerBlocks]:
        """What adds up to it."""


def band_table(
    columns: Mapping[str, Sequence[Band]],
    reference: Reference | None = None,
    ordinate: Ordinate = N_ALPHA,
) -> list[str]:
    """:func:`band_rows` as lines of text."""
    return aligned(band_rows(columns, reference, ordinate))


def band_rows(
    columns: Mapping[str, Sequence[Band]],
    reference: Reference | None = None,
    ordinate: Ordinate = N_ALPHA,
) -> list[list[str]]:
    """Positions, centroids, heights, widths, spreads and integrals of bands, as rows of a table:
    first the titles, then the name of each band alone and its numbers.

    Parameters
    ----------
    columns : name -> its bands, by :func:`aptnn_md.spectra.analysis.bands.find_bands` or
        :func:`aptnn_md.spectra.analysis.bands.bands_of_curve`; the first column says which
        bands
    reference : experiment; its bands of the same names come last
    ordinate : what the values of all of them are
    """
    first = next(iter(columns.values()))
    titles = [*columns] + ([_EXPERIMENT] if reference is not None else [])
    rows = [[f"band of {ordinate.name}", *titles]]
    for number, band in enumerate(first):
        rows.append([f"{band.name}, {band.low:.0f}-{band.high:.0f} cm⁻¹"])
        measured = reference.band(band.name) if reference is not None else None
        for title, field, unit in _rows(ordinate):
            cells = [_cell(bands[number], field, unit) for bands in columns.values()]
            if reference is not None:
                value = getattr(measured, field, math.nan) / unit
                cells.append(with_error(value, getattr(measured, f"{field}_error", 0.0) / unit))
            rows.append([f"  {title}", *cells])
    return rows


def part_table(spectrum: InParts, ranges: Mapping[str, tuple[float, float]]) -> list[str]:
    """:func:`part_rows` as lines of text."""
    return aligned(part_rows(spectrum, ranges))


def part_rows(spectrum: InParts, ranges: Mapping[str, tuple[float, float]]) -> list[list[str]]:
    """Integrals of the parts of a spectrum over ranges, and of the total, which is their sum, as
    rows of a table, the first one with the titles.

    Parameters
    ----------
    ranges : name -> (low, high), cm⁻¹
    """
    scale = spectrum.ordinate.table_scale
    rows = [[f"integral ({spectrum.ordinate.table_unit})", *ranges]]
    named = {part_name(part): curve for part, curve in spectrum.parts.items()}
    for name, curve in {**named, "total": spectrum.blocks}.items():
        cells = []
        for low, high in ranges.values():
            value, error = curve.integral(low, high)
            nothing = abs(value) + error < _ROUNDING * spectrum.blocks.integral(low, high)[0]
            cells.append("0" if nothing else with_error(value / scale, error / scale))
        rows.append([name, *cells])
    return rows


def describe_moments(baseline: bool = False) -> str:
    """What centroid and spread are, and what they count as the band."""
    whole = "the whole curve in the range, background included"
    of = "the curve above the line between the ends of the range" if baseline else whole
    return f"centroid, spread: mean and standard deviation (root of the second moment) of {of}"


def _rows(ordinate: Ordinate) -> tuple[tuple[str, str, float], ...]:
    """Heading, field of a band and what it is divided by."""
    return (
        ("position (cm⁻¹)", "position", 1.0),
        ("centroid (cm⁻¹)", "centroid", 1.0),
        (f"height ({ordinate.unit})", "height", 1.0),
        ("width (cm⁻¹)", "width", 1.0),
        ("spread (cm⁻¹)", "spread", 1.0),
        (f"integral ({ordinate.table_unit})", "integral", ordinate.table_scale),
    )


def _cell(band: Band, field: str, unit: float) -> str:
    if band.at_edge and field in OF_MAXIMA:
        return "no maximum" if field == "position" else "-"
    return with_error(getattr(band, field) / unit, getattr(band, f"{field}_error") / unit)
