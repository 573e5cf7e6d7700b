"""Files of frequency runs in the formats of Gaussian and ORCA, written from tensors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from ase import Atoms
from scipy import constants

from aptnn_md.arrays import FloatArray
from aptnn_md.labels.frame_labels import Labels

BOHR = constants.physical_constants["Bohr radius"][0] * 1e10
HARTREE = constants.physical_constants["Hartree energy in eV"][0]


@dataclass(frozen=True)
class Frequencies:
    """What a frequency run adds, in eV/Å² (3 N, 3 N), cm⁻¹ and km/mol."""

    hessian: FloatArray
    wavenumbers: FloatArray
    intensities: FloatArray


def gaussian_array(name: str, kind: str, values: Sequence[float]) -> str:
    """A field in the layout of Gaussian's manual: A40, 3X, A1, 3X, N=, I12; 6I12 or 5E16.8."""
    per_line, form = {"I": (6, "{:12d}"), "R": (5, "{:16.8E}")}[kind]
    cells = [form.format(value) for value in values]
    rows = ["".join(cells[k : k + per_line]) for k in range(0, len(cells), per_line)]
    return "\n".join([f"{name:40s}   {kind}   N={len(values):12d}", *rows]) + "\n"


def write_fchk(
    path: Path,
    atoms: Atoms,
    labels: Labels,
    charge: int = 0,
    frequencies: Frequencies | None = None,
    fields: Sequence[tuple[str, str, Sequence[float]]] = (),
) -> Path:
    """Gaussian's formatted checkpoint; ``fields`` are more of name, type and values."""
    n = len(atoms)
    apt, pgt, alpha = labels.tensors["apt"], labels.tensors.get("pgt"), labels.polarizability
    text = f"{'a molecule':72s}\n{'Freq':10s}{'RHF':30s}{'STO-3G':>30s}\n"
    for name, number in (("Number of atoms", n), ("Charge", charge), ("Multiplicity", 1)):
        text += f"{name:40s}   I     {number:12d}\n"
    text += gaussian_array("Atomic numbers", "I", atoms.numbers)
    text += gaussian_array("Current cartesian coordinates", "R", (atoms.positions / BOHR).ravel())
    text += f"{'Total Energy':40s}   R     {-149.0:22.15E}\n"
    if labels.dipole is not None:
        text += gaussian_array("Dipole Moment", "R", labels.dipole / BOHR)
    numbers = [apt[i, m, d] for i in range(n) for d in range(3) for m in range(3)]
    text += gaussian_array("Dipole Derivatives", "R", numbers)
    lower = ((0, 0), (1, 0), (1, 1), (2, 0), (2, 1), (2, 2))
    if alpha is not None:
        numbers = [alpha[a, b] / BOHR**3 for a, b in lower]
        text += gaussian_array("Polarizability", "R", numbers)
    if pgt is not None:
        numbers = [pgt[i, a, b, d] / BOHR**2 for i in range(n) for d in range(3) for a, b in lower]
        text += gaussian_array("Polarizability Derivatives", "R", numbers)
    text += gaussian_array("Dipole Derivatives num derivs", "R", [1.0] * 18)
    if frequencies is not None:
        packed = frequencies.hessian[np.tril_indices(3 * n)] / (HARTREE / BOHR**2)
        text += gaussian_array("Cartesian Force Constants", "R", packed)
        modes = len(frequencies.wavenumbers)
        text += f"{'Number of Normal Modes':40s}   I     {modes:12d}\n"
        rest = np.zeros(12 * modes)
        rest[2 * modes : 3 * modes] = frequencies.intensities
        of_modes = np.concatenate([frequencies.wavenumbers, np.ones(modes), rest])
        text += gaussian_array("Vib-E2", "R", of_modes.tolist())
    for name, kind, values in fields:
        text += gaussian_array(name, kind, values)
    path.write_text(text)
    return path


def orca_frequencies(frequencies: Frequencies) -> str:
    """Hessian in blocks of five columns, wavenumbers with six zeros, and the infrared table."""
    matrix = frequencies.hessian / (HARTREE / BOHR**2)
    n = len(matrix)
    text = f"$hessian\n{n}\n"
    for start in range(0, n, 5):
        columns = range(start, min(start + 5, n))
        text += " " * 12 + "".join(f"{column:19d}" for column in columns) + "\n"
        for row in range(n):
            text += f"{row:5d}     " + "".join(f"{matrix[row, c]:19.10E}" for c in columns) + "\n"
    rigid = n - len(frequencies.wavenumbers)
    all_modes = [0.0] * rigid + frequencies.wavenumbers.tolist()
    text += f"\n$vibrational_frequencies\n{n}\n"
    text += "".join(f"{k:5d} {value:12.6f}\n" for k, value in enumerate(all_modes))
    text += f"\n#\n# wavenumber eps Int(km/mol) TX TY TZ\n#\n$ir_spectrum\n{n}\n"
    intensities = [0.0] * rigid + frequencies.intensities.tolist()
    for wavenumber, intensity in zip(all_modes, intensities, strict=True):
        text += f"{wavenumber:12.2f} {0.0:14.8f} {intensity:14.8f}" + f" {0.0:12.6f}" * 3 + "\n"
    return text + "\n"


def write_hess(
    path: Path, atoms: Atoms, labels: Labels, frequencies: Frequencies | None = None
) -> Path:
    """ORCA's Hessian file, with the masses of the atoms."""
    apt, pgt = labels.tensors["apt"], labels.tensors.get("pgt")
    text = "\n$orca_hessian_file\n\n$act_atom\n  0\n\n$multiplicity\n  1\n\n"
    text += "$hessian\n1\n 0\n 0 1.0\n" if frequencies is None else orca_frequencies(frequencies)
    text += f"\n#\n# The atoms: label  mass x y z (in bohrs)\n#\n$atoms\n{len(atoms)}\n"
    for symbol, mass, position in zip(
        atoms.get_chemical_symbols(), atoms.get_masses(), atoms.positions / BOHR, strict=True
    ):
        text += f" {symbol:3s}{mass:12.7f}" + "".join(f"{x:19.12f}" for x in position) + "\n"
    text += f"\n$dipole_derivatives\n{3 * len(atoms)}\n"
    for i in range(len(atoms)):
        for d in range(3):
            text += "".join(f"{apt[i, m, d]:20.10E}" for m in range(3)) + "\n"
    if pgt is not None:
        text += f"\n#\n# more\n#\n$polarizability_derivatives\n{3 * len(atoms)}\n"
        for i in range(len(atoms)):
            for d in range(3):
                xx, yy, zz, xy, xz, yz = (
                    pgt[i, a, b, d] / BOHR**2
                    for a, b in ((0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2))
                )
                text += "".join(f"{x:20.10E}" for x in (xx, yy, zz, xy, xz, yz)) + "\n"
    path.write_text(text + "\n\n$end\n\n")
    return path
