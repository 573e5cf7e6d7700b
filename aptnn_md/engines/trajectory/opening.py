"""Open the files of a trajectory, each by the reader of its kind."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from ase import Atoms

from aptnn_md.arrays import FloatArray, IntArray
from aptnn_md.engines.trajectory.ase_file import AseFile
from aptnn_md.engines.trajectory.columns import column_named
from aptnn_md.engines.trajectory.frames import FrameFile
from aptnn_md.engines.trajectory.joined import Joined, grouped_by_bead
from aptnn_md.engines.trajectory.lammps_dump import LammpsDump
from aptnn_md.engines.trajectory.mdanalysis_file import SUFFIXES, MDAnalysisFile
from aptnn_md.engines.trajectory.settings import TrajectoryFiles
from aptnn_md.engines.trajectory.side_by_side import WithVelocities, side_by_side
from aptnn_md.engines.trajectory.table import read_table
from aptnn_md.engines.trajectory.text_index import open_bytes
from aptnn_md.engines.trajectory.xyz_file import XyzFile
from aptnn_md.errors import InputError
from aptnn_md.progress import log
from aptnn_md.structure_columns import VELOCITY_UNITS
from aptnn_md.structure_files import read_structure
from aptnn_md.structures import SAME_CHARGE, charge_of

_VELOCITIES_OF = {"positions": "velocities", "x_centroid": "v_centroid"}
"""i-PI's names of what belongs together."""

_CELL_COLUMNS = ("ax", "ay", "az", "bx", "by", "bz", "cx", "cy", "cz")


def open_trajectory(files: TrajectoryFiles) -> Joined:
    """All frames of a trajectory.

    Raises
    ------
    InputError
        Files that cannot be read or do not belong together, or whose elements are not known.
    RunError
        A file needs a package that is not installed.
    """
    structure = None if files.structure is None else read_structure(files.structure)
    opened = [_open(path, files, structure) for path in files.trajectory]
    velocities: list[FrameFile] = [_open_velocities(path, files) for path in files.velocity_files]
    of_centroids = _of_centroids(files, opened)
    n_files = 1 if of_centroids else files.n_beads
    groups = grouped_by_bead(_by_bead(files, opened), files.trajectory[0], n_files)
    for of_part in zip(*groups, strict=True):
        lists = (opened, velocities) if velocities else (opened,)
        places = [(each, k) for each in lists for k in of_part]
        aligned = side_by_side([each[k] for each, k in places])
        for (each, k), file in zip(places, aligned, strict=True):
            each[k] = file
    if velocities:
        pairs = zip(opened, velocities, strict=True)
        opened = [_with_velocities(one, other, files) for one, other in pairs]
    template = _template(files, opened, structure)
    beads = [[opened[k] for k in group] for group in groups]
    cells = None if files.cell_file is None else _cells(files.cell_file)
    cell, pbc = None, (True, True, True)
    if structure is not None and structure.cell.rank == 3 and any(structure.pbc):
        x, y, z = (bool(p) for p in structure.pbc)
        cell, pbc = structure.cell.array.copy(), (x, y, z)
    joined = Joined(beads, template, cell, pbc, cells, of_centroids)
    if cells is not None and joined.steps is None:
        raise InputError(files.cell_file, "cell", "steps that the frames do not have", "both")
    joined.use(files.chosen_frames)
    if joined.read(0).cell is None:
        log.warning(
            "%s: no cell, so the atoms are those of an isolated molecule or cluster; --structure "
            "FILE gives a cell, --cell-file one for every step",
            files.trajectory[0],
        )
    return joined


def _open(path: Path, files: TrajectoryFiles, structure: Atoms | None) -> FrameFile:
    if not path.is_file():
        raise InputError(path, "file", "nothing", "a trajectory")
    suffix = path.suffix.lower()
    if suffix in SUFFIXES:
        if structure is None:
            expected = "--structure FILE with the atoms in the same order"
            raise InputError(path, "elements", "none in such files", expected)
        return MDAnalysisFile(path, structure)
    with open_bytes(path) as file:
        head = file.read(4096).decode("utf-8", errors="replace")
    if head.lstrip().startswith("ITEM:"):
        return LammpsDump(path, files.lammps_units, files.elements)
    found: FrameFile
    if ".xyz" in path.name.lower() or ".extxyz" in path.name.lower():
        found = XyzFile(path, files.velocity_unit, files.lammps_units)
    else:
        found = AseFile(path)
    if found.quantity not in ("", *_VELOCITIES_OF):
        expected = "a file of positions; --velocity-files takes those of velocities"
        raise InputError(path, "quantity", found.quantity, expected)
    return found


def _open_velocities(path: Path, files: TrajectoryFiles) -> XyzFile:
    if not path.is_file():
        raise InputError(path, "file", "nothing", "a file of velocities")
    return XyzFile(path, files.velocity_unit)


def _with_velocities(
    positions: FrameFile, velocities: FrameFile, files: TrajectoryFiles
) -> FrameFile:
    """Velocities of a file of their own: of i-PI in its units, in columns that have a name, else in
    atomic units as CP2K's."""
    path = velocities.path
    if velocities.note:
        return WithVelocities(positions, velocities, None, f"{path}, {velocities.note}")
    if velocities.quantity:
        of_positions = positions.quantity or "positions"
        expected = _VELOCITIES_OF[of_positions]
        if velocities.quantity != expected:
            also = f"{expected}, as {positions.path} holds {of_positions}"
            raise InputError(path, "quantity", velocities.quantity, also)
        if expected == "velocities" and files.n_beads > 1 and velocities.bead in (0, None):
            log.warning(
                "%s: i-PI writes momenta over physical masses, which are the velocities of RPMD "
                "and TRPMD, but not where normal modes have masses of their own (PA-CMD): for "
                "those --increments, or aptnn-md ipi while they run",
                path,
            )
        return WithVelocities(positions, velocities, 1.0, f"{path}, in the unit that it gives")
    unit = files.velocity_unit or "atomic units"
    note = f"{path}, in {unit}"
    note += "" if files.velocity_unit else ", as CP2K writes them"
    return WithVelocities(positions, velocities, VELOCITY_UNITS[unit], note)


def _of_centroids(files: TrajectoryFiles, opened: list[FrameFile]) -> int:
    """Beads whose centroids i-PI wrote; 0 where files are of atoms or beads.

    Raises
    ------
    InputError
        Some are of centroids, some are not; or nobody says of how many beads.
    """
    centroids = [each.quantity == "x_centroid" for each in opened]
    if not any(centroids):
        return 0
    path = files.trajectory[centroids.index(True)]
    if not all(centroids):
        raise InputError(path, "quantity", "x_centroid", "centroids or beads in all files")
    if files.n_beads < 2:
        expected = "--beads P, of how many beads: they are no classical atoms"
        raise InputError(path, "beads", "centroids of a path integral, and no number", expected)
    return files.n_beads


def _template(files: TrajectoryFiles, opened: list[FrameFile], structure: Atoms | None) -> Atoms:
    """Elements, masses, charge and constraints; those of the structure where there is one, with
    the masses and the charge of the trajectory where the structure says none.

    Raises
    ------
    InputError
        Both say another charge. (Masses are compared with those of all files.)
    """
    own = opened[0].template
    found = structure if structure is not None else own
    if found is None:
        expected = "--elements, symbols for types 1, 2, ..., or --structure FILE with the atoms in "
        expected += "the order of their ids"
        raise InputError(files.trajectory[0], "elements", "types alone", expected)
    atoms: Atoms = found.copy()
    atoms.calc = None
    if len(atoms) == 0:
        raise InputError(files.trajectory[0], "atoms", "none", "some")
    if structure is None or own is None or len(own) != len(atoms):
        return atoms
    if own.has("masses") and not atoms.has("masses"):
        atoms.set_masses(own.get_masses())
    of_structure, of_frames = charge_of(structure), charge_of(own)
    if of_frames is None:
        return atoms
    if of_structure is None:
        atoms.info["charge"] = of_frames
    elif abs(of_structure - of_frames) > SAME_CHARGE:
        expected = f"{of_structure:g} e, as in {files.structure}; correct or remove one of the two"
        raise InputError(files.trajectory[0], "charge", f"{of_frames:g} e", expected)
    return atoms


def _by_bead(files: TrajectoryFiles, opened: list[FrameFile]) -> list[int]:
    """Numbers of files in the order of their beads, where all say which bead they are of."""
    numbers = list(range(len(opened)))
    if files.n_beads == 1 or any(each.bead is None for each in opened):
        return numbers
    return sorted(numbers, key=lambda k: opened[k].bead or 0)


def _cells(path: Path) -> tuple[IntArray, FloatArray]:
    """Steps and cells of CP2K's file of cells."""
    table = read_table(path)
    step = column_named(table, "step")
    columns = [column_named(table, name) for name in _CELL_COLUMNS]
    if step is None or any(column is None for column in columns):
        expected = "Step, Ax [Angstrom], ..., Cz [Angstrom], as CP2K writes them"
        raise InputError(path, "columns", ", ".join(table.names) or "none", expected)
    cells = table.values[:, [k for k in columns if k is not None]].reshape(-1, 3, 3)
    if not np.isfinite(cells).all():
        raise InputError(path, "cells", "values that are not finite", "finite numbers")
    return table.values[:, step].astype(np.int64), cells
