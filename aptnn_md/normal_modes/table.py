"""Normal modes as text, CSV and JSON."""

from __future__ import annotations

import io
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms

from aptnn_md.arrays import FloatArray
from aptnn_md.files import write_output
from aptnn_md.normal_modes.infrared import InfraredModes

_COLUMNS = ("wavenumber (cm^-1)", "intensity (km/mol)", "dMx/dQ", "dMy/dQ", "dMz/dQ (e/sqrt(amu))")


def table(infrared: InfraredModes) -> list[str]:
    """Lines of text: number, wavenumber (``i`` where it is imaginary), intensity of each mode."""
    absorption = infrared.absorption
    head = "mode   wavenumber   intensity"
    unit = "            cm^-1      km/mol"
    if absorption is not None:
        head, unit = head + "      ∫nα dν̃", unit + "        cm^-2"
    lines = [head, unit]
    for n, (wavenumber, intensity) in enumerate(
        zip(infrared.modes.wavenumber, infrared.intensity, strict=True)
    ):
        mark = "i" if wavenumber < 0 else " "
        line = f"{n + 1:4d} {abs(wavenumber):11.2f}{mark} {intensity:11.3f}"
        lines.append(line if absorption is None else f"{line} {absorption[n]:12.4g}")
    return lines


def write_modes(
    path: str | os.PathLike[str], infrared: InfraredModes, atoms: Atoms, provenance: str = ""
) -> None:
    """Write modes as CSV, or as JSON with the displacements where the suffix is ``.json``.

    Raises
    ------
    InputError
        The file cannot be written.
    """
    file = Path(path)
    if file.suffix == ".json":
        text = json.dumps(_facts(infrared, atoms, provenance), indent=1) + "\n"
        write_output(file, text.encode())
        return
    columns = [infrared.modes.wavenumber, infrared.intensity, *infrared.dipole_derivative.T]
    names = list(_COLUMNS)
    if infrared.absorption is not None:
        columns.append(infrared.absorption)
        names.append("integral of n*alpha (cm^-2)")
    head = ["Normal modes by aptnn_md; imaginary wavenumbers are negative"]
    write_output(file, _csv(columns, names, [*head, *_origin(atoms, provenance)]))


def write_broadened(
    path: str | os.PathLike[str],
    infrared: InfraredModes,
    wavenumber: FloatArray,
    width: float,
    shape: str,
    atoms: Atoms,
    provenance: str = "",
) -> None:
    """Write the spectrum of broadened lines as CSV; see :meth:`InfraredModes.broadened`."""
    curve = infrared.broadened(wavenumber, width, shape)
    head = [f"Harmonic infrared spectrum by aptnn_md, {shape} lines {width:g} cm^-1 wide"]
    quantity = "molar absorption" if infrared.volume is None else "n*alpha"
    names = ["wavenumber (cm^-1)", f"{quantity} ({infrared.unit})"]
    write_output(Path(path), _csv([wavenumber, curve], names, [*head, *_origin(atoms, provenance)]))


def _origin(atoms: Atoms, provenance: str) -> list[str]:
    lines = [f"formula: {atoms.get_chemical_formula()}"]
    return lines + ([f"provenance: {' '.join(provenance.split())}"] if provenance else [])


def _csv(columns: list[FloatArray], names: list[str], head: list[str]) -> bytes:
    text = io.StringIO()
    header = "\n".join([*head, ",".join(names)])
    np.savetxt(text, np.column_stack(columns), fmt="%.10g", delimiter=",", header=header)
    return text.getvalue().encode()


def _facts(infrared: InfraredModes, atoms: Atoms, provenance: str) -> dict[str, Any]:
    from aptnn_md import __version__

    absorption = infrared.absorption
    return {
        "format": "aptnn_md.normal_modes",
        "package_version": __version__,
        "units": {
            "wavenumber": "cm^-1, imaginary ones negative",
            "intensity": "km/mol",
            "dipole_derivative": "e/sqrt(amu)",
            "displacements": "1/sqrt(amu)",
            "absorption": "cm^-2",
            "positions, cell": "Å",
        },
        "symbols": atoms.get_chemical_symbols(),
        "positions": atoms.positions.tolist(),
        "cell": atoms.cell.array.tolist(),
        "pbc": atoms.pbc.tolist(),
        "masses": infrared.modes.masses.tolist(),
        "wavenumber": infrared.modes.wavenumber.tolist(),
        "intensity": infrared.intensity.tolist(),
        "dipole_derivative": infrared.dipole_derivative.tolist(),
        "absorption": None if absorption is None else absorption.tolist(),
        "rigid_wavenumber": infrared.modes.rigid.tolist(),
        "displacements": infrared.modes.displacements.tolist(),
        "provenance": provenance,
    }
