"""``aptnn-md spectrum ir``: streams to infrared absorption."""

from __future__ import annotations

import argparse

from aptnn_md.cli import spectrum_options

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
    spectrum_options.add_resolution_arguments(parser)
    spectrum_options.add_output_arguments(parser)
    parser.add_argument(
        "--experiment",
        choices=["water"],
        help="compare bands with an experiment, in the report and in the picture",
    )


def run(arguments: argparse.Namespace) -> None:
    """Make the spectrum, print what was found, write what was asked for."""
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
    wavenumbers = spectrum_options.wavenumber_range(arguments)
    for line in spectra.report(spectrum, reference):
        print(line)
    if arguments.out:
        spectra.write_table(arguments.out, spectrum, wavenumbers, spectrum_options.provenance())
        print(f"table: {arguments.out}")
    if arguments.plot:
        from aptnn_md.spectra.plot import draw_spectrum

        draw_spectrum(arguments.plot, spectrum, reference=reference, wavenumbers=wavenumbers)
        print(f"picture: {arguments.plot}")
