"""Kramers–Kronig relations on curves whose other half is known."""

from __future__ import annotations

import numpy as np
import pytest

from aptnn_md.errors import InputError
from aptnn_md.spectra.analysis.kramers_kronig import kramers_kronig

LINES = [(2.1e6, 1500.0, 80.0), (4e5, 300.0, 220.0), (9e5, 3400.0, 300.0)]


def oscillators(nu: np.ndarray) -> np.ndarray:
    """Susceptibility Σ s/(ν₀² - ν² - iγν) of Lorentz oscillators."""
    return np.sum([s / (p**2 - nu**2 - 1j * g * nu) for s, p, g in LINES], axis=0)


@pytest.mark.parametrize("kind", ["uniform", "offset", "random", "logarithmic"])
def test_lorentz_oscillators_on_any_grid(kind: str) -> None:
    """To 1 % of the whole susceptibility everywhere, zero crossings and the pole included."""
    nu = {
        "uniform": np.linspace(0.0, 8000.0, 3001),
        "offset": np.linspace(7.3, 8000.0, 2500),
        "random": np.sort(np.random.default_rng(1).uniform(0.0, 8000.0, 4000)),
        "logarithmic": np.geomspace(0.1, 9000.0, 3000),
    }[kind]
    exact = oscillators(nu)
    found = kramers_kronig(nu, exact.imag)
    inside = nu < 6000.0
    assert np.max(np.abs(found - exact.real)[inside] / np.abs(exact)[inside]) < 0.01


def test_uniform_grid_is_no_other_rule() -> None:
    """The convolution gives what the sum over any grid gives."""
    nu = np.linspace(0.0, 8000.0, 2001)
    moved = nu.copy()
    moved[1000] += 0.01  # not uniform any more
    curve = oscillators(nu).imag
    np.testing.assert_allclose(kramers_kronig(nu, curve), kramers_kronig(moved, curve), atol=2e-4)
    moved[1000] = nu[1000] + 1e-4
    np.testing.assert_allclose(kramers_kronig(nu, curve), kramers_kronig(moved, curve), atol=2e-6)


def test_piecewise_linear_curve_is_exact() -> None:
    """A triangle of height 1 at 2 ± 1 has the transform of its hat, in closed form."""
    grid = np.array([0.0, 1.0, 2.0, 3.0, 4.0, 6.0, 7.0])
    found = kramers_kronig(grid, (grid == 2.0).astype(float))

    def hat(pole: np.ndarray) -> np.ndarray:
        u = np.array([3.0, 2.0, 1.0])[:, None] - pole
        logs = u * np.log(np.abs(u) + 1e-300)
        return np.asarray(logs[0] - 2 * logs[1] + logs[2])

    np.testing.assert_allclose(found, (hat(grid) + hat(-grid)) / np.pi, atol=1e-12)


def test_static_value_is_the_sum() -> None:
    nu = np.linspace(0.0, 20000.0, 20001)
    found = kramers_kronig(nu, oscillators(nu).imag)[0]
    assert found == pytest.approx(sum(s / p**2 for s, p, _ in LINES), rel=1e-3)
    integrand = oscillators(nu[1:]).imag / nu[1:]
    assert found == pytest.approx(2 / np.pi * np.trapezoid(integrand, nu[1:]), rel=1e-2)


def test_many_curves_at_once() -> None:
    nu = np.linspace(0.0, 5000.0, 700)
    curves = np.stack([oscillators(nu).imag, np.exp(-((nu - 900) ** 2) / 2e4)])
    together = kramers_kronig(nu, curves)
    np.testing.assert_allclose(together[1], kramers_kronig(nu, curves[1]), atol=1e-12)
    np.testing.assert_allclose(
        kramers_kronig(nu, 2 * curves[0] - curves[1]), 2 * together[0] - together[1], atol=1e-9
    )


@pytest.mark.parametrize(
    ("nu", "curve", "message"),
    [
        ([0.0, 1.0], [0.0, 1.0], "shape"),
        ([0.0, 1.0, 2.0], [0.0, 1.0], "shape"),
        ([0.0, 2.0, 1.0], [0.0, 1.0, 2.0], "wavenumber: found 1 after 2, expected increasing"),
        (
            [-1.0, 2.0, 3.0],
            [0.0, 1.0, 2.0],
            "wavenumber: found -1, expected increasing, none negative",
        ),
    ],
)
def test_bad_curves(nu: list[float], curve: list[float], message: str) -> None:
    with pytest.raises(InputError, match=message):
        kramers_kronig(np.array(nu), np.array(curve))
