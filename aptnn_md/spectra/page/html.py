"""A page as HTML: one file with plotly's JavaScript in it, which loads nothing."""

from __future__ import annotations

import dataclasses
import html
import importlib.resources
import json
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Any

import numpy as np

from aptnn_md._version import __version__
from aptnn_md.errors import InputError
from aptnn_md.files import write_output
from aptnn_md.spectra.page.content import Grid, Page, Panel


@dataclass(frozen=True)
class Live:
    """What a page says of runs that continue.

    Attributes
    ----------
    every : seconds after which the browser reads the page again
    written : when it was written
    """

    every: float
    written: str


def check_plotly() -> None:
    """Refuse to make a page without plotly, before anything is computed.

    Raises
    ------
    InputError
        It is not installed.
    """
    try:
        import plotly.offline  # noqa: F401
    except ImportError as error:
        raise InputError(
            "--html", "plotly", "not installed", "pip install 'aptnn_md[report]'"
        ) from error


def write_page(path: str | os.PathLike[str], page: Page, live: Live | None = None) -> None:
    """Write a page, whole or not at all.

    Parameters
    ----------
    live : of runs that continue: the browser reads the page again and again

    Raises
    ------
    InputError
        The file cannot be written, or plotly is not installed.
    """
    check_plotly()
    write_output(Path(path), page_html(page, live).encode())


def page_html(page: Page, live: Live | None = None) -> str:
    """The text of a page; see :func:`write_page`."""
    from plotly.offline import get_plotlyjs

    refresh = f'<meta http-equiv="refresh" content="{math.ceil(live.every)}">' if live else ""
    return Template(_asset("page.html")).substitute(
        title=html.escape(page.title),
        subtitle=html.escape(page.subtitle),
        refresh=refresh,
        style=_asset("page.css"),
        live=_live(live),
        alarms=_alarms(page),
        facts=_list([*page.facts, *page.notes]),
        spectrum=_plot(0, page.panels[0]),
        grids="".join(map(_grid, page.grids)),
        plots="".join(_plot(k, panel) for k, panel in enumerate(page.panels) if k > 0),
        convergence=_convergence(page),
        bands_button='<button id="save-bands">Save bands (CSV)</button>' if page.bands else "",
        provenance=html.escape("\n".join(_header(page.table))),
        version=html.escape(__version__),
        data=_json(page),
        plotly=get_plotlyjs(),
        script=_asset("page.js"),
    )


def _asset(name: str) -> str:
    return importlib.resources.files(__package__).joinpath(name).read_text(encoding="utf-8")


def _json(page: Page) -> str:
    """What the script draws, so that no text in it ends the element that holds it."""
    facts = {
        "table": page.table,
        "tableName": page.table_name,
        "bands": page.bands,
        "limits": page.limits,
        "panels": [_plain(panel) for panel in page.panels],
        "convergence": [
            [1e-3 * point.length, 100.0 * point.relative_error, point.n_blocks]
            for point in page.convergence
            if math.isfinite(point.relative_error)
        ],
        "quantity": page.quantity,
    }
    return json.dumps(facts, ensure_ascii=False, allow_nan=False).replace("<", "\\u003c")


def _plain(value: Any) -> Any:
    """Dataclasses and arrays as JSON knows them; what is not finite is left out of curves."""
    if dataclasses.is_dataclass(value):
        fields = dataclasses.fields(value)
        return {field.name: _plain(getattr(value, field.name)) for field in fields}
    if isinstance(value, np.ndarray):
        return [number if math.isfinite(number) else None for number in value.tolist()]
    return [_plain(each) for each in value] if isinstance(value, tuple) else value


def _live(live: Live | None) -> str:
    if live is None:
        return ""
    return (
        f'<p class="live">The runs continue: as of {html.escape(live.written)}, read again every '
        f"{math.ceil(live.every)} s.</p>"
    )


def _alarms(page: Page) -> str:
    return "".join(
        f'<p class="alarm"><strong>Warning ({html.escape(alarm.name)}):</strong> '
        f"{html.escape(alarm.text)}</p>"
        for alarm in page.alarms
    )


def _list(lines: Sequence[str]) -> str:
    return "".join(f"<li>{html.escape(line)}</li>" for line in lines)


def _plot(number: int, panel: Panel) -> str:
    """An empty element for a plot."""
    heading = f"<h2>{html.escape(panel.title)}</h2>" if panel.title else ""
    kind = "plot" if number else "plot first"
    return f'{heading}<div class="{kind}" id="panel-{number}"></div>'


def _convergence(page: Page) -> str:
    """The same for the convergence, if it is known."""
    if len(page.convergence) < 2:
        return ""
    low, high = page.convergence_range
    return (
        '<h2>Convergence</h2><div class="plot" id="convergence"></div>'
        f"<p>Relative standard error of {html.escape(page.quantity)} from {low:g} to {high:g} "
        "cm⁻¹ against the length of all runs; the dashed line is 1/√length.</p>"
    )


def _grid(grid: Grid) -> str:
    """A table; rows of one cell are headings."""
    titles, *rows = grid.rows
    head = "".join(f"<th>{html.escape(cell)}</th>" for cell in titles)
    body = []
    for row in rows:
        cells = [html.escape(cell.strip()) for cell in row]
        if len(row) == 1:
            body.append(f'<tr class="heading"><th colspan="{len(titles)}">{cells[0]}</th></tr>')
        else:
            numbers = "".join(f"<td>{cell}</td>" for cell in cells[1:])
            body.append(f"<tr><th>{cells[0]}</th>{numbers}</tr>")
    remark = f"<p>{html.escape(grid.remark)}</p>" if grid.remark else ""
    return (
        f"<h2>{html.escape(grid.title)}</h2><table><thead><tr>{head}</tr></thead>"
        f"<tbody>{''.join(body)}</tbody></table>{remark}"
    )


def _header(table: str) -> list[str]:
    """The lines of a table that say what it is, without ``#``; the last one has the names."""
    lines = [line[1:].strip() for line in table.splitlines() if line.startswith("#")]
    return lines[:-1]
