"""Normal modes as text, CSV and JSON."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms

from aptnn_md.arrays import FloatArray
from aptnn_md.files import write_output
from aptnn_md.normal_modes.broadening import LineShape
from aptnn_md.normal_modes.infrared import InfraredModes
from aptnn_md.normal_modes.raman import RamanModes
from aptnn_md.spectra.output.columns import write_columns

_COLUMNS = ("wavenumber (cm^-1)", "intensity (km/mol)", "dMx/dQ", "dMy/dQ", "dMz/dQ (e/sqrt(amu))")

_RAMAN_COLUMNS = (
    "Raman activity (A^4/amu)",
    "depolarisation ratio",
    "45a'^2 (A^4/amu)",
    "gamma'^2 (A^4/amu)",
)


def report_modes(infrared: InfraredModes, raman: RamanModes | None = None) -> list[str]:
    """Lines of text: number, wavenumber (with ``i`` if it is imaginary) and intensity of each mode,
    and its Raman activity and depolarisation ratio if they are known; "± model" is the error by
    that of the tensors.
    """
    absorption = infrared.absorption
    head = "mode   wavenumber   intensity"
    unit = "            cm^-1      km/mol"
    if infrared.model_error is not None:
        head, unit = head + "   ± model", unit + "    km/mol"
    if absorption is not None:
        head, unit = head + "      ∫nα dν̃", unit + "        cm^-2"
    if raman is not None:
        head, unit = head + "   Raman act.   depol.", unit + "       Å⁴/amu         "
        if raman.model_error is not None:
            head, unit = head + "    ± model", unit + "    Å⁴/amu"
    lines = [head, unit]
    for n, (wavenumber, intensity) in enumerate(
        zip(infrared.modes.wavenumber, infrared.intensity, strict=True)
    ):
        mark = "i" if wavenumber < 0 else " "
        line = f"{n + 1:4d} {abs(wavenumber):11.2f}{mark} {intensity:11.3f}"
        if infrared.model_error is not None:
            line = f"{line} {infrared.model_error[n]:9.3f}"
        if absorption is not None:
            line = f"{line} {absorption[n]:12.4g}"
        if raman is not None:
            line = f"{line} {raman.activity[n]:12.4f} {raman.depolarisation[n]:8.4f}"
            if raman.model_error is not None:
                line = f"{line} {raman.model_error[n]:10.4f}"
        lines.append(line)
    return [line.rstrip() for line in lines]


def write_modes(
    path: str | os.PathLike[str],
    infrared: InfraredModes,
    atoms: Atoms,
    provenance: str = "",
    raman: RamanModes | None = None,
) -> None:
    """Write modes as CSV, or as JSON with the displacements where the suffix is ``.json``.

    In CSV the Raman columns come after the infrared ones, and the errors last.

    Raises
    ------
    InputError
        The file cannot be written.
    """
    file = Path(path)
    if file.suffix == ".json":
        facts = _facts(infrared, atoms, provenance) | _raman_facts(raman)
        text = json.dumps(facts, indent=1) + "\n"
        write_output(file, text.encode())
        return
    columns = [infrared.modes.wavenumber, infrared.intensity, *infrared.dipole_derivative.T]
    names = list(_COLUMNS)
    if infrared.absorption is not None:
        columns.append(infrared.absorption)
        names.append("integral of n*alpha (cm^-2)")
    if raman is not None:
        columns += [raman.activity, raman.depolarisation, raman.isotropic, raman.anisotropic]
        names += list(_RAMAN_COLUMNS)
    for error, name in (
        (infrared.model_error, "model error of the intensity (km/mol)"),
        (None if raman is None else raman.model_error, "model error of the activity (A^4/amu)"),
    ):
        if error is not None:
            columns.append(error)
            names.append(name)
    head = ["Normal modes by aptnn_md; imaginary wavenumbers are negative"]
    table_of = dict(zip(names, columns, strict=True))
    write_columns(file, table_of, [*head, *_origin(atoms, provenance)])


def write_broadened(
    path: str | os.PathLike[str],
    infrared: InfraredModes,
    wavenumber: FloatArray,
    line: LineShape,
    atoms: Atoms,
    provenance: str = "",
    raman: RamanModes | None = None,
) -> None:
    """Write the spectrum of broadened lines as CSV; see :meth:`InfraredModes.broadened`."""
    curve = infrared.broadened(wavenumber, line)
    head = [f"Harmonic infrared spectrum by aptnn_md, {line.shape} lines {line.width:g} cm^-1 wide"]
    quantity = "molar absorption" if infrared.volume is None else "n*alpha"
    names = ["wavenumber (cm^-1)", f"{quantity} ({infrared.unit})"]
    columns = [wavenumber, curve]
    if raman is not None:
        columns.append(raman.broadened(wavenumber, line))
        names.append("Raman activity (A^4/amu per cm^-1)")
    table_of = dict(zip(names, columns, strict=True))
    write_columns(path, table_of, [*head, *_origin(atoms, provenance)])


def _origin(atoms: Atoms, provenance: str) -> list[str]:
    lines = [f"formula: {atoms.get_chemical_formula()}"]
    return lines + ([f"provenance: {' '.join(provenance.split())}"] if provenance else [])


def _facts(infrared: InfraredModes, atoms: Atoms, provenance: str) -> dict[str, Any]:
    from aptnn_md._version import __version__

    absorption = infrared.absorption
    return {
        "format": "aptnn_md.normal_modes",
        "package_version": __version__,
        "units": {
            "wavenumber": "cm^-1, imaginary ones negative",
            "intensity, intensity_model_error": "km/mol",
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
        "intensity_model_error": _listed(infrared.model_error),
        "dipole_derivative": infrared.dipole_derivative.tolist(),
        "absorption": _listed(absorption),
        "rigid_wavenumber": infrared.modes.rigid.tolist(),
        "displacements": infrared.modes.displacements.tolist(),
        "provenance": provenance,
    }


def _listed(values: FloatArray | None) -> list[float] | None:
    return None if values is None else [float(value) for value in values]


def _raman_facts(raman: RamanModes | None) -> dict[str, Any]:
    if raman is None:
        return {}
    depolarisation = [None if np.isnan(ratio) else float(ratio) for ratio in raman.depolarisation]
    return {
        "raman_units": {
            "raman_activity, raman_activity_model_error": "Å⁴/amu",
            "isotropic_45a2, anisotropic_gamma2": "Å⁴/amu",
            "polarizability_derivative": "Å²/sqrt(amu)",
        },
        "raman_activity": raman.activity.tolist(),
        "raman_activity_model_error": _listed(raman.model_error),
        "isotropic_45a2": raman.isotropic.tolist(),
        "anisotropic_gamma2": raman.anisotropic.tolist(),
        "depolarisation_ratio": depolarisation,
        "polarizability_derivative": raman.polarizability_derivative.tolist(),
    }
