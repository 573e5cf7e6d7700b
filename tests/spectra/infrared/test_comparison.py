"""Tables of bands and parts, and differences between spectra with honest errors."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.signal import lfilter

from aptnn_md.errors import InputError
from aptnn_md.spectra import (
    WATER,
    InfraredSpectrum,
    ReferenceCurve,
    band_table,
    bands_of_curve,
    difference,
    find_bands,
    infrared_spectrum,
    integral_difference,
    part_table,
    read_table,
    report,
)
from aptnn_md.spectra.estimation.parts import part_name
from aptnn_md.spectra.infrared.comparison import comparison_report, write_comparison
from aptnn_md.spectra.output.text import with_error

T, V = 300.0, 1000.0


def noise(seed: int, n_frames: int = 4000, groups: int = 1) -> np.ndarray:
    white = np.random.default_rng(seed).normal(size=(n_frames, groups, 3))
    return np.asarray(lfilter([1.0], [1.0, -1.2, 0.7], white, axis=0))


def spectrum_of(*seeds: int, factor: float = 1.0, spacing: float = 2.0) -> InfraredSpectrum:
    return infrared_spectrum([factor * noise(s) for s in seeds], spacing, T, V, 60.0)


def test_independent_spectra_differ_within_their_errors() -> None:
    """And the errors are neither too small nor too large, also of integrals."""
    z, z_integral = [], []
    for seed in range(0, 120, 4):
        first, second = spectrum_of(seed, seed + 1), spectrum_of(seed + 2, seed + 3)
        found = difference(first, second)
        z.append(found.absorption / found.standard_error)
        value, error = integral_difference(first, second, 500.0, 3000.0)
        z_integral.append(value / error)
    assert 0.75 < np.std(z) < 1.2
    assert 0.6 < np.std(z_integral) < 1.4


def test_spectra_of_the_same_frames_are_compared_block_by_block() -> None:
    """Two estimators of one run: what is common to both has no error in the difference."""
    run, more = noise(1), 0.1 * noise(2)
    first = infrared_spectrum([run], 2.0, T, V, 60.0)
    second = infrared_spectrum([run + more], 2.0, T, V, 60.0)
    paired = difference(first, second)
    apart = difference(first, replace(second, sources=("another run",)))
    np.testing.assert_allclose(paired.absorption, second.absorption - first.absorption)
    np.testing.assert_allclose(apart.absorption, paired.absorption)
    assert np.median(paired.standard_error / apart.standard_error) < 0.3
    assert paired.paired
    assert not apart.paired
    value, error = integral_difference(first, second, 500.0, 2000.0)
    assert value == pytest.approx(
        second.integral(500.0, 2000.0)[0] - first.integral(500.0, 2000.0)[0]
    )
    assert error < 0.5 * np.hypot(
        first.integral(500.0, 2000.0)[1], second.integral(500.0, 2000.0)[1]
    )


def test_other_wavenumbers_are_interpolated() -> None:
    first, second = spectrum_of(1, 2), spectrum_of(3, 4, spacing=3.1)
    found = difference(first, second)
    assert found.wavenumber[-1] <= second.wavenumber[-1]
    expected = np.interp(1000.0, second.wavenumber, second.absorption)
    expected -= np.interp(1000.0, first.wavenumber, first.absorption)
    assert np.interp(1000.0, found.wavenumber, found.absorption) == pytest.approx(expected, rel=0.1)
    coarse = infrared_spectrum([noise(1)], 2.0, T, V, 90.0)
    for function in (difference, lambda a, b: integral_difference(a, b, 1.0, 900.0)):
        with pytest.raises(InputError, match=r"resolution: found 89.99 cm⁻¹, expected 60"):
            function(first, coarse)


def test_report_and_table_of_a_comparison(tmp_path: Path) -> None:
    spectra = {"one": spectrum_of(1, 2), "two, with a comma": spectrum_of(3, 4)}
    path = tmp_path / "c.csv"
    differences = {"two - one": difference(*spectra.values())}
    write_comparison(path, spectra, differences, (100.0, 3000.0), "aptnn-md spectrum compare")
    columns, header = read_table(path)
    assert list(columns) == [
        "wavenumber (cm^-1)",
        "one (cm^-1)",
        "one standard error (cm^-1)",
        "two; with a comma (cm^-1)",
        "two; with a comma standard error (cm^-1)",
        "two - one (cm^-1)",
        "two - one standard error (cm^-1)",
    ]
    np.testing.assert_allclose(
        columns["two; with a comma (cm^-1)"] - columns["one (cm^-1)"],
        columns["two - one (cm^-1)"],
        atol=1e-6 * columns["one (cm^-1)"].max(),
    )
    assert "provenance: aptnn-md spectrum compare" in header
    assert any(line.startswith("two, with a comma: temperature: 300 K") for line in header)
    named = {"two, with a comma - one": differences["two - one"]}
    text = "\n".join(comparison_report(spectra, WATER, differences=named))
    assert "one: 16 ps, classical nuclei" in text
    assert "two, with a comma - one" in text
    assert "3392 ± 17" in text


def test_bands_of_spectra_and_curves_side_by_side() -> None:
    nu = np.linspace(10.0, 4000.0, 1500)
    line = 500.0 / (1 + ((nu - 1643.0) / 50.0) ** 2)
    curve = ReferenceCurve("measured", nu, line, "n·α as tabulated")
    (band,) = bands_of_curve(curve, {"bend": (1400.0, 1900.0)})
    assert band.position == pytest.approx(1643.0, abs=0.5)
    assert band.height == pytest.approx(500.0, rel=1e-3)
    assert band.width == pytest.approx(100.0, rel=2e-3)
    area = 500.0 * 50.0 * (math.atan(257 / 50) + math.atan(243 / 50))
    assert band.integral == pytest.approx(area, rel=1e-3)
    (nothing,) = bands_of_curve(curve, {"beyond": (3900.0, 4100.0)})
    assert math.isnan(nothing.height)
    spectrum = spectrum_of(1, 2)
    ranges = WATER.ranges
    lines = band_table(
        {"run": find_bands(spectrum, ranges), "measured": bands_of_curve(curve, ranges)}, WATER
    )
    assert lines[0].split() == ["band", "of", "n·α", "run", "measured", "experiment"]
    assert "bend, 1500-1800 cm⁻¹" in lines
    assert any("1643 ± 5" in text and "position" in text for text in lines)
    assert any("375" in text and "width" in text for text in lines)
    shown = "\n".join(report(spectrum, ranges={"x": (500.0, 1500.0)}, curves=[curve]))
    assert "x, 500-1500 cm⁻¹" in shown
    assert "measured: n·α as tabulated" in shown


def test_parts_add_up_in_the_table() -> None:
    rng = np.random.default_rng(3)
    a, b = rng.normal(size=(2, 6000, 3))
    runs = [np.stack([a, b, 0.5 * a - 0.2 * b], axis=1)]
    spectrum = infrared_spectrum(runs, 2.0, T, V, 60.0, group_labels=["a", "b", "c"])
    np.testing.assert_allclose(
        np.sum([part.mean for part in spectrum.parts.values()], axis=0),
        spectrum.absorption,
        rtol=1e-9,
    )
    lines = part_table(spectrum, {"low": (0.0, 1000.0), "high": (1000.0, 8000.0)})
    assert [line.split("   ")[0] for line in lines[1:]] == [
        *map(part_name, spectrum.parts),
        "total",
    ]
    values = np.array([[float(cell.split()[0]) for cell in line.split("   ") if "±" in cell]
                       for line in lines[1:]])  # fmt: skip
    np.testing.assert_allclose(values[:-1].sum(axis=0), values[-1], rtol=0.03)
    assert part_table(spectrum, {"low": (0.0, 1000.0)})[1:] == [
        line.rsplit("   ", 1)[0].rstrip() for line in lines[1:]
    ]


def test_a_part_that_vanishes_but_for_rounding_is_nothing() -> None:
    rng = np.random.default_rng(2)
    rates = rng.normal(size=(4000, 2, 3)) * np.array([[1.0], [1e-15]])
    spectrum = infrared_spectrum(
        [rates], 2.0, 300.0, 1000.0, resolution=100.0, group_labels=("solute", "rest")
    )
    lines = part_table(spectrum, {"low": (0.0, 1000.0)})
    values = {line.split("   ")[0]: line.split("   ")[-1].strip() for line in lines}
    assert values["rest"] == values["solute × rest"] == "0"
    assert values["solute"] == values["total"] != "0"


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [
        (1643.21, 4.7, "1643 ± 5"),
        (386.03, 12.4, "386 ± 12"),
        (0.3861, 0.0124, "0.386 ± 0.012"),
        (-0.5, 0.07, "-0.50 ± 0.07"),
        (2.43e-22, 3.1e-23, "2.43e-22 ± 3e-23"),
        (0.26629933, 2e-16, "0.2663 ± 2e-16"),
        (1643.21, math.nan, "1643"),
        (17395.4, 0.0, "17395"),
        (math.nan, 1.0, "-"),
    ],
)
def test_digits_follow_the_error(value: float, error: float, text: str) -> None:
    assert with_error(value, error) == text
