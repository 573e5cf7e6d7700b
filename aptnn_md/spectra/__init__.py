"""Spectra from streams: infrared absorption with absolute units and error bars.

:func:`infrared_spectrum` takes arrays of Ṁ, :func:`spectrum_of_streams` stream files; both give
an :class:`InfraredSpectrum`. From it follow :func:`quantities` (permittivity, refractive index,
absorption coefficient, ...), :func:`find_bands`, another quantum correction (:func:`corrected`)
and the :func:`difference` to another one. Beneath are :func:`power_blocks`, densities and cross
densities of any signals, and :func:`correlations`, their functions of time; ``convergence`` looks
at runs that go on. :func:`report` and :func:`write_table` show it;
pictures, which import matplotlib, are in the modules ``plot``, ``plot_parts`` and
``plot_comparison``, NetCDF, which imports xarray, in ``netcdf``.
"""

from __future__ import annotations

from aptnn_md.spectra.band_table import band_table, part_table
from aptnn_md.spectra.bands import (
    REFERENCES,
    WATER,
    Band,
    Reference,
    ReferenceBand,
    bands_of_curve,
    find_bands,
)
from aptnn_md.spectra.comparison import Difference, difference, integral_difference
from aptnn_md.spectra.correlation import Correlation, correlations
from aptnn_md.spectra.dielectric import (
    QUANTITIES,
    OpticalConstants,
    Quantity,
    optical_constants,
    quantities,
    static_permittivity,
)
from aptnn_md.spectra.experiment import ReferenceCurve, read_reference
from aptnn_md.spectra.infrared import InfraredSpectrum, SumRule, infrared_spectrum
from aptnn_md.spectra.kramers_kronig import kramers_kronig
from aptnn_md.spectra.plan import SpectralPlan, plan_spectrum
from aptnn_md.spectra.power import PowerBlocks, power_blocks
from aptnn_md.spectra.quantum import CORRECTIONS, corrected
from aptnn_md.spectra.report import report
from aptnn_md.spectra.sources import StreamOptions, spectrum_of_streams
from aptnn_md.spectra.table import read_table, write_table

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
    "PowerBlocks",
    "Quantity",
    "Reference",
    "ReferenceBand",
    "ReferenceCurve",
    "SpectralPlan",
    "StreamOptions",
    "SumRule",
    "band_table",
    "bands_of_curve",
    "corrected",
    "correlations",
    "difference",
    "find_bands",
    "infrared_spectrum",
    "integral_difference",
    "kramers_kronig",
    "optical_constants",
    "part_table",
    "plan_spectrum",
    "power_blocks",
    "quantities",
    "read_reference",
    "read_table",
    "report",
    "spectrum_of_streams",
    "static_permittivity",
    "write_table",
]
