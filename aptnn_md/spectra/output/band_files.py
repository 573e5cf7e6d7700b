"""Bands as files that other programs read: CSV with a row for each band, or JSON."""

from __future__ import annotations

import csv
import io
import json
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from aptnn_md.files import write_output
from aptnn_md.spectra.analysis.bands import Band
from aptnn_md.spectra.output.band_table import OF_MAXIMA
from aptnn_md.spectra.output.columns import plain_text
from aptnn_md.spectra.output.ordinate import Ordinate

_FIELDS = ("position", "centroid", "height", "width", "spread", "integral")
_WITH_ERRORS = tuple(name for field in _FIELDS for name in (field, f"{field}_error"))


def write_bands(
    path: str | os.PathLike[str],
    columns: Mapping[str, Sequence[Band]],
    ordinate: Ordinate,
    provenance: str = "",
) -> None:
    """Write bands of spectra, experiments and harmonic calculations with their standard errors.

    Parameters
    ----------
    path : ``.json`` for JSON, anything else for CSV, whose first row has the names of the columns
    columns : name of a spectrum -> its bands
    ordinate : what the values of all of them are
    provenance : command line

    Raises
    ------
    InputError
        The file cannot be written.
    """
    if Path(path).suffix == ".json":
        text = json.dumps(_facts(columns, ordinate, provenance), indent=1, ensure_ascii=False)
        write_output(Path(path), f"{text}\n".encode())
    else:
        write_output(Path(path), bands_text(columns, ordinate).encode())


def bands_text(columns: Mapping[str, Sequence[Band]], ordinate: Ordinate) -> str:
    """The CSV of :func:`write_bands`."""
    units = _units(ordinate)
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    names = ["low", "high", *_WITH_ERRORS]
    heads = [f"{n} ({units[n.removesuffix('_error')]})".replace("_error", " error") for n in names]
    table.writerow(["spectrum", "band", *map(plain_text, heads)])
    for row in _rows(columns):
        cells = ("" if value is None else f"{value:.10g}" for value in (row[n] for n in names))
        table.writerow([row["spectrum"], row["band"], *cells])
    return text.getvalue()


def _facts(
    columns: Mapping[str, Sequence[Band]], ordinate: Ordinate, provenance: str
) -> dict[str, Any]:
    return {
        "quantity": ordinate.name,
        "units": _units(ordinate),
        "provenance": provenance,
        "bands": _rows(columns),
    }


def _units(ordinate: Ordinate) -> dict[str, str]:
    """Name of a number -> its unit."""
    units = dict.fromkeys(("low", "high", *_FIELDS), "cm⁻¹")
    return units | {"height": ordinate.unit, "integral": ordinate.integral_unit}


def _rows(columns: Mapping[str, Sequence[Band]]) -> list[dict[str, Any]]:
    """A row for each band of each spectrum."""
    return [
        {"spectrum": name, "band": band.name, **_numbers(band)}
        for name, bands in columns.items()
        for band in bands
    ]


def _numbers(band: Band) -> dict[str, float | None]:
    """Limits, values and errors; None where there is none."""
    found = {name: float(getattr(band, name)) for name in ("low", "high", *_WITH_ERRORS)}
    if band.at_edge:
        lost = [name for name in _WITH_ERRORS if name.removesuffix("_error") in OF_MAXIMA]
        found |= dict.fromkeys(lost, math.nan)
    return {name: value if math.isfinite(value) else None for name, value in found.items()}
