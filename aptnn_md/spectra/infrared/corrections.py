"""Quantum corrections of infrared spectra; see :mod:`aptnn_md.spectra.analysis.quantum`."""

from __future__ import annotations

from dataclasses import replace

from aptnn_md.spectra.analysis.quantum import correction_of, refuse_second
from aptnn_md.spectra.infrared.spectrum import InfraredSpectrum


def corrected(spectrum: InfraredSpectrum, correction: str) -> InfraredSpectrum:
    """A spectrum of classical nuclei with another correction than the harmonic one.

    Standard errors, blocks and groups are corrected, too.

    Raises
    ------
    InputError
        The spectrum is one of a path integral, or has been corrected already.
    """
    if correction == "harmonic":
        return spectrum
    refuse_second(correction, spectrum.n_beads, spectrum.quantum)
    operator = correction_of(correction, spectrum.wavenumber, spectrum.temperature)
    result = spectrum.mapped(operator)
    rule, notes = spectrum.sum_rule, spectrum.notes
    if rule.ratio is not None:
        notes = (*notes, f"f-sum rule before the quantum correction: ratio {rule.ratio:.4f}")
    return replace(
        result,
        quantum=correction,
        options=spectrum.options,
        notes=notes,
        sum_rule=replace(result.sum_rule, expected=None),
    )
