"""Existing labels, in outputs of other programs.

Born effective charges:

* VASP's ``vasprun.xml`` and ``OUTCAR`` of a run with ``LEPSILON`` or ``LCALCEPS``: first index the
  field, second the force, which is [dipole, displacement].
* phonopy's ``BORN`` with its structure, or phonopy's YAML files with the charges in them: the index
  that phonopy's non-analytical term contracts with the wave vector is the first one, which is the
  dipole's again. phonopy makes such files from the outputs of VASP, Quantum ESPRESSO and others.

Dipole and polarizability derivatives of molecules:

* Gaussian's formatted checkpoint: :mod:`aptnn_md.labels.importers.gaussian_fchk`.
* ORCA's ``.hess``: :mod:`aptnn_md.labels.importers.orca_hess`.

Tensors under a name in whatever ASE reads (:mod:`aptnn_md.labels.importers.named_frames`): the
order of their indices is found out (:mod:`aptnn_md.structure_labels`).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from ase import Atoms

from aptnn_md.errors import InputError
from aptnn_md.labels.frame_labels import Labels
from aptnn_md.labels.importers.formats import (
    first_lines,
    is_born,
    is_of_program,
    is_outcar,
    is_phonopy_yaml,
    read_frames,
)
from aptnn_md.labels.importers.gaussian_fchk import is_fchk, read_fchk
from aptnn_md.labels.importers.named_frames import read_named
from aptnn_md.labels.importers.options import ImportOptions, labels_of
from aptnn_md.labels.importers.orca_hess import is_hess, read_hess
from aptnn_md.structure_labels import labels_in
from aptnn_md.targets import APT


def read_labels(path: Path, options: ImportOptions | None = None) -> list[tuple[Atoms, Labels]]:
    """Frames and their labels from one file, whose format is recognised by its content.

    Parameters
    ----------
    path : the file
    options : what it does not say

    Raises
    ------
    InputError
        A file that cannot be read, or one without labels; ``index_order`` or ``keys`` where the
        format fixes them.
    RunError
        phonopy is not installed.
    """
    options = options or ImportOptions()
    lines = first_lines(path)
    if options.structure is None and (is_fchk(path, lines) or is_hess(path, lines)):
        if options.index_order is not None:
            found, expected = f"with {path}", "Born charges: its order is known"
            raise InputError("options", "--transpose or --index-order", found, expected)
        molecule = (
            read_fchk(path) if is_fchk(path, lines) else read_hess(path, charge=options.charge)
        )
        return [(molecule.atoms, molecule.labels)]
    if options.structure is None and is_born(lines):
        expected = "the primitive cell of this BORN file: POSCAR or phonopy.yaml"
        raise InputError("options", "--structure", f"nothing with {path}", expected)
    if options.structure is not None or (is_of_program(lines) and not options.keys):
        return _read_born_charges(path, lines, options)
    return read_named(path, options)


def _read_born_charges(
    path: Path, lines: list[str], options: ImportOptions
) -> list[tuple[Atoms, Labels]]:
    """From formats in which row = dipole."""
    if options.structure is not None:
        from aptnn_md.labels.importers.phonopy_files import read_born

        found = [read_born(path, _cells(options.structure))]
    elif is_outcar(lines):
        from aptnn_md.labels.importers.vasp_outcar import read_outcar

        found = [read_outcar(path)]
    elif is_phonopy_yaml(lines):
        from aptnn_md.labels.importers.phonopy_files import read_yaml_charges

        found = [read_yaml_charges(path)]
    else:
        found = []
        for number, atoms in enumerate(read_frames(path)):
            labels = labels_in(atoms, APT.name, where=f"{path}, frame {number}")
            if labels is not None:
                found.append((atoms, labels.tensors))
    if not found:
        raise InputError(path, APT.ase_name, "none", "an output of a run that calculated them")
    frames = []
    for atoms, stored in found:
        apt = stored.transpose(0, 2, 1) if options.transpose else stored
        if not np.isfinite(apt).all():
            raise InputError(path, APT.ase_name, "values that are not finite", "finite numbers")
        frames.append(labels_of(atoms, {APT.name: apt}, options))
    return frames


def _cells(structure: Path) -> list[Atoms]:
    if is_phonopy_yaml(first_lines(structure)):
        from aptnn_md.labels.importers.phonopy_files import read_cells

        return read_cells(structure)
    return read_frames(structure)[-1:]
