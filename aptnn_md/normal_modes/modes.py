"""Normal modes: eigenvectors of the mass-weighted Hessian, without rigid motions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from aptnn_md.arrays import AnyArray, FloatArray
from aptnn_md.atoms.molecules import LINEAR_WIDTH
from aptnn_md.errors import InputError
from aptnn_md.structures import Mobility
from aptnn_md.units import AMU_A2_PER_FS2_EV, WAVENUMBER_PER_ANGULAR_FREQUENCY

_DEPENDENT = 1e-8
"""Relative size of a rigid motion that is none: an atom does not turn."""

STRAIGHT = 0.02
"""Å, root mean square distance of atoms from a line, within which a relaxed linear molecule lies:
relaxations end, and files round, a little off it."""

STIFF = 50.0
"""cm⁻¹: a molecule that is nearly linear, but less straight, counts as linear where the Hessian
gives the rotation about its line more than this, which then is a bend."""


@dataclass(frozen=True, eq=False)
class NormalModes:
    """Harmonic vibrations about one structure.

    Attributes
    ----------
    wavenumber : (n_modes,) cm⁻¹, ascending; imaginary ones are negative
    eigenvectors : (n_modes, n_atoms, 3) orthonormal, √mass times displacement
    masses : (n_atoms,) amu
    rigid : (n_rigid,) wavenumbers that the Hessian gives to the translations and rotations that
        were projected out, cm⁻¹; not zero if it is not exact or, for rotations, if forces act
    """

    wavenumber: FloatArray
    eigenvectors: FloatArray
    masses: FloatArray
    rigid: FloatArray

    def __len__(self) -> int:
        return len(self.wavenumber)

    @property
    def displacements(self) -> FloatArray:
        """(n_modes, n_atoms, 3) displacements along normal coordinates Q, 1/√amu."""
        return self.eigenvectors / np.sqrt(self.masses)[:, None]

    @property
    def imaginary(self) -> int:
        """Number of modes with imaginary frequencies."""
        return int((self.wavenumber < 0).sum())

    def derivative(self, gradient: AnyArray) -> AnyArray:
        """∂X/∂Q of each mode from the gradient of X with respect to the positions.

        Parameters
        ----------
        gradient : (n_atoms, ..., 3); the last axis is the displacement. APTs (n_atoms, 3, 3) for
            the dipole, polarizability gradients (n_atoms, 3, 3, 3) for Raman activities

        Returns
        -------
        (n_modes, ...), the unit of X per Å √amu
        """
        return np.asarray(np.einsum("i...c,mic->m...", gradient, self.displacements))


def normal_modes(
    hessian: FloatArray,
    masses: FloatArray,
    positions: FloatArray,
    pbc: Sequence[bool] | bool = False,
    mobility: Mobility | None = None,
) -> NormalModes:
    """Normal modes of a Hessian.

    Translations are projected out, and without periodic boundaries rotations too: at the end
    there are 3 N - 6 modes of a molecule (3 N - 5 of a linear one), or 3 N - 3 of a crystal at Γ.
    Fixed atoms stay where they are (partial Hessian): modes are of what can move, and only rigid
    motions that the fixed atoms allow are projected out.

    Parameters
    ----------
    hessian : (3 n_atoms, 3 n_atoms), eV/Å²; its symmetric part counts
    masses : (n_atoms,) amu
    positions : (n_atoms, 3) Å
    pbc : periodic directions; any makes it a crystal
    mobility : what constraints let move; None: everything. Of a ``hessian`` only what concerns
        that is used

    Raises
    ------
    InputError
        A wrong shape, values that are not finite, or masses that are not positive.
    """
    n_atoms = len(masses)
    for name, array, shape in (
        ("hessian", hessian, (3 * n_atoms, 3 * n_atoms)),
        ("positions", positions, (n_atoms, 3)),
        ("masses", masses, (n_atoms,)),
    ):
        if np.shape(array) != shape or not np.isfinite(array).all():
            raise InputError("normal modes", name, f"shape {np.shape(array)}", f"{shape}, finite")
    if (np.asarray(masses) <= 0).any():
        raise InputError("normal modes", "masses", float(np.min(masses)), "positive masses")
    root = np.repeat(np.sqrt(masses), 3)
    dynamical = 0.5 * (hessian + hessian.T) / np.outer(root, root)
    rigid = rigid_motions(masses, positions, dynamical, rotations=not np.any(pbc))
    allowed = np.eye(3 * n_atoms)
    if mobility is not None and not mobility.is_free:
        allowed = _allowed(mobility.projectors)
        rigid = _within(rigid, allowed)
    # an orthonormal basis of all motions that are allowed but these
    inner = np.linalg.svd(rigid @ allowed.T)[2][len(rigid) :] @ allowed if len(rigid) else allowed
    values, vectors = np.linalg.eigh(inner @ dynamical @ inner.T)
    return NormalModes(
        _wavenumbers(values),
        (vectors.T @ inner).reshape(-1, n_atoms, 3),
        np.array(masses, dtype=np.float64),
        _wavenumbers(np.linalg.eigvalsh(rigid @ dynamical @ rigid.T)),
    )


def rigid_motions(
    masses: FloatArray, positions: FloatArray, dynamical: FloatArray, rotations: bool = True
) -> FloatArray:
    """Orthonormal mass-weighted translations and rotations, (n_rigid, 3 n_atoms).

    Of a linear molecule the rotation about its line is none: what moves atoms so is a bend.

    Parameters
    ----------
    masses, positions : (n_atoms,) and (n_atoms, 3)
    dynamical : (3 n_atoms, 3 n_atoms) mass-weighted Hessian, eV/(Å² amu)
    rotations : False: translations alone
    """
    root = np.sqrt(masses)
    translations = np.array([root[:, None] * axis for axis in np.eye(3)]).reshape(3, -1)
    if not rotations:
        return _independent(translations)
    relative = positions - positions.mean(axis=0)
    squares, axes = np.linalg.eigh(relative.T @ relative / len(masses))
    width, line = float(np.sqrt(max(squares[:2].sum(), 0.0))), axes[:, 2]

    def about(axis: FloatArray) -> FloatArray:
        centre = masses @ positions / masses.sum()
        return np.asarray((root[:, None] * np.cross(axis, positions - centre)).reshape(1, -1))

    linear = _independent(np.concatenate([translations, about(axes[:, 0]), about(axes[:, 1])]))
    if width < STRAIGHT:
        return linear
    turn = about(line)
    turn = turn - turn @ linear.T @ linear
    turn /= np.linalg.norm(turn)
    if width < LINEAR_WIDTH and abs(_wavenumbers(turn @ dynamical @ turn.T)[0, 0]) > STIFF:
        return linear
    return np.concatenate([linear, turn])


def _independent(motions: FloatArray) -> FloatArray:
    """Orthonormal basis of what motions (n, 3 n_atoms) span."""
    _, size, basis = np.linalg.svd(motions, full_matrices=False)
    return np.asarray(basis[size > _DEPENDENT * size.max()])


def _allowed(projectors: FloatArray) -> FloatArray:
    """Orthonormal basis (n, 3 n_atoms) of the directions that projectors (n_atoms, 3, 3) keep."""
    rows = []
    for k, projector in enumerate(projectors):
        values, vectors = np.linalg.eigh(projector)
        for vector in vectors.T[values > 0.5]:
            row = np.zeros((len(projectors), 3))
            row[k] = vector
            rows.append(row.ravel())
    return np.array(rows).reshape(-1, 3 * len(projectors))


def _within(rigid: FloatArray, allowed: FloatArray) -> FloatArray:
    """Those combinations of orthonormal ``rigid`` motions that lie in the space of ``allowed``."""
    outside = rigid - rigid @ allowed.T @ allowed
    combinations, sizes, _ = np.linalg.svd(outside, full_matrices=False)
    return np.asarray(combinations.T[sizes < np.sqrt(_DEPENDENT)] @ rigid)


def _wavenumbers(squares: AnyArray) -> FloatArray:
    """cm⁻¹ from ω² in eV/(Å² amu); negative where ω² is."""
    omega = np.sign(squares) * np.sqrt(np.abs(squares) / AMU_A2_PER_FS2_EV)
    return np.asarray(omega * WAVENUMBER_PER_ANGULAR_FREQUENCY)
