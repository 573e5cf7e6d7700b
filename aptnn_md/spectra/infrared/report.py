"""An infrared spectrum in a few lines of text, compared with experiments on request."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from aptnn_md.spectra.analysis.alarms import warning_lines
from aptnn_md.spectra.analysis.bands import Band, Reference, bands_of_curve, find_bands
from aptnn_md.spectra.analysis.experiment import ReferenceCurve
from aptnn_md.spectra.infrared.spectrum import InfraredSpectrum
from aptnn_md.spectra.output.band_table import band_table, part_table


def report(
    spectrum: InfraredSpectrum,
    reference: Reference | None = None,
    *,
    ranges: Mapping[str, tuple[float, float]] | None = None,
    curves: Sequence[ReferenceCurve] = (),
    baseline: bool = False,
) -> list[str]:
    """Lines that say what was found.

    Parameters
    ----------
    reference : experiment with whose bands those of the spectrum are compared; bands beyond the
        Nyquist wavenumber are left out
    ranges : more bands, name -> (low, high), cm⁻¹
    curves : experimental curves, whose bands are measured in the same way
    baseline : measure bands above the straight line between the ends of their ranges
    """
    n_runs = len(spectrum.run_lengths)
    rule = spectrum.sum_rule
    lines = [
        f"infrared spectrum: {1e-3 * spectrum.length:.4g} ps"
        + (f" in {n_runs} runs" if n_runs > 1 else "")
        + f", frames {spectrum.spacing:g} fs apart, {spectrum.temperature:.4g} K, "
        f"{spectrum.volume:.6g} Å³",
        f"resolution {spectrum.resolution:.3g} cm⁻¹ (full width at half maximum): "
        f"{spectrum.blocks.plan.text}, {spectrum.n_segments} segments",
        f"integral of n·α: {rule.found:.4g} ± {rule.standard_error:.1g} cm⁻²; "
        + _sum_rule(spectrum),
        describe_quantum(spectrum),
    ]
    lines[1:1] = warning_lines(spectrum.alarms)
    lines += [f"note: {note}" for note in spectrum.notes]
    wanted = bands_within(spectrum.wavenumber[-1], reference, ranges)
    if wanted:
        found = {"simulation": find_bands(spectrum, wanted, baseline)}
        lines += ["", *bands_and_experiments(found, reference, wanted, curves, baseline)]
    if wanted and spectrum.parts:
        lines += ["", *part_table(spectrum, wanted)]
    return lines


def bands_and_experiments(
    found: Mapping[str, Sequence[Band]],
    reference: Reference | None,
    ranges: Mapping[str, tuple[float, float]],
    curves: Sequence[ReferenceCurve] = (),
    baseline: bool = False,
) -> list[str]:
    """Table of bands of spectra and of experiments, and what the experiments are.

    Parameters
    ----------
    found : name of a spectrum -> its bands in ``ranges``
    """
    columns = dict(found)
    columns |= {curve.name: bands_of_curve(curve, ranges, baseline) for curve in curves}
    # what is tabulated of an experiment is without baselines
    reference = None if baseline else reference
    lines = band_table(columns, reference)
    if reference is not None:
        lines.append(f"experiment: {reference.text}; {reference.errors}")
    return lines + [f"{curve.name}: {curve.origin}" for curve in curves]


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


def _sum_rule(spectrum: InfraredSpectrum) -> str:
    rule = spectrum.sum_rule
    if rule.expected:
        return (
            f"f-sum rule: {rule.expected:.4g} cm⁻², ratio {rule.ratio:.3f} "
            f"± {rule.standard_error / rule.expected:.3f}"
        )
    if spectrum.quantum != "harmonic":
        return "no f-sum rule with this quantum correction"
    return "no f-sum rule: the stream has no f_sum"
