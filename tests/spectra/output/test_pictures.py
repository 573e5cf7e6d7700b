"""Pictures of parts, quantities, comparisons and convergence."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread

from aptnn_md.errors import InputError
from aptnn_md.spectra import (
    WATER,
    InfraredSpectrum,
    ReferenceCurve,
    difference,
    infrared_spectrum,
    quantities,
)
from aptnn_md.spectra.convergence.monitor import Convergence
from aptnn_md.spectra.convergence.plot import draw_convergence
from aptnn_md.spectra.infrared.plot import draw_parts, draw_quantities, draw_spectrum
from aptnn_md.spectra.infrared.plot_comparison import draw_comparison

RATES = np.random.default_rng(5).normal(size=(2500, 12, 3)) * 0.01
NU = np.linspace(1.0, 5000.0, 300)
CURVE = ReferenceCurve("measured", NU, 1e3 * np.exp(-(((NU - 1600) / 300) ** 2)), "n·α")


def spectrum_of(n_groups: int) -> InfraredSpectrum:
    labels = [f"group {k}" for k in range(n_groups)] if n_groups > 1 else []
    return infrared_spectrum([RATES[:, :n_groups]], 2.0, 300.0, 1000.0, 40.0, group_labels=labels)


def drawn(path: Path) -> np.ndarray:
    """A picture that is more than white paper."""
    picture = imread(path)
    assert (picture[..., :3] < 0.9).any(axis=2).mean() > 0.005
    return np.asarray(picture)


@pytest.mark.thorough
def test_experimental_curve_beside_a_spectrum(tmp_path: Path) -> None:
    spectrum, path = spectrum_of(1), tmp_path / "a.png"
    draw_spectrum(path, spectrum, wavenumbers=(0.0, 4000.0))
    without = drawn(path)
    draw_spectrum(path, spectrum, wavenumbers=(0.0, 4000.0), curves=[CURVE])
    orange = np.all(np.abs(drawn(path)[..., :3] - [200 / 255, 80 / 255, 30 / 255]) < 0.05, axis=2)
    assert orange.sum() > 200
    assert not np.all(
        np.abs(without[..., :3] - [200 / 255, 80 / 255, 30 / 255]) < 0.05, axis=2
    ).any()


@pytest.mark.thorough
@pytest.mark.parametrize("n_groups", [3, 12])
def test_parts(tmp_path: Path, n_groups: int) -> None:
    path = tmp_path / "parts.png"
    draw_parts(path, spectrum_of(n_groups), wavenumbers=(0.0, 4000.0))
    drawn(path)


@pytest.mark.thorough
def test_quantities(tmp_path: Path) -> None:
    spectrum = spectrum_of(1)
    found = quantities(spectrum, ["epsilon-real", "n", "alpha"], epsilon_infinity=1.7)
    draw_quantities(tmp_path / "q.png", spectrum, found, wavenumbers=(0.0, 4000.0))
    height = drawn(tmp_path / "q.png").shape[0]
    draw_quantities(tmp_path / "q.png", spectrum, found[:1], wavenumbers=(0.0, 4000.0))
    assert drawn(tmp_path / "q.png").shape[0] < height


@pytest.mark.thorough
def test_comparison(tmp_path: Path) -> None:
    spectra = {"one": spectrum_of(1), "two": spectrum_of(3)}
    path = tmp_path / "c.png"
    draw_comparison(path, spectra, reference=WATER, curves=[CURVE], wavenumbers=(0.0, 4000.0))
    height = drawn(path).shape[0]
    found = {"two - one": difference(*spectra.values())}
    draw_comparison(path, spectra, differences=found)
    assert drawn(path).shape[0] > height


def test_convergence(tmp_path: Path) -> None:
    points = [Convergence(1e3 * n, 0.4 / np.sqrt(n), 10 * n) for n in range(2, 40, 5)]
    draw_convergence(tmp_path / "c.png", {"run": points}, tolerance=0.05, subject="all")
    drawn(tmp_path / "c.png")


def test_nothing_to_draw(tmp_path: Path) -> None:
    spectrum, path = spectrum_of(1), tmp_path / "a.png"
    with pytest.raises(InputError, match="parts: found none, expected streams with two groups"):
        draw_parts(path, spectrum)
    with pytest.raises(InputError, match="quantities: found none"):
        draw_quantities(path, spectrum, [])
    with pytest.raises(InputError, match="comparison: spectra: found none"):
        draw_comparison(path, {})
    with pytest.raises(InputError, match="convergence: lengths: found fewer than two"):
        draw_convergence(path, {"a": [Convergence(1.0, 0.1, 9)]})
    with pytest.raises(InputError, match=r"a.doc: suffix: found '.doc'"):
        draw_comparison(tmp_path / "a.doc", {"a": spectrum})
    assert list(tmp_path.iterdir()) == []
