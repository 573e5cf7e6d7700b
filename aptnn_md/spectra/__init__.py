"""Spectra from streams: infrared absorption and Raman scattering, absolute, with error bars.

:func:`infrared_spectrum` takes arrays of Ṁ, :func:`spectrum_of_streams` stream files; both give
an :class:`InfraredSpectrum`. From it follow :func:`quantities` (permittivity, refractive index,
absorption coefficient, ...), :func:`find_bands`, another quantum correction (:func:`corrected`)
and the :func:`difference` to another one. :func:`raman_spectrum` and :func:`raman_of_streams` give
a :class:`RamanSpectrum` of ȧ, :func:`measured` its cross sections for a laser.

Beneath are :func:`power_blocks`, densities and cross densities of any signals, and
:func:`correlations`, their functions of time, :func:`polarizability_dipole` that of ȧ with Ṁ;
``convergence`` looks at runs that go on.
:func:`report` and :func:`write_table`, for Raman :func:`report_raman` and :func:`write_raman`, show
what was found; pictures, which import matplotlib, are in the modules ``plot``, ``plot_raman``,
``plot_parts`` and ``plot_comparison``, NetCDF, which imports xarray, in ``netcdf``.
"""

from __future__ import annotations

from aptnn_md.spectra.analysis.band_table import band_table, part_table
from aptnn_md.spectra.analysis.bands import (
    REFERENCES,
    WATER,
    Band,
    Reference,
    ReferenceBand,
    bands_of_curve,
    find_bands,
)
from aptnn_md.spectra.analysis.comparison import Difference, difference, integral_difference
from aptnn_md.spectra.analysis.experiment import ReferenceCurve, read_reference
from aptnn_md.spectra.analysis.kramers_kronig import kramers_kronig
from aptnn_md.spectra.analysis.quantum import CORRECTIONS, corrected
from aptnn_md.spectra.estimation.correlation import Correlation, correlations
from aptnn_md.spectra.estimation.plan import SpectralPlan, plan_spectrum
from aptnn_md.spectra.estimation.power import PowerBlocks, power_blocks
from aptnn_md.spectra.infrared.dielectric import (
    QUANTITIES,
    OpticalConstants,
    Quantity,
    optical_constants,
    quantities,
    static_permittivity,
)
from aptnn_md.spectra.infrared.of_streams import StreamOptions, spectrum_of_streams
from aptnn_md.spectra.infrared.report import report
from aptnn_md.spectra.infrared.spectrum import InfraredSpectrum, SumRule, infrared_spectrum
from aptnn_md.spectra.infrared.table import read_table, write_table
from aptnn_md.spectra.raman.cross_correlation import (
    PolarizabilityDipole,
    polarizability_dipole,
    polarizability_dipole_of_streams,
)
from aptnn_md.spectra.raman.of_streams import raman_of_streams
from aptnn_md.spectra.raman.output import report_raman, write_raman
from aptnn_md.spectra.raman.scattering import corrected_raman, measured
from aptnn_md.spectra.raman.spectrum import RamanCurves, RamanSpectrum, raman_spectrum

__all__ = [
    "CORRECTIONS",
    "QUANTITIES",
    "REFERENCES",
    "WATER",
    "Band",
    "Correlation",
    "Difference",
    "InfraredSpectrum",
    "OpticalConstants",
    "PolarizabilityDipole",
    "PowerBlocks",
    "Quantity",
    "RamanCurves",
    "RamanSpectrum",
    "Reference",
    "ReferenceBand",
    "ReferenceCurve",
    "SpectralPlan",
    "StreamOptions",
    "SumRule",
    "band_table",
    "bands_of_curve",
    "corrected",
    "corrected_raman",
    "correlations",
    "difference",
    "find_bands",
    "infrared_spectrum",
    "integral_difference",
    "kramers_kronig",
    "measured",
    "optical_constants",
    "part_table",
    "plan_spectrum",
    "polarizability_dipole",
    "polarizability_dipole_of_streams",
    "power_blocks",
    "quantities",
    "raman_of_streams",
    "raman_spectrum",
    "read_reference",
    "read_table",
    "report",
    "report_raman",
    "spectrum_of_streams",
    "static_permittivity",
    "write_raman",
    "write_table",
]
