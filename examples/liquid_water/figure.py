"""Infrared spectrum of liquid water, classical and quantum, with experiment: figure and table.

Needs only the streams next to this file; takes seconds.

    python figure.py --experiment bertie_lan_1996.csv --out figure.png
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from aptnn_md.spectra import (
    WATER,
    InfraredSpectrum,
    ReferenceCurve,
    difference,
    part_table,
    read_reference,
    spectrum_of_streams,
)
from aptnn_md.spectra.estimation.parts import is_cross
from aptnn_md.spectra.infrared.axes import draw_references, label_absorption, mark_bands
from aptnn_md.spectra.infrared.comparison import comparison_report
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
from aptnn_md.spectra.output.text import aligned, with_error
from aptnn_md.stream import StreamReader

HERE = Path(__file__).parent
LIMITS = (0.0, 4200.0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--classical", default=HERE / "classical.zarr", help="stream")
    parser.add_argument("--trpmd", default=HERE / "trpmd.zarr", help="stream")
    parser.add_argument("--experiment", help="table with wavenumber and n_alpha, or n and k, ...")
    parser.add_argument("--resolution", type=float, default=60.0, help="cm⁻¹ (%(default)s)")
    parser.add_argument("--out", default=HERE / "figure.png", help="picture (%(default)s)")
    options = parser.parse_args()
    spectra = {
        "classical": spectrum_of_streams([options.classical], options.resolution),
        "TRPMD": spectrum_of_streams([options.trpmd], options.resolution),
    }
    curves = [read_reference(options.experiment, "experiment, 25 °C")] if options.experiment else []
    differences = {"TRPMD - classical": difference(*spectra.values())}
    for line in comparison_report(spectra, WATER, curves=curves, differences=differences):
        print(line)
    for name, spectrum in spectra.items():
        print("", name, *part_table(spectrum, WATER.ranges), sep="\n")
    print("", *estimators(options.trpmd, spectra["TRPMD"]), sep="\n")
    draw(options.out, spectra, curves)
    print(f"\npicture: {options.out}")


def estimators(stream: str, spectrum: InfraredSpectrum) -> list[str]:
    """How much the other estimators of the same run change the bands."""
    rows = [["difference of integrals (10³ cm⁻²)", *WATER.ranges]]
    for name in StreamReader(stream).header.estimators:
        if name != spectrum.estimator:
            other = spectrum_of_streams([stream], spectrum.resolution, estimator=name)
            change = difference(spectrum, other)
            found = [change.integral(*limits) for limits in WATER.ranges.values()]
            cells = [with_error(value / 1e3, error / 1e3) for value, error in found]
            rows.append([f"{name} - {spectrum.estimator}", *cells])
    return aligned(rows)


def draw(
    path: str | Path, spectra: dict[str, InfraredSpectrum], curves: list[ReferenceCurve]
) -> None:
    """Both spectra with experiment above; below, the quantum one taken apart by motion."""
    figure, (above, below) = new_figure(path, 2, height=6.8)
    scale = Scale.of(max(np.max(s.absorption + s.standard_error) for s in spectra.values()))
    for (name, s), color in zip(spectra.items(), COLOURS, strict=False):
        label = f"{name}, {1e-3 * s.length:.3g} ps"
        error = s.standard_error / scale.factor
        draw_band(above, s.wavenumber, s.absorption / scale.factor, error, color=color, label=label)
    draw_references(above, curves, scale, LIMITS)
    mark_bands(above, WATER, scale, LIMITS)
    quantum = spectra["TRPMD"]
    alone = {name: p for name, p in quantum.parts.items() if not is_cross(name)}
    cross = quantum.blocks
    for part in alone.values():
        cross = cross.minus(part)
    for (name, part), color in zip({**alone, "cross terms": cross}.items(), COLOURS, strict=False):
        mean, error = part.mean / scale.factor, part.standard_error / scale.factor
        draw_band(below, part.wavenumber, mean, error, color=color, label=name)
    below.axhline(0.0, color="0.5", linewidth=0.6)
    above.set_xlim(*LIMITS)
    above.set_ylim(bottom=0.0)
    for axes in (above, below):
        label_absorption(axes, scale)
        legend(axes)
    style(above, None)
    style(below)
    title(above, f"liquid water, {quantum.temperature:.0f} K, bands: ±1 standard error")
    title(below, "TRPMD by motion of the molecules")
    save(figure, path)


if __name__ == "__main__":
    main()
