"""Infrared spectra side by side: their bands, and differences between two, with errors."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from aptnn_md.arrays import FloatArray
from aptnn_md.errors import InputError
from aptnn_md.spectra.analysis.band_differences import (
    BandDifference,
    independent_differences,
    paired_differences,
)
from aptnn_md.spectra.analysis.bands import find_bands
from aptnn_md.spectra.analysis.experiment import ReferenceCurve
from aptnn_md.spectra.analysis.reference_bands import Reference
from aptnn_md.spectra.analysis.sticks import Sticks
from aptnn_md.spectra.estimation.paired import PairedBlocks
from aptnn_md.spectra.infrared.intensity import check_comparable
from aptnn_md.spectra.infrared.paired import paired_absorption
from aptnn_md.spectra.infrared.report import (
    bands_and_experiments,
    common_ranges,
    describe_quantum,
    measured_bands,
)
from aptnn_md.spectra.infrared.spectrum import InfraredSpectrum
from aptnn_md.spectra.infrared.table import describe
from aptnn_md.spectra.output.columns import in_range, write_columns
from aptnn_md.spectra.output.ordinate import Ordinate
from aptnn_md.spectra.output.text import aligned, with_error

_SAME_RESOLUTION = 0.02


INDEPENDENT = "independent: errors of both added in quadrature"
"""What is said of spectra of different trajectories."""


@dataclass(frozen=True, eq=False)
class Difference:
    """Second spectrum minus first one.

    Attributes
    ----------
    wavenumber : (n,) cm⁻¹, up to the smaller Nyquist wavenumber
    absorption, standard_error : (n,) in the unit of the spectra
    first, second : the spectra
    blocks : both and their difference in the same blocks, where they are of the same frames;
        None: they are independent
    text : how they were compared, in one line
    """

    wavenumber: FloatArray
    absorption: FloatArray
    standard_error: FloatArray
    first: InfraredSpectrum
    second: InfraredSpectrum
    blocks: PairedBlocks | None = None
    text: str = INDEPENDENT

    @property
    def ordinate(self) -> Ordinate:
        """What the values are, in both spectra and in the difference."""
        return self.first.ordinate

    @property
    def paired(self) -> bool:
        """Whether both are of the same frames, e.g. by two models or estimators, and the error is
        that of the difference of the blocks; otherwise they are independent."""
        return self.blocks is not None

    def integral(self, low: float, high: float) -> tuple[float, float]:
        """∫ of the difference over a range (cm⁻¹), and its standard error."""
        if self.blocks is not None:
            return self.blocks.difference.integral(low, high)
        (a, error_a), (b, error_b) = (s.integral(low, high) for s in (self.first, self.second))
        return b - a, float(np.hypot(error_a, error_b))

    @property
    def total(self) -> tuple[float, float]:
        """∫ of the difference over all its wavenumbers, and its standard error."""
        return self.integral(0.0, float(self.wavenumber[-1]))

    def bands(
        self, ranges: Mapping[str, tuple[float, float]], baseline: bool = False
    ) -> list[BandDifference]:
        """Differences of bands; see :func:`aptnn_md.spectra.analysis.bands.find_bands`."""
        if self.blocks is not None:
            return paired_differences(self.blocks, ranges, baseline)
        first, second = (find_bands(s, ranges, baseline) for s in (self.first, self.second))
        return independent_differences(first, second)


def difference(
    first: InfraredSpectrum, second: InfraredSpectrum, *, paired: bool | None = None
) -> Difference:
    """The second spectrum minus the first one.

    Spectra of streams of one trajectory are compared over the frames that these have in common, for
    which the streams are read again. What is common to both has no error in such a difference. For
    which streams that is so, see :mod:`aptnn_md.spectra.sources.pairing`.

    Parameters
    ----------
    first, second : of the same quantity and resolution; where wavenumbers differ, the second one is
        interpolated
    paired : None: where the spectra are of the same frames; False: take them as independent

    Raises
    ------
    InputError
        One is n·α and the other one the molar absorption of a molecule; resolutions differ by more
        than 2 %, which alone would make spectra differ; some streams are
        of one trajectory and others are not, or they have other strides; ``paired`` is True and
        the spectra are not of the same frames.
    """
    first.ordinate.same_as(second.ordinate, "difference of spectra")
    _check_resolutions(first, second)
    found = None if paired is False else _paired(first, second)
    if found is not None:
        blocks, text = found
        pair = blocks.difference
        values = pair.wavenumber, pair.mean, pair.standard_error
        return Difference(*values, first, second, blocks, text)
    if paired:
        expected = "two of the same trajectory, estimated in the same way"
        raise InputError("paired difference", "spectra", "independent ones", expected)
    grid = first.wavenumber[first.wavenumber <= second.wavenumber[-1]]
    value, error = (
        np.interp(grid, second.wavenumber, curve)
        for curve in (second.absorption, second.standard_error)
    )
    n = len(grid)
    errors = np.hypot(error, first.standard_error[:n])
    return Difference(grid, value - first.absorption[:n], errors, first, second)


def integral_difference(
    first: InfraredSpectrum, second: InfraredSpectrum, low: float, high: float
) -> tuple[float, float]:
    """∫ of the second minus the first one over a range (cm⁻¹), and its standard error; see
    :func:`difference`, whose result gives many integrals at once."""
    return difference(first, second).integral(low, high)


def common_ordinate(spectra: Mapping[str, InfraredSpectrum]) -> Ordinate:
    """What all spectra are.

    Raises
    ------
    InputError
        Some are n·α and others the molar absorption of a molecule.
    """
    (first, ordinate), *others = ((name, one.ordinate) for name, one in spectra.items())
    for name, other in others:
        ordinate.same_as(other, f"{name} and {first}")
    return ordinate


def comparison_report(
    spectra: Mapping[str, InfraredSpectrum],
    reference: Reference | None = None,
    *,
    ranges: Mapping[str, tuple[float, float]] | None = None,
    curves: Sequence[ReferenceCurve] = (),
    baseline: bool = False,
    differences: Mapping[str, Difference] | None = None,
    sticks: Sticks | None = None,
) -> list[str]:
    """What each spectrum is, and a table of all their bands.

    Parameters
    ----------
    spectra : name -> spectrum
    reference, ranges, curves, baseline, sticks : see
        :func:`aptnn_md.spectra.infrared.report.report`; where bands are found by themselves, in the
        first spectrum
    differences : name -> difference, of which integrals, centroids and positions of bands are
        shown, and how they were compared

    Raises
    ------
    InputError
        Spectra or experiments of different quantities, or two curves of one name.
    """
    lines, ordinate = describe_each(spectra), common_ordinate(spectra)
    check_comparable(ordinate, reference, curves)
    wanted = common_ranges(spectra, reference, ranges)
    if wanted:
        experiments = (reference, curves)
        found = measured_bands(spectra, wanted, baseline, sticks)
        lines += ["", *bands_and_experiments(found, ordinate, experiments, baseline)]
    if differences:
        lines += ["", *_band_differences(differences, wanted, baseline)]
    return lines


def describe_each(spectra: Mapping[str, InfraredSpectrum]) -> list[str]:
    """What each spectrum is, and its notes, line by line."""
    lines = []
    for name, spectrum in spectra.items():
        lines.append(f"{name}: {1e-3 * spectrum.length:.4g} ps, {describe_quantum(spectrum)}")
        if spectrum.sum_rule.ratio is not None:
            lines.append(f"  f-sum rule: ratio {spectrum.sum_rule.ratio:.3f}")
        lines += [f"  note: {note}" for note in spectrum.notes]
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
    write_columns(path, *comparison_table(spectra, differences, wavenumbers, provenance))


def comparison_table(
    spectra: Mapping[str, InfraredSpectrum],
    differences: Mapping[str, Difference],
    wavenumbers: tuple[float, float] | None = None,
    provenance: str = "",
) -> tuple[dict[str, FloatArray], list[str]]:
    """Columns and header of the file that :func:`write_comparison` writes.

    Wavenumbers come first, then the spectra and the differences, each followed by its standard
    error.

    Raises
    ------
    InputError
        The range has no values.
    """
    first, unit = next(iter(spectra.values())), common_ordinate(spectra).unit
    highest = min(float(spectrum.wavenumber[-1]) for spectrum in spectra.values())
    inside = in_range(first, wavenumbers) & (first.wavenumber <= highest)
    grid = first.wavenumber[inside]
    columns, lines = {"wavenumber (cm^-1)": grid}, list[str]()
    curves: dict[str, InfraredSpectrum | Difference] = {**spectra, **differences}
    for name, curve in curves.items():
        for suffix, values in (("", curve.absorption), (" standard error", curve.standard_error)):
            columns[f"{name}{suffix} ({unit})"] = np.interp(grid, curve.wavenumber, values)
    for name, spectrum in spectra.items():
        lines += [f"{name}: {line}" for line in describe(spectrum)]
    lines += [f"{name}: {found.text}" for name, found in differences.items()]
    if provenance:
        lines.append(f"provenance: {provenance}")
    return columns, lines


def _band_differences(
    differences: Mapping[str, Difference],
    ranges: Mapping[str, tuple[float, float]],
    baseline: bool,
) -> list[str]:
    """How the differences were made, and tables: integrals, centroids and positions."""
    lines = [f"{name}: {found.text}" for name, found in differences.items()]
    for rows in difference_rows(differences, ranges, baseline):
        lines += ["", *aligned(rows)]
    return lines


def difference_rows(
    differences: Mapping[str, Difference],
    ranges: Mapping[str, tuple[float, float]],
    baseline: bool = False,
) -> list[list[list[str]]]:
    """Tables of differences of bands: integrals and, if there are ranges, centroids and positions.

    Returns
    -------
    The rows of each table, the first one with the titles.
    """
    integrals, centroids, positions = list[list[str]](), list[list[str]](), list[list[str]]()
    ordinate = next(iter(differences.values())).ordinate
    scale, unit = ordinate.table_scale, ordinate.table_unit
    for name, found in differences.items():
        bands = found.bands(ranges, baseline)
        of_bands = [(band.integral, band.integral_error) for band in bands]
        cells = [with_error(v / scale, e / scale) for v, e in (*of_bands, found.total)]
        integrals.append([name, *cells])
        means = [with_error(band.centroid, band.centroid_error) for band in bands]
        centroids.append([name, *means])
        shifts = [
            "-" if band.at_edge else with_error(band.position, band.position_error)
            for band in bands
        ]
        positions.append([name, *shifts])
    tables = [[[f"difference of integrals ({unit})", *ranges, "all"], *integrals]]
    if ranges:
        tables.append([["difference of centroids (cm⁻¹)", *ranges], *centroids])
        tables.append([["difference of positions (cm⁻¹)", *ranges], *positions])
    return tables


def _paired(first: InfraredSpectrum, second: InfraredSpectrum) -> tuple[PairedBlocks, str] | None:
    """Both spectra in the same blocks, where they are of the same frames, and what was found."""
    if first.options is not None and second.options is not None:
        found = paired_absorption(first, second)
        return None if found is None else (found.blocks, found.text)
    a, b = first.blocks, second.blocks
    same = first.sources == second.sources and first.run_lengths == second.run_lengths
    if not same or a.values.shape != b.values.shape or not np.array_equal(a.weights, b.weights):
        return None
    n_frames = round(first.length / first.spacing)
    return PairedBlocks(a, b, b.minus(a)), f"paired: the same runs, {n_frames} frames"


def _check_resolutions(first: InfraredSpectrum, second: InfraredSpectrum) -> None:
    if abs(second.resolution - first.resolution) > _SAME_RESOLUTION * first.resolution:
        found, expected = f"{second.resolution:.4g} cm⁻¹", f"{first.resolution:.4g} cm⁻¹"
        raise InputError("difference of spectra", "resolution", found, expected)
