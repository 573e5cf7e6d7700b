"""``aptnn-md spectrum``: streams to spectra."""

from __future__ import annotations

import argparse
import shlex
import sys

HELP = "Spectra with absolute units and error bars from streams of the dipole rate."
EXAMPLE = (
    "  aptnn-md spectrum ir run1.stream run2.stream --out ir.csv --plot ir.png --experiment water"
)

_INFRARED = """\
Infrared absorption n(ν̃)α(ν̃) in cm⁻¹: neperian absorption coefficient times refractive index.
Several streams are independent runs of one system; longer ones weigh more. Standard errors come
from blocks of the runs, and from the runs where there are enough of them."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add one parser for each kind of spectrum."""
    kinds = parser.add_subparsers(dest="kind", metavar="KIND", required=True)
    infrared = kinds.add_parser(
        "ir",
        help="infrared absorption",
        description=_INFRARED,
        epilog=f"example:\n{EXAMPLE}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _add_infrared_arguments(infrared)
    infrared.set_defaults(run_kind=_run_infrared)


def run(arguments: argparse.Namespace) -> int | None:
    """Make the spectrum that was asked for."""
    result: int | None = arguments.run_kind(arguments)
    return result


def _add_infrared_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("streams", nargs="+", metavar="STREAM", help="stream directories")
    parser.add_argument("--out", metavar="CSV", help="table of the spectrum to write")
    parser.add_argument(
        "--plot",
        metavar="FILE",
        help="picture to write; the suffix says the format (png, pdf, svg)",
    )
    parser.add_argument(
        "--resolution",
        type=float,
        default=20.0,
        metavar="CM",
        help="full width at half maximum of a line without width, cm⁻¹ (default: 20)",
    )
    parser.add_argument(
        "--temperature", type=float, metavar="K", help="default: what the streams say"
    )
    parser.add_argument(
        "--volume", type=float, metavar="A3", help="volume of the cell, Å³; default: as the streams"
    )
    parser.add_argument(
        "--estimator", metavar="NAME", help="estimator of Ṁ; default: the streams' first one"
    )
    parser.add_argument(
        "--skip",
        type=float,
        default=0.0,
        metavar="PS",
        help="time to leave out at the beginning of each stream, ps (default: 0)",
    )
    parser.add_argument(
        "--range",
        type=float,
        nargs=2,
        metavar=("LOW", "HIGH"),
        dest="wavenumbers",
        help="wavenumbers to write and draw, cm⁻¹; default: all there are, all that absorb",
    )
    parser.add_argument(
        "--experiment",
        choices=["water"],
        help="compare bands with an experiment, in the report and in the picture",
    )


def _run_infrared(arguments: argparse.Namespace) -> None:
    from aptnn_md import spectra

    spectrum = spectra.spectrum_of_streams(
        arguments.streams,
        arguments.resolution,
        temperature=arguments.temperature,
        volume=arguments.volume,
        estimator=arguments.estimator,
        skip=arguments.skip,
    )
    reference = spectra.REFERENCES.get(arguments.experiment)
    wavenumbers = tuple(arguments.wavenumbers) if arguments.wavenumbers else None
    for line in spectra.report(spectrum, reference):
        print(line)
    if arguments.out:
        provenance = shlex.join(["aptnn-md", *sys.argv[1:]])
        spectra.write_table(arguments.out, spectrum, wavenumbers, provenance)
        print(f"table: {arguments.out}")
    if arguments.plot:
        from aptnn_md.spectra.plot import draw_spectrum

        draw_spectrum(arguments.plot, spectrum, reference=reference, wavenumbers=wavenumbers)
        print(f"picture: {arguments.plot}")
