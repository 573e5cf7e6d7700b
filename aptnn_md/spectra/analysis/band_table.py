"""Tables of bands: spectra beside each other and beside experiments, and bands by parts."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from aptnn_md.spectra.analysis.bands import Band, Reference
from aptnn_md.spectra.infrared.spectrum import InfraredSpectrum

_ROWS = (
    ("position (cm⁻¹)", "position", 1.0),
    ("height (cm⁻¹)", "height", 1.0),
    ("width (cm⁻¹)", "width", 1.0),
    ("integral (10³ cm⁻²)", "integral", 1e3),
)
_EXPERIMENT = "experiment"


def with_error(value: float, error: float) -> str:
    """``12.3 ± 0.4``: as many digits as the error has, no error where there is none."""
    if math.isnan(value):
        return "-"
    if math.isnan(error) or error <= 0.0:
        return f"{value:.4g}" if abs(value) < 1e4 else f"{value:.0f}"
    # one digit of the error, two where the first one is 1 or 2
    digits = max(0, -math.floor(math.log10(error / 3.0)))
    return f"{value:.{digits}f} ± {error:.{digits}f}"


def band_table(
    columns: Mapping[str, Sequence[Band]], reference: Reference | None = None
) -> list[str]:
    """Positions, heights, widths and integrals of bands of n·α, as lines of a table.

    Parameters
    ----------
    columns : name -> its bands, by :func:`aptnn_md.spectra.analysis.bands.find_bands` or
        :func:`aptnn_md.spectra.analysis.bands.bands_of_curve`; the first column says which bands
        there are
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


def part_table(spectrum: InfraredSpectrum, ranges: Mapping[str, tuple[float, float]]) -> list[str]:
    """Integrals of the parts of a spectrum over ranges, and of the total, which is their sum.

    Parameters
    ----------
    ranges : name -> (low, high), cm⁻¹
    """
    rows = [["integral (10³ cm⁻²)", *ranges]]
    for name, part in {**spectrum.parts, "total": spectrum.blocks}.items():
        values = [part.integral(low, high) for low, high in ranges.values()]
        rows.append([name, *(with_error(value / 1e3, error / 1e3) for value, error in values)])
    return aligned(rows)


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines whose columns begin below each other; rows may be short."""
    n_columns = max(map(len, rows))
    full = [row for row in rows if len(row) == n_columns]
    widths = [max(len(row[k]) for row in full) for k in range(n_columns)]
    return [
        "   ".join(
            cell.ljust(width) for cell, width in zip(row, widths[: len(row)], strict=True)
        ).rstrip()
        for row in rows
    ]


def _cell(band: Band, field: str, unit: float) -> str:
    if band.at_edge and field != "integral":
        return "no maximum" if field == "position" else "-"
    return with_error(getattr(band, field) / unit, getattr(band, f"{field}_error") / unit)
