"""An infrared spectrum in a few lines of text, compared with experiments on request."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

from aptnn_md.spectra.analysis.alarms import warning_lines
from aptnn_md.spectra.analysis.bands import Band, bands_of_curve, find_bands
from aptnn_md.spectra.analysis.experiment import ReferenceCurve
from aptnn_md.spectra.analysis.peaks import NO_PEAKS, peak_ranges
from aptnn_md.spectra.analysis.reference_bands import Reference
from aptnn_md.spectra.analysis.sticks import Sticks, bands_of_sticks
from aptnn_md.spectra.infrared.intensity import check_comparable
from aptnn_md.spectra.infrared.spectrum import InfraredSpectrum
from aptnn_md.spectra.output.band_table import band_table, describe_moments, part_table
from aptnn_md.spectra.output.ordinate import Ordinate
from aptnn_md.spectra.output.text import with_error

Experiments: TypeAlias = tuple[Reference | None, Sequence[ReferenceCurve]]
"""Known bands of a substance, and curves."""


def report(
    spectrum: InfraredSpectrum,
    reference: Reference | None = None,
    *,
    ranges: Mapping[str, tuple[float, float]] | None = None,
    curves: Sequence[ReferenceCurve] = (),
    baseline: bool = False,
    sticks: Sticks | None = None,
) -> list[str]:
    """Lines that say what was found.

    Parameters
    ----------
    reference : experiment with whose bands those of the spectrum are compared; bands beyond the
        Nyquist wavenumber are left out
    ranges : more bands, name -> (low, high), cm⁻¹; None: of a system without a volume those that
        :func:`aptnn_md.spectra.analysis.peaks.peak_ranges` finds
    curves : experimental curves, whose bands are measured in the same way
    baseline : measure bands above the straight line between the ends of their ranges
    sticks : of a harmonic calculation, whose sums in each band are shown, too
    """
    check_comparable(spectrum.ordinate, reference, curves)
    n_runs = len(spectrum.run_lengths)
    lines = [
        f"infrared spectrum: {1e-3 * spectrum.length:.4g} ps"
        + (f" in {n_runs} runs" if n_runs > 1 else "")
        + f", frames {spectrum.spacing:g} fs apart, {spectrum.temperature:.4g} K, "
        f"{describe_system(spectrum)}",
        f"resolution {spectrum.resolution:.3g} cm⁻¹ (full width at half maximum): "
        f"{spectrum.blocks.plan.text}, {spectrum.n_segments} segments",
        describe_integral(spectrum),
        describe_quantum(spectrum),
    ]
    lines[1:1] = warning_lines(spectrum.alarms)
    lines += [f"note: {note}" for note in spectrum.notes]
    wanted = bands_within(spectrum.wavenumber[-1], reference, default_ranges(spectrum, ranges))
    if wanted:
        found = measured_bands(spectrum, wanted, baseline, sticks)
        experiments = (reference, curves)
        lines += ["", *bands_and_experiments(found, spectrum.ordinate, experiments, baseline)]
    elif ranges is None and spectrum.volume is None:
        lines.append(NO_PEAKS)
    if wanted and spectrum.parts:
        lines += ["", *part_table(spectrum, wanted)]
    return lines


def measured_bands(
    spectrum: InfraredSpectrum,
    ranges: Mapping[str, tuple[float, float]],
    baseline: bool = False,
    sticks: Sticks | None = None,
) -> dict[str, list[Band]]:
    """Bands of a spectrum and, below another name, of a harmonic calculation."""
    found = {"simulation": find_bands(spectrum, ranges, baseline)}
    return found if sticks is None else found | {sticks.name: bands_of_sticks(sticks, ranges)}


def all_bands(
    spectrum: InfraredSpectrum,
    ranges: Mapping[str, tuple[float, float]] | None = None,
    experiments: Experiments = (None, ()),
    baseline: bool = False,
    sticks: Sticks | None = None,
) -> dict[str, list[Band]]:
    """Name -> bands of the spectrum, a harmonic calculation and experimental curves, as
    :func:`report` shows them."""
    reference, curves = experiments
    wanted = bands_within(spectrum.wavenumber[-1], reference, default_ranges(spectrum, ranges))
    found = measured_bands(spectrum, wanted, baseline, sticks)
    return found | {curve.name: bands_of_curve(curve, wanted, baseline) for curve in curves}


def default_ranges(
    spectrum: InfraredSpectrum, ranges: Mapping[str, tuple[float, float]] | None
) -> Mapping[str, tuple[float, float]]:
    """Ranges of bands; where None are given, those of the peaks of a system without a volume."""
    if ranges is not None:
        return ranges
    return peak_ranges(spectrum.blocks, spectrum.parts) if spectrum.volume is None else {}


def bands_and_experiments(
    found: Mapping[str, Sequence[Band]],
    ordinate: Ordinate,
    experiments: Experiments = (None, ()),
    baseline: bool = False,
) -> list[str]:
    """Table of bands of spectra and of experiments, and what the experiments are.

    Parameters
    ----------
    found : name of a spectrum -> its bands, the same ones of all
    ordinate : what all spectra are
    experiments : known bands, and curves, whose bands are measured in the same way
    baseline : with which the bands were found
    """
    reference, curves = experiments
    columns = dict(found)
    ranges = {band.name: (band.low, band.high) for band in next(iter(columns.values()))}
    # what is tabulated of an experiment is without baselines
    reference = None if baseline else reference
    if reference is not None:
        # its bands are a column of their own
        curves = [curve for curve in curves if curve is not reference.curve]
    columns |= {curve.name: bands_of_curve(curve, ranges, baseline) for curve in curves}
    lines = band_table(columns, reference, ordinate)
    if reference is not None:
        lines.append(f"experiment: {reference.text}; {reference.errors}")
    lines += [f"{curve.name}: {curve.origin}" for curve in curves]
    return [*lines, describe_moments(baseline)]


def bands_within(
    highest: float,
    reference: Reference | None,
    ranges: Mapping[str, tuple[float, float]] | None = None,
) -> dict[str, tuple[float, float]]:
    """Bands of an experiment up to the highest wavenumber, and more of them."""
    known = reference.ranges if reference is not None else {}
    return {name: limits for name, limits in known.items() if limits[1] <= highest} | dict(
        ranges or {}
    )


def describe_system(spectrum: InfraredSpectrum) -> str:
    """The volume, or whose molar absorption it is."""
    if spectrum.volume is not None:
        return f"{spectrum.volume:.6g} Å³"
    n = spectrum.n_molecules
    return "one molecule alone" if n == 1.0 else f"each of {n:g} molecules of a system alone"


def describe_quantum(spectrum: InfraredSpectrum) -> str:
    """How quantum effects were treated, in one sentence."""
    if spectrum.n_beads > 1:
        return (
            f"path integral of {spectrum.n_beads} beads, estimator '{spectrum.estimator}': "
            "Eq. 2 is exact for the Kubo-transformed correlation function, which it approximates; "
            "nothing to correct"
        )
    if spectrum.quantum == "harmonic":
        return "classical nuclei with the harmonic quantum correction, which is built into Eq. 2"
    return f"classical nuclei with the quantum correction '{spectrum.quantum}'"


def describe_integral(spectrum: InfraredSpectrum) -> str:
    """Integral over all wavenumbers, and what it should be, in one line."""
    rule, ordinate = spectrum.sum_rule, spectrum.ordinate
    return (
        f"integral of {ordinate.name}: {with_error(rule.found, rule.standard_error)} "
        f"{ordinate.integral_unit}; {_sum_rule(spectrum)}"
    )


def _sum_rule(spectrum: InfraredSpectrum) -> str:
    rule = spectrum.sum_rule
    if rule.expected:
        return (
            f"f-sum rule: {rule.expected:.4g} {spectrum.ordinate.integral_unit}, ratio "
            f"{rule.ratio:.3f} "
            f"± {rule.standard_error / rule.expected:.3f}"
        )
    if spectrum.quantum != "harmonic":
        return "no f-sum rule with this quantum correction"
    return "no f-sum rule: the stream has no f_sum"
