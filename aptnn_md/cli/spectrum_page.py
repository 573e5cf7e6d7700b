"""``--html``: the spectrum as one page for a browser."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING

from aptnn_md.cli import spectrum_options
from aptnn_md.cli.settings_options import checked
from aptnn_md.provenance import command_line
from aptnn_md.settings import NewPath
from aptnn_md.spectra.options import CONVERGENCE_RANGE

if TYPE_CHECKING:
    from aptnn_md.spectra.analysis.error_parts import ErrorParts
    from aptnn_md.spectra.convergence.monitor import Convergence
    from aptnn_md.spectra.page.content import Page, PageOptions


def add_page_argument(parser: argparse._ActionsContainer) -> None:
    """``--html``."""
    parser.add_argument(
        "--html",
        type=checked(NewPath),
        metavar="FILE",
        help="report to write: one interactive page for a browser with curves, bands, provenance "
        "and the data, of one spectrum also parts and convergence (needs plotly: pip install "
        "'aptnn_md[report]'); with --follow it is written again and again, and the browser "
        "reloads it",
    )


def check_page_argument(arguments: argparse.Namespace) -> None:
    """Refuse ``--html`` without plotly, before anything is computed.

    Raises
    ------
    InputError
        It is not installed.
    """
    if arguments.html:
        from aptnn_md.spectra.page.html import check_plotly

        check_plotly()


def page_options(
    arguments: argparse.Namespace,
    convergence: Sequence[Convergence] = (),
    errors: ErrorParts | None = None,
) -> PageOptions:
    """What the command line says of the page.

    Parameters
    ----------
    convergence : of the runs, over ``--range`` or 0-4000 cm⁻¹
    errors : of the spectrum by their origin, before further corrections
    """
    from aptnn_md.spectra.page.content import PageOptions

    wavenumbers = spectrum_options.wavenumber_range(arguments)
    over = wavenumbers or CONVERGENCE_RANGE
    return PageOptions(wavenumbers, command_line(), convergence, over, errors)


def write_final_page(arguments: argparse.Namespace, page: Page) -> None:
    """Write the page of runs that are not followed any more."""
    from aptnn_md.spectra.page.html import write_page

    write_page(arguments.html, page)
    print(f"page: {arguments.html}")
