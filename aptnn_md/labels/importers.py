"""Labels that people already have: Born effective charges in the outputs of other programs.

* Files that ASE reads with the property ``born_effective_charges`` (VASP's ``vasprun.xml`` of a
  run with ``LEPSILON``): first index the field, second the force, which is [dipole, displacement].
* phonopy's ``BORN`` with its structure: the index that phonopy's non-analytical term contracts with
  the wave vector is the first one, which is the dipole's again. phonopy makes such files from the
  outputs of VASP, Quantum ESPRESSO and others, and fills in the atoms that follow by symmetry.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import ase.io
import numpy as np
from ase import Atoms

from aptnn_md.arrays import FloatArray
from aptnn_md.errors import InputError
from aptnn_md.labels.schemes import Labels


def read_born_charges(path: Path, structure: Path | None) -> list[tuple[Atoms, Labels]]:
    """Frames and their labels from one file.

    Parameters
    ----------
    path : an output that ASE reads, or with ``structure``, a ``BORN`` of phonopy
    structure : the primitive cell of the ``BORN`` file, in a format that ASE reads

    Raises
    ------
    InputError
        A file that cannot be read, or one without Born effective charges.
    RunError
        phonopy is not installed.
    """
    if structure is not None:
        from aptnn_md.labels.phonopy_born import read_born

        cell = _read(structure)[-1]
        return [(cell, Labels(apt=read_born(path, cell)))]
    found = []
    for atoms in _read(path):
        results = {} if atoms.calc is None else atoms.calc.results
        charges = results.get("born_effective_charges")
        if charges is not None:
            found.append((atoms, Labels(apt=_checked(path, charges, len(atoms)))))
    if not found:
        raise InputError(
            path, "born_effective_charges", "none", "an output of a run that calculated them"
        )
    return found


def transposed(labels: Sequence[tuple[Atoms, Labels]]) -> list[tuple[Atoms, Labels]]:
    """The same with the two indices exchanged, for files of another convention."""
    return [
        (atoms, Labels(apt=None if found.apt is None else found.apt.transpose(0, 2, 1)))
        for atoms, found in labels
    ]


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
