"""Spectra with absolute intensities and error bars: infrared, Raman, velocities.

Each of the three has a function of arrays and one of stream files, and its settings in one frozen
dataclass:

========  ===============================  =========================================
infrared  :func:`infrared_spectrum`        :func:`spectrum_of_streams`
          :class:`InfraredOptions`         gives an :class:`InfraredSpectrum`
Raman     :func:`raman_spectrum`           :func:`raman_of_streams`
          :class:`RamanOptions`            gives a :class:`RamanSpectrum`
velocity  :func:`velocity_spectrum`        :func:`velocity_spectrum_of_streams`
          :class:`VelocityOptions`         gives a :class:`VelocitySpectrum`
========  ===============================  =========================================

From an infrared spectrum follow :func:`quantities` (permittivity, refractive index, absorption
coefficient, ...), :func:`find_bands` in given ranges or in those of
:func:`peak_ranges`, another quantum correction (:func:`corrected`) and the
:func:`difference` from another one, paired where both are of the same trajectory; from a Raman
spectrum, the :func:`cross_sections` for a laser.
:func:`report` and :func:`write_table`, :func:`report_raman` and :func:`write_raman`,
:func:`report_velocities` and :func:`write_velocities` show what was found. Pictures need matplotlib
and are in the modules ``plot`` of each kind; NetCDF needs xarray and is in the modules ``netcdf``.

Underneath are :func:`power_blocks`, densities and cross densities of any signals, and
:func:`correlations`, their functions of time; :func:`polarizability_dipole` is that of ȧ with Ṁ.

Rooms, from the ground: ``options``, ``estimation``, ``sources``, ``analysis``, ``output``, then
``infrared``, ``raman`` and ``velocities``, then ``convergence``, which watches runs as they grow,
and ``page``, which shows all of it in a browser.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aptnn_md.spectra.analysis.bands import Band, bands_of_curve, find_bands
    from aptnn_md.spectra.analysis.experiment import ReferenceCurve, read_reference
    from aptnn_md.spectra.analysis.kramers_kronig import kramers_kronig
    from aptnn_md.spectra.analysis.liquids import REFERENCES
    from aptnn_md.spectra.analysis.peaks import Peak, find_peaks, peak_ranges
    from aptnn_md.spectra.analysis.reference_bands import WATER, Reference, ReferenceBand
    from aptnn_md.spectra.analysis.sticks import Sticks, bands_of_sticks
    from aptnn_md.spectra.estimation.correlation import Correlation, correlations
    from aptnn_md.spectra.estimation.plan import SpectralPlan, plan_spectrum
    from aptnn_md.spectra.estimation.power import PowerBlocks
    from aptnn_md.spectra.estimation.runs import power_blocks
    from aptnn_md.spectra.infrared.comparison import Difference, difference, integral_difference
    from aptnn_md.spectra.infrared.corrections import corrected
    from aptnn_md.spectra.infrared.dielectric import (
        QUANTITIES,
        OpticalConstants,
        Quantity,
        optical_constants,
        quantities,
        static_permittivity,
    )
    from aptnn_md.spectra.infrared.of_streams import spectrum_of_streams
    from aptnn_md.spectra.infrared.report import report
    from aptnn_md.spectra.infrared.spectrum import InfraredSpectrum, SumRule, infrared_spectrum
    from aptnn_md.spectra.infrared.table import write_table
    from aptnn_md.spectra.options import CORRECTIONS, InfraredOptions, RamanOptions, VelocityOptions
    from aptnn_md.spectra.output.band_files import write_bands
    from aptnn_md.spectra.output.band_table import band_table, part_table
    from aptnn_md.spectra.output.columns import read_table
    from aptnn_md.spectra.output.harmonic import HarmonicModes, read_harmonic
    from aptnn_md.spectra.output.ordinate import MOLAR_ABSORPTION, N_ALPHA, Ordinate
    from aptnn_md.spectra.raman.cross_correlation import (
        PolarizabilityDipole,
        polarizability_dipole,
        polarizability_dipole_of_streams,
    )
    from aptnn_md.spectra.raman.curves import RamanCurves
    from aptnn_md.spectra.raman.of_streams import raman_of_streams
    from aptnn_md.spectra.raman.report import report_raman
    from aptnn_md.spectra.raman.scattering import corrected_raman, cross_sections
    from aptnn_md.spectra.raman.spectrum import RamanSpectrum, raman_spectrum
    from aptnn_md.spectra.raman.table import write_raman
    from aptnn_md.spectra.velocities.of_streams import velocity_spectrum_of_streams
    from aptnn_md.spectra.velocities.report import report_velocities
    from aptnn_md.spectra.velocities.spectrum import VelocitySpectrum, velocity_spectrum
    from aptnn_md.spectra.velocities.table import write_velocities

_MODULE_OF = {
    "CORRECTIONS": "options",
    "QUANTITIES": "infrared.dielectric",
    "REFERENCES": "analysis.liquids",
    "WATER": "analysis.reference_bands",
    "Band": "analysis.bands",
    "Correlation": "estimation.correlation",
    "Difference": "infrared.comparison",
    "HarmonicModes": "output.harmonic",
    "InfraredOptions": "options",
    "InfraredSpectrum": "infrared.spectrum",
    "MOLAR_ABSORPTION": "output.ordinate",
    "N_ALPHA": "output.ordinate",
    "OpticalConstants": "infrared.dielectric",
    "Ordinate": "output.ordinate",
    "Peak": "analysis.peaks",
    "PolarizabilityDipole": "raman.cross_correlation",
    "PowerBlocks": "estimation.power",
    "Quantity": "infrared.dielectric",
    "RamanCurves": "raman.curves",
    "RamanOptions": "options",
    "RamanSpectrum": "raman.spectrum",
    "Reference": "analysis.reference_bands",
    "ReferenceBand": "analysis.reference_bands",
    "ReferenceCurve": "analysis.experiment",
    "SpectralPlan": "estimation.plan",
    "Sticks": "analysis.sticks",
    "SumRule": "infrared.spectrum",
    "VelocityOptions": "options",
    "VelocitySpectrum": "velocities.spectrum",
    "band_table": "output.band_table",
    "bands_of_curve": "analysis.bands",
    "bands_of_sticks": "analysis.sticks",
    "corrected": "infrared.corrections",
    "corrected_raman": "raman.scattering",
    "correlations": "estimation.correlation",
    "cross_sections": "raman.scattering",
    "difference": "infrared.comparison",
    "find_bands": "analysis.bands",
    "find_peaks": "analysis.peaks",
    "infrared_spectrum": "infrared.spectrum",
    "integral_difference": "infrared.comparison",
    "kramers_kronig": "analysis.kramers_kronig",
    "optical_constants": "infrared.dielectric",
    "part_table": "output.band_table",
    "peak_ranges": "analysis.peaks",
    "plan_spectrum": "estimation.plan",
    "polarizability_dipole": "raman.cross_correlation",
    "polarizability_dipole_of_streams": "raman.cross_correlation",
    "power_blocks": "estimation.runs",
    "quantities": "infrared.dielectric",
    "raman_of_streams": "raman.of_streams",
    "raman_spectrum": "raman.spectrum",
    "read_harmonic": "output.harmonic",
    "read_reference": "analysis.experiment",
    "read_table": "output.columns",
    "report": "infrared.report",
    "report_raman": "raman.report",
    "report_velocities": "velocities.report",
    "spectrum_of_streams": "infrared.of_streams",
    "static_permittivity": "infrared.dielectric",
    "velocity_spectrum": "velocities.spectrum",
    "velocity_spectrum_of_streams": "velocities.of_streams",
    "write_bands": "output.band_files",
    "write_raman": "raman.table",
    "write_table": "infrared.table",
    "write_velocities": "velocities.table",
}
"""Name -> module of this package that defines it."""

__all__ = [
    "CORRECTIONS",
    "MOLAR_ABSORPTION",
    "N_ALPHA",
    "QUANTITIES",
    "REFERENCES",
    "WATER",
    "Band",
    "Correlation",
    "Difference",
    "HarmonicModes",
    "InfraredOptions",
    "InfraredSpectrum",
    "OpticalConstants",
    "Ordinate",
    "Peak",
    "PolarizabilityDipole",
    "PowerBlocks",
    "Quantity",
    "RamanCurves",
    "RamanOptions",
    "RamanSpectrum",
    "Reference",
    "ReferenceBand",
    "ReferenceCurve",
    "SpectralPlan",
    "Sticks",
    "SumRule",
    "VelocityOptions",
    "VelocitySpectrum",
    "band_table",
    "bands_of_curve",
    "bands_of_sticks",
    "corrected",
    "corrected_raman",
    "correlations",
    "cross_sections",
    "difference",
    "find_bands",
    "find_peaks",
    "infrared_spectrum",
    "integral_difference",
    "kramers_kronig",
    "optical_constants",
    "part_table",
    "peak_ranges",
    "plan_spectrum",
    "polarizability_dipole",
    "polarizability_dipole_of_streams",
    "power_blocks",
    "quantities",
    "raman_of_streams",
    "raman_spectrum",
    "read_harmonic",
    "read_reference",
    "read_table",
    "report",
    "report_raman",
    "report_velocities",
    "spectrum_of_streams",
    "static_permittivity",
    "velocity_spectrum",
    "velocity_spectrum_of_streams",
    "write_bands",
    "write_raman",
    "write_table",
    "write_velocities",
]


def __getattr__(name: str) -> object:
    # an option's default must not cost the import of all that computes
    if name in _MODULE_OF:
        return getattr(importlib.import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
