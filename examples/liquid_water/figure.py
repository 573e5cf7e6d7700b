"""Infrared spectrum of liquid water, classical and quantum, with experiment: figure and table.

Needs only the streams next to this file; takes seconds.

    python figure.py --experiment bertie_lan_1996.csv --out figure.png
    python figure.py --markdown                                       # the README's table

A stream, or a folder of independent runs ``run-001.zarr`` ... Where these have the rates of a
committee's members, in themselves or beside them as ``examples/water_gpu/run.py`` writes them
(``run-001-members.zarr`` ...), the table has the error of the model of APTs, by what its members
give on the same trajectories, beside the statistical one.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path

import numpy as np

from aptnn_md.spectra import (
    WATER,
    Band,
    InfraredSpectrum,
    ReferenceCurve,
    difference,
    find_bands,
    part_table,
    read_reference,
    spectrum_of_streams,
)
from aptnn_md.spectra.analysis.error_parts import committee_error
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
from aptnn_md.spectra.sources.members import member_estimators
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
    parser.add_argument("--markdown", action="store_true", help="only a table, in Markdown")
    options = parser.parse_args()
    places = {"classical": Path(options.classical), "TRPMD": Path(options.trpmd)}
    spectra = {
        name: spectrum_of_streams(runs_of(path), options.resolution)
        for name, path in places.items()
    }
    if options.markdown:
        for line in markdown(spectra, places):
            print(line)
        return
    curves = [read_reference(options.experiment, "experiment, 25 °C")] if options.experiment else []
    differences = {"TRPMD - classical": difference(*spectra.values())}
    for line in comparison_report(spectra, WATER, curves=curves, differences=differences):
        print(line)
    for name, spectrum in spectra.items():
        print("", name, *part_table(spectrum, WATER.ranges), sep="\n")
    print("", *estimators(runs_of(places["TRPMD"]), spectra["TRPMD"]), sep="\n")
    draw(options.out, spectra, curves)
    print(f"\npicture: {options.out}")


def runs_of(path: Path) -> list[Path]:
    """A stream, or the streams of a folder of runs."""
    found = sorted(p for p in path.glob("run-*.zarr") if re.fullmatch(r"run-\d+\.zarr", p.name))
    return found or [path]


def members_of(path: Path, resolution: float) -> list[list[Band]]:
    """Bands by each member of the committee; empty where streams have no members."""
    streams = sorted(path.glob("run-*-members.zarr")) or runs_of(path)
    return [
        find_bands(spectrum_of_streams(streams, resolution, estimator=name), WATER.ranges)
        for name in member_estimators(StreamReader(streams[0]).header)
    ]


def markdown(spectra: dict[str, InfraredSpectrum], places: dict[str, Path]) -> list[str]:
    """Centroids and integrals of the bands: value ± statistical error (± model error)."""
    titles = [f"{name}, {1e-3 * s.length:.3g} ps" for name, s in spectra.items()]
    lines = [" | ".join(["| ", *titles, "experiment, 25 °C |"]), "| --- " * (len(titles) + 2) + "|"]
    members = {name: members_of(path, spectra[name].resolution) for name, path in places.items()}
    found = {name: find_bands(spectrum, WATER.ranges) for name, spectrum in spectra.items()}
    for k, band in enumerate(WATER.bands):
        for field, heading, unit in (
            ("centroid", f"**{band.name}**, {band.low:.0f}–{band.high:.0f} cm⁻¹: centroid", 1.0),
            ("integral", "integral, 10³ cm⁻²", 1e3),
        ):
            cells = [
                cell(found[name][k], [bands[k] for bands in members[name]], field, unit)
                for name in spectra
            ]
            lines.append(
                " | ".join([f"| {heading}", *cells, f"{getattr(band, field) / unit:.0f} |"])
            )
    rules = [f"{s.sum_rule.ratio:.3f}" for s in spectra.values()]
    return [*lines, " | ".join(["| f-sum rule, ratio", *rules, "|"])]


def cell(band: Band, members: list[Band], field: str, unit: float) -> str:
    """A value with its statistical error and, in brackets, that of the model."""
    text = with_error(getattr(band, field) / unit, getattr(band, f"{field}_error") / unit)
    if len(members) < 2:
        return text
    spread = float(committee_error([getattr(member, field) / unit for member in members]))
    return f"{text} (± {spread:.2g})"


def estimators(streams: list[Path], spectrum: InfraredSpectrum) -> list[str]:
    """How much the other estimators of the same run change the bands."""
    rows = [["difference of integrals (10³ cm⁻²)", *WATER.ranges]]
    for name in StreamReader(streams[0]).header.estimators:
        if name != spectrum.estimator:
            other = spectrum_of_streams(streams, spectrum.resolution, estimator=name)
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
