"""The spectra, xTB's harmonic lines, and where the bands of gaseous methanol are measured.

    python picture.py        # reads runs, independent and modes.csv; writes methanol.png

Measured band origins (fundamentals of the gas): T. Shimanouchi, Tables of Molecular Vibrational
Frequencies, Consolidated Volume I, NSRDS-NBS 39 (1972).
"""

from __future__ import annotations

import numpy as np

from aptnn_md.spectra import InfraredSpectrum, find_bands, spectrum_of_streams
from aptnn_md.spectra.infrared.axes import label_absorption
from aptnn_md.spectra.output.canvas import (
    COLOURS,
    Scale,
    draw_band,
    legend,
    new_figure,
    save,
    style,
    title,
)
from aptnn_md.spectra.output.harmonic import read_harmonic
from aptnn_md.spectra.output.plot_sticks import draw_sticks
from aptnn_md.spectra.output.text import aligned, with_error

BANDS = {
    "torsion": (100.0, 800.0),
    "CO": (900.0, 1220.0),
    "bend": (1220.0, 1700.0),
    "CH": (2600.0, 3300.0),
    "OH": (3400.0, 4000.0),
}
MEASURED = {
    "torsion": (295,),
    "CO": (1033, 1060, 1165),
    "bend": (1345, 1455, 1477, 1477),
    "CH": (2844, 2960, 3000),
    "OH": (3681,),
}
"""cm⁻¹: C-O stretch and CH3 rocks; OH bend and CH3 deformations; CH3 stretches."""
LIMITS = (0.0, 4200.0)


def main() -> None:
    spectra = {
        "network": spectrum_of_streams(["runs"]),
        "xTB, same runs": spectrum_of_streams(["runs"], estimator="potential-dipole"),
        "xTB, other runs": spectrum_of_streams(["independent"], estimator="potential-dipole"),
    }
    for line in deviations(spectra):
        print(line)
    draw(spectra)
    print("picture: methanol.png")


def deviations(spectra: dict[str, InfraredSpectrum]) -> list[str]:
    """How far network and truth are apart in independent runs, in their standard errors."""
    network, other = (find_bands(spectra[n], BANDS) for n in ("network", "xTB, other runs"))
    rows = [
        ["network - xTB, other runs", "integral (km/mol)", "in errors", "centroid", "in errors"]
    ]
    for mine, truth in zip(network, other, strict=True):
        row = [mine.name]
        for field in ("integral", "centroid"):
            difference = getattr(mine, field) - getattr(truth, field)
            error = np.hypot(getattr(mine, f"{field}_error"), getattr(truth, f"{field}_error"))
            row += [with_error(difference, error), f"{difference / error:.1f}"]
        rows.append(row)
    return aligned(rows)


def draw(spectra: dict[str, InfraredSpectrum]) -> None:
    figure, (axes,) = new_figure("methanol.png")
    scale = Scale.of(max(float(np.max(s.absorption + s.standard_error)) for s in spectra.values()))
    for (name, s), color in zip(spectra.items(), COLOURS, strict=False):
        values, error = s.absorption / scale.factor, s.standard_error / scale.factor
        draw_band(axes, s.wavenumber, values, error, color=color, label=name)
    top = axes.get_ylim()[1]
    origins = [origin for band in MEASURED.values() for origin in band]
    marks = axes.plot(origins, [0.97 * top] * len(origins), "v", color="0.3", markersize=5)
    marks[0].set_label("measured origins")
    axes.set_xlim(*LIMITS)
    axes.set_ylim(0.0, top)
    ordinate = spectra["network"].ordinate
    label_absorption(axes, scale, ordinate=ordinate)
    sticks = read_harmonic("modes.csv").infrared(1.0)
    draw_sticks(axes, sticks, LIMITS, f"intensity  ({ordinate.symbol_integral_unit})")
    style(axes)
    title(axes, f"methanol, {spectra['network'].temperature:.0f} K, bands: ±1 standard error")
    legend(axes)
    save(figure, "methanol.png")


if __name__ == "__main__":
    main()
