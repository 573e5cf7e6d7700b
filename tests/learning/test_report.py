"""Numbers of the report, as people write them."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from aptnn_md.learning.judgement import BandError, BandErrors, SpectrumErrors
from aptnn_md.learning.report import band_lines

SPECTRUM = SpectrumErrors("water", "infrared", 0.1, 0.01, math.nan, 0.05, 12.0)


@pytest.mark.parametrize(
    ("integral", "text"),
    [
        (BandError(446.83, 290.0, 0.88, 0.0), "447 ± 290 (290, 0.88, 0)"),
        (BandError(33.054, 8.9, 0.14, 0.71), "33.1 ± 8.9 (8.9, 0.14, 0.71)"),
        (BandError(0.123456, 0.0123, 0.0, 0.0), "0.123 ± 0.012 (0.012, 0, 0)"),
        (BandError(5.0, 0.0, 0.0, 0.0), "5.00 ± 0.00 (0, 0, 0)"),
        (BandError(12345.6, 2345.6, 0.0, 1e-9), "12346 ± 2346 (2346, 0, 0.000000)"),
    ],
)
def test_values_have_the_decimals_of_their_errors(integral, text):
    band = BandErrors(0.0, 780.4, integral, BandError(183.61, 26.2, 0.019, 0.0))
    line = band_lines(replace(SPECTRUM, bands=(band,)))[-1]
    assert line == f"| 0–780 | {text} | 184 ± 26 (26, 0.019, 0) |"


@pytest.mark.parametrize(("unit", "head"), [("cm⁻²", "integral, cm⁻²"), ("", "integral")])
def test_a_table_has_the_unit_of_the_spectrum(unit, head):
    band = BandErrors(0.0, 780.4, BandError(1.0, 0.1, 0.0, 0.0), BandError(183.6, 26.2, 0.0, 0.0))
    _, _, line, *_ = band_lines(replace(SPECTRUM, bands=(band,), unit=unit))
    assert line == f"| range, cm⁻¹ | {head} | centroid, cm⁻¹ |"


def test_a_spectrum_without_bands_has_no_table():
    assert band_lines(SPECTRUM) == []
