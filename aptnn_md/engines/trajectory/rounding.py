"""Positions that were rounded when they were written."""

from __future__ import annotations

import numpy as np

from aptnn_md.arrays import FloatArray


def rounded_to(positions: FloatArray) -> float:
    """Unit of the last digit that positions (Å) were written with, 0.1 to 10⁻⁴ Å; 0 where they have
    more digits."""
    size = max(1.0, float(np.abs(positions).max(initial=0.0)) / 10.0)  # of single precision
    for digits in (1, 2, 3, 4):
        unit = 10.0**-digits
        off = np.abs(positions / unit - np.round(positions / unit))
        if off.max(initial=0.0) * unit <= 2e-5 * size:
            return unit
    return 0.0
