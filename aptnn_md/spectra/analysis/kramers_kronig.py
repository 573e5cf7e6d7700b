"""Kramers–Kronig relations on tabulated curves, with the pole integrated exactly.

For the response of a causal system, ε = ε′ + iε″ or n + iκ,

    ε′(ν̃) - ε∞ = (2/π) P∫₀^∞ ν̃′ ε″(ν̃′) / (ν̃′² - ν̃²) dν̃′ = (1/π) P∫ ε″(ν̃′) / (ν̃′ - ν̃) dν̃′,

the second integral over all ν̃′, because ε″ is odd. Here ε″ is the piecewise linear curve through
the tabulated points, for which the principal value is a closed sum of u ln|u|: there is no point
to leave out at the pole, and the grid may have any spacing.
"""

from __future__ import annotations

import numpy as np
from scipy.signal import fftconvolve

from aptnn_md.arrays import AnyArray, FloatArray
from aptnn_md.errors import InputError

_UNIFORM = 1e-6
_CHUNK = 256


def kramers_kronig(wavenumber: AnyArray, imaginary: AnyArray) -> FloatArray:
    """Real part of a response, less its value at infinite wavenumber, from the imaginary part.

    Below the first wavenumber the imaginary part goes linearly to 0, the value that an odd
    function has there; beyond the last one it falls to 0 within one more step. What absorbs
    farther away belongs to the value at infinity (ε∞, n∞).

    Parameters
    ----------
    wavenumber : (n,) not negative, increasing; any unit, any spacing
    imaginary : (..., n); a value at wavenumber 0 counts as 0

    Returns
    -------
    (..., n)

    Raises
    ------
    InputError
        Wavenumbers that are not increasing, or another number of values.
    """
    grid, values = check_grid(wavenumber, imaginary)
    if grid[0] > 0.0:
        grid = np.concatenate([[0.0], grid])
        values = np.concatenate([np.zeros((*values.shape[:-1], 1)), values], axis=-1)
        return kramers_kronig(grid, values)[..., 1:]
    values = values.copy()
    values[..., 0] = 0.0
    steps = np.diff(grid)
    if np.ptp(steps) <= _UNIFORM * steps.mean():
        return _uniform(values) / np.pi
    return _any_grid(grid, values) / np.pi


def check_grid(wavenumber: AnyArray, values: AnyArray) -> tuple[FloatArray, FloatArray]:
    """Both as floats; InputError unless they are a curve over increasing wavenumbers."""
    grid, curve = np.asarray(wavenumber, dtype=np.float64), np.asarray(values, dtype=np.float64)
    if grid.ndim != 1 or len(grid) < 3 or curve.shape[-1:] != grid.shape:
        found = f"{grid.shape} wavenumbers, {curve.shape} values"
        raise InputError("curve", "shape", found, "(n,) and (..., n), n at least 3")
    rising = np.diff(grid) > 0.0  # false for NaN
    if not (grid[0] >= 0.0 and rising.all()):
        bad = int(np.argmin(rising))
        found = f"{grid[bad + 1]:g} after {grid[bad]:g}" if grid[0] >= 0.0 else f"{grid[0]:g}"
        raise InputError("curve", "wavenumber", found, "increasing, none negative")
    return grid, curve


def _u_log_u(u: FloatArray) -> FloatArray:
    """u ln|u|, the second antiderivative of 1/u up to a linear function; 0 at 0."""
    return np.asarray(u * np.log(np.where(u == 0.0, 1.0, np.abs(u))))


def _uniform(values: FloatArray) -> FloatArray:
    """P∫ f(ν′)/(ν′ - ν) dν′ of the odd continuation on a uniform grid, as a convolution."""
    n = values.shape[-1]
    odd = np.concatenate([-values[..., :0:-1], values], axis=-1)  # from -(n - 1) to n - 1
    lag = np.arange(-2 * (n - 1), 2 * n - 1, dtype=np.float64)
    # the hat at lag u from the pole; differences of u ln|u| cancel far away, where the hat is 1/u
    hat = _u_log_u(lag + 1.0) - 2.0 * _u_log_u(lag) + _u_log_u(lag - 1.0)
    far = np.abs(lag) > 1e3
    hat[far] = 1.0 / lag[far] + 1.0 / (6.0 * lag[far] ** 3)
    kernel = hat[::-1].reshape((1,) * (values.ndim - 1) + (-1,))
    full = fftconvolve(odd, kernel, mode="full", axes=-1)
    # result index i + (n - 1) on the odd grid, shifted by the kernel's centre 2(n - 1)
    start = (n - 1) + 2 * (n - 1)
    return np.asarray(full[..., start : start + n])


def _any_grid(grid: FloatArray, values: FloatArray) -> FloatArray:
    """The same on any grid, a few rows of the matrix of weights at a time."""
    steps = np.diff(grid)
    nodes = np.concatenate([-grid[:0:-1], grid])
    padded = np.concatenate([[nodes[0] - steps[-1]], nodes, [nodes[-1] + steps[-1]]])
    widths = np.diff(padded)
    odd = np.concatenate([-values[..., :0:-1], values], axis=-1)
    result = np.empty_like(values)
    for start in range(0, len(grid), _CHUNK):
        poles = grid[start : start + _CHUNK]
        slopes = np.diff(_u_log_u(padded - poles[:, None]), axis=1) / widths
        result[..., start : start + _CHUNK] = odd @ np.diff(slopes, axis=1).T
    return result
