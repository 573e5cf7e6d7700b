"""Windows, and the width that each gives to an infinitely narrow line.

A window is a function w(u), even, 1 at u = 0 and used for -1 <= u <= 1. Welch's method multiplies
pieces of the signal by it (a taper); the method of Blackman and Tukey multiplies the correlation
function by it (a lag window). An infinitely narrow line then looks like |ŵ|² or like ŵ, where ŵ is
the Fourier transform of w, so the two methods differ in the width that one window gives.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping

import numpy as np
from scipy.optimize import brentq

from aptnn_md.arrays import FloatArray

FWHM_PER_SIGMA = float(np.sqrt(8.0 * np.log(2.0)))
"""Full width at half maximum of a Gaussian, in standard deviations."""

_GAUSSIAN_CUT = 3.5
_POINTS = 4096


def _hann(u: FloatArray) -> FloatArray:
    return np.asarray(np.cos(0.5 * np.pi * u) ** 2)


def _gaussian(u: FloatArray) -> FloatArray:
    """Cut off at 3.5 standard deviations."""
    return np.asarray(np.exp(-0.5 * (_GAUSSIAN_CUT * u) ** 2))


def _blackman_harris(u: FloatArray) -> FloatArray:
    """The one of four terms and -92 dB; F. J. Harris, Proc. IEEE 66, 51 (1978)."""
    terms = (0.35875, 0.48829, 0.14128, 0.01168)
    return np.asarray(sum(a * np.cos(k * np.pi * u) for k, a in enumerate(terms)))


def _none(u: FloatArray) -> FloatArray:
    return np.ones_like(u)


FUNCTIONS: Mapping[str, Callable[[FloatArray], FloatArray]] = {
    "hann": _hann,
    "gaussian": _gaussian,
    "blackman-harris": _blackman_harris,
    "none": _none,
}
"""Name, of :data:`aptnn_md.spectra.options.WINDOWS` -> w(u)."""


def taper(name: str, length: int) -> FloatArray:
    """(length,) window over a piece of signal, its squares' sum 1."""
    values = FUNCTIONS[name]((2.0 * np.arange(length) + 1.0 - length) / length)
    return np.asarray(values / np.sqrt(np.sum(values**2)))


def lag_window(name: str, length: int) -> FloatArray:
    """(length + 1,) window over lags 0 to ``length``."""
    return FUNCTIONS[name](np.arange(length + 1) / length)


@functools.cache
def taper_width(name: str) -> float:
    """Full width at half maximum of |ŵ|², times the length of the taper."""
    return 2.0 * _width(name, np.sqrt(0.5))


@functools.cache
def lag_window_width(name: str) -> float:
    """Full width at half maximum of ŵ, times the longest lag."""
    return _width(name, 0.5)


def _width(name: str, level: float) -> float:
    """Full width of ŵ where it is ``level`` of its maximum, for a half length of 1."""
    u = (np.arange(_POINTS) + 0.5) / _POINTS
    values = FUNCTIONS[name](u)

    def above(frequency: float) -> float:
        transform = np.sum(values * np.cos(2.0 * np.pi * frequency * u)) / np.sum(values)
        return float(transform - level)

    return 2.0 * float(brentq(above, 0.0, 2.0))
