"""Gaussian's formatted checkpoint (``formchk``) of a run with ``freq`` or ``freq=raman``.

All numbers are in atomic units and in the frame of the coordinates in the file:

* ``Dipole Derivatives``: 9 per atom, [displacement, dipole], the dipole's index running fastest;
* ``Polarizability Derivatives`` (``freq=raman``): 18 per atom, for each displacement the lower
  triangle xx, xy, yy, xz, yz, zz; ``Polarizability`` has the same order;
* ``Cartesian Force Constants``: the lower triangle of the Hessian, Hartree/bohr²;
* masses, amu: ``Vib-AtMass``, those of the vibrational analysis, else ``Real atomic weights``;
* ``Vib-E2``: begins with the wavenumbers of the normal modes, cm⁻¹.

The rotational sum rules hold for this order alone, so :mod:`aptnn_md.labels.checks` sees a file
that means something else. Ghost atoms, which have no nuclear charge, are refused: they take part in
the sum rules but do not vibrate.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
from ase import Atoms

from aptnn_md.arrays import FloatArray
from aptnn_md.atomic_units import BOHR
from aptnn_md.errors import InputError
from aptnn_md.labels.frame_labels import Labels
from aptnn_md.labels.importers.molecule import HESSIAN_UNIT, Molecule, check_masses
from aptnn_md.targets import APT, PGT
from aptnn_md.tensors import from_voigt

WIDTHS = {"I": (12, 6), "R": (16, 5)}
"""Type of a field -> columns of a number, numbers of a line."""

CHARGE, NUMBERS = "Charge", "Atomic numbers"
POSITIONS = "Current cartesian coordinates"
DIPOLE, DIPOLE_DERIVATIVES = "Dipole Moment", "Dipole Derivatives"
POLARIZABILITY = "Polarizability"
POLARIZABILITY_DERIVATIVES = "Polarizability Derivatives"
PERIODIC = "Number of translation vectors"
HESSIAN = "Cartesian Force Constants"
NUCLEAR_CHARGES = "Nuclear charges"
MASSES = ("Vib-AtMass", "Real atomic weights")
N_MODES, MODES = "Number of Normal Modes", "Vib-E2"
FIELDS = {
    *(CHARGE, NUMBERS, POSITIONS, PERIODIC, HESSIAN, NUCLEAR_CHARGES, *MASSES, N_MODES, MODES),
    *(DIPOLE, DIPOLE_DERIVATIVES, POLARIZABILITY, POLARIZABILITY_DERIVATIVES),
}

LOWER_TRIANGLE = [0, 2, 5, 4, 3, 1]
"""Where xx, yy, zz, yz, xz, xy (:data:`aptnn_md.tensors.VOIGT`) stand in a lower triangle."""


def is_fchk(path: Path, first_lines: list[str]) -> bool:
    """Whether a file is one by its suffix or its beginning."""
    begins = len(first_lines) > 2 and first_lines[2].startswith("Number of atoms   ")
    return begins or path.suffix.lower() in {".fchk", ".fch"}


def read_fchk(path: Path, with_labels: bool = True) -> Molecule:
    """The molecule, with ``charge`` in its info and its masses, its labels and its Hessian.

    Parameters
    ----------
    path : the file
    with_labels : whether dipole derivatives must be there

    Raises
    ------
    InputError
        A file without dipole derivatives, not complete, of a periodic system, or with ghost atoms.
    """
    fields = _read_fields(path)
    if PERIODIC in fields and fields[PERIODIC].any():
        raise InputError(path, PERIODIC, int(fields[PERIODIC][0]), "0: a molecule")
    atoms = _atoms(path, fields)
    n = len(atoms)
    tensors = {}
    if with_labels or DIPOLE_DERIVATIVES in fields:
        apt = _field(path, fields, DIPOLE_DERIVATIVES, 9 * n, "a run with freq, or freq=raman")
        tensors[APT.name] = apt.reshape(n, 3, 3).transpose(0, 2, 1)
    pgt = _gradients(path, fields, n)
    if pgt is not None:
        tensors[PGT.name] = pgt
    labels = Labels(
        tensors,
        dipole=_field(path, fields, DIPOLE, 3, "") * BOHR if DIPOLE in fields else None,
        polarizability=(
            _symmetric(_field(path, fields, POLARIZABILITY, 6, "")) * BOHR**3
            if POLARIZABILITY in fields
            else None
        ),
    )
    return Molecule(atoms, labels, _hessian(path, fields, n), _wavenumbers(fields))


def _atoms(path: Path, fields: dict[str, FloatArray]) -> Atoms:
    numbers = _field(path, fields, NUMBERS, None, "a formatted checkpoint of Gaussian")
    n = len(numbers)
    if NUCLEAR_CHARGES in fields:
        nuclei = _field(path, fields, NUCLEAR_CHARGES, n, "")
        ghosts = np.flatnonzero((nuclei == 0.0) | (numbers < 1)) + 1
        if len(ghosts):
            found = f"0 for atoms {', '.join(map(str, ghosts))}: ghost atoms"
            raise InputError(path, NUCLEAR_CHARGES, found, "a calculation without ghost atoms")
    positions = _field(path, fields, POSITIONS, 3 * n, "coordinates")
    atoms = Atoms(numbers.astype(int), positions.reshape(n, 3) * BOHR)
    for name in MASSES:
        if name in fields:
            atoms.set_masses(check_masses(path, name, _field(path, fields, name, n, "")))
            break
    charge = _field(path, fields, CHARGE, 1, "the molecule's charge")[0]
    atoms.info["charge"] = float(charge)
    return atoms


def _hessian(path: Path, fields: dict[str, FloatArray], n: int) -> FloatArray | None:
    if HESSIAN not in fields:
        return None
    size = 3 * n
    triangle = _field(path, fields, HESSIAN, size * (size + 1) // 2, "")
    matrix = np.zeros((size, size))
    rows, columns = np.tril_indices(size)
    matrix[rows, columns] = matrix[columns, rows] = triangle * HESSIAN_UNIT
    return matrix


def _wavenumbers(fields: dict[str, FloatArray]) -> FloatArray | None:
    if MODES not in fields or N_MODES not in fields:
        return None
    return fields[MODES][: int(fields[N_MODES][0])]


def _gradients(path: Path, fields: dict[str, FloatArray], n: int) -> FloatArray | None:
    if POLARIZABILITY_DERIVATIVES not in fields:
        return None
    found = _field(path, fields, POLARIZABILITY_DERIVATIVES, 18 * n, "")
    return _symmetric(found.reshape(n, 3, 6)).transpose(0, 2, 3, 1) * BOHR**2


def _symmetric(triangles: FloatArray) -> FloatArray:
    return from_voigt(triangles[..., LOWER_TRIANGLE])


def _field(
    path: Path, fields: dict[str, FloatArray], name: str, length: int | None, origin: str
) -> FloatArray:
    if name not in fields:
        raise InputError(path, name, "none", origin)
    if length is not None and len(fields[name]) != length:
        raise InputError(path, name, f"{len(fields[name])} numbers", length)
    return fields[name]


def _read_fields(path: Path) -> dict[str, FloatArray]:
    """The wanted fields by name; the others are skipped line by line."""
    found: dict[str, FloatArray] = {}
    with path.open(encoding="utf-8", errors="replace") as lines:
        for line in lines:
            name, kind = line[:40].strip(), line[43:44]
            if name in FIELDS and kind in WIDTHS:
                found[name] = _read_numbers(path, name, line, lines)
    return found


def _read_numbers(path: Path, name: str, head: str, lines: Iterator[str]) -> FloatArray:
    """Numbers of a field: after its name, or on the lines that follow."""
    width, per_line = WIDTHS[head[43]]
    try:
        if head[47:49] != "N=":
            return np.array([float(head[44:])])
        length = int(head[49:])
        rows = [row.rstrip() for row in islice(lines, -(-length // per_line))]
        cells = [row[k : k + width] for row in rows for k in range(0, len(row), width)]
        values = np.array([float(cell) for cell in cells])
    except ValueError as error:
        raise InputError(path, name, str(error), "numbers") from error
    if len(values) != length or any(len(cell) != width for cell in cells):
        raise InputError(path, name, f"{len(values)} numbers", f"{length}: the whole file")
    if not np.isfinite(values).all():
        raise InputError(path, name, "values that are not finite", "finite numbers")
    return values
