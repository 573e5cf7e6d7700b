"""Ranges in which a spectrum has no values, or too few to measure a band in, are refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from helpers.oscillators import langevin_velocities

from aptnn_md.errors import InputError
from aptnn_md.spectra import find_bands, infrared_spectrum
from aptnn_md.spectra.infrared.plot import draw_spectrum
from aptnn_md.spectra.output.columns import in_range

SPECTRUM = infrared_spectrum([langevin_velocities((4000, 3), 2.0, 1500.0, 40.0)], 2.0, 300.0)
STEP = float(np.diff(SPECTRUM.wavenumber)[0])
BETWEEN = (1000.2 * STEP, 1000.8 * STEP)


def test_a_range_between_two_values_is_refused(tmp_path: Path) -> None:
    words = "range: found .* cm⁻¹, expected a range with values, which are .* cm⁻¹ apart"
    with pytest.raises(InputError, match=words):
        in_range(SPECTRUM, BETWEEN)
    with pytest.raises(InputError, match=words):
        draw_spectrum(tmp_path / "x.png", SPECTRUM, wavenumbers=BETWEEN)
    assert not list(tmp_path.iterdir())
    assert in_range(SPECTRUM, (1000.0 * STEP, 1000.2 * STEP)).sum() == 1


def test_a_band_needs_three_values() -> None:
    with pytest.raises(InputError, match=r"expected low < high within .* cm⁻¹ or more apart"):
        find_bands(SPECTRUM, {"x": BETWEEN})
