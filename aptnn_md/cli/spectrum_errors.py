"""Errors of a spectrum by their origin, for ``aptnn-md spectrum ir`` and ``raman``."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from aptnn_md.cli import spectrum_options
from aptnn_md.spectra.options import CONVERGENCE_RANGE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aptnn_md.spectra.analysis.error_parts import ErrorParts
    from aptnn_md.spectra.estimation.power import HasBlocks
    from aptnn_md.spectra.output.ordinate import Ordinate
    from aptnn_md.stream import StreamHeader
    from aptnn_md.targets import Target


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
        "committee's members: md, learn), and of the potential",
    )


def known_errors(
    spectrum: HasBlocks,
    streams: type[Any],
    target: Target,
    options: Any,
    arguments: argparse.Namespace,
) -> ErrorParts | None:
    """The errors of a spectrum by their origin; None where only the statistical one is known and
    no picture of it is asked for.

    Parameters
    ----------
    spectrum : as computed, without further corrections
    streams : ``InfraredStreams`` or ``RamanStreams``
    target : the tensors that it comes from
    options : with which the spectrum was made
    arguments : of the command line
    """
    from dataclasses import replace

    from aptnn_md.spectra.analysis.error_parts import ErrorParts, trajectory_error
    from aptnn_md.spectra.sources.members import member_blocks

    members = member_blocks(streams, arguments.streams, options)
    factor = _first_header(arguments.streams).spread_factors.get(target.name)
    if not (members or arguments.other_potentials or arguments.plot_errors):
        return None
    parts = ErrorParts.of(spectrum.blocks, members, factor)
    if arguments.other_potentials:
        others = []
        for path in arguments.other_potentials:
            other = streams([path], options)
            other.read()
            others.append(other.spectrum().blocks)
        parts = replace(parts, potential=trajectory_error([spectrum.blocks, *others]))
    return parts


def show_errors(
    parts: ErrorParts | None,
    target: Target,
    options: Any,
    ordinate: Ordinate,
    arguments: argparse.Namespace,
) -> None:
    """Print and draw the errors of a spectrum where more than the statistical one is known.

    Parameters
    ----------
    parts : by :func:`known_errors`
    target : the tensors that the spectrum comes from
    options : with which the spectrum was made
    ordinate : what the spectrum is
    arguments : of the command line
    """
    if parts is None or parts.tensors is None:
        _tell_spread(target, options, arguments.streams)
    if parts is None:
        return
    from aptnn_md.spectra.analysis.error_parts import describe_parts

    wavenumbers = spectrum_options.wavenumber_range(arguments)
    if parts.tensors is not None or parts.potential is not None:
        print()
        for line in describe_parts(parts, *(wavenumbers or CONVERGENCE_RANGE)):
            print(line)
    if arguments.plot_errors:
        from aptnn_md.spectra.output.plot_errors import draw_error_parts

        draw_error_parts(arguments.plot_errors, parts, ordinate, wavenumbers)
        print(f"picture: {arguments.plot_errors}")


def _first_header(paths: Sequence[str]) -> StreamHeader:
    from aptnn_md.stream import StreamReader
    from aptnn_md.stream.ensemble import stream_paths

    return StreamReader(stream_paths(paths)[0]).header


def _tell_spread(target: Target, options: Any, paths: Sequence[str]) -> None:
    """Print what the error of intensities may be, where only the spread of the rates is known."""
    from aptnn_md.spectra.sources.members import relative_spread

    header = _first_header(paths)
    if not header.describes(options.estimator):
        return
    share = relative_spread(paths, target.rate_name, options.skip)
    if share is None:
        return
    factor = header.spread_factors.get(target.name)
    spread = f"the rates by its networks differ by {100.0 * share:.2g} % (rms)"
    if factor is None:
        error = "the committee is not calibrated, so that its error is not known"
    else:
        # an error of a rate changes its square by twice its component along the rate
        off = 2.0 * factor * share / len(target.rate_components) ** 0.5
        error = f"times {factor:.2g}, as calibrated: intensities are off by about {100 * off:.2g} %"
    print(f"model of tensors: {spread}; {error}")
