"""Spectra from streams: infrared absorption with absolute units and error bars.

:func:`infrared_spectrum` takes arrays of Ṁ, :func:`spectrum_of_streams` stream files;
:func:`find_bands` measures bands; :func:`write_table`, :func:`report` and
:func:`aptnn_md.spectra.plot.draw_spectrum` (which imports matplotlib) show what was found.
"""

from __future__ import annotations

from aptnn_md.spectra.bands import REFERENCES, WATER, Band, Reference, ReferenceBand, find_bands
from aptnn_md.spectra.infrared import InfraredSpectrum, SumRule, infrared_spectrum
from aptnn_md.spectra.report import band_table, report
from aptnn_md.spectra.sources import spectrum_of_streams
from aptnn_md.spectra.table import write_table

__all__ = [
    "REFERENCES",
    "WATER",
    "Band",
    "InfraredSpectrum",
    "Reference",
    "ReferenceBand",
    "SumRule",
    "band_table",
    "find_bands",
    "infrared_spectrum",
    "report",
    "spectrum_of_streams",
    "write_table",
]
