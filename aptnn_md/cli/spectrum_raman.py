"""``aptnn-md spectrum raman``: streams with polarizability rates to Raman spectra."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING

from aptnn_md.cli import spectrum_bands, spectrum_errors, spectrum_options
from aptnn_md.cli.settings_options import checked
from aptnn_md.cli.spectrum_follow import followed
from aptnn_md.cli.spectrum_page import (
    add_page_argument,
    check_page_argument,
    page_options,
    write_final_page,
)
from aptnn_md.errors import InputError
from aptnn_md.provenance import command_line
from aptnn_md.spectra.options import CONVERGENCE_RANGE, RamanOptions

if TYPE_CHECKING:
    from aptnn_md.spectra.analysis.error_parts import ErrorParts
    from aptnn_md.spectra.analysis.sticks import Sticks
    from aptnn_md.spectra.convergence.monitor import Convergence
    from aptnn_md.spectra.page.content import Page
    from aptnn_md.spectra.raman.spectrum import RamanSpectrum

HELP = """\
Raman spectra from streams of the polarizability rate: isotropic (45a²) and anisotropic (γ²), from
these polarised (VV, 45a² + 4γ²), depolarised (VH, 3γ²) and unpolarised (45a² + 7γ²) light and the
depolarisation ratio VH/VV, all with standard errors. The reduced form is an activity in each
wavenumber, Å⁴/amu per cm⁻¹: the integral of a harmonic line is its Raman activity. With --laser the
measured form is given, cross sections of Stokes scattering in cm²/sr per cm⁻¹. Several streams are
independent runs of one system; longer ones weigh more. The streams are those of runs with a model
that knows polarizability gradients: --model water-apt,water-pgt."""

EXAMPLE = """\
  aptnn-md spectrum raman run1.zarr run2.zarr --out raman.csv --plot raman.png
  aptnn-md spectrum raman run1.zarr --laser 532nm --bands stretch:2800-4000 --n-molecules 64
  aptnn-md spectrum raman crystal.zarr --components zz,xy --resolution 5"""


_DEFAULT = RamanOptions()


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of Raman spectra."""
    spectrum_options.add_stream_arguments(parser, volume=False)
    spectrum_options.add_signal_arguments(parser, "ȧ")
    parser.add_argument(
        "--components",
        type=_names,
        default=_DEFAULT.components,
        metavar="LIST",
        help="single components for oriented samples, e.g. zz,xy: 45 times the square of one "
        "element, in the frame of the stream",
    )
    parser.add_argument(
        "--n-molecules",
        type=checked(float),
        default=_DEFAULT.n_molecules,
        metavar="N",
        help=f"divide by the number of molecules in the system (default: {_DEFAULT.n_molecules:g})",
    )
    light = parser.add_argument_group("measured form")
    light.add_argument(
        "--laser",
        metavar="LIGHT",
        help="wavelength or wavenumber with its unit, 532nm or 18797cm-1: multiply by "
        "(ν0 − ν)⁴/ν/(1 − exp(−βħω)) for cross sections",
    )
    light.add_argument(
        "--photon-counting",
        action="store_true",
        help="the detector counts photons: ν0(ν0 − ν)³ instead of (ν0 − ν)⁴",
    )
    spectrum_options.add_quantum_argument(light)
    spectrum_options.add_resolution_arguments(parser)
    spectrum_options.add_output_arguments(parser)
    add_page_argument(parser)
    parser.add_argument("--netcdf", metavar="FILE", help="table and blocks of data, for xarray")
    parser.add_argument("--plot-parts", metavar="FILE", help="picture of groups and cross terms")
    spectrum_options.add_band_ranges_argument(parser)
    spectrum_options.add_harmonic_argument(parser)
    spectrum_errors.add_error_arguments(parser)


def run(arguments: argparse.Namespace) -> None:
    """Make the spectrum, print what was found, write what was asked for."""
    from aptnn_md.spectra.raman.netcdf import write_raman_netcdf
    from aptnn_md.spectra.raman.of_streams import RamanStreams
    from aptnn_md.spectra.raman.report import report_raman
    from aptnn_md.spectra.raman.scattering import laser_wavenumber
    from aptnn_md.spectra.raman.table import write_raman
    from aptnn_md.targets import PGT

    if arguments.photon_counting and not arguments.laser:
        raise InputError("--photon-counting", "laser", "none", "--laser, e.g. --laser 532nm")
    check_page_argument(arguments)
    if arguments.laser:
        laser_wavenumber(arguments.laser)  # refused before anything is computed
    reduced = _reduced(arguments)
    spectrum = _finished(reduced, arguments)
    sticks = _sticks(spectrum, arguments)
    ranges = _ranges(spectrum, arguments)
    for line in report_raman(spectrum, ranges, sticks):
        print(line)
    wavenumbers = spectrum_options.wavenumber_range(arguments)
    if arguments.out:
        write_raman(arguments.out, spectrum, wavenumbers, command_line())
        print(f"table: {arguments.out}")
    if arguments.netcdf:
        write_raman_netcdf(arguments.netcdf, spectrum, wavenumbers, command_line())
        print(f"NetCDF: {arguments.netcdf}")
    _draw(spectrum, arguments, sticks)
    options = spectrum_options.options_of(RamanOptions, arguments)
    errors = spectrum_errors.known_errors(reduced, RamanStreams, PGT, options, arguments)
    if arguments.html:
        write_final_page(arguments, _page(reduced, arguments, _history(arguments), errors))
    spectrum_errors.show_errors(errors, PGT, options, reduced.ordinate, arguments)


def _page(
    reduced: RamanSpectrum,
    arguments: argparse.Namespace,
    convergence: Sequence[Convergence],
    errors: ErrorParts | None = None,
) -> Page:
    """The page of a spectrum in the reduced form, for ``--html``."""
    from aptnn_md.spectra.page.raman import raman_page

    spectrum = _finished(reduced, arguments)
    return raman_page(
        spectrum,
        page_options(arguments, convergence, errors),
        ranges=_ranges(spectrum, arguments),
        sticks=_sticks(spectrum, arguments),
    )


def _history(arguments: argparse.Namespace) -> list[Convergence]:
    """How the error of 45a² + 7γ² fell with the length of the runs."""
    from aptnn_md.spectra.convergence.monitor import history_of_streams
    from aptnn_md.spectra.raman.of_streams import RamanStreams

    options = spectrum_options.options_of(RamanOptions, arguments, parts=False)
    wavenumbers = spectrum_options.wavenumber_range(arguments) or CONVERGENCE_RANGE
    return history_of_streams(RamanStreams(arguments.streams, options), wavenumbers)


def _finished(reduced: RamanSpectrum, arguments: argparse.Namespace) -> RamanSpectrum:
    """A spectrum of streams with its quantum correction, in the form that was asked for."""
    from aptnn_md.spectra.raman.scattering import (
        corrected_raman,
        cross_sections,
        laser_wavenumber,
    )

    spectrum = corrected_raman(reduced, arguments.quantum)
    if not arguments.laser:
        return spectrum
    laser = laser_wavenumber(arguments.laser)
    return cross_sections(spectrum, laser, arguments.photon_counting)


def _ranges(
    spectrum: RamanSpectrum, arguments: argparse.Namespace
) -> dict[str, tuple[float, float]] | None:
    """The bands that ``--bands`` asks for."""
    parts = {part: curves.unpolarised for part, curves in spectrum.parts.items()}
    return spectrum_bands.ranges_of(arguments, spectrum.blocks, parts)


def _draw(spectrum: RamanSpectrum, arguments: argparse.Namespace, sticks: Sticks | None) -> None:
    """Pictures of the spectrum and of its parts."""
    wavenumbers = spectrum_options.wavenumber_range(arguments)
    if arguments.plot:
        from aptnn_md.spectra.raman.plot import draw_raman

        draw_raman(arguments.plot, spectrum, wavenumbers=wavenumbers, sticks=sticks)
        print(f"picture: {arguments.plot}")
    if arguments.plot_parts:
        from aptnn_md.spectra.raman.plot import draw_raman_parts

        draw_raman_parts(arguments.plot_parts, spectrum, wavenumbers=wavenumbers)
        print(f"picture: {arguments.plot_parts}")


def _sticks(spectrum: RamanSpectrum, arguments: argparse.Namespace) -> Sticks | None:
    """What ``--harmonic`` says, in the form of the spectrum."""
    if arguments.harmonic is None:
        return None
    from aptnn_md.spectra.output.harmonic import read_harmonic
    from aptnn_md.spectra.raman.scattering import measured_sticks

    return measured_sticks(read_harmonic(arguments.harmonic).raman(), spectrum)


def _reduced(arguments: argparse.Namespace) -> RamanSpectrum:
    from aptnn_md.spectra.analysis.temperatures import said
    from aptnn_md.spectra.raman.of_streams import RamanStreams

    options = spectrum_options.options_of(RamanOptions, arguments)
    streams = RamanStreams(arguments.streams, options)
    if arguments.follow is not None:
        return followed(
            arguments,
            streams,
            lambda _: "integral of 45a² + 7γ² (Å⁴/amu)",
            lambda reduced, convergence: _page(reduced, arguments, convergence),
        )
    streams.read()
    return said(streams.spectrum())


def _names(text: str) -> tuple[str, ...]:
    """Names between commas."""
    return tuple(name for name in text.split(",") if name)
