"""Errors of a spectrum by their origin, for ``aptnn-md spectrum ir`` and ``raman``."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from aptnn_md.cli import spectrum_options
from aptnn_md.spectra.options import CONVERGENCE_RANGE

if TYPE_CHECKING:
    from aptnn_md.spectra.estimation.power import HasBlocks
    from aptnn_md.spectra.output.ordinate import Ordinate


def add_error_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the errors of learned models."""
    group = parser.add_argument_group("errors of learned models")
    group.add_argument(
        "--other-potentials",
        nargs="+",
        default=(),
        metavar="STREAM",
        help="streams of the same system with other members of a committee of potentials, one "
        "stream or ensemble for each: what spectra differ by beyond their statistics is the error "
        "of the potential",
    )
    group.add_argument(
        "--plot-errors",
        metavar="FILE",
        help="picture of the errors: statistical, of the tensors (streams with the rates of a "
        "committee's members: md --members, learn), and of the potential",
    )


def show_errors(
    spectrum: HasBlocks,
    streams: type[Any],
    options: Any,
    ordinate: Ordinate,
    arguments: argparse.Namespace,
) -> None:
    """Print the parts of the error where more than the statistical one is known.

    Parameters
    ----------
    spectrum : as computed, without further corrections
    streams : ``InfraredStreams`` or ``RamanStreams``
    options : with which the spectrum was made
    ordinate : what the spectrum is
    arguments : of the command line
    """
    from dataclasses import replace

    from aptnn_md.spectra.analysis.error_parts import ErrorParts, describe_parts, trajectory_error
    from aptnn_md.spectra.sources.members import member_blocks

    members = member_blocks(streams, arguments.streams, options)
    parts = ErrorParts.of(spectrum.blocks, members)
    if arguments.other_potentials:
        others = []
        for path in arguments.other_potentials:
            other = streams([path], options)
            other.read()
            others.append(other.spectrum().blocks)
        parts = replace(parts, potential=trajectory_error([spectrum.blocks, *others]))
    if members or arguments.other_potentials:
        low, high = spectrum_options.wavenumber_range(arguments) or CONVERGENCE_RANGE
        print()
        for line in describe_parts(parts, low, high):
            print(line)
    if arguments.plot_errors:
        from aptnn_md.spectra.output.plot_errors import draw_error_parts

        draw_error_parts(
            arguments.plot_errors, parts, ordinate, spectrum_options.wavenumber_range(arguments)
        )
        print(f"picture: {arguments.plot_errors}")
