"""Columns of numbers as CSV, written and read, and the range of wavenumbers to write."""

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

_PLAIN = {
    "×": "x", "·": "*", "⁻¹": "^-1", "⁻²": "^-2", "²": "^2", "³": "^3", "±": "+-", "–": "-",
    "′": "'", "″": "''", "α": "alpha", "β": "beta", "Δ": "Delta", "ε": "epsilon", "ν̃": "nu",
    "ħ": "hbar", "ω": "omega", "∞": "_inf", "Ṁ": "dM/dt", "Å": "A", "⁴": "^4", "₀": "0",
    "γ": "gamma", "ρ": "rho", "ȧ": "da/dt", "ā": "a", "−": "-", "⟨": "<", "⟩": ">",
}  # fmt: skip


def write_columns(
    path: str | os.PathLike[str], columns: Mapping[str, FloatArray], header: Sequence[str]
) -> None:
    """Write :func:`columns_text` to a file.

    Raises
    ------
    InputError
        The file cannot be written.
    """
    write_output(Path(path), columns_text(columns, header).encode())


def columns_text(columns: Mapping[str, FloatArray], header: Sequence[str]) -> str:
    """Columns of equal length as CSV.

    All lines before the numbers begin with ``#``; the last of them names the columns. So
    ``numpy.loadtxt(path, delimiter=",")`` reads it, and :func:`read_table` with the names.
    ``pandas.read_csv`` needs to be told which line has the names, and a line of the text says how.
    """
    names = [plain_text(name).replace(",", ";") for name in columns]
    # a line break in a name would end the comment
    lines = [" ".join(plain_text(line).split()) for line in header]
    lines.append(f"names and numbers: pandas.read_csv(path, header={len(lines) + 1})")
    text = io.StringIO()
    np.savetxt(
        text,
        np.column_stack(list(columns.values())),
        fmt="%.10g",
        delimiter=",",
        header="\n".join([*lines, ",".join(names)]),
        encoding="utf-8",
    )
    return text.getvalue()


def read_table(path: str | os.PathLike[str]) -> tuple[dict[str, FloatArray], list[str]]:
    """Columns by name, and the lines of the header, of a table written here.

    Raises
    ------
    InputError
        No such file, or a file of another kind.
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
        raise InputError(
            path, "table", "another file", "one written by aptnn-md spectrum"
        ) from error
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
    """(n,) which wavenumbers are in a range; InputError where the range is not valid."""
    low, high = wavenumbers or (0.0, spectrum.wavenumber[-1])
    nyquist = spectrum.wavenumber[-1]
    if not 0 <= low < high <= nyquist * (1 + 1e-9):
        expected = (
            f"--range LOW HIGH with 0 <= LOW < HIGH <= {nyquist:.0f} cm⁻¹, the Nyquist wavenumber "
            f"of frames {spectrum.spacing:g} fs apart"
        )
        raise InputError("spectrum", "range", f"{low:g} to {high:g} cm⁻¹", expected)
    inside = np.asarray((spectrum.wavenumber >= low) & (spectrum.wavenumber <= high))
    if not inside.any():
        step = float(spectrum.wavenumber[1] - spectrum.wavenumber[0])
        expected = f"a range with values, which are {step:.3g} cm⁻¹ apart"
        raise InputError("spectrum", "range", f"{low:g} to {high:g} cm⁻¹", expected)
    return inside


def with_error_column(
    name: str, unit: str, values: FloatArray, error: FloatArray
) -> dict[str, FloatArray]:
    """A column and that of its standard error, with the unit in their names."""
    suffix = f" ({unit})" if unit else ""
    return {f"{name}{suffix}": values, f"{name} standard error{suffix}": error}


def plain_text(text: str) -> str:
    """Text in ASCII, for readers that take files as Latin-1."""
    for sign, plain in _PLAIN.items():
        text = text.replace(sign, plain)
    return text.encode("ascii", "replace").decode()
