"""Options that the kinds of ``aptnn-md spectrum`` share."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, TypedDict

if TYPE_CHECKING:
    from aptnn_md.spectra.sources.stream_signal import StreamOptions


def add_stream_arguments(parser: argparse.ArgumentParser, volume: bool = True) -> None:
    """The streams, and what of them is used."""
    parser.add_argument("streams", nargs="+", metavar="STREAM", help="stream directories")
    add_selection_arguments(parser, volume)


def add_selection_arguments(parser: argparse.ArgumentParser, volume: bool = True) -> None:
    """What of streams is used, and under which conditions they were made."""
    parser.add_argument(
        "--skip",
        type=float,
        default=0.0,
        metavar="PS",
        help="time to leave out at the beginning of each stream, ps (default: 0)",
    )
    parser.add_argument(
        "--temperature", type=float, metavar="K", help="default: what the streams say"
    )
    if volume:
        parser.add_argument(
            "--volume",
            type=float,
            metavar="A3",
            help="volume of the cell, Å³; default: as the streams",
        )


def add_signal_arguments(parser: argparse.ArgumentParser, quantity: str) -> None:
    """Estimator, groups and following of what streams hold.

    Parameters
    ----------
    quantity : its symbol
    """
    parser.add_argument(
        "--estimator",
        metavar="NAME",
        help=f"estimator of {quantity}; default: the first one",
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


def stream_options(arguments: argparse.Namespace) -> StreamOptions:
    """What of the streams is used, and how."""
    from aptnn_md.spectra.sources.stream_signal import StreamOptions

    return StreamOptions(
        resolution=arguments.resolution,
        temperature=arguments.temperature,
        volume=getattr(arguments, "volume", None),
        estimator=arguments.estimator,
        skip=arguments.skip,
        merge=tuple(arguments.merge),
        molecules=arguments.molecules,
        mix=arguments.mix_conditions,
        **method(arguments),
    )


def add_resolution_arguments(parser: argparse.ArgumentParser) -> None:
    """How the spectrum is computed."""
    parser.add_argument(
        "--resolution",
        type=float,
        default=20.0,
        metavar="CM",
        help="full width at half maximum of a line without width, cm⁻¹ (default: 20)",
    )
    parser.add_argument(
        "--method",
        default="welch",
        metavar="NAME",
        help="welch (default) or blackman-tukey; the lengths of segments or lags follow from the "
        "resolution and are reported",
    )
    parser.add_argument(
        "--window",
        default="hann",
        metavar="NAME",
        help="hann (default), gaussian, blackman-harris or none",
    )
    parser.add_argument(
        "--biased",
        action="store_true",
        help="blackman-tukey: divide correlations by the number of frames, not of their terms",
    )


class Method(TypedDict):
    """How a spectrum is computed; see :class:`aptnn_md.spectra.estimation.plan.SpectralPlan`."""

    method: str
    window: str
    unbiased: bool


def method(arguments: argparse.Namespace) -> Method:
    """What ``--method``, ``--window`` and ``--biased`` say."""
    return Method(method=arguments.method, window=arguments.window, unbiased=not arguments.biased)


def add_output_arguments(parser: argparse.ArgumentParser) -> None:
    """What is written."""
    parser.add_argument("--out", metavar="CSV", help="table of the spectrum to write")
    parser.add_argument(
        "--plot",
        metavar="FILE",
        help="picture to write; the suffix says the format (png, pdf, svg)",
    )
    parser.add_argument(
        "--range",
        type=float,
        nargs=2,
        metavar=("LOW", "HIGH"),
        dest="wavenumbers",
        help="wavenumbers to write and draw, cm⁻¹; default: all there are, all that absorb",
    )


def add_band_ranges_argument(parser: argparse._ActionsContainer) -> None:
    """Bands to measure."""
    parser.add_argument(
        "--bands",
        nargs="+",
        default=(),
        metavar="NAME:LOW-HIGH",
        help="bands to measure, cm⁻¹, e.g. bend:1500-1800",
    )


def wavenumber_range(arguments: argparse.Namespace) -> tuple[float, float] | None:
    """What ``--range`` says."""
    return tuple(arguments.wavenumbers) if arguments.wavenumbers else None
