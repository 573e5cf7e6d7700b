"""Harmonic spectra of models and engine: how good the potential is, without statistics.

A spectrum of dynamics knows an intensity to about one over the root of the number of runs, so that
errors of a potential are hidden in the noise. Normal modes have no noise. Their lines are broadened
until they are as concentrated as the spectrum of the dynamics is, and then two harmonic spectra
differ by about as much as those of dynamics would.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import BaseCalculator
from numpy.typing import ArrayLike

from aptnn_md.arrays import FloatArray
from aptnn_md.errors import InputError
from aptnn_md.learning.documents import read_document, write_document
from aptnn_md.normal_modes.broadening import LineShape, broadened
from aptnn_md.normal_modes.differences import finite_difference_hessian
from aptnn_md.normal_modes.infrared import infrared_modes
from aptnn_md.normal_modes.modes import normal_modes
from aptnn_md.normal_modes.raman import raman_modes
from aptnn_md.spectra.analysis.error_parts import committee_error
from aptnn_md.structures import Mobility
from aptnn_md.targets import APT, PGT, Tensors

ENGINE, MEAN, MEMBER = "engine", "mean", "member"
"""Names of lines: of the engine, of the mean potential, and of its members with a number."""

LARGEST_FORCE = 2e-3
"""eV/Å, at which a structure counts as relaxed; single precision of networks reaches it."""

GAP = 120.0
"""cm⁻¹, by which lines of different bands are apart."""

WIDEST = 500.0
"""cm⁻¹, from the first line of a band to its last. Large molecules have lines everywhere below 1500
cm⁻¹, which would all be one band; it is divided at its widest gaps."""

NARROWEST_GAP = 40.0
"""cm⁻¹, at which it may be divided."""

ROTATION = 300.0
"""cm⁻¹, up to which small molecules absorb by rotation. Where vibrations begin at more than twice
that, their first band begins half way to zero, so that rotation is no part of it."""


@dataclass(frozen=True, eq=False)
class Lines:
    """Lines of a harmonic calculation.

    Attributes
    ----------
    wavenumber : (n,) cm⁻¹, ascending; imaginary ones are negative
    infrared : (n,) km/mol
    raman : (n,) activities, Å⁴/amu; empty where they are not known
    positions : (n_atoms, 3) Å, of the minimum
    """

    wavenumber: FloatArray
    infrared: FloatArray
    raman: FloatArray
    positions: FloatArray

    def intensity(self, kind: str) -> FloatArray:
        """``infrared`` or ``raman``."""
        return self.raman if kind == "raman" else self.infrared

    def of_modes(self, which: slice) -> Lines:
        """Some of the modes."""
        raman = self.raman[which] if len(self.raman) else self.raman
        return Lines(self.wavenumber[which], self.infrared[which], raman, self.positions)

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {name: np.asarray(value).tolist() for name, value in vars(self).items()}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Lines:
        """From :meth:`to_dict`."""
        return cls(**{name: np.asarray(value, dtype=np.float64) for name, value in values.items()})


@dataclass(frozen=True, eq=False)
class HarmonicCheck:
    """Lines of the models of a system, and those that they are compared with.

    Attributes
    ----------
    of_models : :data:`MEAN` and ``"member-1"``, ... -> lines, of those that have a minimum
    of_engine : None where they are not known
    members_factor : what the spread of the members' lines is multiplied by to estimate their error,
        where no reference is known. They learn from the same labels and are wrong together
    """

    of_models: Mapping[str, Lines] = field(default_factory=dict)
    of_engine: Lines | None = None
    members_factor: float = 1.0

    @property
    def mean(self) -> Lines | None:
        """Lines of the mean potential."""
        return self.of_models.get(MEAN)

    @property
    def members(self) -> list[Lines]:
        """Lines of the members of the potential."""
        return [found for name, found in self.of_models.items() if name.startswith(MEMBER)]

    def members_error(self, values: Sequence[ArrayLike]) -> FloatArray | None:
        """Error of a number, or a curve, by its values of each member; None of fewer than two."""
        if len(values) < 2:
            return None
        factor = self.members_factor if self.of_engine is None else 1.0
        return factor * committee_error(np.asarray(values, dtype=np.float64))

    @property
    def shift(self) -> float:
        """Largest difference of a wavenumber from the engine, or error by the members, cm⁻¹; NaN if
        unknown."""
        if self.mean is None:
            return math.nan
        if self.of_engine is not None:
            return float(np.abs(self.mean.wavenumber - self.of_engine.wavenumber).max())
        error = self.members_error([member.wavenumber for member in self.members])
        return math.nan if error is None else float(error.max())


def write_lines(path: Path, named: dict[str, Lines]) -> None:
    """Write lines by name as JSON, whole or not at all."""
    write_document(path, {name: lines.to_dict() for name, lines in named.items()})


def read_lines(path: Path) -> dict[str, Lines]:
    """What :func:`write_lines` wrote.

    Raises
    ------
    InputError
        The file is damaged.
    """
    expected = "lines of harmonic calculations; remove it to calculate them again"
    content = read_document(path, "lines", expected)
    try:
        return {name: Lines.from_dict(values) for name, values in content.items()}
    except (ValueError, TypeError, AttributeError) as error:
        raise InputError(path, "lines", f"other content ({error})", expected) from error


def relaxed_hessian(
    atoms: Atoms, calculator: BaseCalculator, checkpoint: Path | None = None
) -> tuple[FloatArray, FloatArray]:
    """Hessian (3N, 3N) at the nearest minimum, eV/Å², and the positions there.

    Parameters
    ----------
    atoms : from where the minimum is looked for
    calculator : of forces
    checkpoint : file of the forces so far, to resume from

    Raises
    ------
    RunError
        No minimum was found.
    """
    start = atoms.copy()
    start.calc = calculator
    found = finite_difference_hessian(
        start, relax=LARGEST_FORCE, checkpoint=checkpoint, potential=str(calculator.name)
    )
    return found.matrix, found.positions


def lines_of(atoms: Atoms, hessian: FloatArray, tensors: Tensors) -> Lines:
    """Lines of a Hessian with tensors at the same positions.

    Parameters
    ----------
    atoms : at the minimum
    hessian : (3N, 3N) eV/Å²
    tensors : target -> (n_atoms, *shape); PGTs give Raman activities
    """
    masses = np.asarray(atoms.get_masses(), dtype=np.float64)
    modes = normal_modes(hessian, masses, atoms.positions, atoms.pbc, Mobility.of(atoms))
    raman = np.zeros(0)
    if PGT.name in tensors:
        raman = raman_modes(modes, tensors[PGT.name]).activity
    infrared = infrared_modes(modes, tensors[APT.name]).intensity
    return Lines(modes.wavenumber, infrared, raman, atoms.positions.copy())


def concentration(wavenumber: FloatArray, curve: FloatArray) -> float:
    """(∫ S)² / ∫ S², cm⁻¹: over how many wavenumbers a spectrum is spread."""
    step = float(wavenumber[1] - wavenumber[0])
    below = float((curve**2).sum())
    return float(curve.sum()) ** 2 * step / below if below > 0.0 else 0.0


def matching_width(
    lines: Lines, kind: str, wavenumber: FloatArray, curve: FloatArray, narrowest: float
) -> float:
    """Width of Gaussian lines, cm⁻¹, with which they are as concentrated as a spectrum is.

    Parameters
    ----------
    lines, kind : the harmonic spectrum
    wavenumber, curve : (n,) the spectrum of dynamics
    narrowest : its resolution, cm⁻¹, below which the width does not fall
    """
    wanted = concentration(wavenumber, curve)
    low, high = narrowest, 20.0 * narrowest
    for _ in range(40):
        middle = np.sqrt(low * high)
        here = concentration(wavenumber, curve_of(lines, kind, wavenumber, middle))
        low, high = (low, middle) if here > wanted else (middle, high)
    return float(np.sqrt(low * high))


def curve_of(lines: Lines, kind: str, wavenumber: FloatArray, width: float) -> FloatArray:
    """(n,) spectrum of Gaussian lines of a width, cm⁻¹."""
    shape = LineShape(width, "gaussian")
    return broadened(lines.wavenumber, lines.intensity(kind), wavenumber, shape)


def bands_of_lines(lines: Lines, kind: str, narrowest: float = 0.0) -> list[slice]:
    """Slices of the modes that form bands, :data:`GAP` apart and no wider than :data:`WIDEST`.

    Modes without intensity do not make a band of their own, and imaginary ones none.

    Parameters
    ----------
    lines, kind : the harmonic spectrum
    narrowest : width, cm⁻¹, that the limits of each band leave; those with less are joined to the
        nearer neighbour
    """
    gaps = np.diff(lines.wavenumber)
    ends = np.flatnonzero(gaps > GAP) + 1
    edges = [0, *(int(k) for k in ends), len(lines.wavenumber)]
    parts = [part for a, b in pairwise(edges) for part in _divided(lines.wavenumber, a, b)]
    total = float(lines.intensity(kind).sum())
    found = [s for s in parts if lines.intensity(kind)[s].sum() > 0.005 * total]
    found = [s for s in found if lines.wavenumber[s.stop - 1] > 0.0]
    while len(found) > 1:
        widths = [high - low for low, high in band_limits(lines, found)]
        k = int(np.argmin(widths))
        if widths[k] >= narrowest:
            break
        found = _joined(lines.wavenumber, found, k)
    return found


def _joined(wavenumber: FloatArray, bands: list[slice], k: int) -> list[slice]:
    """The bands with the ``k``-th joined to its nearer neighbour."""
    below = wavenumber[bands[k].start] - wavenumber[bands[k - 1].stop - 1] if k else np.inf
    above = np.inf
    if k + 1 < len(bands):
        above = wavenumber[bands[k + 1].start] - wavenumber[bands[k].stop - 1]
    first = k - 1 if below <= above else k
    one = slice(bands[first].start, bands[first + 1].stop)
    return [*bands[:first], one, *bands[first + 2 :]]


def _divided(wavenumber: FloatArray, start: int, stop: int) -> list[slice]:
    """A group of lines, divided at its widest gap until no part is too wide."""
    gaps = np.diff(wavenumber[start:stop])
    too_wide = len(gaps) > 0 and wavenumber[stop - 1] - wavenumber[start] > WIDEST
    if not too_wide or gaps.max() < NARROWEST_GAP:
        return [slice(start, stop)]
    middle = start + int(np.argmax(gaps)) + 1
    return _divided(wavenumber, start, middle) + _divided(wavenumber, middle, stop)


def band_limits(lines: Lines, bands: Sequence[slice]) -> list[tuple[float, float]]:
    """Limits of bands, cm⁻¹: half way to the next one, to 300 beyond the last.

    The first begins at 0, or above the rotation of the molecule (:data:`ROTATION`).
    """
    if not bands:
        return []
    inner = [
        0.5 * float(lines.wavenumber[a.stop - 1] + lines.wavenumber[b.start])
        for a, b in pairwise(bands)
    ]
    last = float(lines.wavenumber[bands[-1].stop - 1]) + 300.0
    half = 0.5 * float(lines.wavenumber[bands[0].start])
    edges = [half if half > ROTATION else 0.0, *inner, last]
    return list(pairwise(edges))


def band_values(lines: Lines, kind: str, band: slice) -> tuple[float, float]:
    """Integral and centroid (cm⁻¹) of the modes of a band."""
    intensity, where = lines.intensity(kind)[band], lines.wavenumber[band]
    integral = float(intensity.sum())
    return integral, float(intensity @ where) / integral if integral > 0.0 else float(where.mean())
