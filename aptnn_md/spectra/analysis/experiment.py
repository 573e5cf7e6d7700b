"""Experimental curves n(ν̃)α(ν̃) from a user's table."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from aptnn_md.arrays import FloatArray
from aptnn_md.errors import InputError
from aptnn_md.spectra.analysis.kramers_kronig import kramers_kronig

_NAMES: Mapping[str, tuple[str, ...]] = {
    "wavenumber": ("wavenumber", "wavenumbers", "nu", "ν", "ν̃"),
    "n_alpha": ("nalpha", "nα", "absorption"),
    "alpha": ("alpha", "α"),
    "n": ("n",),
    "k": ("k", "kappa", "κ"),
    "epsilon_imag": ("epsilonimag", "epsimag", "epsilon2", "eps2", "ε2", "ε″", "epsilon″"),
}
_UNITS = re.compile(r"[\s_]*(\(.*?\)|\[.*?\]|invcm|(in|per)?[\s_]*cm(\^?-1|⁻¹)|1/cm)\s*$", re.I)
_EXPECTED = (
    "a header line with 'wavenumber' and one of 'n_alpha', 'alpha' and 'n', 'k' and 'n', "
    "'epsilon_imag' (wavenumbers and absorption in cm⁻¹, absorption neperian)"
)


@dataclass(frozen=True, eq=False)
class ReferenceCurve:
    """An experimental n(ν̃)α(ν̃).

    Attributes
    ----------
    name : what the picture calls it
    wavenumber : (n,) cm⁻¹, increasing
    absorption : (n,) n(ν̃)α(ν̃), cm⁻¹
    origin : how the absorption was made from the columns
    """

    name: str
    wavenumber: FloatArray
    absorption: FloatArray
    origin: str

    def integral(self, low: float, high: float) -> float:
        """∫ n(ν̃)α(ν̃) dν̃ over a range in cm⁻¹; NaN where the table does not cover it."""
        if low < self.wavenumber[0] or high > self.wavenumber[-1]:
            return float("nan")
        inside = (self.wavenumber > low) & (self.wavenumber < high)
        grid = np.concatenate([[low], self.wavenumber[inside], [high]])
        return float(np.trapezoid(np.interp(grid, self.wavenumber, self.absorption), grid))


def read_reference(
    path: str | os.PathLike[str], name: str = "", n_infinity: float | None = None
) -> ReferenceCurve:
    """Read a table with a header.

    Columns are separated by commas, semicolons or blanks. The header is the last line before the
    numbers, with or without ``#``; units in brackets or at the end of a name are left out of it.
    Columns are understood in this order: ``n_alpha``; ``epsilon_imag`` (n·α = 2πν̃ε″); ``alpha`` and
    ``n``; ``k`` and ``n`` (α = 4πν̃k). Without a column ``n``, it comes from k by Kramers–Kronig
    where ``n_infinity`` is given. Tables by ``aptnn-md spectrum`` are understood.

    Parameters
    ----------
    name : what the curve is called; default: the file's name
    n_infinity : refractive index far above all vibrations

    Raises
    ------
    InputError
        No such file, missing columns, or lines that are not numbers.
    """
    source = Path(path)
    columns, header = _read_columns(source)
    known = _recognised(header)
    if "wavenumber" not in known:
        raise InputError(source, "header", ", ".join(header) or "nothing", _EXPECTED)
    order = np.argsort(columns[known["wavenumber"]], kind="stable")
    values = {key: columns[index][order] for key, index in known.items()}
    nu = values["wavenumber"]
    if nu[0] < 0 or (np.diff(nu) <= 0).any():
        raise InputError(
            source, "wavenumber", "negative or repeated ones", "one line for each, cm⁻¹"
        )
    origin, absorption = _absorption(source, header, values, n_infinity)
    return ReferenceCurve(name or source.stem, nu, absorption, origin)


def _absorption(
    source: Path, header: list[str], values: Mapping[str, FloatArray], n_infinity: float | None
) -> tuple[str, FloatArray]:
    nu = values["wavenumber"]
    if "n_alpha" in values:
        return "n·α as tabulated", values["n_alpha"]
    if "epsilon_imag" in values:
        return "n·α = 2πν̃ε″", 2.0 * np.pi * nu * values["epsilon_imag"]
    if "alpha" in values:
        k, origin = values["alpha"] / np.where(nu > 0, 4.0 * np.pi * nu, np.inf), "n·α"
    elif "k" in values:
        k, origin = values["k"], "n·α = 4πν̃nk"
    else:
        raise InputError(source, "header", ", ".join(header), _EXPECTED)
    if "n" in values:
        n = values["n"]
    elif n_infinity is not None:
        n, origin = n_infinity + kramers_kronig(nu, k), f"{origin}, n by Kramers–Kronig"
    else:
        expected = "a column 'n' too, or n∞ to compute it by Kramers–Kronig"
        raise InputError(source, "header", ", ".join(header), expected)
    alpha = values["alpha"] if "alpha" in values else 4.0 * np.pi * nu * k
    return origin, n * alpha


def _read_columns(source: Path) -> tuple[list[FloatArray], list[str]]:
    """Columns of numbers and their names."""
    try:
        lines = source.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        found = getattr(error, "strerror", None) or "no text"
        raise InputError(source, "table", found, "a text file") from error
    header = ""
    rows: list[list[float]] = []
    for number, line in enumerate(lines, start=1):
        text = line.strip()
        if not text or (rows and text.startswith("#")):
            continue
        row = _numbers(text)
        if row is None and not rows:
            header = text.lstrip("#").strip()
        elif row is None or (rows and len(row) != len(rows[0])):
            expected = f"{len(rows[0])} numbers" if rows else "numbers"
            raise InputError(f"{source}, line {number}", "table", repr(text[:40]), expected)
        else:
            rows.append(row)
    names = [part.strip().strip('"') for part in _separator(header)(header)]
    if len(rows) < 3 or len(names) != len(rows[0]):
        found = f"{len(rows)} lines of numbers, {len(names)} names of columns ({header[:60]})"
        raise InputError(source, "table", found, _EXPECTED)
    return list(np.array(rows).T), names


def _numbers(line: str) -> list[float] | None:
    try:
        row = [float(part) for part in _separator(line)(line)]
    except ValueError:
        return None
    return row if np.isfinite(row).all() else None


def _separator(line: str) -> Callable[[str], list[str]]:
    for mark in (",", ";", "\t"):
        if mark in line:
            return lambda text: text.split(mark)
    return str.split


def _recognised(header: list[str]) -> dict[str, int]:
    """Our name -> index of the column."""
    known: dict[str, int] = {}
    for index, name in enumerate(header):
        bare = re.sub(r"[\s_*·.-]", "", _UNITS.sub("", name)).lower().replace("''", "″")
        for key, spellings in _NAMES.items():
            if bare in spellings:
                known.setdefault(key, index)
    return known
