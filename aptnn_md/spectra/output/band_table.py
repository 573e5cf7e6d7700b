"""Tables of bands of n·α: spectra and experiments side by side, and integrals by parts."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Protocol

from aptnn_md.spectra.analysis.bands import Band, Reference
from aptnn_md.spectra.estimation.parts import part_name
from aptnn_md.spectra.estimation.power import PowerBlocks
from aptnn_md.spectra.estimation.terms import Part
from aptnn_md.spectra.output.text import aligned, with_error

_ROWS = (
    ("position (cm⁻¹)", "position", 1.0),
    ("height (cm⁻¹)", "height", 1.0),
    ("width (cm⁻¹)", "width", 1.0),
    ("integral (10³ cm⁻²)", "integral", 1e3),
)
_EXPERIMENT = "experiment"


class InParts(Protocol):
    """A spectrum with its parts."""

    @property
    def blocks(self) -> PowerBlocks:
        """The whole of it."""

    @property
    def parts(self) -> Mapping[Part, PowerBlocks]:
        """What adds up to it."""


def band_table(
    columns: Mapping[str, Sequence[Band]], reference: Reference | None = None
) -> list[str]:
    """Positions, heights, widths and integrals of bands of n·α, as lines of a table.

    Parameters
    ----------
    columns : name -> its bands, by :func:`aptnn_md.spectra.analysis.bands.find_bands` or
        :func:`aptnn_md.spectra.analysis.bands.bands_of_curve`; the first column says which
        bands
    reference : experiment; its bands of the same names come last
    """
    first = next(iter(columns.values()))
    titles = [*columns] + ([_EXPERIMENT] if reference is not None else [])
    rows = [["band of n·α", *titles]]
    for number, band in enumerate(first):
        rows.append([f"{band.name}, {band.low:.0f}-{band.high:.0f} cm⁻¹"])
        measured = reference.band(band.name) if reference is not None else None
        for title, field, unit in _ROWS:
            cells = [_cell(bands[number], field, unit) for bands in columns.values()]
            if reference is not None:
                value = getattr(measured, field, math.nan) / unit
                cells.append(with_error(value, getattr(measured, f"{field}_error", 0.0) / unit))
            rows.append([f"  {title}", *cells])
    return aligned(rows)


def part_table(spectrum: InParts, ranges: Mapping[str, tuple[float, float]]) -> list[str]:
    """Integrals of the parts of a spectrum over ranges, and of the total, which is their sum.

    Parameters
    ----------
    ranges : name -> (low, high), cm⁻¹
    """
    rows = [["integral (10³ cm⁻²)", *ranges]]
    named = {part_name(part): curve for part, curve in spectrum.parts.items()}
    for name, curve in {**named, "total": spectrum.blocks}.items():
        values = [curve.integral(low, high) for low, high in ranges.values()]
        rows.append([name, *(with_error(value / 1e3, error / 1e3) for value, error in values)])
    return aligned(rows)


def _cell(band: Band, field: str, unit: float) -> str:
    if band.at_edge and field != "integral":
        return "no maximum" if field == "position" else "-"
    return with_error(getattr(band, field) / unit, getattr(band, f"{field}_error") / unit)
