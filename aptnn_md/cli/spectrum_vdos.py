"""``aptnn-md spectrum vdos``: velocity spectra of streams with velocities."""

from __future__ import annotations

import argparse

from aptnn_md.cli import spectrum_options
from aptnn_md.provenance import command_line
from aptnn_md.spectra.options import GROUPINGS, VelocityOptions

HELP = """\
Velocity spectra (vibrational densities of states) of groups of atoms, in degrees of freedom per
cm⁻¹, from streams that were written with --velocities. Their integrals must be the numbers of
degrees of freedom; both are printed."""

EXAMPLE = "  aptnn-md spectrum vdos run1.zarr run2.zarr --by element --out vdos.csv --plot v.png"


_DEFAULT = VelocityOptions()


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of velocity spectra."""
    spectrum_options.add_stream_arguments(parser, volume=False)
    parser.add_argument(
        "--by",
        choices=GROUPINGS,
        default=_DEFAULT.by,
        help=f"atoms in the stream's groups, or by element (default: {_DEFAULT.by})",
    )
    parser.add_argument(
        "--merge",
        nargs="+",
        default=_DEFAULT.merge,
        metavar="RULE",
        help="merge groups: kind (H2O-1, H2O-2, ... to H2O), or any NAME=PATTERN",
    )
    spectrum_options.add_resolution_arguments(parser)
    spectrum_options.add_output_arguments(parser)


def run(arguments: argparse.Namespace) -> None:
    """Make the spectra, print what was found, write what was asked for."""
    from aptnn_md.spectra.velocities.of_streams import velocity_spectrum_of_streams
    from aptnn_md.spectra.velocities.report import report_velocities
    from aptnn_md.spectra.velocities.table import write_velocities

    options = spectrum_options.options_of(VelocityOptions, arguments)
    spectrum = velocity_spectrum_of_streams(arguments.streams, options=options)
    wavenumbers = spectrum_options.wavenumber_range(arguments)
    for line in report_velocities(spectrum):
        print(line)
    if arguments.out:
        write_velocities(arguments.out, spectrum, wavenumbers, command_line())
        print(f"table: {arguments.out}")
    if arguments.plot:
        from aptnn_md.spectra.velocities.plot import draw_velocities

        draw_velocities(arguments.plot, spectrum, wavenumbers)
        print(f"picture: {arguments.plot}")
