"""Errors of a spectrum of a campaign: as numbers, as curves, and of its bands."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from aptnn_md.arrays import FloatArray
from aptnn_md.learning import harmonic
from aptnn_md.learning.harmonic import HarmonicCheck, Lines
from aptnn_md.learning.judgement import BandError, BandErrors, SpectrumErrors
from aptnn_md.learning.judging import steps_of_run
from aptnn_md.learning.measured import Measured
from aptnn_md.learning.settings import CampaignSettings
from aptnn_md.spectra.analysis.bands import find_bands
from aptnn_md.spectra.analysis.error_parts import ErrorParts, committee_error
from aptnn_md.spectra.estimation.power import PowerBlocks, integration_weights

NARROWEST = 2.0
"""Least width of a band, relative to the resolution of the spectrum that is measured in it."""


def potential_error(measured: Measured, kind: str, check: HarmonicCheck) -> FloatArray | None:
    """(n,) error of a spectrum by the potential, in its unit; None where it is unknown.

    It is the larger of two differences of harmonic spectra: of the mean potential from the
    engine, and of the members from their mean. Each band is as broad, and as strong, as it is in
    the dynamics: a torsion that passes from one minimum to the next has a band of 200 cm⁻¹, in
    which a shift of 20 changes little, and a stretch one of 40.
    """
    mean, members, engine = check.mean, check.members, check.of_engine
    if mean is None or (engine is None and len(members) < 2):
        return None
    grid = measured.blocks.wavenumber
    off = np.zeros(len(grid))
    curves = [np.zeros(len(grid)) for _ in members]
    for band in _broad_bands(measured.blocks, kind, mean):
        curves = [known + band.curve(each) for known, each in zip(curves, members, strict=True)]
        if engine is not None:
            off += band.curve(mean) - band.curve(engine)
    off = np.abs(off)
    of_members = check.members_error(curves)
    return off if of_members is None or off.sum() > of_members.sum() else of_members


@dataclass(frozen=True, eq=False)
class _BroadBand:
    """Modes of a band with the width and the strength that it has in dynamics."""

    modes: slice
    kind: str
    grid: FloatArray
    width: float
    scale: float = 1.0

    def curve(self, lines: Lines) -> FloatArray:
        """(n,) these modes of other lines, broadened."""
        found = harmonic.curve_of(lines.of_modes(self.modes), self.kind, self.grid, self.width)
        return self.scale * found


def _broad_bands(blocks: PowerBlocks, kind: str, lines: Lines) -> Iterator[_BroadBand]:
    """Bands of harmonic lines as the dynamics has them."""
    grid, spectrum = blocks.wavenumber, np.maximum(blocks.mean, 0.0)
    modes = harmonic.bands_of_lines(lines, kind, NARROWEST * blocks.resolution)
    for which, (low, high) in zip(modes, harmonic.band_limits(lines, modes), strict=True):
        there = np.where((grid >= low) & (grid < high), spectrum, 0.0)
        of_band = lines.of_modes(which)
        width = harmonic.matching_width(of_band, kind, grid, there, blocks.resolution)
        plain = _BroadBand(which, kind, grid, width)
        total = float(plain.curve(lines).sum())
        yield replace(plain, scale=float(there.sum()) / max(total, 1e-300))


def spectrum_errors(
    names: tuple[str, str],
    measured: Measured,
    check: HarmonicCheck,
    before: PowerBlocks | None,
    settings: CampaignSettings,
) -> tuple[SpectrumErrors, ErrorParts]:
    """Errors of one spectrum, as numbers and as curves.

    Parameters
    ----------
    names : of the system, and the kind of the spectrum
    measured : the spectrum
    check : harmonic lines of models and engine
    before : the spectrum of the cycle before
    settings : of the campaign
    """
    system, kind = names
    low, high = settings.judging.wavenumbers
    parts = ErrorParts.of(measured.blocks, measured.members)
    error = potential_error(measured, kind, check)
    parts = ErrorParts(parts.wavenumber, parts.curve, parts.statistical, parts.tensors, error)
    relative = parts.relative(low, high)
    final_length = 1e-3 * settings.dynamics.final_runs * steps_of_run(settings)
    final_length *= settings.dynamics.timestep
    shorter = min(1.0, math.sqrt(measured.picoseconds / final_length))
    return (
        SpectrumErrors(
            system,
            kind,
            relative["statistical"],
            relative.get("tensors", math.nan),
            relative.get("potential", math.nan),
            relative["statistical"] * shorter,
            measured.picoseconds,
            _change(measured.blocks, before, low, high),
            band_errors(measured, kind, check),
            measured.spectrum.ordinate.integral_unit,
        ),
        parts,
    )


def _change(now: PowerBlocks, before: PowerBlocks | None, low: float, high: float) -> float:
    if before is None:
        return math.nan
    weights = integration_weights(now.wavenumber, low, high)
    return float(np.abs(now.mean - before.mean) @ weights / (now.mean @ weights))


def band_errors(measured: Measured, kind: str, check: HarmonicCheck) -> tuple[BandErrors, ...]:
    """Bands where the harmonic spectrum has some, with all errors of integral and centroid.

    Parameters
    ----------
    measured : spectrum of the dynamics
    kind : ``infrared`` or ``raman``
    check : harmonic lines of models and engine
    """
    of_model = check.mean
    if of_model is None:
        return ()
    blocks = measured.blocks
    modes = harmonic.bands_of_lines(of_model, kind, NARROWEST * blocks.resolution)
    end = float(blocks.wavenumber[-1])
    limits = [(low, min(high, end)) for low, high in harmonic.band_limits(of_model, modes)]
    off = [_harmonic_errors(of_model, check, kind, which) for which in modes]
    if limits and limits[0][0] > 0.0:  # rotation, of which normal modes know nothing
        limits, off = [(0.0, limits[0][0]), *limits], [np.full(2, np.nan), *off]
    ranges = {str(k): pair for k, pair in enumerate(limits)}
    bands = find_bands(measured, ranges)
    by_member = [find_bands(_Blocks(member), ranges) for member in measured.members]
    found = []
    for number, (band, potential) in enumerate(zip(bands, off, strict=True)):
        tensors = np.full(2, np.nan)
        if len(by_member) > 1:
            values = [(of[number].integral, of[number].centroid) for of in by_member]
            tensors = committee_error(values)
        integral = band.integral, band.integral_error, float(tensors[0])
        centroid = band.centroid, band.centroid_error, float(tensors[1])
        found.append(
            BandErrors(
                band.low,
                band.high,
                BandError(*integral, abs(band.integral) * float(potential[0])),
                BandError(*centroid, float(potential[1])),
            )
        )
    return tuple(found)


def _harmonic_errors(mean: Lines, check: HarmonicCheck, kind: str, which: slice) -> FloatArray:
    """(2,) error of a band by the potential: of its integral, relative, and its centroid, cm⁻¹; NaN
    where it is unknown."""
    values = harmonic.band_values(mean, kind, which)
    by_member = [harmonic.band_values(each, kind, which) for each in check.members]
    of_members = check.members_error(by_member)
    off = np.full(2, np.nan) if of_members is None else of_members
    if check.of_engine is not None:
        of_engine = harmonic.band_values(check.of_engine, kind, which)
        off = np.fmax(off, np.abs(np.subtract(values, of_engine)))
    return np.asarray(off / np.array([values[0], 1.0]))


@dataclass(frozen=True, eq=False)
class _Blocks:
    """A spectrum of which only the curve with its statistics is known."""

    blocks: PowerBlocks
