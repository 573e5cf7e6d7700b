"""``aptnn-md spectrum``: streams to spectra, one module ``spectrum_<kind>`` for each kind."""

from __future__ import annotations

import argparse
import importlib

HELP = """Spectra with absolute units and error bars from streams of rates, and harmonic spectra.
`aptnn-md spectrum KIND --help` explains a kind, with examples."""

EXAMPLE = """\
  aptnn-md spectrum ir run1.zarr run2.zarr --out ir.csv --plot ir.png --experiment water
  aptnn-md spectrum raman run.zarr --laser 532nm --plot raman.png
  aptnn-md spectrum normal-modes molecule.fchk"""

KINDS = {
    "ir": "infrared absorption",
    "raman": "Raman scattering, polarised and depolarised",
    "compare": "several infrared spectra side by side",
    "vdos": "velocity spectra of groups of atoms",
    "normal-modes": "harmonic vibrations, their infrared and Raman intensities",
}
"""Kind of spectrum -> one line of help.

The kind ``"normal-modes"`` is the module ``aptnn_md.cli.spectrum_normal_modes``; like a command,
it has ``HELP``, ``EXAMPLE``, ``add_arguments(parser)`` and ``run(arguments)``, and imports the
library inside ``run``.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add one parser for each kind of spectrum."""
    kinds = parser.add_subparsers(dest="kind", metavar="KIND", required=True)
    for name, help_line in KINDS.items():
        module = importlib.import_module(f"aptnn_md.cli.spectrum_{name.replace('-', '_')}")
        subparser = kinds.add_parser(
            name,
            help=help_line,
            description=module.HELP,
            epilog=f"example:\n{module.EXAMPLE}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        module.add_arguments(subparser)
        subparser.set_defaults(run_kind=module.run)


def run(arguments: argparse.Namespace) -> int | None:
    """Make the spectrum that was asked for."""
    result: int | None = arguments.run_kind(arguments)
    return result
