"""Options that the kinds of ``aptnn-md spectrum`` share."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from dataclasses import fields
from typing import Any

from aptnn_md.cli.settings_options import checked
from aptnn_md.settings import NewPath
from aptnn_md.spectra.options import (
    CORRECTIONS,
    METHODS,
    WINDOWS,
    Options,
    RateOptions,
    SpectrumOptions,
)

_DEFAULT = SpectrumOptions()
_RATE_DEFAULT = RateOptions()


def add_stream_arguments(parser: argparse.ArgumentParser, volume: bool = True) -> None:
    """The streams, and what of them is used."""
    parser.add_argument("streams", nargs="+", metavar="STREAM", help="stream directories")
    add_selection_arguments(parser, volume)


def add_selection_arguments(parser: argparse.ArgumentParser, volume: bool = True) -> None:
    """What of streams is used, and under which conditions they were made."""
    parser.add_argument(
        "--skip",
        type=checked(float),
        default=_DEFAULT.skip,
        metavar="PS",
        help=f"time to leave out at the beginning of each stream, ps (default: {_DEFAULT.skip:g})",
    )
    parser.add_argument(
        "--temperature",
        type=checked(float),
        default=_DEFAULT.temperature,
        metavar="K",
        help="default: as in the streams",
    )
    if volume:
        parser.add_argument(
            "--volume",
            type=checked(float),
            metavar="A3",
            help="volume of the cell, Å³; default: as in the streams; of a system without one the "
            "molar absorption is given, km/mol per cm⁻¹",
        )
        parser.add_argument(
            "--n-molecules",
            type=checked(float),
            metavar="N",
            help="molecules in the system: for --quantities molar-absorption, and to divide the "
            "molar absorption of a cluster, which has no volume, by their number",
        )


def add_signal_arguments(parser: argparse.ArgumentParser, quantity: str) -> None:
    """Estimator, groups and following of what streams hold.

    Parameters
    ----------
    quantity : its symbol
    """
    parser.add_argument(
        "--estimator",
        default=_RATE_DEFAULT.estimator,
        metavar="NAME",
        help=f"estimator of {quantity}; default: the first one",
    )
    parser.add_argument(
        "--merge",
        nargs="+",
        default=_DEFAULT.merge,
        metavar="RULE",
        help="merge groups by their labels: motion, group, kind, all, or NAME=PATTERN, "
        "e.g. 'ions=Cl*'",
    )
    parser.add_argument(
        "--molecules",
        action="store_true",
        default=_RATE_DEFAULT.molecules,
        help="intramolecular and intermolecular parts, of streams with molecules as groups",
    )
    parser.add_argument(
        "--mix-conditions",
        action="store_true",
        dest="mix",
        default=_RATE_DEFAULT.mix,
        help="accept streams at different temperatures or volumes; each counts with its own",
    )
    add_regress_argument(parser)
    parser.add_argument(
        "--follow",
        type=checked(float),
        nargs="?",
        const=10.0,
        metavar="SECONDS",
        help="compute again every so many seconds (default: 10) while the runs continue, and "
        "print how the error falls, over --range or 0-4000 cm⁻¹; at the end, or on Ctrl-C, "
        "print and write everything else",
    )


def add_regress_argument(parser: argparse.ArgumentParser) -> None:
    """Whether runs of a molecule are weighed."""
    parser.add_argument(
        "--regress",
        action=argparse.BooleanOptionalAction,
        default=_RATE_DEFAULT.regress,
        help="weigh twelve or more runs of a molecule at constant energy so that its bonds, "
        "angles, torsions and rotations have the kinetic energies that they have on average, as "
        "far as that tells something of the spectrum, and the streams hold these",
    )


def options_of(kind: type[Options], arguments: argparse.Namespace, **changes: Any) -> Options:
    """The settings of a spectrum that the command line gives.

    Parameters
    ----------
    kind : of the settings; arguments have the names of its fields
    changes : other fields by name
    """
    given = {
        field.name: getattr(arguments, field.name)
        for field in fields(kind)
        if hasattr(arguments, field.name)
    }
    return kind(**{**given, **changes})


def add_resolution_arguments(parser: argparse.ArgumentParser) -> None:
    """How the spectrum is computed."""
    parser.add_argument(
        "--resolution",
        type=checked(float),
        default=_DEFAULT.resolution,
        metavar="CM",
        help="full width at half maximum of an infinitely narrow line, cm⁻¹ "
        f"(default: {_DEFAULT.resolution:g})",
    )
    parser.add_argument(
        "--method",
        default=_DEFAULT.method,
        metavar="NAME",
        help=f"{listed(METHODS, _DEFAULT.method)}; the lengths of segments or lags follow from "
        "the resolution and are reported",
    )
    parser.add_argument(
        "--window",
        default=_DEFAULT.window,
        metavar="NAME",
        help=listed(WINDOWS, _DEFAULT.window),
    )
    parser.add_argument(
        "--biased",
        action="store_false",
        dest="unbiased",
        default=_DEFAULT.unbiased,
        help="blackman-tukey: divide correlations by the number of frames, not of their terms",
    )


def listed(names: Iterable[str], default: str) -> str:
    """Names for a help text, the default marked."""
    *first, last = [f"{name} (default)" if name == default else name for name in names]
    return f"{', '.join(first)} or {last}"


def add_output_arguments(parser: argparse.ArgumentParser) -> None:
    """What is written."""
    parser.add_argument(
        "--out", type=checked(NewPath), metavar="CSV", help="table of the spectrum to write"
    )
    parser.add_argument(
        "--plot",
        type=checked(NewPath),
        metavar="FILE",
        help="picture to write; the suffix says the format (png, pdf, svg)",
    )
    parser.add_argument(
        "--range",
        type=checked(float),
        nargs=2,
        metavar=("LOW", "HIGH"),
        dest="wavenumbers",
        help="wavenumbers to write and draw, cm⁻¹; default: all of them in tables, those that "
        "absorb in pictures",
    )


def add_band_ranges_argument(parser: argparse._ActionsContainer) -> None:
    """Bands to measure."""
    parser.add_argument(
        "--bands",
        nargs="+",
        default=(),
        metavar="NAME:LOW-HIGH",
        help="bands to measure, cm⁻¹, e.g. bend:1500-1800, or auto for all peaks that rise above "
        "the noise, which is the default for molecules, systems without a volume",
    )


def add_band_table_argument(parser: argparse._ActionsContainer) -> None:
    """A file of the bands."""
    parser.add_argument(
        "--band-table", metavar="FILE", help="bands with their errors to write, as CSV or .json"
    )


def add_harmonic_argument(parser: argparse._ActionsContainer) -> None:
    """A harmonic calculation beside the spectrum."""
    parser.add_argument(
        "--harmonic",
        metavar="MODES",
        help="modes that spectrum normal-modes wrote by --out: drawn as sticks over the curve, on "
        "an axis of their own, and summed in each band; of one molecule where --n-molecules is "
        "given, else of the whole system",
    )


def wavenumber_range(arguments: argparse.Namespace) -> tuple[float, float] | None:
    """What ``--range`` says."""
    return tuple(arguments.wavenumbers) if arguments.wavenumbers else None


def add_quantum_argument(parser: argparse._ActionsContainer) -> None:
    """The quantum correction."""
    parser.add_argument(
        "--quantum",
        default=CORRECTIONS[0],
        metavar="NAME",
        help="quantum correction of classical nuclei: " + listed(CORRECTIONS, CORRECTIONS[0]),
    )
