"""ORCA's ``.hess`` file of a frequency run.

All numbers are in atomic units:

* ``$atoms``: symbol, mass (amu) and position;
* ``$hessian``: Hartree/bohr², in blocks of some columns with their numbers above;
* ``$vibrational_frequencies``: cm⁻¹, rigid motions with zero among them;
* ``$dipole_derivatives``: a row per atom and displacement, columns the dipole's x, y, z;
* ``$polarizability_derivatives`` (where Raman activities were calculated): the same rows, columns
  xx, yy, zz, xy, xz, yz.

There is no dipole, no polarizability and no charge in it; the multiplicity says whether the charge
is even or odd. The dipole of an ion is taken about an origin that moves with its atoms: the
derivatives sum to zero and not to the charge. As labels they are refused; the intensities of
vibrations, which do not move the centre of mass, are right.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from ase import Atoms
from ase.data import atomic_numbers

from aptnn_md.arrays import FloatArray
from aptnn_md.atomic_units import BOHR
from aptnn_md.errors import InputError
from aptnn_md.labels.frame_labels import Labels
from aptnn_md.labels.importers.molecule import HESSIAN_UNIT, Molecule, check_masses
from aptnn_md.structure_columns import ISOTOPE_MASSES
from aptnn_md.targets import APT, PGT
from aptnn_md.tensors import from_voigt

HEAD = "$orca_hessian_file"
ATOMS, MULTIPLICITY = "$atoms", "$multiplicity"
DIPOLE_DERIVATIVES = "$dipole_derivatives"
POLARIZABILITY_DERIVATIVES = "$polarizability_derivatives"
HESSIAN, FREQUENCIES = "$hessian", "$vibrational_frequencies"

COLUMNS = [0, 1, 2, 5, 4, 3]
"""Where xx, yy, zz, yz, xz, xy (:data:`aptnn_md.tensors.VOIGT`) stand in a row."""


def is_hess(path: Path, first_lines: list[str]) -> bool:
    """Whether a file is one by its suffix or its beginning."""
    return any(line.strip() == HEAD for line in first_lines) or path.suffix.lower() == ".hess"


def read_hess(path: Path, charge: float | None = None, with_labels: bool = True) -> Molecule:
    """The molecule with its masses, its labels and its Hessian.

    Parameters
    ----------
    path : the file
    charge : of the molecule, e, which the file does not say; goes into ``charge`` in its info, and
        tensors are checked to belong to it. None: it does not matter
    with_labels : whether dipole derivatives must be there

    Raises
    ------
    InputError
        A file without dipole derivatives, not complete, or another charge than this.
    """
    sections = _read_sections(path)
    atoms = _read_atoms(path, sections)
    if charge is not None:
        atoms.info["charge"] = float(charge)
        _check_electrons(path, sections, atoms, charge)
    n = len(atoms)
    tensors = {}
    if DIPOLE_DERIVATIVES in sections:
        tensors[APT.name] = _read_apt(path, sections, atoms, charge)
    elif with_labels:
        raise InputError(path, DIPOLE_DERIVATIVES, "none", "a run with Freq or NumFreq")
    if POLARIZABILITY_DERIVATIVES in sections:
        rows = _read_rows(path, sections, POLARIZABILITY_DERIVATIVES, n, 6)
        tensors[PGT.name] = from_voigt(rows[..., COLUMNS]).transpose(0, 2, 3, 1) * BOHR**2
    return Molecule(
        atoms,
        Labels(tensors),
        _read_hessian(path, sections, n),
        _read_frequencies(path, sections, n),
    )


def _read_apt(
    path: Path, sections: dict[str, list[list[str]]], atoms: Atoms, charge: float | None
) -> FloatArray:
    apt = _read_rows(path, sections, DIPOLE_DERIVATIVES, len(atoms), 3).transpose(0, 2, 1)
    if len(set(atoms.numbers.tolist())) > 1 and not apt.any():
        raise InputError(path, DIPOLE_DERIVATIVES, "zeros", "a run that calculated them")
    total = np.trace(apt.sum(axis=0)) / 3.0
    if charge is not None and abs(total) < abs(total - charge):
        raise InputError(
            path,
            DIPOLE_DERIVATIVES,
            f"a sum of {total:.2g}",
            f"the charge, {charge:g}: ORCA's are about an origin that moves with the ion",
        )
    return apt


def _read_hessian(path: Path, sections: dict[str, list[list[str]]], n: int) -> FloatArray | None:
    lines = sections.get(HESSIAN)
    if not lines:
        return None
    size = _integer(path, HESSIAN, lines[:1])
    shape = f"{3 * n} rows of {3 * n} numbers in blocks of columns"
    if size != 3 * n:
        return None  # of another number of atoms: nothing that could be used
    matrix = np.full((size, size), np.nan)
    position = 1
    try:
        while position < len(lines):
            columns = [int(word) for word in lines[position]]
            for row in range(size):
                number, *values = lines[position + 1 + row]
                if int(number) != row or len(values) != len(columns):
                    raise ValueError(f"row {number} of columns {columns}")
                matrix[row, columns] = [float(value) for value in values]
            position += 1 + size
    except (ValueError, IndexError) as error:
        raise InputError(path, HESSIAN, str(error), shape) from error
    if not np.isfinite(matrix).all():
        raise InputError(path, HESSIAN, "missing columns", shape)
    return matrix * HESSIAN_UNIT


def _read_frequencies(
    path: Path, sections: dict[str, list[list[str]]], n: int
) -> FloatArray | None:
    lines = sections.get(FREQUENCIES)
    if not lines or len(lines) != 1 + 3 * n:
        return None
    found = _numbers(path, FREQUENCIES, lines[:1], [words[1:2] for words in lines[1:]], 1)[:, 0]
    return np.asarray(found[found != 0.0])


def _read_sections(path: Path) -> dict[str, list[list[str]]]:
    """Words of the lines of each section, without comments."""
    sections: dict[str, list[list[str]]] = {}
    lines: list[list[str]] = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        words = line.split()
        if words and words[0].startswith("$"):
            lines = sections.setdefault(words[0], [])
        elif words and not words[0].startswith("#"):
            lines.append(words)
    for name in (HEAD, "$end"):
        if name not in sections:
            raise InputError(path, name, "none", "a whole .hess file of ORCA")
    return sections


def _read_atoms(path: Path, sections: dict[str, list[list[str]]]) -> Atoms:
    lines = sections.get(ATOMS, [])
    symbols = [words[0].capitalize() for words in lines[1:]]
    symbols = ["H" if symbol in ISOTOPE_MASSES else symbol for symbol in symbols]
    unknown = [symbol for symbol in symbols if symbol not in atomic_numbers]
    if unknown:
        raise InputError(path, ATOMS, unknown[0], "a chemical element")
    table = _numbers(path, ATOMS, lines[:1], [words[1:] for words in lines[1:]], 4)
    masses = check_masses(path, ATOMS, table[:, 0])
    return Atoms(symbols, table[:, 1:] * BOHR, masses=masses)


def _check_electrons(
    path: Path, sections: dict[str, list[list[str]]], atoms: Atoms, charge: float
) -> None:
    lines = sections.get(MULTIPLICITY)
    if not lines:
        return
    multiplicity = _integer(path, MULTIPLICITY, lines)
    electrons = int(atoms.numbers.sum()) - round(charge)
    if (electrons + multiplicity) % 2 == 0:
        raise InputError(
            path,
            MULTIPLICITY,
            f"{multiplicity}, which {electrons} electrons cannot have",
            "that of the charge: give it with --charge",
        )


def _read_rows(
    path: Path, sections: dict[str, list[list[str]]], name: str, n_atoms: int, n_columns: int
) -> FloatArray:
    """A section of one row per displacement, (n_atoms, 3, n_columns)."""
    lines = sections[name]
    table = _numbers(path, name, lines[:1], lines[1:], n_columns)
    if len(table) != 3 * n_atoms:
        raise InputError(path, name, f"{len(table)} rows", 3 * n_atoms)
    return table.reshape(n_atoms, 3, n_columns)


def _numbers(
    path: Path, name: str, head: list[list[str]], rows: list[list[str]], n_columns: int
) -> FloatArray:
    length = _integer(path, name, head)
    shape = f"{length} rows of {n_columns} numbers"
    if not rows or len(rows) != length or any(len(row) != n_columns for row in rows):
        raise InputError(path, name, f"{len(rows)} rows, or some of another length", shape)
    try:
        table = np.array(rows, dtype=np.float64)
    except ValueError as error:
        raise InputError(path, name, str(error), shape) from error
    if not np.isfinite(table).all():
        raise InputError(path, name, "values that are not finite", shape)
    return table


def _integer(path: Path, name: str, lines: list[list[str]]) -> int:
    try:
        return int(lines[0][0])
    except (IndexError, ValueError):
        raise InputError(path, name, lines[:1] or "nothing", "an integer") from None
