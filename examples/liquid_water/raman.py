"""Raman spectrum of liquid water, classical and quantum: figure and tables.

Needs only the streams next to this file; takes seconds.

    python raman.py --out raman.png [--measured water_300K_castner.dat]

The scattering coefficient of the OH stretch, absolute, is printed beside the published one: the
integral over all directions and both polarisations, 8π/3 (VV + 2 VH), of the cross section of a
molecule at a right angle, times the number density. ``--measured`` is a table of shift and
intensity, in any unit, whose shape below 1200 cm⁻¹ is compared.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from aptnn_md.spectra import WATER, RamanSpectrum, cross_sections, raman_of_streams
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
from aptnn_md.spectra.output.text import with_error
from aptnn_md.spectra.raman.report import report_raman

HERE = Path(__file__).parent
LIMITS = (0.0, 4200.0)
WEAK = 2000.0  # below, everything is weak compared with the OH stretch
UNIT = 1e-3
N_MOLECULES = 64
LASER = 1e7 / 488.0  # cm⁻¹
PUBLISHED = 2.7, 0.2  # 10⁻⁴ m⁻¹; Bartlett et al., Appl. Opt. 37, 3324 (1998)
INDEX = 1.34  # of water at 488 nm
DENSITY = 0.0333  # molecules in Å³


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--classical", default=HERE / "classical.zarr", help="stream")
    parser.add_argument("--trpmd", default=HERE / "trpmd.zarr", help="stream")
    parser.add_argument("--resolution", type=float, default=80.0, help="cm⁻¹ (%(default)s)")
    parser.add_argument("--out", default=HERE / "raman.png", help="picture (%(default)s)")
    parser.add_argument("--measured", help="table: shift (cm⁻¹), intensity")
    options = parser.parse_args()
    spectra = {
        name: raman_of_streams(runs_of(Path(stream)), options.resolution, n_molecules=N_MOLECULES)
        for name, stream in (("classical", options.classical), ("TRPMD", options.trpmd))
    }
    for name, spectrum in spectra.items():
        print(name, *report_raman(spectrum, WATER.ranges), "", sep="\n")
    for name, spectrum in spectra.items():
        print(absolute(name, spectrum))
        if options.measured:
            print(shape(name, spectrum, options.measured))
    draw(options.out, spectra)
    print(f"picture: {options.out}")


def runs_of(path: Path) -> list[Path]:
    """A stream, or the streams of a folder of runs."""
    found = sorted(p for p in path.glob("run-*.zarr") if re.fullmatch(r"run-\d+\.zarr", p.name))
    return found or [path]


def absolute(name: str, spectrum: RamanSpectrum) -> str:
    """The scattering coefficient of the OH stretch, with and without a local-field factor."""
    low, high = WATER.ranges["OH stretch"]
    curves = cross_sections(spectrum, LASER).total
    value, error = curves.polarised.plus(curves.depolarised.scaled(2.0)).integral(low, high)
    # cm² of a molecule to Å², times molecules in Å³, to 10⁻⁴ m⁻¹
    scale = 8.0 * np.pi / 3.0 * 1e16 * DENSITY * 1e10 * 1e4
    field = ((INDEX**2 + 2.0) / 3.0) ** 4
    return (
        f"{name}: scattering coefficient of the OH stretch at 488 nm "
        f"{with_error(scale * value, scale * error)} 10⁻⁴ m⁻¹, times Lorentz's factor "
        f"((n² + 2)/3)⁴ = {field:.2f}: {with_error(scale * value * field, scale * error * field)}; "
        f"published {with_error(*PUBLISHED)}"
    )


def shape(name: str, spectrum: RamanSpectrum, path: str) -> str:
    """How far a measured intensity differs in shape below 1200 cm⁻¹, scaled to the same mean."""
    table = np.loadtxt(path)[:, :2]
    found = cross_sections(spectrum, LASER).total.unpolarised
    inside = (found.wavenumber > 2.0 * spectrum.resolution) & (found.wavenumber < 1150.0)
    nu, ours = found.wavenumber[inside], found.mean[inside]
    measured = np.interp(nu, *table.T)
    ours, measured = ours / ours.mean(), measured / measured.mean()
    rms = np.sqrt(np.mean((ours - measured) ** 2))
    middles = [float(nu @ curve / curve.sum()) for curve in (ours, measured)]
    return (
        f"{name}: shape from {nu[0]:.0f} to {nu[-1]:.0f} cm⁻¹ beside the measured one: rms "
        f"difference {100 * rms:.0f} % of the mean, correlation "
        f"{np.corrcoef(ours, measured)[0, 1]:.3f}, centroid {middles[0]:.0f} against "
        f"{middles[1]:.0f} cm⁻¹"
    )


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
