"""``aptnn-md spectrum ir``: streams to infrared absorption."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from aptnn_md.cli import spectrum_options, spectrum_output
from aptnn_md.errors import InputError

if TYPE_CHECKING:
    from aptnn_md.spectra import InfraredSpectrum
    from aptnn_md.spectra.sources import StreamOptions

HELP = """\
Infrared absorption n(ν̃)α(ν̃) in cm⁻¹: neperian absorption coefficient times refractive index.
Several streams are independent runs of one system; longer ones weigh more. Standard errors come
from blocks of the runs, and from the runs where there are enough of them."""

EXAMPLE = (
    "  aptnn-md spectrum ir run1.stream run2.stream --out ir.csv --plot ir.png --experiment water"
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of infrared spectra."""
    spectrum_options.add_stream_arguments(parser)
    parser.add_argument(
        "--estimator", metavar="NAME", help="estimator of Ṁ; default: the streams' first one"
    )
    parser.add_argument(
        "--merge",
        nargs="+",
        default=(),
        metavar="RULE",
        help="merge groups by their labels: motion, group, kind, all, or NAME=PATTERN, "
        "e.g. 'ions=Cl*'",
    )
    parser.add_argument(
        "--molecules",
        action="store_true",
        help="intramolecular and intermolecular parts, of streams with molecules as groups",
    )
    parser.add_argument(
        "--mix-conditions",
        action="store_true",
        help="accept streams at different temperatures or volumes; each counts with its own",
    )
    parser.add_argument(
        "--follow",
        type=float,
        nargs="?",
        const=10.0,
        metavar="SECONDS",
        help="compute again every so many seconds (default: 10) while the runs go on and print "
        "how the error falls, over --range or 0-4000 cm⁻¹; then, or on Ctrl-C, the rest",
    )
    spectrum_options.add_resolution_arguments(parser)
    spectrum_output.add_output_arguments(parser)


def run(arguments: argparse.Namespace) -> None:
    """Make the spectrum, print what was found, write what was asked for."""
    from aptnn_md import spectra
    from aptnn_md.spectra.sources import StreamOptions

    options = StreamOptions(
        resolution=arguments.resolution,
        temperature=arguments.temperature,
        volume=arguments.volume,
        estimator=arguments.estimator,
        skip=arguments.skip,
        merge=tuple(arguments.merge),
        molecules=arguments.molecules,
        mix=arguments.mix_conditions,
        **spectrum_options.method(arguments),
    )
    if arguments.follow is None:
        spectrum = spectra.spectrum_of_streams(arguments.streams, arguments.resolution, options)
    else:
        spectrum = _followed(arguments, options)
    spectrum_output.show(spectrum, arguments, options)


def _followed(arguments: argparse.Namespace, options: StreamOptions) -> InfraredSpectrum:
    """The last spectrum of runs that go on; a line for each one before."""
    from aptnn_md.spectra.convergence import RANGE, follow

    if not arguments.follow >= 0.0:
        raise InputError("--follow", "seconds", arguments.follow, "0 or more")
    wavenumbers = spectrum_options.wavenumber_range(arguments) or RANGE
    low, high = wavenumbers
    print(f"relative standard error at {low:g}-{high:g} cm⁻¹ while the run goes on")
    print("length (ps)   blocks   error (%)   integral of n·α (cm⁻²)", flush=True)
    spectrum = None
    try:
        for spectrum, found in follow(arguments.streams, options, wavenumbers, arguments.follow):
            rule = spectrum.sum_rule
            print(
                f"{1e-3 * found.length:11.4g} {found.n_blocks:8d} "
                f"{100 * found.relative_error:11.3g}   {rule.found:.4g} ± "
                f"{rule.standard_error:.1g}",
                flush=True,
            )
    except KeyboardInterrupt:
        if spectrum is None:
            raise
    assert spectrum is not None  # follow gives at least one, or raises
    print()
    return spectrum
