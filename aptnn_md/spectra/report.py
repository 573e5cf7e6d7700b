"""A spectrum in a few lines of text, beside an experiment where there is one."""

from __future__ import annotations

from collections.abc import Iterable

from aptnn_md.spectra.bands import Band, Reference, ReferenceBand, find_bands
from aptnn_md.spectra.infrared import InfraredSpectrum


def report(spectrum: InfraredSpectrum, reference: Reference | None = None) -> list[str]:
    """Lines that say what was found.

    Parameters
    ----------
    reference : experiment with whose bands those of the spectrum are compared; bands beyond the
        Nyquist wavenumber are left out
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
        f"integral of n·α: {rule.found:.4g} ± {rule.standard_error:.1g} cm⁻²"
        + (
            f"; f-sum rule: {rule.expected:.4g} cm⁻², ratio {rule.ratio:.3f} "
            f"± {rule.standard_error / rule.expected:.3f}"
            if rule.expected
            else "; no f-sum rule: the stream has no f_sum"
        ),
    ]
    lines += [f"note: {note}" for note in spectrum.notes]
    if reference is not None:
        highest = spectrum.wavenumber[-1]
        known = [band for band in reference.bands if band.high <= highest]
        found = find_bands(spectrum, {band.name: (band.low, band.high) for band in known})
        lines += [
            "",
            *band_table(zip(found, known, strict=True)),
            f"experiment: {reference.text}; {reference.errors}",
        ]
    return lines


def band_table(bands: Iterable[tuple[Band, ReferenceBand]]) -> list[str]:
    """Positions and heights of bands, found and measured, as lines of a table."""
    lines = [
        "                 position (cm⁻¹)                height of n·α (cm⁻¹)",
        "band             simulation     experiment      simulation      experiment",
    ]
    for band, reference in bands:
        measured = _value(reference.position, reference.position_error)
        height = _value(reference.height, reference.height_error)
        if band.at_edge:
            nothing = f"no maximum in {band.low:.0f}-{band.high:.0f}"
            lines.append(f"{band.name:<16} {nothing}   {measured:<15} {'':<15} {height}".rstrip())
            continue
        position = _value(band.position, band.position_error)
        found_height = _value(band.height, band.height_error)
        lines.append(f"{band.name:<16} {position:<14} {measured:<15} {found_height:<15} {height}")
    return lines


def _value(value: float, error: float) -> str:
    return f"{value:.0f} ± {error:.0f}"
