"""Bands of a campaign beside those of the reference's own dynamics: within the errors it printed?

    python compare.py CAMPAIGN TRUTH...

TRUTH are ensembles of xTB's own dynamics, taken together.

Of each band's integral and centroid: value, total error as the campaign printed it, the truth with
its standard error, and the difference in units of both errors together.
"""

from __future__ import annotations

import math
import sys
from pathlib import Path

from aptnn_md.learning.judgement import BandErrors, Judgement
from aptnn_md.spectra import find_bands
from aptnn_md.spectra.infrared.of_streams import spectrum_of_streams
from aptnn_md.stream.ensemble import complete_runs

campaign, truths = Path(sys.argv[1]), [Path(name) for name in sys.argv[2:]]
(found,) = Judgement.read(campaign / "final" / "judgement.json").spectra


def ranges(bands: tuple[BandErrors, ...]) -> dict[str, tuple[float, float]]:
    """Limits of the bands."""
    return {f"{band.low:.0f}-{band.high:.0f}": (band.low, band.high) for band in bands}


spectrum = spectrum_of_streams(
    [run for truth in truths for run in complete_runs(truth)],
    resolution=30.0,
    estimator="potential-dipole",
    parts=False,
)
of_truth = find_bands(spectrum, ranges(found.bands))
parts = ", ".join(f"{name} {100 * value:.1f} %" for name, value in found.parts.items())
print(f"total error {100 * found.total:.1f} % ({parts})")
print(f"{'band, cm⁻¹':>12} {'':>10} {'learned':>18} {'truth':>18} {'difference / error':>20}")
n_within = 0
for learned, band in zip(found.bands, of_truth, strict=True):
    numbers = (
        ("km/mol", learned.integral, band.integral, band.integral_error),
        ("cm⁻¹", learned.centroid, band.centroid, band.centroid_error),
    )
    for unit, number, value, error in numbers:
        off = abs(number.value - value) / math.hypot(number.total, error)
        n_within += off <= 2.0
        print(
            f"{band.name:>12} {unit:>10} {number.value:>9.4g} ± {number.total:<6.2g} "
            f"{value:>9.4g} ± {error:<6.2g} {off:>20.1f}"
        )
n_all = 2 * len(found.bands)
print(f"{n_within} of {n_all} numbers within two errors (of campaign and truth together)")
