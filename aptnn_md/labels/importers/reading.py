"""Labels that people already have, in the outputs of other programs.

Born effective charges:

* VASP's ``vasprun.xml`` and ``OUTCAR`` of a run with ``LEPSILON`` or ``LCALCEPS``: first index the
  field, second the force, which is [dipole, displacement].
* phonopy's ``BORN`` with its structure, or phonopy's YAML files with the charges in them: the index
  that phonopy's non-analytical term contracts with the wave vector is the first one, which is the
  dipole's again. phonopy makes such files from the outputs of VASP, Quantum ESPRESSO and others.

Dipole and polarizability derivatives of molecules:

* Gaussian's formatted checkpoint: :mod:`aptnn_md.labels.importers.gaussian_fchk`.
* ORCA's ``.hess``: :mod:`aptnn_md.labels.importers.orca_hess`.

Tensors under a name in whatever ASE reads (:mod:`aptnn_md.labels.importers.named_labels`): the
order of their indices is found out (:mod:`aptnn_md.labels.importers.index_order`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from ase import Atoms

from aptnn_md.arrays import FloatArray
from aptnn_md.errors import InputError
from aptnn_md.labels.checks import LIMITS, scale
from aptnn_md.labels.importers.formats import (
    first_lines,
    is_outcar,
    is_phonopy_yaml,
    is_vasprun,
    read_frames,
)
from aptnn_md.labels.importers.gaussian_fchk import is_fchk, read_fchk
from aptnn_md.labels.importers.index_order import (
    check_order,
    settle_order,
    turned,
)
from aptnn_md.labels.importers.named_labels import NAMES, find_dipole, find_label
from aptnn_md.labels.importers.orca_hess import is_hess, read_hess
from aptnn_md.labels.schemes import Labels
from aptnn_md.labels.structure_facts import charge_of
from aptnn_md.targets import APT, PGT, TARGETS
from aptnn_md.tensors import fitting_dipole, rotational_sum

USUAL = ("born_charge", "bec", "REF_apt", *TARGETS)
"""Some names by which labels are found, for messages."""


@dataclass(frozen=True)
class ImportOptions:
    """What files do not say about their labels.

    Parameters
    ----------
    structure : the primitive cell of a ``BORN`` file, in a format that ASE reads or phonopy's YAML
    charge : e, of frames that do not say theirs
    index_order : ``"dipole-first"`` (row = dipole) or ``"displacement-first"``, of Born charges and
        of tensors under a name; None: as the format has it, or found out
    keys : target -> its name in the file, where it is not a usual one

    Raises
    ------
    InputError
        Another order.
    """

    structure: Path | None = None
    charge: float = 0.0
    index_order: str | None = None
    keys: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_order(self.index_order)


@dataclass(frozen=True)
class ReadLabels:
    """Labels of a file.

    Attributes
    ----------
    frames : structures, with ``charge`` in their info, and their labels
    notes : what was decided on the way, a sentence each
    """

    frames: list[tuple[Atoms, Labels]]
    notes: tuple[str, ...] = ()


def read_labels(path: Path, options: ImportOptions | None = None) -> ReadLabels:
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
        return ReadLabels([(molecule.atoms, molecule.labels)])
    if options.structure is not None or not (options.keys or _no_program(lines)):
        return _read_born_charges(path, lines, options)
    return _read_named(path, options)


def _no_program(lines: list[str]) -> bool:
    return not (is_vasprun(lines) or is_outcar(lines) or is_phonopy_yaml(lines))


def _read_born_charges(path: Path, lines: list[str], options: ImportOptions) -> ReadLabels:
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
            tensors = find_label(f"{path}, frame {number}", atoms, APT)
            if tensors is not None:
                found.append((atoms, tensors[1]))
    if not found:
        raise InputError(path, APT.ase_name, "none", "an output of a run that calculated them")
    frames = []
    for atoms, apt in found:
        (tensors,) = turned([apt], options.index_order or "")
        if not np.isfinite(tensors).all():
            raise InputError(path, APT.ase_name, "values that are not finite", "finite numbers")
        frames.append((_with_charge(atoms, options), _labels(atoms, {APT.name: tensors}, None)))
    return ReadLabels(frames)


def _cells(structure: Path) -> list[Atoms]:
    if is_phonopy_yaml(first_lines(structure)):
        from aptnn_md.labels.importers.phonopy_files import read_cells

        return read_cells(structure)
    return read_frames(structure)[-1:]


def _read_named(path: Path, options: ImportOptions) -> ReadLabels:
    """From frames that carry tensors under a name."""
    frames = read_frames(path)
    notes: list[str] = []
    tensors: list[dict[str, FloatArray]] = [{} for _ in frames]
    used: set[str] = set()
    for target in TARGETS.values():
        if target.name not in NAMES and target.name not in options.keys:
            continue
        found = {}
        for number, atoms in enumerate(frames):
            label = find_label(
                f"{path}, frame {number}", atoms, target, options.keys.get(target.name)
            )
            if label is not None:
                found[number] = label
        if not found:
            continue
        names = sorted({name for name, _ in found.values()})
        used.update(names)
        stored = {number: label[1] for number, label in found.items()}
        ordered, note = _ordered(path, ", ".join(names), target.name, frames, stored, options)
        notes += [note] if note else []
        for number, array in ordered.items():
            tensors[number][target.name] = array
    if not any(tensors):
        present = sorted({name for atoms in frames for name in _names(atoms)})
        raise InputError(
            path,
            APT.ase_name,
            f"none (there are: {', '.join(present) or 'no properties'})",
            f"it, one of the names {', '.join(USUAL)}, or --key {APT.name}=NAME",
        )
    read = []
    for number, (atoms, of_frame) in enumerate(zip(frames, tensors, strict=True)):
        if not of_frame:
            notes.append(f"{path}, frame {number}: no labels; left out")
            continue
        dipole, note = _fitting(f"{path}, frame {number}", atoms, of_frame)
        notes += [note] if note else []
        labels = _labels(atoms, of_frame, dipole)
        bare = _with_charge(atoms, options)
        for name in used:  # the labelled file has them in this package's order, and only so
            bare.arrays.pop(name, None)
            bare.info.pop(name, None)
        read.append((bare, labels))
    return ReadLabels(read, tuple(notes))


def _ordered(
    path: Path,
    name: str,
    target: str,
    frames: list[Atoms],
    stored: dict[int, FloatArray],
    options: ImportOptions,
) -> tuple[dict[int, FloatArray], str]:
    """Tensors with their dipole indices first, and a note."""
    if target == APT.name:
        known = [(frames[k], array, find_dipole(frames[k])) for k, array in stored.items()]
        settled = settle_order(path, name, known, options.index_order)
        return dict(zip(stored, settled.apts, strict=True)), settled.note
    if target == PGT.name and _displacement_is_first(path, list(stored.values())):
        note = f"{path}: {name} is symmetric in its last two indices: displacement first; turned"
        return {k: np.moveaxis(array, 1, -1) for k, array in stored.items()}, note
    return stored, ""


def _displacement_is_first(where: object, pgts: list[FloatArray]) -> bool:
    """Whether gradients of a symmetric tensor have their displacement in front."""
    first, last, size = (
        sum(float(np.nansum(part(pgt) ** 2)) for pgt in pgts)
        for part in (
            lambda pgt: pgt - np.swapaxes(pgt, 1, 2),
            lambda pgt: pgt - np.swapaxes(pgt, 2, 3),
            lambda pgt: pgt,
        )
    )
    if min(first, last) > 0.01 * size:
        found, expected = "symmetric in no two indices", "∂a_αβ/∂r_γ, row-major [α, β, γ]"
        raise InputError(where, PGT.name, found, expected)
    return last < 0.01 * first


def _fitting(
    where: str, atoms: Atoms, tensors: Mapping[str, FloatArray]
) -> tuple[FloatArray | None, str]:
    """The frame's dipole if it is that of its APTs, and a note if it is not."""
    dipole, apt = find_dipole(atoms), tensors.get(APT.name)
    if dipole is None or apt is None or any(atoms.pbc) or not np.isfinite(apt).all():
        return dipole, ""
    limit = LIMITS["rotational_sum"] * scale("rotational_sum", len(atoms))
    given, best = (
        np.abs(rotational_sum(apt, atoms.positions, moment)).max()
        for moment in (dipole, fitting_dipole(apt, atoms.positions))
    )
    if best <= limit < given:
        return None, f"{where}: the dipole is not that of the tensors (unit or origin?); left out"
    return dipole, ""


def _labels(atoms: Atoms, tensors: Mapping[str, FloatArray], dipole: FloatArray | None) -> Labels:
    results = {} if atoms.calc is None else atoms.calc.results
    energy, forces = results.get("energy"), results.get("forces")
    return Labels(
        tensors=dict(tensors),
        dipole=dipole,
        energy=None if energy is None else float(energy),
        forces=None if forces is None else np.array(forces, dtype=np.float64),
    )


def _with_charge(atoms: Atoms, options: ImportOptions) -> Atoms:
    """The structure alone, with its charge in its info."""
    bare: Atoms = atoms.copy()
    charge = charge_of(atoms, options.charge)
    assert charge is not None
    bare.info["charge"] = charge
    return bare


def _names(atoms: Atoms) -> set[str]:
    results = {} if atoms.calc is None else set(atoms.calc.results)
    return {*atoms.arrays, *results, *map(str, atoms.info)} - {"numbers", "positions"}
