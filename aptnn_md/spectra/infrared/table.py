"""A spectrum as a table: CSV that numpy and pandas read."""

from __future__ import annotations

import io
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np

from aptnn_md.arrays import FloatArray
from aptnn_md.errors import InputError
from aptnn_md.files import write_output
from aptnn_md.spectra.analysis.quantum import describe as describe_quantum
from aptnn_md.spectra.infrared.dielectric import Quantity
from aptnn_md.spectra.infrared.spectrum import InfraredSpectrum

_PLAIN = {
    "×": "x", "·": "*", "⁻¹": "^-1", "²": "^2", "³": "^3", "±": "+-", "–": "-", "′": "'", "″": "''",
    "α": "alpha", "β": "beta", "Δ": "Delta", "ε": "epsilon", "ν̃": "nu", "ħ": "hbar", "ω": "omega",
    "∞": "_inf", "Ṁ": "dM/dt", "Å": "A", "⁴": "^4", "₀": "0", "γ": "gamma", "ρ": "rho",
    "ȧ": "da/dt", "ā": "a", "−": "-", "⟨": "<", "⟩": ">",
}  # fmt: skip


def write_table(
    path: str | os.PathLike[str],
    spectrum: InfraredSpectrum,
    wavenumbers: tuple[float, float] | None = None,
    provenance: str = "",
    quantities: Sequence[Quantity] = (),
) -> None:
    """Write a spectrum, its parts, and quantities that follow from it to a CSV file.

    Parameters
    ----------
    wavenumbers : the range to write, cm⁻¹; default: all
    provenance : command line
    quantities : more columns, by :func:`aptnn_md.spectra.infrared.dielectric.quantities`

    Raises
    ------
    InputError
        The file cannot be written, or the range has no values.
    """
    columns = {
        "wavenumber (cm^-1)": spectrum.wavenumber,
        "n*alpha (cm^-1)": spectrum.absorption,
        "standard error (cm^-1)": spectrum.standard_error,
    }
    for name, part in spectrum.parts.items():
        columns |= with_error_column(name, "cm^-1", part.mean, part.standard_error)
    for quantity in quantities:
        values, error = quantity.values, quantity.standard_error
        columns |= with_error_column(quantity.name, quantity.unit, values, error)
    inside = in_range(spectrum, wavenumbers)
    lines = describe(spectrum, provenance)
    if spectrum.parts:
        lines.append(f"parts, whose sum is n*alpha: {' + '.join(spectrum.parts)}")
    write_columns(path, {name: values[inside] for name, values in columns.items()}, lines)


def write_columns(
    path: str | os.PathLike[str], columns: Mapping[str, FloatArray], header: Sequence[str]
) -> None:
    """Write columns of equal length to a CSV file.

    All lines before the numbers begin with ``#``; the last of them names the columns. So both
    ``numpy.loadtxt(path, delimiter=",")`` and ``pandas.read_csv(path, comment="#",
    header=None)`` read it, and :func:`read_table` with the names.

    Raises
    ------
    InputError
        The file cannot be written.
    """
    names = [_ascii(name).replace(",", ";") for name in columns]
    # a line break in a name would end the comment
    lines = [" ".join(_ascii(line).split()) for line in header]
    text = io.StringIO()
    np.savetxt(
        text,
        np.column_stack(list(columns.values())),
        fmt="%.10g",
        delimiter=",",
        header="\n".join([*lines, ",".join(names)]),
        encoding="utf-8",
    )
    write_output(Path(path), text.getvalue().encode())


def read_table(path: str | os.PathLike[str]) -> tuple[dict[str, FloatArray], list[str]]:
    """Columns by name, and the lines of the header, of a table written here.

    Raises
    ------
    InputError
        No such file, or another kind of file.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
        header = [line[1:].strip() for line in lines if line.startswith("#")]
        numbers = np.loadtxt(lines, delimiter=",", ndmin=2)
        names = header[-1].split(",")
        columns = dict(zip(names, numbers.T, strict=True))
    except OSError as error:
        raise InputError(path, "table", error.strerror or error, "a readable file") from error
    except (ValueError, IndexError) as error:
        raise InputError(path, "table", "another file", "one by aptnn-md spectrum") from error
    return columns, header[:-1]


class OnGrid(Protocol):
    """A spectrum on a grid of wavenumbers, of frames some time apart."""

    @property
    def wavenumber(self) -> FloatArray:
        """(n,) cm⁻¹."""

    @property
    def spacing(self) -> float:
        """Time between frames, fs."""


def in_range(
    spectrum: OnGrid, wavenumbers: tuple[float, float] | None
) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """(n,) which wavenumbers are in a range; InputError where the range is none."""
    low, high = wavenumbers or (0.0, spectrum.wavenumber[-1])
    nyquist = spectrum.wavenumber[-1]
    if not 0 <= low < high <= nyquist * (1 + 1e-9):
        expected = (
            f"0 <= low < high <= {nyquist:.0f} cm⁻¹, the Nyquist wavenumber of frames "
            f"{spectrum.spacing:g} fs apart"
        )
        raise InputError("spectrum", "range", f"{low:g} to {high:g} cm⁻¹", expected)
    return np.asarray((spectrum.wavenumber >= low) & (spectrum.wavenumber <= high))


def describe(spectrum: InfraredSpectrum, provenance: str = "") -> list[str]:
    """What a spectrum is and where it comes from, line by line."""
    from aptnn_md._version import __version__

    rule = spectrum.sum_rule
    lines = [
        f"Infrared spectrum by aptnn_md {__version__}",
        "n*alpha: neperian absorption coefficient times refractive index",
        f"temperature: {spectrum.temperature:.6g} K",
        f"volume: {spectrum.volume:.8g} A^3",
        f"length: {1e-3 * spectrum.length:.6g} ps in {len(spectrum.run_lengths)} run(s), "
        f"frames {spectrum.spacing:g} fs apart",
        f"resolution: {spectrum.resolution:.4g} cm^-1 (full width at half maximum)",
        f"method: {spectrum.blocks.plan.text}, {spectrum.n_segments} segments",
        f"integral: {rule.found:.5g} +- {rule.standard_error:.2g} cm^-2",
    ]
    if rule.expected is not None:
        lines.append(f"f-sum rule: {rule.expected:.5g} cm^-2 expected, ratio {rule.ratio:.4f}")
    if spectrum.estimator:
        lines.append(f"estimator: {spectrum.estimator}")
    lines.append(f"quantum effects: {describe_quantum(spectrum)}")
    lines += [f"note: {note}" for note in spectrum.notes]
    lines += [f"stream: {source}" for source in spectrum.sources]
    if provenance:
        lines.append(f"provenance: {provenance}")
    return lines


def with_error_column(
    name: str, unit: str, values: FloatArray, error: FloatArray
) -> dict[str, FloatArray]:
    """A column and that of its standard error, with the unit in their names."""
    suffix = f" ({unit})" if unit else ""
    return {f"{name}{suffix}": values, f"{name} standard error{suffix}": error}


def _ascii(text: str) -> str:
    """For readers that take files as Latin-1."""
    for sign, plain in _PLAIN.items():
        text = text.replace(sign, plain)
    return text.encode("ascii", "replace").decode()
