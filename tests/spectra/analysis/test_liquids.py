"""Measured spectra of seven liquids, which come with the package."""

from __future__ import annotations

import numpy as np
import pytest

from aptnn_md.spectra import REFERENCES, WATER, kramers_kronig
from aptnn_md.spectra.analysis.liquids import LIQUIDS, liquid, liquid_curve
from aptnn_md.spectra.options import EXPERIMENTS


def test_names() -> None:
    assert tuple(REFERENCES) == EXPERIMENTS
    assert REFERENCES["water"] is WATER
    assert REFERENCES.get("mercury") is None
    assert len(REFERENCES) == len(LIQUIDS) + 1


@pytest.mark.parametrize(
    ("name", "band", "position", "height"),
    [
        # what is printed in the published table at these wavenumbers: 4πν̃nk of n and k
        ("methanol", "CO stretch", 1027.0, 11777.0),
        ("methanol", "OH stretch", 3340.0, 7124.0),
        ("ethanol", "CO and CC stretch", 1049.0, 7913.0),
        ("isopropanol", "CH stretch", 2971.0, 7740.0),
        ("acetonitrile", "CN stretch", 2253.0, 2211.0),
        ("benzene", "CH out of plane", 672.0, 18068.0),
        ("toluene", "out of plane", 728.0, 8996.0),
        ("octane", "CH stretch", 2924.0, 8576.0),
    ],
)
def test_bands(name: str, band: str, position: float, height: float) -> None:
    found = liquid(name).band(band)
    assert found is not None
    assert found.position == pytest.approx(position, abs=1.0)
    assert found.height == pytest.approx(height, rel=2e-3)
    curve = liquid_curve(name)
    inside = (curve.wavenumber >= found.low) & (curve.wavenumber <= found.high)
    nu, values = curve.wavenumber[inside], curve.absorption[inside]
    assert found.integral == pytest.approx(np.trapezoid(values, nu), rel=1e-3)
    centroid = np.trapezoid(values * nu, nu) / np.trapezoid(values, nu)
    assert found.centroid == pytest.approx(centroid, abs=0.2)


@pytest.mark.parametrize("name", ["methanol", "benzene"])
def test_n_belongs_to_k(name: str) -> None:
    """The change of n across the strongest band follows from k by Kramers and Kronig."""
    band = max(liquid(name).bands, key=lambda each: each.height)
    nu, n, k = table(name)
    inside = (nu > band.position - 60.0) & (nu < band.position + 60.0)
    found = kramers_kronig(nu, k)
    slope = np.polyfit(found[inside], n[inside], 1)[0]
    assert slope == pytest.approx(1.0, abs=0.05)


def table(name: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    from aptnn_md.bundled import bundled_path

    with np.load(bundled_path("liquids.npz")) as tables:
        n, k = 1e-5 * tables[f"{name}_n"].astype(float), tables[f"{name}_k"].astype(float)
    return 400.0 + np.arange(len(k)), n, k


def test_every_band_has_a_maximum_inside() -> None:
    for name in LIQUIDS:
        for band in liquid(name).bands:
            assert band.low + 3.0 < band.position < band.high - 3.0, (name, band.name)
            assert band.integral > 0.0
