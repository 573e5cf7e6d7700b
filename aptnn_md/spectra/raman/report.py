"""A Raman spectrum in a few lines of text."""

from __future__ import annotations

from collections.abc import Mapping

from aptnn_md.spectra.analysis.alarms import warning_lines
from aptnn_md.spectra.analysis.bands import find_bands
from aptnn_md.spectra.analysis.error_parts import STATISTICAL_ERRORS
from aptnn_md.spectra.analysis.peaks import NO_PEAKS, peak_ranges
from aptnn_md.spectra.analysis.sticks import Sticks, bands_of_sticks
from aptnn_md.spectra.estimation.parts import part_name
from aptnn_md.spectra.output.band_table import describe_moments
from aptnn_md.spectra.output.text import aligned, with_error
from aptnn_md.spectra.raman.forms import CROSS_SECTION_UNIT, REDUCED_UNIT
from aptnn_md.spectra.raman.spectrum import RamanSpectrum

TITLES = {
    "isotropic": "isotropic 45a²",
    "anisotropic": "anisotropic γ²",
    "VV": "polarised VV 45a² + 4γ²",
    "VH": "depolarised VH 3γ²",
    "unpolarised": "unpolarised 45a² + 7γ²",
}
"""Name of a curve -> what it is; single components have no other name than their own."""


def report_raman(
    spectrum: RamanSpectrum,
    ranges: Mapping[str, tuple[float, float]] | None = None,
    sticks: Sticks | None = None,
) -> list[str]:
    """Lines that say what was found.

    Parameters
    ----------
    ranges : bands to measure, name -> (low, high), cm⁻¹; None: of a molecule or cluster alone those
        that :func:`aptnn_md.spectra.analysis.peaks.peak_ranges` finds
    sticks : of a harmonic calculation, in the form of the spectrum; their sums in each band are
        shown, too
    """
    n_runs = len(spectrum.run_lengths)
    runs = f" in {n_runs} runs" if n_runs > 1 else ""
    scale, unit = spectrum.ordinate.table_scale, spectrum.ordinate.table_unit
    grid = spectrum.wavenumber
    found = [v / scale for v in spectrum.blocks.integral(grid[0], grid[-1])]
    ratio = spectrum.total.band_depolarisation(grid[0], grid[-1])
    lines = [
        f"Raman spectrum: {1e-3 * spectrum.length:.4g} ps{runs}, frames {spectrum.spacing:g} fs "
        f"apart, {spectrum.temperature:.4g} K",
        f"resolution {spectrum.resolution:.3g} cm⁻¹ (full width at half maximum): "
        f"{spectrum.plan.text}, {spectrum.n_segments} segments",
        describe_form(spectrum),
        describe_quantum(spectrum),
        STATISTICAL_ERRORS,
        f"integral of 45a² + 7γ²: {with_error(found[0], found[1])} {unit}; depolarisation ratio "
        f"of all of it: {with_error(*ratio)}",
    ]
    lines[1:1] = warning_lines(spectrum.alarms)
    lines += [f"note: {note}" for note in spectrum.notes]
    if ranges is None and spectrum.isolated:
        parts = {part: curves.unpolarised for part, curves in spectrum.parts.items()}
        ranges = peak_ranges(spectrum.blocks, parts)
        lines += [] if ranges else [NO_PEAKS]
    if ranges:
        lines += ["", *band_lines(spectrum, ranges, sticks)]
    if ranges and spectrum.parts:
        lines += ["", *aligned(raman_part_rows(spectrum, ranges))]
    return lines


def band_lines(
    spectrum: RamanSpectrum,
    ranges: Mapping[str, tuple[float, float]],
    sticks: Sticks | None = None,
) -> list[str]:
    """:func:`raman_band_rows` as lines of text, and what centroid and spread are."""
    return [*aligned(raman_band_rows(spectrum, ranges, sticks)), describe_moments()]


def raman_band_rows(
    spectrum: RamanSpectrum,
    ranges: Mapping[str, tuple[float, float]],
    sticks: Sticks | None = None,
) -> list[list[str]]:
    """Maximum, centroid and spread of the unpolarised spectrum in each range, integrals and ρ, as
    rows of a table, the first one with the titles."""
    scale, unit = spectrum.ordinate.table_scale, spectrum.ordinate.table_unit
    bands = find_bands(spectrum, ranges)
    rows = [["band", *(f"{b.name}, {b.low:.0f}-{b.high:.0f} cm⁻¹" for b in bands)]]
    positions = [
        "no maximum" if b.at_edge else with_error(b.position, b.position_error) for b in bands
    ]
    rows.append(["maximum (cm⁻¹)", *positions])
    rows.append(["centroid (cm⁻¹)", *(with_error(b.centroid, b.centroid_error) for b in bands)])
    rows.append(["spread (cm⁻¹)", *(with_error(b.spread, b.spread_error) for b in bands)])
    for name, curve in spectrum.total.named.items():
        values = [curve.integral(b.low, b.high) for b in bands]
        cells = [with_error(value / scale, error / scale) for value, error in values]
        rows.append([f"{TITLES.get(name, name)} ({unit})", *cells])
    ratios = [spectrum.total.band_depolarisation(b.low, b.high) for b in bands]
    if sticks is not None:
        sums = [b.integral / scale for b in bands_of_sticks(sticks, ranges)]
        rows.append([f"{sticks.name}, unpolarised ({unit})", *(with_error(s, 0.0) for s in sums)])
    rows.append(["depolarisation ratio", *(with_error(*ratio) for ratio in ratios)])
    return rows


def describe_form(spectrum: RamanSpectrum) -> str:
    """What the curves are, in one sentence."""
    whose = "the system"
    if spectrum.n_molecules != 1.0:
        whose = f"each of {spectrum.n_molecules:g} molecules"
    if spectrum.laser is None:
        return f"reduced form, {REDUCED_UNIT} of {whose}: 2c/(k_B T) times the spectrum of ȧ"
    light = "ν̃₀(ν̃₀ − ν̃)³, photons" if spectrum.counting else "(ν̃₀ − ν̃)⁴, energy"
    return (
        f"measured form, {CROSS_SECTION_UNIT} of {whose}: Stokes cross section for a laser at "
        f"{spectrum.laser:.6g} cm⁻¹ ({1e7 / spectrum.laser:.5g} nm), {light}; 1/ν̃ and Bose factor "
        f"1/(1 − e^(−βħω)) at {spectrum.temperature:.4g} K"
    )


def describe_quantum(spectrum: RamanSpectrum) -> str:
    """What was done about quantum mechanics, in one sentence."""
    if spectrum.n_beads > 1:
        return (
            f"path integral of {spectrum.n_beads} beads, estimator '{spectrum.estimator}': the "
            "harmonic factor βħω/(1 − e^(−βħω)) of the measured form is exact for the "
            "Kubo-transformed correlation function, which it approximates; nothing to correct"
        )
    if spectrum.quantum == "harmonic":
        return (
            "classical nuclei; the harmonic quantum correction βħω/(1 − e^(−βħω)) is built into "
            "the measured form"
        )
    return f"classical nuclei with the quantum correction '{spectrum.quantum}'"


def raman_part_rows(
    spectrum: RamanSpectrum, ranges: Mapping[str, tuple[float, float]]
) -> list[list[str]]:
    """Integrals of the unpolarised spectrum of parts over ranges, and of the total, as rows of a
    table, the first one with the titles."""
    scale, unit = spectrum.ordinate.table_scale, spectrum.ordinate.table_unit
    rows = [[f"integral of 45a² + 7γ² ({unit})", *ranges]]
    named = {part_name(part): curves for part, curves in spectrum.parts.items()}
    for name, curves in {**named, "total": spectrum.total}.items():
        values = [curves.unpolarised.integral(low, high) for low, high in ranges.values()]
        rows.append([name, *(with_error(value / scale, error / scale) for value, error in values)])
    return rows
