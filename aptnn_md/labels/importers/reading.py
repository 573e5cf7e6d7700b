"""Labels that people already have, in the outputs of other programs.

Born effective charges:

* Files that ASE reads with the property ``born_effective_charges`` (VASP's ``vasprun.xml`` of a
  run with ``LEPSILON``): first index the field, second the force, which is [dipole, displacement].
* phonopy's ``BORN`` with its structure: the index that phonopy's non-analytical term contracts with
  the wave vector is the first one, which is the dipole's again. phonopy makes such files from the
  outputs of VASP, Quantum ESPRESSO and others, and fills in the atoms that follow by symmetry.

Dipole and polarizability derivatives of molecules:

* Gaussian's formatted checkpoint: :mod:`aptnn_md.labels.importers.gaussian_fchk`.
* ORCA's ``.hess``: :mod:`aptnn_md.labels.importers.orca_hess`.
"""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import ase.io
import numpy as np
from ase import Atoms

from aptnn_md.arrays import FloatArray
from aptnn_md.errors import InputError
from aptnn_md.labels.importers.gaussian_fchk import is_fchk, read_fchk
from aptnn_md.labels.importers.orca_hess import is_hess, read_hess
from aptnn_md.labels.schemes import Labels


def read_labels(
    path: Path, structure: Path | None = None, charge: float = 0.0, transpose: bool = False
) -> list[tuple[Atoms, Labels]]:
    """Frames and their labels from one file.

    Parameters
    ----------
    path : an output that ASE reads, a ``.fchk``, a ``.hess``, or with ``structure``, a ``BORN`` of
        phonopy; recognised by suffix or content
    structure : the primitive cell of the ``BORN`` file, in a format that ASE reads
    charge : e, where the file does not say; the frames have theirs as ``charge`` in their info
    transpose : exchange the two indices of Born effective charges, for files of another convention

    Raises
    ------
    InputError
        A file that cannot be read, or one without labels; ``transpose`` where the order is known.
    RunError
        phonopy is not installed.
    """
    derivatives = None if structure is not None else _read_derivatives(path, charge)
    if derivatives is not None:
        if transpose:
            raise InputError(
                "options", "--transpose", f"with {path}", "Born charges: its order is known"
            )
        return [derivatives]
    found = []
    for atoms, charges in _read_born_charges(path, structure):
        atoms.info.setdefault("charge", charge)
        found.append((atoms, Labels(apt=charges.transpose(0, 2, 1) if transpose else charges)))
    return found


def _read_derivatives(path: Path, charge: float) -> tuple[Atoms, Labels] | None:
    """None for other files."""
    if not path.is_file():
        raise InputError(path, "file", "nothing", "an output of another program")
    with path.open(encoding="utf-8", errors="replace") as lines:
        first_lines = list(islice(lines, 5))
    if is_fchk(path, first_lines):
        return read_fchk(path)
    if is_hess(path, first_lines):
        return read_hess(path, charge)
    return None


def _read_born_charges(path: Path, structure: Path | None) -> list[tuple[Atoms, FloatArray]]:
    if structure is not None:
        from aptnn_md.labels.importers.phonopy_born import read_born

        cell = _read(structure)[-1]
        return [(cell, read_born(path, cell))]
    found = []
    for atoms in _read(path):
        results = {} if atoms.calc is None else atoms.calc.results
        charges = results.get("born_effective_charges")
        if charges is not None:
            found.append((atoms, _checked(path, charges, len(atoms))))
    if not found:
        raise InputError(
            path, "born_effective_charges", "none", "an output of a run that calculated them"
        )
    return found


def _read(path: Path) -> list[Atoms]:
    if not path.is_file():
        raise InputError(path, "file", "nothing", "a file that ASE can read")
    try:
        frames = ase.io.read(path, index=":")
    except Exception as error:  # ASE's readers raise whatever their parsing runs into
        raise InputError(
            path, "file", f"{type(error).__name__}: {error}", "a file that ASE can read"
        ) from error
    assert isinstance(frames, list)
    if not frames:
        raise InputError(path, "frames", "none", "at least one")
    return frames


def _checked(path: Path, charges: object, n_atoms: int) -> FloatArray:
    tensors = np.asarray(charges, dtype=np.float64)
    if tensors.shape != (n_atoms, 3, 3) or not np.isfinite(tensors).all():
        raise InputError(
            path, "born_effective_charges", f"shape {tensors.shape}", f"({n_atoms}, 3, 3), finite"
        )
    return tensors
