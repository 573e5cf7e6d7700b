"""An infrared spectrum in a few lines of text, compared with experiments on request."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

from aptnn_md.errors import InputError
from aptnn_md.spectra.analysis.alarms import warning_lines
from aptnn_md.spectra.analysis.bands import Band, bands_of_curve, find_bands
from aptnn_md.spectra.analysis.error_parts import STATISTICAL_ERRORS
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

SIMULATION = "simulation"
"""What tables of bands call one spectrum."""


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
        STATISTICAL_ERRORS,
    ]
    lines[1:1] = warning_lines(spectrum.alarms)
    lines += [f"note: {note}" for note in spectrum.notes]
    wanted = common_ranges({SIMULATION: spectrum}, reference, ranges)
    if wanted:
        found = measured_bands({SIMULATION: spectrum}, wanted, baseline, sticks)
        experiments = (reference, curves)
        lines += ["", *bands_and_experiments(found, spectrum.ordinate, experiments, baseline)]
    elif ranges is None and spectrum.volume is None:
        lines.append(NO_PEAKS)
    if wanted and spectrum.parts:
        lines += ["", *part_table(spectrum, wanted)]
    return lines


def measured_bands(
    spectra: Mapping[str, InfraredSpectrum],
    ranges: Mapping[str, tuple[float, float]],
    baseline: bool = False,
    sticks: Sticks | None = None,
) -> dict[str, Sequence[Band]]:
    """Name -> bands of each spectrum and of a harmonic calculation.

    Raises
    ------
    InputError
        A spectrum has the name of the harmonic calculation.
    """
    of_sticks = {} if sticks is None else {sticks.name: bands_of_sticks(sticks, ranges)}
    return _joined(
        {name: find_bands(one, ranges, baseline) for name, one in spectra.items()}, of_sticks
    )


def all_bands(
    spectra: Mapping[str, InfraredSpectrum],
    ranges: Mapping[str, tuple[float, float]] | None = None,
    experiments: Experiments = (None, ()),
    baseline: bool = False,
    sticks: Sticks | None = None,
) -> dict[str, Sequence[Band]]:
    """Name -> bands of the spectra, a harmonic calculation and experimental curves, as
    :func:`report` and :func:`aptnn_md.spectra.infrared.comparison.comparison_report` show them.

    Raises
    ------
    InputError
        A spectrum has the name of the harmonic calculation or of a curve.
    """
    reference, curves = experiments
    wanted = common_ranges(spectra, reference, ranges)
    found = measured_bands(spectra, wanted, baseline, sticks)
    of_curves = {curve.name: bands_of_curve(curve, wanted, baseline) for curve in curves}
    return _joined(found, of_curves)


def common_ranges(
    spectra: Mapping[str, InfraredSpectrum],
    reference: Reference | None = None,
    ranges: Mapping[str, tuple[float, float]] | None = None,
) -> dict[str, tuple[float, float]]:
    """Ranges of the bands that all spectra reach; see :func:`report`. Where they are found by
    themselves, in the first spectrum."""
    highest = min(float(spectrum.wavenumber[-1]) for spectrum in spectra.values())
    ranges = default_ranges(next(iter(spectra.values())), ranges)
    return bands_within(highest, reference, ranges)


def _joined(
    found: Mapping[str, Sequence[Band]], others: Mapping[str, Sequence[Band]]
) -> dict[str, Sequence[Band]]:
    """Bands of both, of which no two may have one name."""
    taken = found.keys() & others.keys()
    if taken:
        expected = "another name of the run (--names), or of the file"
        raise InputError(", ".join(sorted(taken)), "name", "that of two curves", expected)
    return {**found, **others}


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

    Raises
    ------
    InputError
        A spectrum has the name of a curve.
    """
    reference, curves = experiments
    ranges = {band.name: (band.low, band.high) for band in next(iter(found.values()))}
    # what is tabulated of an experiment is without baselines
    reference = None if baseline else reference
    if reference is not None:
        # its bands are a column of their own
        curves = [curve for curve in curves if curve is not reference.curve]
    of_curves = {curve.name: bands_of_curve(curve, ranges, baseline) for curve in curves}
    columns = _joined(found, of_curves)
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
    return "no f-sum rule: the stream has no f_sum of this estimator"
