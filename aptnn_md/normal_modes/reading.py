"""Hessians and polar tensors from files of this and other programs."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.vibrations import VibrationsData

from aptnn_md.arrays import FloatArray
from aptnn_md.errors import InputError
from aptnn_md.labels.importers.formats import first_lines, is_of_program
from aptnn_md.labels.importers.gaussian_fchk import is_fchk, read_fchk
from aptnn_md.labels.importers.molecule import Molecule
from aptnn_md.labels.importers.orca_hess import is_hess, read_hess
from aptnn_md.labels.importers.reading import read_labels
from aptnn_md.normal_modes.differences import read_differences
from aptnn_md.structure_files import read_structures
from aptnn_md.structure_labels import labels_in
from aptnn_md.structures import mobile
from aptnn_md.targets import APT, PGT, Target
from aptnn_md.training.dataset import read_labelled

_SAME_POSITIONS = 0.01
_FORMATS = (
    "numpy (.npy), aptnn_md (.npz), ASE Vibrations (.json), phonopy's FORCE_CONSTANTS, or a "
    "frequency run's .fchk (Gaussian) or .hess (ORCA)"
)


def read_molecule(path: str | os.PathLike[str]) -> Molecule | None:
    """Structure, masses, Hessian and tensors from Gaussian's ``.fchk`` or ORCA's ``.hess``; None
    for other files, or if there is no file.

    Raises
    ------
    InputError
        A file that is not complete.
    """
    file = Path(path)
    if not file.is_file():
        return None  # also ASE's file@index
    lines = first_lines(file)
    if is_fchk(file, lines):
        return read_fchk(file, with_labels=False)
    # the intensities of an ion are right, although its tensors do not sum to its charge
    return read_hess(file, with_labels=False) if is_hess(file, lines) else None


def read_hessian(path: str | os.PathLike[str], atoms: Atoms) -> FloatArray:
    """Hessian (3 n_atoms, 3 n_atoms), eV/Å², of ``atoms`` from a file.

    Parameters
    ----------
    path : ``.npy`` with (3 N, 3 N) or (N, 3, N, 3) numbers; ``.npz`` of
        :func:`aptnn_md.normal_modes.finite_difference_hessian`; ``.json`` of
        ``ase.vibrations.VibrationsData.write``; ``.fchk`` of Gaussian or ``.hess`` of ORCA; else
        the text file FORCE_CONSTANTS of phonopy (eV/Å²), for all pairs of the supercell that
        ``atoms`` is
    atoms : the structure, atoms in the same order

    Raises
    ------
    InputError
        The file cannot be read, or is of other atoms.
    """
    file = Path(path)
    if not file.is_file():
        raise InputError(file, "Hessian", "no such file", _FORMATS)
    n = 3 * len(atoms)
    if file.suffix == ".npz":
        hessian = read_differences(file, atoms)
    elif file.suffix == ".json":
        hessian = _of_ase(file, atoms)
    elif file.suffix == ".npy":
        hessian = _of_numpy(file)
    else:
        molecule = read_molecule(file)
        hessian = _of_phonopy(file) if molecule is None else _of_molecule(file, molecule, atoms)
    if hessian.size != n * n or hessian.shape[0] not in (n, len(atoms)):
        raise InputError(file, "Hessian", f"shape {hessian.shape}", f"({n}, {n})")
    hessian = hessian.reshape(n, n)
    if not np.isfinite(hessian).all():
        raise InputError(file, "Hessian", "values that are not finite", "finite numbers, eV/Å²")
    return hessian


def hessian_of(path: object, molecule: Molecule) -> FloatArray:
    """The Hessian of a molecule's file, (3 n_atoms, 3 n_atoms), eV/Å².

    Raises
    ------
    InputError
        The file has none.
    """
    if molecule.hessian is None:
        expected = "that of a frequency run, or --hessian FILE, or --potential"
        raise InputError(path, "Hessian", "none", expected)
    return molecule.hessian


def _of_molecule(path: Path, molecule: Molecule, atoms: Atoms) -> FloatArray:
    hessian = hessian_of(path, molecule)
    _check_atoms(path, molecule.atoms, atoms)
    return hessian


def read_polar_tensors(path: str | os.PathLike[str], atoms: Atoms) -> FloatArray:
    """APTs (n_atoms, 3, 3), e, of ``atoms`` from a file.

    Parameters
    ----------
    path : ``.npy`` with (n_atoms, 3, 3) numbers, row = dipole, column = displacement; else whatever
        ``aptnn-md label --import`` reads (:mod:`aptnn_md.labels.importers.reading`), last frame

    Raises
    ------
    InputError
        The file cannot be read, or is of other atoms.
    """
    return _of_target(Path(path), atoms, APT)


def read_polarizability_gradients(path: str | os.PathLike[str], atoms: Atoms) -> FloatArray:
    """PGTs (n_atoms, 3, 3, 3), Å², of ``atoms`` from a file.

    Parameters
    ----------
    path : ``.npy`` with (n_atoms, 3, 3, 3) numbers, ``[i, α, β, γ] = ∂a_αβ/∂r_iγ``; else as for
        :func:`read_polar_tensors`

    Raises
    ------
    InputError
        The file cannot be read, or is of other atoms.
    """
    return _of_target(Path(path), atoms, PGT)


def has_target(path: str | os.PathLike[str], target: Target) -> bool:
    """Whether a labelled file, not ``.npy``, has tensors of that target in its last frame."""
    file = Path(path)
    if file.suffix == ".npy":
        return False
    of_program = _of_program(file)
    if of_program is not None:
        return target.name in of_program[1]
    return labels_in(read_structures(file)[-1], target.name) is not None


def _of_program(path: Path) -> tuple[Atoms, dict[str, FloatArray]] | None:
    """Structure and tensors of the last frame of another program's output; None for frames that
    carry tensors under a name."""
    molecule = read_molecule(path)
    if molecule is not None:
        return molecule.atoms, molecule.labels.tensors
    if not path.is_file() or not is_of_program(first_lines(path)):
        return None
    atoms, labels = read_labels(path)[-1]
    return atoms, labels.tensors


def _of_target(path: Path, atoms: Atoms, target: Target) -> FloatArray:
    shape = (len(atoms), *target.shape)
    if path.suffix == ".npy":
        tensors = _of_numpy(path)
    else:
        of_file, tensors = _labelled(path, target.name)
        _check_atoms(path, of_file, atoms)
    if tensors.shape != shape or not np.isfinite(tensors).all():
        raise InputError(path, target.name, f"shape {tensors.shape}", f"{shape}, all finite")
    return tensors


def _labelled(path: Path, target: str) -> tuple[Atoms, FloatArray]:
    """Structure and tensors of the last frame of a file with labels."""
    of_program = _of_program(path)
    if of_program is None:
        frame = read_labelled(path, target)[-1]
        return frame.atoms, frame.tensors
    atoms, found = of_program
    if target not in found:
        have = ", ".join(found) or "none"
        raise InputError(path, target, f"no such tensors (there are: {have})", target)
    return atoms, found[target]


def _of_numpy(path: Path) -> FloatArray:
    try:
        return np.asarray(np.load(path), dtype=np.float64)
    except (OSError, ValueError, TypeError, EOFError) as error:
        raise InputError(path, "array", error, "an array in numpy's format") from error


def _of_ase(path: Path, atoms: Atoms) -> FloatArray:
    try:
        data = VibrationsData.read(path)  # type: ignore[attr-defined]
        indices, hessian = data.get_indices(), data.get_hessian_2d()
    except Exception as error:  # ASE's reader raises whatever its parsing runs into
        raise InputError(path, "Hessian", error, "a file of ASE's VibrationsData") from error
    _check_atoms(path, data.get_atoms(), atoms)
    moves = np.flatnonzero(mobile(atoms))
    if not np.array_equal(np.sort(indices), moves):
        found, expected = f"{len(indices)} atoms", f"the {len(moves)} that the structure lets move"
        raise InputError(path, "atoms that move", found, f"{expected}: fix or free the others")
    coordinates = (3 * np.asarray(indices)[:, None] + np.arange(3)).ravel()
    full = np.zeros((3 * len(atoms), 3 * len(atoms)))
    full[np.ix_(coordinates, coordinates)] = hessian
    return full


def _of_phonopy(path: Path) -> FloatArray:
    """(3 N, 3 N) from N and N, and for each pair its numbers and three rows of three values."""
    expected = f"{_FORMATS}: atom counts, then for each pair its numbers and a 3 x 3 matrix"
    try:
        first, *rest = path.read_text(encoding="utf-8").splitlines()
        counts = [int(word) for word in first.split()]
        values = np.array(" ".join(rest).split(), dtype=np.float64)
    except (OSError, UnicodeDecodeError, ValueError) as error:
        raise InputError(path, "force constants", error, expected) from error
    n_rows, n_columns = (counts[0], counts[-1]) if counts else (0, 0)
    if len(values) != 11 * n_rows * n_columns or not len(values):
        found = f"{len(values)} numbers for {n_rows} x {n_columns} pairs"
        raise InputError(path, "force constants", found, expected)
    if n_rows != n_columns:
        found = f"{n_rows} x {n_columns} atoms, the compact format"
        raise InputError(path, "force constants", found, "all pairs (phonopy --full-fc)")
    blocks = values.reshape(n_rows, n_rows, 11)
    numbers = np.arange(1, n_rows + 1)
    if (blocks[..., 0] != numbers[:, None]).any() or (blocks[..., 1] != numbers).any():
        raise InputError(path, "force constants", "pairs in another order", "1 1, 1 2, ...")
    matrices = blocks[..., 2:].reshape(n_rows, n_rows, 3, 3)
    return np.asarray(matrices.transpose(0, 2, 1, 3).reshape(3 * n_rows, 3 * n_rows))


def _check_atoms(path: Path, found: Atoms, atoms: Atoms) -> None:
    if not np.array_equal(found.numbers, atoms.numbers):
        expected = f"{atoms.get_chemical_formula(mode='reduce')} in this order"
        raise InputError(path, "atoms", found.get_chemical_formula(mode="reduce"), expected)
    distance = float(np.abs(found.positions - atoms.positions).max())
    if distance > _SAME_POSITIONS:
        raise InputError(path, "positions", f"up to {distance:.3g} Å off", "those of the structure")
