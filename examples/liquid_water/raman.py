"""Raman spectrum of liquid water, classical and quantum: figure and tables.

Needs only the streams next to this file; takes seconds.

    python raman.py --out raman.png
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from aptnn_md.spectra import WATER, RamanSpectrum, raman_of_streams
from aptnn_md.spectra.estimation.power import PowerBlocks
from aptnn_md.spectra.output.canvas import (
    COLOURS,
    draw_band,
    legend,
    new_figure,
    save,
    style,
    title,
)
from aptnn_md.spectra.raman.report import report_raman

HERE = Path(__file__).parent
LIMITS = (0.0, 4200.0)
WEAK = 2000.0  # below, everything is weak compared with the OH stretch
UNIT = 1e-3
N_MOLECULES = 64


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--classical", default=HERE / "classical.zarr", help="stream")
    parser.add_argument("--trpmd", default=HERE / "trpmd.zarr", help="stream")
    parser.add_argument("--resolution", type=float, default=80.0, help="cm⁻¹ (%(default)s)")
    parser.add_argument("--out", default=HERE / "raman.png", help="picture (%(default)s)")
    options = parser.parse_args()
    spectra = {
        name: raman_of_streams([stream], options.resolution, n_molecules=N_MOLECULES)
        for name, stream in (("classical", options.classical), ("TRPMD", options.trpmd))
    }
    for name, spectrum in spectra.items():
        print(name, *report_raman(spectrum, WATER.ranges), "", sep="\n")
    draw(options.out, spectra)
    print(f"picture: {options.out}")


def draw(path: str | Path, spectra: dict[str, RamanSpectrum]) -> None:
    """The isotropic spectra above, the anisotropic ones below; enlarged where they are weak."""
    figure, panels = new_figure(path, 2, height=6.0)
    for axes, name, text in (
        (panels[0], "isotropic", "isotropic, $45\\,a^2$"),
        (panels[1], "anisotropic", "anisotropic, $\\gamma^2$"),
    ):
        curves = [spectrum.total.named[name] for spectrum in spectra.values()]
        enlarged = enlargement(curves)
        for (label, spectrum), curve, color in zip(spectra.items(), curves, COLOURS, strict=False):
            factor = np.where(curve.wavenumber < WEAK, enlarged, 1.0) / UNIT
            draw_band(
                axes,
                curve.wavenumber,
                np.where(np.diff(factor, append=factor[-1]) < 0.0, np.nan, factor * curve.mean),
                factor * curve.standard_error,
                color=color,
                label=f"{label}, {1e-3 * spectrum.length:.3g} ps",
                positive=True,
            )
        axes.axvline(WEAK, color="0.6", linewidth=0.7, linestyle=(0, (1, 2)))
        axes.text(
            WEAK - 50.0,
            0.9,
            f"× {enlarged:g}",
            transform=axes.get_xaxis_transform(),
            ha="right",
            color="0.25",
        )
        axes.set_ylabel("activity a molecule\n($10^{-3}$ Å$^4$ amu$^{-1}$ / cm$^{-1}$)")
        axes.set_ylim(bottom=0.0)
        axes.set_xlim(*LIMITS)
        title(axes, text)
        legend(axes)
    style(panels[0], None)
    style(panels[1])
    save(figure, path)


def enlargement(curves: Sequence[PowerBlocks]) -> float:
    """A round factor by which the largest value where all is weak is half of the largest value."""
    weak = max(curve.mean[curve.wavenumber < WEAK].max() for curve in curves)
    wanted = 0.5 * max(curve.mean.max() for curve in curves) / weak
    power = 10.0 ** np.floor(np.log10(wanted))
    return float(max(step * power for step in (1, 2, 5) if step * power <= wanted))


if __name__ == "__main__":
    main()
