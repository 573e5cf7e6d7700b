"""Born effective charges from phonopy's ``BORN`` files, read by phonopy."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from ase import Atoms

from aptnn_md.arrays import FloatArray
from aptnn_md.errors import InputError, RunError


def read_born(path: Path, primitive: Atoms) -> FloatArray:
    """APTs of all atoms of the primitive cell, (n_atoms, 3, 3), e.

    Raises
    ------
    InputError
        A file that is no ``BORN`` for this cell.
    RunError
        phonopy is not installed.
    """
    try:
        from phonopy.file_IO import parse_BORN
        from phonopy.structure.atoms import PhonopyAtoms
    except ImportError as error:
        raise RunError(f"{path}: BORN files need phonopy: pip install phonopy ({error})") from error
    cell = PhonopyAtoms(
        symbols=primitive.get_chemical_symbols(),
        cell=primitive.cell.array,
        scaled_positions=primitive.get_scaled_positions(),
    )
    try:
        read = parse_BORN(cell, filename=str(path))
        born = np.array(read["born"] if isinstance(read, dict) else read.born, dtype=np.float64)
    except OSError as error:
        raise InputError(path, "file", error.strerror, "a BORN file of phonopy") from error
    except Exception as error:  # its parser has errors of many kinds
        raise InputError(
            path, "file", str(error) or type(error).__name__, "a BORN file of this cell"
        ) from error
    if born.shape != (len(primitive), 3, 3):
        raise InputError(path, "Born charges", f"shape {born.shape}", (len(primitive), 3, 3))
    return born
