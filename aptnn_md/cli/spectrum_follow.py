"""``--follow``: spectra of runs that go on."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, TypeVar

from aptnn_md.cli import spectrum_options
from aptnn_md.errors import InputError

if TYPE_CHECKING:
    from aptnn_md.spectra.sources.stream_signal import HasBlocks, StreamSignal

    Spectrum = TypeVar("Spectrum", bound=HasBlocks)


def followed(
    arguments: argparse.Namespace, streams: StreamSignal[Spectrum], integral: str
) -> Spectrum:
    """The last spectrum of runs that go on; a line for each one before.

    Parameters
    ----------
    integral : name of the integral over all wavenumbers, with its unit
    """
    from aptnn_md.spectra.analysis.convergence import RANGE, follow_streams

    if not arguments.follow >= 0.0:
        raise InputError("--follow", "seconds", arguments.follow, "0 or more")
    wavenumbers = spectrum_options.wavenumber_range(arguments) or RANGE
    low, high = wavenumbers
    print(f"relative standard error at {low:g}-{high:g} cm⁻¹ while the run goes on")
    print(f"length (ps)   blocks   error (%)   {integral}", flush=True)
    spectrum = None
    try:
        for spectrum, found in follow_streams(streams, wavenumbers, arguments.follow):
            blocks = spectrum.blocks
            value, error = blocks.integral(0.0, float(blocks.wavenumber[-1]))
            print(
                f"{1e-3 * found.length:11.4g} {found.n_blocks:8d} "
                f"{100 * found.relative_error:11.3g}   {value:.4g} ± {error:.1g}",
                flush=True,
            )
    except KeyboardInterrupt:
        if spectrum is None:
            raise
    assert spectrum is not None  # following gives at least one, or raises
    print()
    return spectrum
