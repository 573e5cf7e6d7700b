"""Bands of campaigns beside those of the reference's own dynamics: within the errors they printed?

    python compare.py CAMPAIGN... --truth ENSEMBLE... [--system NAME]

Of each band's integral and centroid: value, total error as the campaign printed it, the truth with
its standard error, and the difference in units of both errors together. Ensembles of the truth are
taken together. Of several campaigns a table follows, a line for each. Of a campaign of several
systems, NAME is the one that is compared.
"""

from __future__ import annotations

import argparse
import json
import math
from dataclasses import dataclass
from pathlib import Path

from aptnn_md.learning.honest import HonestTest
from aptnn_md.learning.judgement import BandErrors, Judgement, SpectrumErrors
from aptnn_md.spectra import find_bands
from aptnn_md.spectra.infrared.of_streams import spectrum_of_streams
from aptnn_md.spectra.infrared.spectrum import InfraredSpectrum
from aptnn_md.stream.ensemble import complete_runs


@dataclass(frozen=True)
class Campaign:
    """What a campaign found."""

    path: Path
    found: SpectrumErrors

    @classmethod
    def read(cls, path: Path, system: str | None = None) -> Campaign:
        """One that has ended; the system by name where it has several."""
        spectra = Judgement.read(path / "final" / "judgement.json").spectra
        infrared = {found.system: found for found in spectra if found.kind == "infrared"}
        name = next(iter(infrared)) if system is None and len(infrared) == 1 else system
        if name not in infrared:
            raise SystemExit(f"{path}: --system {' or '.join(infrared)}")
        return cls(path, infrared[name])

    def compare(self, truth: InfraredSpectrum) -> list[float]:
        """Print each number beside the truth; differences in units of the error."""
        print(f"{self.path.name}: total error {100 * self.found.total:.1f} %")
        print(
            f"{'band, cm⁻¹':>12} {'':>8} {'learned':>19} {'truth':>19} {'difference / error':>20}"
        )
        differences = []
        of_integral = self.found.unit or "integral"
        of_truth = find_bands(truth, ranges(self.found.bands))
        for learned, band in zip(self.found.bands, of_truth, strict=True):
            for unit, number, value, error in (
                (of_integral, learned.integral, band.integral, band.integral_error),
                ("cm⁻¹", learned.centroid, band.centroid, band.centroid_error),
            ):
                off = (number.value - value) / math.hypot(number.total, error)
                differences.append(off)
                print(
                    f"{band.name:>12} {unit:>8} {number.value:>9.4g} ± {number.total:<7.2g} "
                    f"{value:>9.4g} ± {error:<7.2g} {off:>20.1f}"
                )
        return differences

    def row(self, differences: list[float]) -> str:
        """Its line of the table."""
        honest = HonestTest.read(self.path / "final" / "honest.json")
        times = json.loads((self.path / "times.json").read_text())
        minutes = sum(value for value in times.values() if isinstance(value, float)) / 60.0
        parts = [100.0 * self.found.parts[name] for name in ("statistical", "tensors", "potential")]
        mean = math.sqrt(sum(x * x for x in differences) / len(differences))
        within = [sum(abs(x) <= limit for x in differences) for limit in (1.0, 2.0)]
        cells = [self.path.name, f"{minutes:.1f}", f"{honest.force_rmse:.3f}"]
        cells += [f"{part:.0f} %" for part in parts]
        cells += [f"{n} of {len(differences)}" for n in within] + [f"{mean:.2f}"]
        return f"| {' | '.join(cells)} |"


def ranges(bands: tuple[BandErrors, ...]) -> dict[str, tuple[float, float]]:
    """Limits of the bands."""
    return {f"{band.low:.0f}-{band.high:.0f}": (band.low, band.high) for band in bands}


parser = argparse.ArgumentParser()
parser.add_argument("campaigns", nargs="+", type=Path)
parser.add_argument("--truth", nargs="+", type=Path, required=True)
parser.add_argument("--system")
arguments = parser.parse_args()
campaigns = [Campaign.read(path, arguments.system) for path in arguments.campaigns]
truth = spectrum_of_streams(
    [run for ensemble in arguments.truth for run in complete_runs(ensemble)],
    resolution=40.0,  # as the campaigns have it
    estimator="potential-dipole",
    parts=False,
)
rows = [campaign.row(campaign.compare(truth)) for campaign in campaigns]
print(
    "\n| campaign | minutes | forces, eV/Å | statistical | tensors | potential | within one error "
    "| within two | root mean square of difference / error |"
)
print("|" + " --- |" * 9, *rows, sep="\n")
