"""Files of phonopy, read by phonopy: Born effective charges of ``BORN``, cells of YAML files.

A ``BORN`` file has a line of units, a line with the dielectric tensor, and a line of nine numbers
for each atom of the primitive cell: for the atoms that symmetry does not make from others, as
``phonopy-vasp-born`` writes it, or for every atom, as with ``--nosym``.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from ase import Atoms

from aptnn_md.arrays import FloatArray
from aptnn_md.errors import InputError, RunError

if TYPE_CHECKING:
    from phonopy.structure.atoms import PhonopyAtoms


def read_born(path: Path, cells: list[Atoms]) -> tuple[Atoms, FloatArray]:
    """The cell that a ``BORN`` file belongs to, and the APTs of all its atoms.

    Parameters
    ----------
    path : the ``BORN`` file
    cells : cells that it may belong to, the likeliest first

    Returns
    -------
    one of the cells, and (n_atoms, 3, 3), e, row = dipole

    Raises
    ------
    InputError
        A file that is no ``BORN`` for any of the cells.
    RunError
        phonopy is not installed.
    """
    rows = _rows(path)
    counts = []
    for cell in cells:
        independent = len(_independent_atoms(path, cell))
        if len(rows) == independent:
            return cell, _expanded(path, cell)
        if len(rows) == len(cell):
            return cell, _every_atom(path, rows)
        counts.append(f"{independent} (atoms that symmetry does not make) or {len(cell)} (all)")
    raise InputError(path, "Born charges", f"{len(rows)} lines", " or ".join(counts))


def read_cells(path: Path) -> list[Atoms]:
    """The primitive cell and the unit cell of a YAML file of phonopy, in this order.

    Masses are those of the file. The unit cell is left out where it is the primitive one.

    Raises
    ------
    InputError
        A file without a cell.
    RunError
        phonopy is not installed.
    """
    content = _read_yaml(path)
    cells = [cell for cell in (_primitive(path, content), content.unitcell) if cell is not None]
    if not cells:
        raise InputError(path, "cells", "none", "a primitive_cell or a unit_cell of phonopy")
    found = [_atoms(cell) for cell in cells]
    return found[:1] if len(found) > 1 and len(found[0]) == len(found[1]) else found


def read_yaml_charges(path: Path) -> tuple[Atoms, FloatArray]:
    """The primitive cell of a YAML file of phonopy and the Born effective charges in it.

    Raises
    ------
    InputError
        A file without Born effective charges.
    RunError
        phonopy is not installed.
    """
    content = _read_yaml(path)
    parameters = content.nac_params
    cells = read_cells(path)
    if not parameters:
        expected = "born_effective_charge, or import the BORN file with --structure " + str(path)
        raise InputError(path, "Born charges", "none", expected)
    born = np.array(_entry(parameters, "born"), dtype=np.float64)
    for cell in cells:
        if born.shape == (len(cell), 3, 3):
            return cell, born
    raise InputError(path, "Born charges", f"shape {born.shape}", f"({len(cells[0])}, 3, 3)")


def _rows(path: Path) -> list[list[str]]:
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError as error:
        raise InputError(path, "file", error.strerror, "a BORN file of phonopy") from error
    return [line.split() for line in lines[2:] if line.strip()]


def _every_atom(path: Path, rows: list[list[str]]) -> FloatArray:
    expected = "nine numbers for each atom"
    try:
        born = np.array(rows, dtype=np.float64).reshape(-1, 3, 3)
    except ValueError as error:
        raise InputError(path, "Born charges", str(error), expected) from error
    if len(born) != len(rows) or not np.isfinite(born).all():
        raise InputError(path, "Born charges", "lines of another length", expected)
    return born


def _expanded(path: Path, cell: Atoms) -> FloatArray:
    """Charges of all atoms from those of the symmetry-independent ones."""
    from phonopy.file_IO import parse_BORN

    try:
        read = parse_BORN(_phonopy_atoms(path, cell), filename=str(path))
        born = np.array(_entry(read, "born"), dtype=np.float64)
    except Exception as error:  # its parser has errors of many kinds
        raise InputError(
            path, "file", str(error) or type(error).__name__, "a BORN file of this cell"
        ) from error
    if born.shape != (len(cell), 3, 3):
        raise InputError(path, "Born charges", f"shape {born.shape}", (len(cell), 3, 3))
    return born


def _independent_atoms(path: Path, cell: Atoms) -> list[int]:
    atoms = _phonopy_atoms(path, cell)
    from phonopy.structure.symmetry import Symmetry

    try:
        return [int(atom) for atom in Symmetry(atoms).get_independent_atoms()]
    except Exception as error:  # spglib raises what it likes for cells that are no crystals
        raise InputError(path, "structure", str(error) or "no symmetry", "a crystal") from error


def _phonopy_atoms(path: Path, cell: Atoms) -> PhonopyAtoms:
    try:
        from phonopy.structure.atoms import PhonopyAtoms
    except ImportError as error:
        raise RunError(f"{path}: needs phonopy: pip install phonopy ({error})") from error
    return PhonopyAtoms(
        symbols=cell.get_chemical_symbols(),
        cell=cell.cell.array,
        scaled_positions=cell.get_scaled_positions(),
    )


def _read_yaml(path: Path) -> Any:
    try:
        from phonopy.interface.phonopy_yaml import PhonopyYaml
    except ImportError as error:
        raise RunError(f"{path}: needs phonopy: pip install phonopy ({error})") from error
    content = PhonopyYaml()
    try:
        content.read(str(path))
    except Exception as error:  # its reader raises whatever a wrong text makes it run into
        raise InputError(
            path, "file", f"{type(error).__name__}: {error}", "a YAML file of phonopy"
        ) from error
    return content


def _primitive(path: Path, content: Any) -> PhonopyAtoms | None:
    """The primitive cell, made from the unit cell where only the matrix is written."""
    if content.primitive is not None:
        found: PhonopyAtoms = content.primitive
        return found
    if content.unitcell is None or content.primitive_matrix is None:
        return None
    from phonopy import Phonopy

    try:
        made = Phonopy(
            content.unitcell, np.eye(3, dtype=int), primitive_matrix=content.primitive_matrix
        )
    except Exception as error:
        raise InputError(path, "primitive_matrix", str(error), "one of the unit cell") from error
    primitive: PhonopyAtoms = made.primitive
    return primitive


def _atoms(cell: PhonopyAtoms) -> Atoms:
    return Atoms(
        cell.symbols,
        cell=cell.cell,
        scaled_positions=cell.scaled_positions,
        masses=cell.masses,
        pbc=True,
    )


def _entry(parameters: Any, name: str) -> Any:
    """phonopy's parameters are a dictionary or an object, by its version."""
    return parameters[name] if isinstance(parameters, dict) else getattr(parameters, name)
