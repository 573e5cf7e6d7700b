"""Infrared spectra side by side: their bands, and differences between two, with errors."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from aptnn_md.arrays import FloatArray
from aptnn_md.errors import InputError
from aptnn_md.spectra.analysis.bands import Reference, find_bands
from aptnn_md.spectra.analysis.experiment import ReferenceCurve
from aptnn_md.spectra.estimation.power import PowerBlocks, integration_weights
from aptnn_md.spectra.infrared.report import (
    bands_and_experiments,
    bands_within,
    describe_quantum,
)
from aptnn_md.spectra.infrared.spectrum import InfraredSpectrum
from aptnn_md.spectra.infrared.table import describe
from aptnn_md.spectra.output.columns import in_range, write_columns
from aptnn_md.spectra.output.text import aligned, with_error

_SAME_RESOLUTION = 0.02


@dataclass(frozen=True, eq=False)
class Difference:
    """Second spectrum minus first one.

    Attributes
    ----------
    wavenumber : (n,) cm⁻¹, up to the smaller Nyquist wavenumber
    absorption, standard_error : (n,) of n(ν̃)α(ν̃), cm⁻¹
    paired : both are of the same frames, e.g. by two estimators, and the error is that of the
        difference frame by frame; otherwise they are independent
    """

    wavenumber: FloatArray
    absorption: FloatArray
    standard_error: FloatArray
    paired: bool


def difference(first: InfraredSpectrum, second: InfraredSpectrum) -> Difference:
    """The second spectrum minus the first one.

    Parameters
    ----------
    first, second : of the same resolution; where wavenumbers differ, the second one is
        interpolated

    Raises
    ------
    InputError
        Resolutions differ by more than 2 %, which alone would make spectra differ.
    """
    _check_resolutions(first, second)
    if (pair := _pair(first, second)) is not None:
        return Difference(first.wavenumber, pair.mean, pair.standard_error, True)
    grid = first.wavenumber[first.wavenumber <= second.wavenumber[-1]]
    value, error = (
        np.interp(grid, second.wavenumber, curve)
        for curve in (second.absorption, second.standard_error)
    )
    n = len(grid)
    return Difference(
        grid,
        value - first.absorption[:n],
        np.hypot(error, first.standard_error[:n]),
        False,
    )


def integral_difference(
    first: InfraredSpectrum, second: InfraredSpectrum, low: float, high: float
) -> tuple[float, float]:
    """∫ of the second minus the first one over a range (cm⁻¹), and its standard error, cm⁻²."""
    _check_resolutions(first, second)
    if (pair := _pair(first, second)) is not None:
        return pair.linear(integration_weights(pair.wavenumber, low, high))
    (a, error_a), (b, error_b) = first.integral(low, high), second.integral(low, high)
    return b - a, float(np.hypot(error_a, error_b))


def comparison_report(
    spectra: Mapping[str, InfraredSpectrum],
    reference: Reference | None = None,
    *,
    ranges: Mapping[str, tuple[float, float]] | None = None,
    curves: Sequence[ReferenceCurve] = (),
    baseline: bool = False,
    differences: bool = False,
) -> list[str]:
    """What each spectrum is, and a table of all their bands.

    Parameters
    ----------
    spectra : name -> spectrum
    reference, ranges, curves, baseline : see :func:`aptnn_md.spectra.infrared.report.report`
    differences : also the differences of integrals of bands from those of the first spectrum
    """
    lines = []
    for name, spectrum in spectra.items():
        lines.append(f"{name}: {1e-3 * spectrum.length:.4g} ps, {describe_quantum(spectrum)}")
        if spectrum.sum_rule.ratio is not None:
            lines.append(f"  f-sum rule: ratio {spectrum.sum_rule.ratio:.3f}")
        lines += [f"  note: {note}" for note in spectrum.notes]
    highest = min(float(spectrum.wavenumber[-1]) for spectrum in spectra.values())
    wanted = bands_within(highest, reference, ranges)
    if not wanted:
        return lines
    found = {name: find_bands(spectrum, wanted, baseline) for name, spectrum in spectra.items()}
    lines += ["", *bands_and_experiments(found, reference, wanted, curves, baseline)]
    if differences and len(spectra) > 1:
        lines += ["", *_integral_differences(spectra, wanted)]
    return lines


def write_comparison(
    path: str | os.PathLike[str],
    spectra: Mapping[str, InfraredSpectrum],
    differences: Mapping[str, Difference],
    wavenumbers: tuple[float, float] | None = None,
    provenance: str = "",
) -> None:
    """Write spectra and differences to one CSV file, over the wavenumbers of the first spectrum.

    Parameters
    ----------
    wavenumbers : the range to write, cm⁻¹; default: up to the smallest Nyquist wavenumber

    Raises
    ------
    InputError
        The file cannot be written, or the range has no values.
    """
    first = next(iter(spectra.values()))
    highest = min(float(spectrum.wavenumber[-1]) for spectrum in spectra.values())
    inside = in_range(first, wavenumbers) & (first.wavenumber <= highest)
    grid = first.wavenumber[inside]
    columns, lines = {"wavenumber (cm^-1)": grid}, list[str]()
    curves: dict[str, InfraredSpectrum | Difference] = {**spectra, **differences}
    for name, curve in curves.items():
        for suffix, values in (("", curve.absorption), (" standard error", curve.standard_error)):
            columns[f"{name}{suffix} (cm^-1)"] = np.interp(grid, curve.wavenumber, values)
    for name, spectrum in spectra.items():
        lines += [f"{name}: {line}" for line in describe(spectrum)]
    if provenance:
        lines.append(f"provenance: {provenance}")
    write_columns(path, columns, lines)


def _integral_differences(
    spectra: Mapping[str, InfraredSpectrum], ranges: Mapping[str, tuple[float, float]]
) -> list[str]:
    (base_name, base), *others = spectra.items()
    rows = [["difference of integrals (10³ cm⁻²)", *ranges]]
    for name, spectrum in others:
        values = [integral_difference(base, spectrum, *limits) for limits in ranges.values()]
        cells = [with_error(value / 1e3, error / 1e3) for value, error in values]
        rows.append([f"{name} - {base_name}", *cells])
    return aligned(rows)


def _pair(first: InfraredSpectrum, second: InfraredSpectrum) -> PowerBlocks | None:
    """Block by block difference where both are of the same frames."""
    a, b = first.blocks, second.blocks
    same = first.sources == second.sources and first.run_lengths == second.run_lengths
    if not same or a.values.shape != b.values.shape or not np.array_equal(a.weights, b.weights):
        return None
    return b.minus(a)


def _check_resolutions(first: InfraredSpectrum, second: InfraredSpectrum) -> None:
    if abs(second.resolution - first.resolution) > _SAME_RESOLUTION * first.resolution:
        found, expected = f"{second.resolution:.4g} cm⁻¹", f"{first.resolution:.4g} cm⁻¹"
        raise InputError("difference of spectra", "resolution", found, expected)
