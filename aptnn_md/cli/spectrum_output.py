"""Options of ``aptnn-md spectrum`` for tables, pictures and quantities, and their output."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from aptnn_md.cli import spectrum_options
from aptnn_md.cli.settings_options import checked
from aptnn_md.cli.spectrum_page import page_options, write_final_page
from aptnn_md.errors import InputError
from aptnn_md.progress import log
from aptnn_md.provenance import command_line
from aptnn_md.spectra.options import CONVERGENCE_RANGE, CORRECTIONS, EXPERIMENTS, InfraredOptions

if TYPE_CHECKING:
    from aptnn_md.spectra import InfraredSpectrum, Quantity, Reference, ReferenceCurve
    from aptnn_md.spectra.analysis.bands import Band
    from aptnn_md.spectra.analysis.error_parts import ErrorParts
    from aptnn_md.spectra.analysis.sticks import Sticks
    from aptnn_md.spectra.convergence.monitor import Convergence
    from aptnn_md.spectra.estimation.power import PowerBlocks
    from aptnn_md.spectra.estimation.terms import Part
    from aptnn_md.spectra.infrared.report import Experiments
    from aptnn_md.spectra.output.ordinate import Ordinate
    from aptnn_md.spectra.page.content import Page

_ALL, _AUTO = "all", "auto"


def add_output_arguments(parser: argparse.ArgumentParser) -> None:
    """What is written of one spectrum."""
    spectrum_options.add_output_arguments(parser)
    files = parser.add_argument_group("more output")
    files.add_argument(
        "--netcdf", metavar="FILE", help="the table and the blocks of the data, for xarray"
    )
    files.add_argument("--plot-parts", metavar="FILE", help="picture of groups and cross terms")
    files.add_argument("--plot-quantities", metavar="FILE", help="picture of the quantities")
    files.add_argument(
        "--plot-convergence", metavar="FILE", help="picture of the error against the length"
    )
    spectrum_options.add_band_table_argument(files)
    _add_quantity_arguments(parser)
    add_band_arguments(parser)
    spectrum_options.add_harmonic_argument(files)


def add_quantum_argument(parser: argparse._ActionsContainer) -> None:
    """The quantum correction."""
    parser.add_argument(
        "--quantum",
        default=CORRECTIONS[0],
        metavar="NAME",
        help="quantum correction of classical nuclei: "
        + spectrum_options.listed(CORRECTIONS, CORRECTIONS[0]),
    )


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


def _add_quantity_arguments(parser: argparse.ArgumentParser) -> None:
    quantities = parser.add_argument_group("quantities that follow from n·α")
    quantities.add_argument(
        "--quantities",
        nargs="+",
        default=(),
        metavar="NAME",
        help="epsilon-real, epsilon-imag, n, kappa, alpha (neperian), decadic-alpha, conductivity, "
        "molar-absorption (decadic), or all",
    )
    quantities.add_argument(
        "--epsilon-infinity",
        type=checked(float),
        metavar="E",
        help="permittivity of the electrons, n² of visible light; default: 1",
    )
    add_quantum_argument(quantities)


def show(
    spectrum: InfraredSpectrum,
    arguments: argparse.Namespace,
    options: InfraredOptions,
    errors: ErrorParts | None = None,
) -> None:
    """Print the report of a spectrum and write what was asked for.

    Parameters
    ----------
    options : with which the spectrum was made, for its convergence
    errors : of the spectrum by their origin, for its page
    """
    from aptnn_md import spectra

    uncorrected = spectrum
    spectrum, quantities = _finished(spectrum, arguments)
    reference, curves = references(arguments)
    sticks = sticks_of(spectrum, arguments)
    _show_bands(spectrum, arguments, (reference, curves), sticks)
    wavenumbers = spectrum_options.wavenumber_range(arguments)
    provenance = command_line()
    if arguments.out:
        spectra.write_table(arguments.out, spectrum, wavenumbers, provenance, quantities)
        print(f"table: {arguments.out}")
    if arguments.netcdf:
        from aptnn_md.spectra.infrared.netcdf import write_netcdf

        write_netcdf(arguments.netcdf, spectrum, wavenumbers, provenance, quantities)
        print(f"NetCDF: {arguments.netcdf}")
    if arguments.plot:
        from aptnn_md.spectra.infrared.plot import draw_spectrum

        draw_spectrum(
            arguments.plot,
            spectrum,
            reference=reference,
            curves=curves,
            wavenumbers=wavenumbers,
            sticks=sticks,
        )
        print(f"picture: {arguments.plot}")
    _draw_more(spectrum, quantities, arguments, options)
    if arguments.html:
        from aptnn_md.spectra.convergence.monitor import history

        points = history(arguments.streams, options, wavenumbers or CONVERGENCE_RANGE)
        write_final_page(arguments, page(uncorrected, arguments, points, errors))


def page(
    spectrum: InfraredSpectrum,
    arguments: argparse.Namespace,
    convergence: Sequence[Convergence],
    errors: ErrorParts | None = None,
) -> Page:
    """The page of a spectrum of streams, for ``--html``.

    Parameters
    ----------
    spectrum : before quantum corrections
    convergence : of the runs
    errors : of the spectrum by their origin
    """
    from aptnn_md.spectra.page.infrared import infrared_page

    spectrum, quantities = _finished(spectrum, arguments)
    return infrared_page(
        spectrum,
        page_options(arguments, convergence, errors),
        references(arguments),
        ranges=ranges_of(arguments, spectrum.blocks, spectrum.parts),
        baseline=arguments.baseline,
        sticks=sticks_of(spectrum, arguments),
        quantities=quantities,
    )


def _finished(
    spectrum: InfraredSpectrum, arguments: argparse.Namespace
) -> tuple[InfraredSpectrum, list[Quantity]]:
    """A spectrum of streams with its quantum correction, and what follows from it."""
    from aptnn_md import spectra

    return _quantities(spectra.corrected(spectrum, arguments.quantum), arguments)


def _show_bands(
    spectrum: InfraredSpectrum,
    arguments: argparse.Namespace,
    experiments: Experiments,
    sticks: Sticks | None,
) -> None:
    """The report, with the table of bands, and the file of the latter."""
    from aptnn_md.spectra.infrared.report import SIMULATION, all_bands, report

    ranges, baseline = ranges_of(arguments, spectrum.blocks, spectrum.parts), arguments.baseline
    reference, curves = experiments
    shown = report(
        spectrum, reference, ranges=ranges, curves=curves, baseline=baseline, sticks=sticks
    )
    for line in shown:
        print(line)
    if arguments.band_table:
        bands = all_bands({SIMULATION: spectrum}, ranges, experiments, baseline, sticks)
        write_band_table(arguments, bands, spectrum.ordinate)


def write_band_table(
    arguments: argparse.Namespace, bands: Mapping[str, Sequence[Band]], ordinate: Ordinate
) -> None:
    """Write the file that ``--band-table`` names, and say so."""
    from aptnn_md.spectra.output.band_files import write_bands

    write_bands(arguments.band_table, bands, ordinate, command_line())
    print(f"bands: {arguments.band_table}")


def _draw_more(
    spectrum: InfraredSpectrum,
    quantities: list[Quantity],
    arguments: argparse.Namespace,
    options: InfraredOptions,
) -> None:
    """Pictures of parts, quantities and convergence."""
    wavenumbers = spectrum_options.wavenumber_range(arguments)
    if arguments.plot_parts:
        from aptnn_md.spectra.infrared.plot import draw_parts

        draw_parts(arguments.plot_parts, spectrum, wavenumbers=wavenumbers)
        print(f"picture: {arguments.plot_parts}")
    if arguments.plot_quantities:
        from aptnn_md.spectra.infrared.plot import draw_quantities

        draw_quantities(arguments.plot_quantities, spectrum, quantities, wavenumbers=wavenumbers)
        print(f"picture: {arguments.plot_quantities}")
    if arguments.plot_convergence:
        from aptnn_md.spectra.convergence.monitor import history
        from aptnn_md.spectra.convergence.plot import draw_convergence

        low, high = wavenumbers or CONVERGENCE_RANGE
        points = history(arguments.streams, options, (low, high))
        subject = f"{low:g} to {high:g} cm$^{{-1}}$"
        draw_convergence(
            arguments.plot_convergence,
            {"simulation": points},
            subject=subject,
            quantity=spectrum.ordinate.symbol,
        )
        print(f"picture: {arguments.plot_convergence}")


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
        return band_ranges(arguments) if arguments.bands else None
    found = peak_ranges(blocks, parts)
    if not found:
        log.info("--bands auto: %s", NO_PEAKS)
    return found


def sticks_of(spectrum: InfraredSpectrum, arguments: argparse.Namespace) -> Sticks | None:
    """What ``--harmonic`` says, in the unit of the spectrum."""
    from aptnn_md.spectra.infrared.intensity import integral_of_molar

    if arguments.harmonic is None:
        return None
    from aptnn_md.spectra.output.harmonic import read_harmonic

    factor = integral_of_molar(spectrum.volume, arguments.n_molecules)
    return read_harmonic(arguments.harmonic).infrared(factor)


def band_ranges(arguments: argparse.Namespace) -> dict[str, tuple[float, float]]:
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


def _quantities(
    spectrum: InfraredSpectrum, arguments: argparse.Namespace
) -> tuple[InfraredSpectrum, list[Quantity]]:
    """Quantities, and the spectrum with notes on how they were made."""
    from aptnn_md import spectra
    from aptnn_md.spectra.infrared.dielectric import OF_MOLECULES, permittivity_note

    names = list(arguments.quantities)
    if names == [_ALL]:
        names = list(spectra.QUANTITIES)
        if spectrum.volume is None:
            names = list(OF_MOLECULES)
        elif arguments.n_molecules is None:
            names.remove("molar-absorption")
    if not names:
        return spectrum, []
    epsilon_infinity = arguments.epsilon_infinity or 1.0
    found = spectra.quantities(
        spectrum, names, epsilon_infinity=epsilon_infinity, n_molecules=arguments.n_molecules
    )
    if spectrum.volume is None:
        return spectrum, found
    note = permittivity_note(spectrum, arguments.epsilon_infinity)
    return replace(spectrum, notes=(*spectrum.notes, note)), found
