"""Velocity spectra in a few lines of text."""

from __future__ import annotations

import numpy as np

from aptnn_md.spectra.analysis.alarms import warning_lines
from aptnn_md.spectra.estimation.power import PowerBlocks
from aptnn_md.spectra.velocities.spectrum import VelocitySpectrum

TOTAL_NAME = "total"


def report_velocities(spectrum: VelocitySpectrum) -> list[str]:
    """Lines that say what was found: for each group the degrees of freedom."""
    n_runs = len(spectrum.run_lengths)
    runs = f" in {n_runs} runs" if n_runs > 1 else ""
    lines = [
        f"velocity spectrum: {1e-3 * sum(spectrum.run_lengths):.4g} ps{runs}, frames "
        f"{spectrum.plan.spacing:g} fs apart, {spectrum.temperature:.4g} K",
        f"resolution {spectrum.plan.resolution:.3g} cm⁻¹ (full width at half maximum): "
        f"{spectrum.plan.text}",
    ]
    if spectrum.n_beads > 1:
        lines.append(f"velocities of the centroids of {spectrum.n_beads} beads")
    lines.append("group                 atoms   degrees of freedom   expected    ratio")
    for label, freedom in [(TOTAL_NAME, spectrum.total_freedom), *spectrum.freedom.items()]:
        expected = np.nan if freedom.expected is None else freedom.expected
        lines.append(
            f"{label:<20s} {freedom.n_atoms:6d}   {freedom.found:9.2f} ± "
            f"{freedom.standard_error:<6.2g} {expected:10.2f} "
            f"{freedom.found / expected if expected else np.nan:8.4f}"
        )
    lines.append(
        "errors: standard errors, by the length of the runs alone; that of the potential is not in "
        "them"
    )
    lines[1:1] = warning_lines(spectrum.alarms)
    return [*lines, *(f"note: {note}" for note in spectrum.notes)]


def named_curves(spectrum: VelocitySpectrum) -> list[tuple[str, PowerBlocks]]:
    """The total, and the groups if there are several."""
    groups = list(spectrum.groups.items())
    return [(TOTAL_NAME, spectrum.total), *(groups if len(groups) > 1 else ())]
