"""Options of the commands that run simulations: stop when the spectrum is good enough."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from aptnn_md.cli.settings_options import checked
from aptnn_md.spectra.options import CONVERGENCE_RANGE, InfraredOptions

_DEFAULT = InfraredOptions()

if TYPE_CHECKING:
    from aptnn_md.spectra.convergence.monitor import Monitor


def add_convergence_options(parser: argparse.ArgumentParser) -> None:
    """Add ``--until-converged`` and its settings."""
    add = parser.add_argument
    add(
        "--until-converged",
        type=checked(float),
        metavar="TOL",
        help="stop early when the relative standard error of the spectrum over --converge-range "
        "is below TOL, e.g. 0.05",
    )
    add(
        "--converge-range",
        type=checked(float),
        nargs=2,
        default=CONVERGENCE_RANGE,
        metavar=("LOW", "HIGH"),
        help="cm⁻¹ (default: {:g} {:g})".format(*CONVERGENCE_RANGE),
    )
    add(
        "--converge-resolution",
        type=checked(float),
        default=_DEFAULT.resolution,
        metavar="CM",
        help="of that spectrum, cm⁻¹ (%(default)s)",
    )
    add(
        "--converge-skip",
        type=checked(float),
        default=_DEFAULT.skip,
        metavar="PS",
        help="time to leave out at the beginning, ps (%(default)s)",
    )


def convergence_monitor(arguments: argparse.Namespace, stream: Path) -> Monitor | None:
    """The monitor of the run that writes ``stream``; None without ``--until-converged``."""
    if arguments.until_converged is None:
        return None
    from aptnn_md.spectra.convergence.monitor import Monitor

    low, high = arguments.converge_range
    options = InfraredOptions(
        resolution=arguments.converge_resolution, skip=arguments.converge_skip
    )
    return Monitor(stream, arguments.until_converged, (low, high), options)
