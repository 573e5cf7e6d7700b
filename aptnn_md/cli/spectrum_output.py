"""Options of ``aptnn-md spectrum`` for tables, pictures and quantities, and their output."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from aptnn_md.cli import spectrum_bands, spectrum_options
from aptnn_md.cli.settings_options import checked
from aptnn_md.cli.spectrum_page import page_options, write_final_page
from aptnn_md.provenance import command_line
from aptnn_md.spectra.options import CONVERGENCE_RANGE, InfraredOptions

if TYPE_CHECKING:
    from aptnn_md.spectra import InfraredSpectrum, Quantity
    from aptnn_md.spectra.analysis.error_parts import ErrorParts
    from aptnn_md.spectra.analysis.sticks import Sticks
    from aptnn_md.spectra.convergence.monitor import Convergence
    from aptnn_md.spectra.infrared.report import Experiments
    from aptnn_md.spectra.page.content import Page

_ALL = "all"


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
    spectrum_bands.add_band_arguments(parser)
    spectrum_options.add_harmonic_argument(files)


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
    spectrum_options.add_quantum_argument(quantities)


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
    reference, curves = spectrum_bands.references(arguments)
    sticks = spectrum_bands.sticks_of(spectrum, arguments)
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
        spectrum_bands.references(arguments),
        ranges=spectrum_bands.ranges_of(arguments, spectrum.blocks, spectrum.parts),
        baseline=arguments.baseline,
        sticks=spectrum_bands.sticks_of(spectrum, arguments),
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

    ranges, baseline = (
        spectrum_bands.ranges_of(arguments, spectrum.blocks, spectrum.parts),
        arguments.baseline,
    )
    reference, curves = experiments
    shown = report(
        spectrum, reference, ranges=ranges, curves=curves, baseline=baseline, sticks=sticks
    )
    for line in shown:
        print(line)
    if arguments.band_table:
        bands = all_bands({SIMULATION: spectrum}, ranges, experiments, baseline, sticks)
        spectrum_bands.write_band_table(arguments, bands, spectrum.ordinate)


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
