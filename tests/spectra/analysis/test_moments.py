"""Centroids and spreads: of known lines, of a flat noisy top, and of differences."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.fft import irfft

from aptnn_md.arrays import FloatArray
from aptnn_md.spectra import (
    WATER,
    InfraredSpectrum,
    ReferenceCurve,
    bands_of_curve,
    find_bands,
    infrared_spectrum,
)
from aptnn_md.spectra.analysis.band_differences import paired_differences
from aptnn_md.spectra.analysis.moments import MomentMeasure
from aptnn_md.spectra.estimation.accumulate import LagAccumulator
from aptnn_md.spectra.estimation.paired import PairedBlocks, paired_densities, paired_terms
from aptnn_md.spectra.estimation.plan import plan_spectrum
from aptnn_md.spectra.options import InfraredOptions
from aptnn_md.units import LIGHT_SPEED_CM_PER_FS

NU = np.linspace(0.0, 5000.0, 5001)
T, V, SPACING, RESOLUTION = 300.0, 1000.0, 2.0, 60.0
LOW, HIGH = 2800.0, 4000.0
FLAT = (3300.0, 250.0)
"""Middle and half width of a band with a flat top, like the OH stretch of water."""


def flat_top(wavenumber: FloatArray, middle: float = FLAT[0]) -> FloatArray:
    return np.asarray(np.exp(-(((wavenumber - middle) / FLAT[1]) ** 4)))


def noise_of(spectrum: FloatArray, n_frames: int, seed: int, columns: int = 3) -> FloatArray:
    """(n_frames, columns) of a stationary Gaussian process with a spectrum on the grid of its
    Fourier transform."""
    rng = np.random.default_rng(seed)
    n = 2 * (len(spectrum) - 1)
    amplitude = rng.normal(size=(2, len(spectrum), columns))
    wave = np.sqrt(spectrum)[:, None] * (amplitude[0] + 1j * amplitude[1])
    return np.asarray(irfft(wave, n, axis=0)[:n_frames] * math.sqrt(n))


def grid(n_frames: int) -> FloatArray:
    """Twice as long as the run, so that its ends do not meet."""
    return np.linspace(0.0, 0.5 / (LIGHT_SPEED_CM_PER_FS * SPACING), n_frames + 1)


def test_a_gaussian() -> None:
    curve = 7.0 * np.exp(-0.5 * ((NU - 1234.5) / 40.0) ** 2)
    found = MomentMeasure(NU, 900.0, 1700.0, False)(curve)
    assert (found.centroid, found.spread) == pytest.approx((1234.5, 40.0), rel=1e-6)


@pytest.mark.parametrize("limits", [(700.0, 1300.0), (812.3, 1700.7)])
def test_a_lorentzian_in_a_range(limits: tuple[float, float]) -> None:
    """∫x/(1+x²) and ∫x²/(1+x²) over ∫1/(1+x²), with x = (ν̃ - 1000)/30."""
    a, b = ((limit - 1000.0) / 30.0 for limit in limits)
    area = math.atan(b) - math.atan(a)
    mean = 0.5 * math.log((1 + b * b) / (1 + a * a)) / area
    spread = math.sqrt((b - a) / area - 1.0 - mean**2)
    curve = 1.0 / (1.0 + ((NU - 1000.0) / 30.0) ** 2)
    found = MomentMeasure(NU, *limits, False)(curve)
    assert found.centroid == pytest.approx(1000.0 + 30.0 * mean, abs=0.02)
    assert found.spread == pytest.approx(30.0 * spread, rel=1e-3)


def test_background() -> None:
    """A sloping background moves both; above the line between the ends it is gone."""
    line = np.exp(-0.5 * ((NU - 1100.0) / 40.0) ** 2)
    curve = line + 0.3 + 2e-4 * NU
    above = MomentMeasure(NU, 900.3, 1700.6, True)(curve)
    assert (above.centroid, above.spread) == pytest.approx((1100.0, 40.0), rel=1e-3)
    whole = MomentMeasure(NU, 900.3, 1700.6, False)(curve)
    assert whole.centroid > 1200.0
    assert 200.0 < whole.spread < 800.0 / math.sqrt(12.0) + 1.0


@pytest.mark.parametrize("baseline", [False, True])
def test_slopes_are_derivatives(baseline: bool) -> None:
    rng = np.random.default_rng(1)
    curve = flat_top(NU) + 0.1 + 0.05 * rng.normal(size=len(NU))
    measure = MomentMeasure(NU, 2811.7, 3987.3, baseline)
    found, change = measure(curve), 1e-4 * rng.normal(size=len(NU))
    up, down = measure(curve + change), measure(curve - change)
    assert found.centroid_slope @ change == pytest.approx(
        (up.centroid - down.centroid) / 2, rel=1e-5
    )
    assert found.spread_slope @ change == pytest.approx((up.spread - down.spread) / 2, rel=1e-5)


def test_no_band_has_no_moments() -> None:
    found = MomentMeasure(NU, 900.0, 1700.0, False)(-np.ones(len(NU)))
    assert math.isnan(found.centroid)
    assert math.isnan(found.spread)
    assert np.isnan(found.centroid_slope).all()


def test_curves_and_tabulated_bands() -> None:
    """The band of a table in the same way; what is tabulated of water lies inside its ranges."""
    nu = np.concatenate([np.linspace(10.0, 1000.0, 400), np.linspace(1003.0, 4000.0, 900)])
    curve = ReferenceCurve("table", nu, 50.0 * np.exp(-0.5 * ((nu - 1000.0) / 60.0) ** 2), "n·α")
    (band,) = bands_of_curve(curve, {"line": (600.0, 1400.0)})
    assert (band.centroid, band.spread) == pytest.approx((1000.0, 60.0), rel=2e-3)
    assert math.isnan(band.centroid_error)
    assert math.isnan(band.spread_error)
    (beyond,) = bands_of_curve(curve, {"beyond": (3900.0, 4100.0)})
    assert math.isnan(beyond.centroid)
    for known in WATER.bands:
        assert known.low < known.centroid < known.high
        assert known.spread < (known.high - known.low) / math.sqrt(12.0)


@pytest.fixture(scope="module")
def flat_tops() -> list[InfraredSpectrum]:
    """Two hundred short runs of a band with a flat top, each 8 ps."""
    n_frames = 4000
    curve = flat_top(grid(n_frames))
    runs = [noise_of(curve, n_frames, seed) for seed in range(200)]
    return [infrared_spectrum([run], SPACING, T, V, RESOLUTION) for run in runs]


@pytest.mark.thorough
@pytest.mark.parametrize("baseline", [False, True])
def test_centroid_of_a_flat_top_scatters_as_printed(
    flat_tops: list[InfraredSpectrum], baseline: bool
) -> None:
    found = [
        find_bands(s, {"top": (LOW, HIGH)}, baseline)[0] for s in flat_tops[:: 1 + 3 * baseline]
    ]
    fine = np.linspace(LOW, HIGH, 100_001)
    density = flat_top(fine)
    centroid = np.trapezoid(fine * density, fine) / np.trapezoid(density, fine)
    spread = math.sqrt(
        np.trapezoid((fine - centroid) ** 2 * density, fine) / np.trapezoid(density, fine)
    )
    for name, true in (("centroid", centroid), ("spread", spread)):
        values = np.array([getattr(band, name) for band in found])
        errors = np.array([getattr(band, f"{name}_error") for band in found])
        assert values.mean() == pytest.approx(
            true, abs=4 * values.std() / math.sqrt(len(values)) + 1
        )
        assert 0.85 < np.sqrt(np.mean(errors**2)) / values.std() < 1.5, name
        inside = np.mean(np.abs(values - true) < 2 * errors)
        assert inside > 0.95 - 3 * math.sqrt(0.05 * 0.95 / len(values)), name
    maxima = np.std([band.position for band in found])
    assert maxima > 4 * np.std([band.centroid for band in found])


def paired_tops(seed: int, n_frames: int = 3000) -> PairedBlocks:
    """Two models of one trajectory: the second one sees the blue side of the band stronger, and has
    noise of its own."""
    base = grid(n_frames)
    first, second = (
        noise_of(flat_top(base, m), n_frames, 2 * seed + k) for k, m in enumerate((3200.0, 3400.0))
    )
    runs = np.stack([first + second, first + 1.1 * second], axis=1)
    runs = runs + 0.03 * np.random.default_rng(seed).normal(size=runs.shape)
    plan = plan_spectrum(InfraredOptions(resolution=RESOLUTION), SPACING)
    accumulator = LagAccumulator(plan, paired_terms(), 2)
    accumulator.feed(accumulator.add_run("run"), runs)
    return paired_densities(accumulator, np.ones(1), np.ones(1))


@pytest.mark.thorough
def test_paired_centroids_scatter_as_printed() -> None:
    pairs = [paired_tops(seed) for seed in range(60)]
    found = [paired_differences(pair, {"top": (LOW, HIGH)})[0] for pair in pairs]
    alone = MomentMeasure(pairs[0].first.wavenumber, LOW, HIGH, False)
    blocks = pairs[0].first
    (_, single) = blocks.linear(alone(blocks.mean).centroid_slope)
    for name in ("centroid", "spread"):
        values = np.array([getattr(band, name) for band in found])
        errors = np.array([getattr(band, f"{name}_error") for band in found])
        assert 0.8 < np.sqrt(np.mean(errors**2)) / values.std() < 1.45, name
        assert np.mean(np.abs(values - values.mean()) < 2 * errors) > 0.87, name
    assert found[0].centroid_error < 0.5 * single
    assert found[0].centroid > 5 * found[0].centroid_error
