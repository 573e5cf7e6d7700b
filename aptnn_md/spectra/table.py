"""A spectrum as a table: CSV that numpy and pandas read."""

from __future__ import annotations

import io
import os
from pathlib import Path

import numpy as np

from aptnn_md.errors import InputError
from aptnn_md.files import write_output
from aptnn_md.spectra.infrared import InfraredSpectrum


def write_table(
    path: str | os.PathLike[str],
    spectrum: InfraredSpectrum,
    wavenumbers: tuple[float, float] | None = None,
    provenance: str = "",
) -> None:
    """Write a spectrum to a CSV file.

    All lines before the numbers begin with ``#``; the last of them names the columns. So both
    ``numpy.loadtxt(path, delimiter=",")`` and ``pandas.read_csv(path, comment="#",
    header=None)`` read it.

    Parameters
    ----------
    wavenumbers : the range to write, cm⁻¹; default: all
    provenance : command line

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
        label = name.replace(",", ";").replace("×", "x")
        columns[f"{label} (cm^-1)"] = part.mean
        columns[f"{label} standard error (cm^-1)"] = part.standard_error
    inside = in_range(spectrum, wavenumbers)
    text = io.StringIO()
    header = [*describe(spectrum, provenance), ",".join(columns)]
    np.savetxt(
        text,
        np.column_stack([values[inside] for values in columns.values()]),
        fmt="%.10g",
        delimiter=",",
        header="\n".join(header),
    )
    write_output(Path(path), text.getvalue().encode())


def in_range(
    spectrum: InfraredSpectrum, wavenumbers: tuple[float, float] | None
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
    from aptnn_md import __version__

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
    lines += [f"note: {note.replace('cm⁻¹', 'cm^-1')}" for note in spectrum.notes]
    lines += [f"stream: {source}" for source in spectrum.sources]
    if provenance:
        lines.append(f"provenance: {provenance}")
    # a line break in a name would end the comment
    return [" ".join(line.split()) for line in lines]
