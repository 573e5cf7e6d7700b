"""``--follow``: spectra of runs that continue."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from aptnn_md.cli import spectrum_options
from aptnn_md.errors import InputError
from aptnn_md.spectra.options import CONVERGENCE_RANGE

if TYPE_CHECKING:
    from aptnn_md.spectra.convergence.monitor import Convergence
    from aptnn_md.spectra.estimation.terms import Key
    from aptnn_md.spectra.page.content import Page
    from aptnn_md.spectra.sources.stream_signal import Options, Spectrum, StreamSignal


def followed(
    arguments: argparse.Namespace,
    streams: StreamSignal[Spectrum, Options, Key],
    integral: Callable[[Spectrum], str],
    page: Callable[[Spectrum, Sequence[Convergence]], Page],
) -> Spectrum:
    """The last spectrum of runs that continue; a line is printed for each one before.

    Parameters
    ----------
    integral : name of the integral of a spectrum over all wavenumbers, with its unit
    page : of a spectrum and of the convergence until then, for ``--html``
    """
    from aptnn_md.spectra.convergence.monitor import follow_streams
    from aptnn_md.spectra.page.html import Live, write_page

    if not arguments.follow >= 0.0:
        raise InputError("--follow", "seconds", arguments.follow, "0 or more")
    wavenumbers = spectrum_options.wavenumber_range(arguments) or CONVERGENCE_RANGE
    low, high = wavenumbers
    print(f"relative standard error at {low:g}-{high:g} cm⁻¹ while the run continues", flush=True)
    spectrum, convergence = None, []
    try:
        for number, (spectrum, found) in enumerate(
            follow_streams(streams, wavenumbers, arguments.follow)
        ):
            if number == 0:
                print(f"length (ps)   blocks   error (%)   {integral(spectrum)}")
            blocks = spectrum.blocks
            value, error = blocks.integral(0.0, float(blocks.wavenumber[-1]))
            print(
                f"{1e-3 * found.length:11.4g} {found.n_blocks:8d} "
                f"{100 * found.relative_error:11.3g}   {value:.4g} ± {error:.1g}",
                flush=True,
            )
            convergence.append(found)
            if arguments.html:
                live = Live(arguments.follow, time.strftime("%Y-%m-%d %H:%M:%S"))
                write_page(arguments.html, page(spectrum, convergence), live)
    except KeyboardInterrupt:
        if spectrum is None:
            raise
    assert spectrum is not None  # following gives at least one, or raises
    print()
    return spectrum
