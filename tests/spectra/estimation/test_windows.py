"""Windows and the plans made with them: what resolution means."""

from __future__ import annotations

import numpy as np
import pytest
from helpers.oscillators import angular_frequency
from scipy.signal import windows

from aptnn_md import units
from aptnn_md.errors import InputError
from aptnn_md.spectra import infrared_spectrum
from aptnn_md.spectra.estimation.windows import (
    lag_window,
    lag_window_width,
    taper,
    taper_width,
)
from aptnn_md.spectra.options import METHODS, WINDOWS, SpectrumOptions

T, V = 300.0, 1000.0


def test_windows_are_those_of_scipy() -> None:
    """Sampled between the ends, scipy's are at the even points of twice as many."""
    n = 50
    for name, expected in {
        "hann": windows.hann(2 * n + 1),
        "blackman-harris": windows.blackmanharris(2 * n + 1),
        "gaussian": windows.gaussian(2 * n + 1, n / 3.5),
        "none": np.ones(2 * n + 1),
    }.items():
        own = taper(name, n)
        np.testing.assert_allclose(own / own.max(), expected[1::2] / expected[1::2].max())
        assert np.sum(own**2) == pytest.approx(1.0)
        np.testing.assert_allclose(lag_window(name, n), expected[n:], atol=1e-12)


def test_widths_known_from_the_literature() -> None:
    """|ŵ|² at half: Hann 1.44 bins, none 0.886, Blackman-Harris 1.90 (F. J. Harris 1978)."""
    assert taper_width("hann") == pytest.approx(1.4406, abs=1e-4)
    assert taper_width("none") == pytest.approx(0.8859, abs=1e-4)
    assert taper_width("blackman-harris") == pytest.approx(1.90, abs=0.01)
    assert lag_window_width("none") == pytest.approx(1.2067 / 2, abs=1e-4)
    assert lag_window_width("hann") == pytest.approx(1.0, abs=1e-4)
    assert lag_window_width("gaussian") == pytest.approx(
        np.sqrt(2 * np.log(2)) / np.pi * 3.5, rel=2e-3
    )


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("window", WINDOWS)
def test_a_line_has_the_width_that_was_asked_for(method: str, window: str) -> None:
    spacing, position, resolution = 2.0, 1643.21, 25.0
    time = spacing * np.arange(60_000)
    rate = 0.03 * np.cos(angular_frequency(position) * time + 0.4)
    run = np.stack([rate, 0 * rate, 2 * rate], axis=1)
    spectrum = infrared_spectrum([run], spacing, T, V, resolution, method=method, window=window)
    assert spectrum.resolution == pytest.approx(resolution, rel=0.01)
    fine = np.linspace(position - 2 * resolution, position + 2 * resolution, 100_001)
    values = np.interp(fine, spectrum.wavenumber, spectrum.absorption)
    high = fine[values > values.max() / 2]
    # interpolated between points a tenth of the resolution apart
    assert np.ptp(high) == pytest.approx(spectrum.resolution, rel=0.02)
    assert high.mean() == pytest.approx(position, abs=0.02 * resolution)
    correlation = 0.5 * 0.03**2 * (1 + 4)
    expected = units.IR_PREFACTOR / (T * V) * correlation / (2 * units.LIGHT_SPEED_CM_PER_FS)
    assert spectrum.sum_rule.found == pytest.approx(expected, rel=2e-3)
    words = spectrum.blocks.plan.text
    assert METHODS[method] in words
    assert str(spectrum.blocks.plan.length) in words


def test_plans_that_make_no_sense() -> None:
    with pytest.raises(InputError, match="method: found fft, expected one of welch, blackman"):
        SpectrumOptions(method="fft")
    with pytest.raises(InputError, match="window: found kaiser, expected one of hann, gaussian"):
        SpectrumOptions(window="kaiser")
    with pytest.raises(InputError, match="resolution: found nan"):
        SpectrumOptions(resolution=np.nan)
