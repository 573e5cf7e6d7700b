"""``aptnn-md spectrum ir``: streams to infrared absorption."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from aptnn_md.cli import spectrum_errors, spectrum_options, spectrum_output
from aptnn_md.cli.spectrum_follow import followed
from aptnn_md.cli.spectrum_page import add_page_argument, check_page_argument
from aptnn_md.spectra.options import InfraredOptions

if TYPE_CHECKING:
    from aptnn_md.spectra import InfraredSpectrum

HELP = """\
Infrared absorption n(ν̃)α(ν̃) in cm⁻¹: neperian absorption coefficient times refractive index. Of
a molecule or a cluster, which has no volume, the molar absorption in km/mol per cm⁻¹, the integral
of a band being its intensity in km/mol.
Several streams are independent runs of one system; longer ones weigh more. Standard errors come
from blocks of the runs, and from the runs if there are enough of them."""

EXAMPLE = """\
  aptnn-md spectrum ir run1.zarr run2.zarr --out ir.csv --plot ir.png --experiment water
  aptnn-md spectrum ir run.zarr --html report.html
  aptnn-md spectrum ir run.zarr --follow --html live.html            (while it runs)"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of infrared spectra."""
    spectrum_options.add_stream_arguments(parser)
    spectrum_options.add_signal_arguments(parser, "Ṁ")
    spectrum_options.add_resolution_arguments(parser)
    spectrum_output.add_output_arguments(parser)
    add_page_argument(parser)
    spectrum_errors.add_error_arguments(parser)


def run(arguments: argparse.Namespace) -> None:
    """Make the spectrum, print what was found, write what was asked for."""
    from aptnn_md.spectra.infrared.of_streams import InfraredStreams, spectrum_of_streams
    from aptnn_md.targets import APT

    check_page_argument(arguments)
    options = spectrum_options.options_of(InfraredOptions, arguments)
    if arguments.follow is None:
        spectrum = spectrum_of_streams(arguments.streams, options=options)
    else:
        streams = InfraredStreams(arguments.streams, options)
        spectrum = followed(
            arguments,
            streams,
            _integral,
            lambda found, convergence: spectrum_output.page(found, arguments, convergence),
        )
    errors = spectrum_errors.known_errors(spectrum, InfraredStreams, APT, options, arguments)
    spectrum_output.show(spectrum, arguments, options, errors)
    spectrum_errors.show_errors(errors, APT, options, spectrum.ordinate, arguments)


def _integral(spectrum: InfraredSpectrum) -> str:
    return f"integral of {spectrum.ordinate.name} ({spectrum.ordinate.integral_unit})"
