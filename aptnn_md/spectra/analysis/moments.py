"""Centroid and spread of bands: moments of a curve over a range of wavenumbers.

The maximum of a broad, flat top is decided by noise. The *centroid*, the mean wavenumber weighted
by the curve, and the *spread*, the standard deviation about it (the root of the second central
moment), use all of the band: their errors are those of integrals.

Moments are those of everything in the range. A background in it pulls the centroid towards the
middle of the range and the spread towards that of a flat curve, (high - low)/√12; above a
``baseline``, the straight line between the values at both ends of the range, it does not. The
second moment of a Lorentzian line grows with the range: only spreads over equal ranges can be
compared.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from aptnn_md.arrays import FloatArray
from aptnn_md.spectra.estimation.power import integration_weights


@dataclass(frozen=True, eq=False)
class BandMoments:
    """Centroid and spread of a curve in a range, and how they change with the curve.

    Attributes
    ----------
    centroid, spread : cm⁻¹; NaN where the integral, or the second moment, is not positive
    centroid_slope, spread_slope : (n,) derivatives with respect to the values of the curve, which
        turn errors of the curve into those of the moments (delta method)
    """

    centroid: float
    spread: float
    centroid_slope: FloatArray
    spread_slope: FloatArray


class MomentMeasure:
    """Moments of curves over one range.

    Parameters
    ----------
    wavenumber : (n,) cm⁻¹, equidistant
    low, high : the range, cm⁻¹
    baseline : above the straight line between the values at both ends
    """

    def __init__(self, wavenumber: FloatArray, low: float, high: float, baseline: bool) -> None:
        self.middle = 0.5 * (low + high)  # about which sums lose no digits
        self.distance = wavenumber - self.middle
        weights = integration_weights(wavenumber, low, high)
        # rows: what a curve is multiplied by to give its moments of order 0, 1 and 2
        self.rows = weights * self.distance ** np.arange(3)[:, None]
        if baseline:
            share = (wavenumber - low) / (high - low)
            line = np.stack([1.0 - share, share])  # of the value at each end
            self.rows = self.rows - (self.rows @ line.T) @ _ends(wavenumber, low, high)

    def __call__(self, curve: FloatArray) -> BandMoments:
        """Moments of a curve (n,)."""
        integral, first, second = map(float, self.rows @ curve)
        nothing = np.full(len(curve), math.nan)
        if not integral > 0.0:
            return BandMoments(math.nan, math.nan, nothing, nothing)
        mean = first / integral
        variance = second / integral - mean**2
        zeroth, linear, square = self.rows
        centroid_slope = (linear - mean * zeroth) / integral
        if not variance > 0.0:
            return BandMoments(self.middle + mean, math.nan, centroid_slope, nothing)
        spread = math.sqrt(variance)
        central = square - 2.0 * mean * linear + (mean**2 - variance) * zeroth
        return BandMoments(
            self.middle + mean, spread, centroid_slope, central / (2.0 * spread * integral)
        )


def _ends(wavenumber: FloatArray, low: float, high: float) -> FloatArray:
    """(2, n) weights that interpolate a curve at both ends of a range."""
    step = wavenumber[1] - wavenumber[0]
    places = (np.array([[low], [high]]) - wavenumber) / step
    return np.asarray(np.maximum(1.0 - np.abs(places), 0.0))
