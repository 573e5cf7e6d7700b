"""Differences between two spectra, with errors."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from aptnn_md.arrays import FloatArray
from aptnn_md.errors import InputError
from aptnn_md.spectra.infrared import InfraredSpectrum
from aptnn_md.spectra.power import PowerBlocks, integration_weights

_SAME_RESOLUTION = 0.02


@dataclass(frozen=True, eq=False)
class Difference:
    """Second spectrum minus first one.

    Attributes
    ----------
    wavenumber : (n,) cm⁻¹, up to the smaller Nyquist wavenumber
    absorption, standard_error : (n,) of n(ν̃)α(ν̃), cm⁻¹
    paired : both are of the same frames, e.g. by two estimators, and the error is that of the
        difference frame by frame; otherwise they are independent
    """

    wavenumber: FloatArray
    absorption: FloatArray
    standard_error: FloatArray
    paired: bool


def difference(first: InfraredSpectrum, second: InfraredSpectrum) -> Difference:
    """The second spectrum minus the first one.

    Parameters
    ----------
    first, second : of the same resolution; where wavenumbers differ, the second one is
        interpolated

    Raises
    ------
    InputError
        Resolutions differ by more than 2 %: what differs would be the resolution.
    """
    _check_resolutions(first, second)
    if (pair := _pair(first, second)) is not None:
        return Difference(first.wavenumber, pair.mean, pair.standard_error, True)
    grid = first.wavenumber[first.wavenumber <= second.wavenumber[-1]]
    value, error = (
        np.interp(grid, second.wavenumber, curve)
        for curve in (second.absorption, second.standard_error)
    )
    n = len(grid)
    return Difference(
        grid,
        value - first.absorption[:n],
        np.hypot(error, first.standard_error[:n]),
        False,
    )


def integral_difference(
    first: InfraredSpectrum, second: InfraredSpectrum, low: float, high: float
) -> tuple[float, float]:
    """∫ of the second minus the first one over a range (cm⁻¹), and its standard error, cm⁻²."""
    _check_resolutions(first, second)
    if (pair := _pair(first, second)) is not None:
        return pair.linear(integration_weights(pair.wavenumber, low, high))
    (a, error_a), (b, error_b) = first.integral(low, high), second.integral(low, high)
    return b - a, float(np.hypot(error_a, error_b))


def _pair(first: InfraredSpectrum, second: InfraredSpectrum) -> PowerBlocks | None:
    """Block by block difference where both are of the same frames."""
    a, b = first.blocks, second.blocks
    same = first.sources == second.sources and first.run_lengths == second.run_lengths
    if not same or a.values.shape != b.values.shape or not np.array_equal(a.weights, b.weights):
        return None
    return b.minus(a)


def _check_resolutions(first: InfraredSpectrum, second: InfraredSpectrum) -> None:
    if abs(second.resolution - first.resolution) > _SAME_RESOLUTION * first.resolution:
        found, expected = f"{second.resolution:.4g} cm⁻¹", f"{first.resolution:.4g} cm⁻¹"
        raise InputError("difference of spectra", "resolution", found, expected)
