"""``aptnn-md spectrum compare``: several infrared spectra side by side."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from aptnn_md.cli import spectrum_bands, spectrum_options
from aptnn_md.cli.spectrum_page import (
    add_page_argument,
    check_page_argument,
    page_options,
    write_final_page,
)
from aptnn_md.errors import InputError
from aptnn_md.names import split_run
from aptnn_md.progress import log
from aptnn_md.provenance import command_line
from aptnn_md.spectra.options import CORRECTIONS, InfraredOptions

if TYPE_CHECKING:
    from aptnn_md.spectra import Difference, InfraredSpectrum

HELP = """\
Infrared spectra of different systems, methods or estimators side by side, with their bands and the
differences from the first one, all with standard errors. Each RUN is STREAM[,STREAM...] for
independent runs that belong together, followed by @ESTIMATOR for another estimator of Ṁ than the
first one of the stream. Streams of the same trajectory (two models beside one run, two estimators
of one stream) are found out, and get the much smaller error of the paired difference over the
frames that they have in common. --bands auto finds bands in the first spectrum, for whose volume
the sticks of --harmonic are, too. --quantum applies to classical nuclei; path integrals need no
correction."""

EXAMPLE = """\
  aptnn-md spectrum compare classical.zarr trpmd.zarr --names classical TRPMD \\
      --difference --plot comparison.png --experiment water
  aptnn-md spectrum compare trpmd.zarr trpmd.zarr@apt-at-centroid --difference --plot beads.png"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of comparisons."""
    parser.add_argument("runs", nargs="+", metavar="RUN", help="STREAM[,STREAM...][@ESTIMATOR]")
    parser.add_argument(
        "--names", nargs="+", metavar="NAME", help="of the runs; default: as they are given"
    )
    parser.add_argument(
        "--difference", action="store_true", help="also the differences from the first spectrum"
    )
    parser.add_argument(
        "--unpaired",
        action="store_true",
        help="take streams of the same trajectory as independent in differences",
    )
    spectrum_options.add_selection_arguments(parser)
    spectrum_options.add_regress_argument(parser)
    spectrum_options.add_resolution_arguments(parser)
    spectrum_options.add_output_arguments(parser)
    add_page_argument(parser)
    spectrum_options.add_quantum_argument(parser)
    spectrum_bands.add_band_arguments(parser)
    spectrum_options.add_band_table_argument(parser)
    spectrum_options.add_harmonic_argument(parser)


def run(arguments: argparse.Namespace) -> None:
    """Make the spectra, print their bands, write what was asked for."""
    from aptnn_md.spectra.infrared.comparison import comparison_report, write_comparison
    from aptnn_md.spectra.infrared.report import all_bands

    names = _names(arguments)
    check_page_argument(arguments)
    spectra = {
        name: _spectrum(text, arguments) for name, text in zip(names, arguments.runs, strict=True)
    }
    first = next(iter(spectra.values()))
    reference, curves = spectrum_bands.references(arguments)
    wavenumbers = spectrum_options.wavenumber_range(arguments)
    differences = _differences(spectra, arguments.unpaired) if arguments.difference else {}
    ranges = spectrum_bands.ranges_of(arguments, first.blocks, first.parts)
    sticks = spectrum_bands.sticks_of(first, arguments)
    for line in comparison_report(
        spectra,
        reference,
        ranges=ranges,
        curves=curves,
        baseline=arguments.baseline,
        differences=differences,
        sticks=sticks,
    ):
        print(line)
    if arguments.band_table:
        experiments = (reference, curves)
        bands = all_bands(spectra, ranges, experiments, arguments.baseline, sticks)
        spectrum_bands.write_band_table(arguments, bands, first.ordinate)
    if arguments.out:
        provenance = command_line()
        write_comparison(arguments.out, spectra, differences, wavenumbers, provenance)
        print(f"table: {arguments.out}")
    if arguments.plot:
        from aptnn_md.spectra.infrared.plot_comparison import draw_comparison

        draw_comparison(
            arguments.plot,
            spectra,
            differences=differences,
            reference=reference,
            curves=curves,
            wavenumbers=wavenumbers,
            sticks=sticks,
        )
        print(f"picture: {arguments.plot}")
    if arguments.html:
        from aptnn_md.spectra.page.comparison import comparison_page

        page = comparison_page(
            spectra,
            page_options(arguments),
            (reference, curves),
            ranges=ranges,
            baseline=arguments.baseline,
            differences=differences,
            sticks=sticks,
        )
        write_final_page(arguments, page)


def _names(arguments: argparse.Namespace) -> list[str]:
    names = list(arguments.names or arguments.runs)
    if len(names) != len(arguments.runs) or len(set(names)) != len(names):
        found = f"{', '.join(names)} for {len(arguments.runs)} runs"
        raise InputError("--names", "names", found, "a different one for each run")
    return names


def _spectrum(text: str, arguments: argparse.Namespace) -> InfraredSpectrum:
    from aptnn_md.spectra import corrected, spectrum_of_streams

    streams, estimator = split_run(text)
    options = spectrum_options.options_of(
        InfraredOptions, arguments, estimator=estimator or None, parts=False
    )
    spectrum = spectrum_of_streams(streams, options=options)
    if spectrum.n_beads > 1 and arguments.quantum != CORRECTIONS[0]:
        log.info(
            "%s: --quantum %s is not applied, because a path integral of %d beads needs no "
            "quantum correction",
            text,
            arguments.quantum,
            spectrum.n_beads,
        )
        return spectrum
    return corrected(spectrum, arguments.quantum)


def _differences(spectra: dict[str, InfraredSpectrum], unpaired: bool) -> dict[str, Difference]:
    from aptnn_md.spectra import difference

    (first, base), *others = spectra.items()
    paired = False if unpaired else None
    return {
        f"{name} - {first}": difference(base, spectrum, paired=paired) for name, spectrum in others
    }
