"""Options of ``aptnn-md spectrum`` for bands and experiments, and what they ask for."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from aptnn_md.cli import spectrum_options
from aptnn_md.cli.settings_options import checked
from aptnn_md.errors import InputError
from aptnn_md.progress import log
from aptnn_md.provenance import command_line
from aptnn_md.spectra.options import EXPERIMENTS

if TYPE_CHECKING:
    from aptnn_md.spectra import InfraredSpectrum, Reference, ReferenceCurve
    from aptnn_md.spectra.analysis.bands import Band
    from aptnn_md.spectra.analysis.sticks import Sticks
    from aptnn_md.spectra.estimation.power import PowerBlocks
    from aptnn_md.spectra.estimation.terms import Part
    from aptnn_md.spectra.output.ordinate import Ordinate

_AUTO = "auto"


def add_band_arguments(parser: argparse.ArgumentParser) -> None:
    """Bands, and experiments to compare them with."""
    bands = parser.add_argument_group("bands and experiments")
    bands.add_argument(
        "--experiment",
        choices=EXPERIMENTS,
        help="compare bands with an experiment, in the report and in the picture",
    )
    spectrum_options.add_band_ranges_argument(bands)
    bands.add_argument(
        "--baseline",
        action="store_true",
        help="measure bands above the straight line between the ends of their ranges",
    )
    bands.add_argument(
        "--reference",
        action="append",
        default=[],
        metavar="FILE",
        help="experimental curve to compare with: columns wavenumber and one of n_alpha, alpha "
        "and n, k and n, epsilon_imag; may be repeated",
    )
    bands.add_argument(
        "--reference-n",
        type=checked(float),
        metavar="N",
        help="refractive index far above all vibrations, for a curve without n",
    )


def references(
    arguments: argparse.Namespace,
) -> tuple[Reference | None, list[ReferenceCurve]]:
    """Experiments: bands that are known, and curves of the user."""
    from aptnn_md import spectra

    curves = [
        spectra.read_reference(path, n_infinity=arguments.reference_n)
        for path in arguments.reference
    ]
    reference = spectra.REFERENCES.get(arguments.experiment)
    if reference is not None and reference.curve is not None:
        curves.insert(0, reference.curve)
    return reference, curves


def ranges_of(
    arguments: argparse.Namespace, blocks: PowerBlocks, parts: Mapping[Part, PowerBlocks]
) -> dict[str, tuple[float, float]] | None:
    """The bands that ``--bands`` asks for; None where it is not given.

    Parameters
    ----------
    blocks, parts : the spectrum in which ``--bands auto`` finds peaks
    """
    from aptnn_md.spectra.analysis.peaks import NO_PEAKS, peak_ranges

    if tuple(arguments.bands) != (_AUTO,):
        return _band_ranges(arguments) if arguments.bands else None
    found = peak_ranges(blocks, parts)
    if not found:
        log.info("--bands auto: %s", NO_PEAKS)
    return found


def _band_ranges(arguments: argparse.Namespace) -> dict[str, tuple[float, float]]:
    """The ranges that ``--bands`` says.

    Raises
    ------
    InputError
        Not NAME:LOW-HIGH.
    """
    ranges = {}
    for text in arguments.bands:
        name, _, limits = text.rpartition(":")
        low, _, high = limits.partition("-")
        try:
            ranges[name or limits] = (float(low), float(high))
        except ValueError as error:
            expected = "NAME:LOW-HIGH, e.g. bend:1500-1800, or auto alone"
            raise InputError("--bands", "band", repr(text), expected) from error
    return ranges


def sticks_of(spectrum: InfraredSpectrum, arguments: argparse.Namespace) -> Sticks | None:
    """What ``--harmonic`` says, in the unit of the spectrum."""
    from aptnn_md.spectra.infrared.intensity import integral_of_molar

    if arguments.harmonic is None:
        return None
    from aptnn_md.spectra.output.harmonic import read_harmonic

    factor = integral_of_molar(spectrum.volume, arguments.n_molecules)
    return read_harmonic(arguments.harmonic).infrared(factor)


def write_band_table(
    arguments: argparse.Namespace, bands: Mapping[str, Sequence[Band]], ordinate: Ordinate
) -> None:
    """Write the file that ``--band-table`` names, and say so."""
    from aptnn_md.spectra.output.band_files import write_bands

    write_bands(arguments.band_table, bands, ordinate, command_line())
    print(f"bands: {arguments.band_table}")
