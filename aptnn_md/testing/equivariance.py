"""Symmetries that tensors of atoms must have, checked for any function of a structure."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from ase import Atoms

from aptnn_md.arrays import FloatArray

AXIS = np.array([1.0, -0.4, 2.0])
"""Axis and angle, rad, of the rotation: no symmetry of any lattice."""

SHIFT = np.array([0.7, -3.1, 12.0])
"""Translation, Å."""


def assert_equivariant(
    function: Callable[[Atoms], FloatArray], atoms: Atoms, tolerance: float = 1e-5
) -> None:
    """Assert that tensors follow rotation, inversion, permutation, translation, periodic images.

    Parameters
    ----------
    function : structure -> Cartesian tensors (n_atoms, 3, 3, ...) of the kind of APTs and PGTs:
        every index a polar vector's. Committees: (n_members, n_atoms, 3, ...) are not taken, check
        each member
    atoms : a structure without symmetry, at best in a triclinic cell
    tolerance : of the largest deviation, relative to the root mean square of the tensors

    Raises
    ------
    AssertionError
        Naming the operation that the function does not follow, and by how much.
    """
    reference = function(atoms)
    if reference.shape[:1] != (len(atoms),) or set(reference.shape[1:]) - {3}:
        raise AssertionError(f"tensors of shape {reference.shape} for {len(atoms)} atoms")
    size = float(np.sqrt(np.mean(reference**2))) if reference.size else 0.0
    for name, moved, expected in _moved(atoms, reference):
        deviation = float(np.abs(function(moved) - expected).max(initial=0.0))
        if not deviation <= tolerance * size:  # NaN is a deviation too
            raise AssertionError(
                f"{name}: tensors deviate by {deviation:.3g}, "
                f"{deviation / size if size else np.inf:.3g} of their size; "
                f"allowed is {tolerance:.3g}"
            )


def turned(operation: FloatArray, tensors: FloatArray) -> FloatArray:
    """Tensors (n_atoms, 3, 3, ...) after an orthogonal operation (3, 3) on all their indices."""
    for axis in range(1, tensors.ndim):
        tensors = np.moveaxis(np.tensordot(operation, tensors, axes=(1, axis)), 0, axis)
    return tensors


def _moved(atoms: Atoms, tensors: FloatArray) -> Iterator[tuple[str, Atoms, FloatArray]]:
    """Name of an operation, the structure after it, and the tensors that it should have."""
    for name, operation in (("rotation", _rotation()), ("inversion", -np.eye(3))):
        moved = atoms.copy()
        moved.set_cell(atoms.cell.array @ operation.T, scale_atoms=False)
        moved.positions = atoms.positions @ operation.T
        yield name, moved, turned(operation, tensors)
    order = np.random.default_rng(1).permutation(len(atoms))
    yield "permutation of atoms", atoms[order], tensors[order]
    moved = atoms.copy()
    moved.positions += SHIFT
    yield "translation", moved, tensors
    if not atoms.pbc.any():
        return
    wrapped = moved.copy()
    wrapped.wrap()
    yield "wrapping into the cell", wrapped, tensors
    images = atoms.copy()
    steps = np.array([2, -1, 1]) * atoms.pbc
    images.positions[::2] += steps @ atoms.cell.array
    yield "periodic images of atoms", images, tensors


def _rotation() -> FloatArray:
    """Rodrigues' formula for :data:`AXIS`."""
    angle = float(np.linalg.norm(AXIS))
    x, y, z = AXIS / angle
    cross = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
    rotation: FloatArray = np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross
    return rotation
