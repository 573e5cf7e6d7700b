"""Whether an electronic-structure engine keeps the conventions of labels: units, signs, repeats.

All that a label is made of are derivatives of one energy E(r, ℰ) in a field ℰ: forces F = -∂E/∂r,
the dipole M = -∂E/∂ℰ, and the polar tensor ∂M/∂r = ∂F/∂ℰ. An engine in which they are derivatives
of each other has its units and signs right, for no two of them have a unit in common.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from ase import Atoms
from numpy.typing import ArrayLike

from aptnn_md.arrays import FloatArray
from aptnn_md.atomic_units import BOHR, HARTREE
from aptnn_md.labels.engines.interface import Engine
from aptnn_md.labels.points import Point, PointResult


@dataclass(frozen=True)
class LabelTolerances:
    """How far two derivatives of one energy may differ.

    Attributes
    ----------
    force : eV/Å
    dipole : e Å
    apt : e
    polarizability : Å³
    repeat : between two calculations of one point, relative to numbers above 1
    """

    force: float = 2e-3
    dipole: float = 2e-3
    apt: float = 2e-3
    polarizability: float = 5e-3
    repeat: float = 1e-8


COULOMB = HARTREE * BOHR
"""e²/(4πε₀), eV Å: a polarizability of 1 e Å/(V/Å) is a polarizability volume of this many Å³."""


def check_label_engine(
    engine: Engine,
    structure: Atoms,
    *,
    charge: float = 0.0,
    atom: int = 0,
    tolerances: LabelTolerances | None = None,
) -> None:
    """Check that an engine's energies, forces and dipoles are derivatives of each other.

    About twenty single points of ``structure``, at the engine's own field and displacement. In a
    periodic cell, where a dipole has many values, it is not compared with the energy.

    Parameters
    ----------
    engine : what is checked
    structure : small, without symmetry, and not at rest, so that no component is zero
    charge : e, of the whole structure
    atom : index of the atom whose derivatives are compared
    tolerances : default :class:`LabelTolerances`

    Raises
    ------
    AssertionError
        Says which of the conventions is broken.
    """
    limits = tolerances or LabelTolerances()
    before = structure.copy()
    with tempfile.TemporaryDirectory() as scratch:
        points = _Points(engine, structure, charge, Path(scratch))
        _check_repeat(points, limits)
        _check_forces(points, atom, limits)
        if engine.has_field:
            _check_field(points, atom, limits)
        engine.clean(Path(scratch))
    np.testing.assert_array_equal(
        structure.positions, before.positions, f"{engine.name} moved atoms of what it was given"
    )


class _Points:
    """Single points of one structure."""

    def __init__(self, engine: Engine, structure: Atoms, charge: float, scratch: Path) -> None:
        self.engine, self.structure = engine, structure
        self.charge, self.scratch = charge, scratch

    def at(self, point: Point, with_forces: bool = True) -> PointResult:
        result = self.engine.calculate(
            point.place(self.structure),
            np.array(point.field),
            charge=self.charge,
            with_forces=with_forces,
            scratch=self.scratch,
            keep=point.is_zero,
        )
        needed = ["forces"] if with_forces and self.engine.has_field else []
        result.check(len(self.structure), needed)
        return result

    def moved(self, atom: int) -> list[tuple[PointResult, PointResult]]:
        """One atom moved forward and back in each direction."""
        return [(self._moved(atom, k, 1.0), self._moved(atom, k, -1.0)) for k in range(3)]

    def in_fields(self) -> list[tuple[PointResult, PointResult]]:
        """A field forward and back in each direction."""
        return [(self._in_field(k, 1.0), self._in_field(k, -1.0)) for k in range(3)]

    def _moved(self, atom: int, direction: int, sign: float) -> PointResult:
        return self.at(Point(displacement=(atom, direction, sign * self.engine.step)))

    def _in_field(self, direction: int, sign: float) -> PointResult:
        x, y, z = sign * self.engine.field * np.eye(3)[direction]
        return self.at(Point(field=(float(x), float(y), float(z))))


def _check_repeat(points: _Points, limits: LabelTolerances) -> None:
    first, again = points.at(Point()), points.at(Point())
    alone = points.at(Point(), with_forces=False)
    for name in ("energy", "forces", "dipole", "polarizability"):
        one, two = getattr(first, name), getattr(again, name)
        assert (one is None) == (two is None), (
            f"{name}: given in one of two equal calculations only"
        )
        if one is not None:
            scale = max(1.0, float(np.abs(one).max()))
            _close(two, one, limits.repeat * scale, f"{name}: two equal calculations differ")
    if first.dipole is not None:
        assert alone.dipole is not None, "dipole: not given where no forces are asked for"
        _close(alone.dipole, first.dipole, limits.dipole, "dipole: another one without forces")


def _check_forces(points: _Points, atom: int, limits: LabelTolerances) -> None:
    at_rest, moved = points.at(Point()), points.moved(atom)
    if at_rest.forces is not None and at_rest.energy is not None:
        by_energy = -_derivative([(f.energy, b.energy) for f, b in moved], points.engine.step)
        _close(at_rest.forces[atom], by_energy, limits.force, "forces, eV/Å: not -dE/dr")
    if at_rest.dipole is not None and points.engine.has_field:
        # a dipole in a periodic cell jumps by lattice vectors, which a small step does not
        by_space = _derivative([(f.dipole, b.dipole) for f, b in moved], points.engine.step).T
        forces = [(_forces(f)[atom], _forces(b)[atom]) for f, b in points.in_fields()]
        by_field = _derivative(forces, points.engine.field)
        what = "APT, e: the dipole's derivative in space is not that of the forces in the field"
        _close(by_field, by_space, limits.apt, what)


def _check_field(points: _Points, atom: int, limits: LabelTolerances) -> None:
    at_rest, in_fields = points.at(Point()), points.in_fields()
    if at_rest.dipole is None:
        return
    if at_rest.energy is not None and not points.structure.pbc.any():
        by_energy = -_derivative([(f.energy, b.energy) for f, b in in_fields], points.engine.field)
        _close(at_rest.dipole, by_energy, limits.dipole, "dipole, e Å: not -dE/d(field)")
    dipoles = [(f.dipole, b.dipole) for f, b in in_fields]
    polarizability = COULOMB * _derivative(dipoles, points.engine.field)
    tolerance = limits.polarizability
    what = "polarizability, Å³: not symmetric, the dipole's induced part is wrong"
    _close(polarizability, polarizability.T, tolerance, what)
    assert np.linalg.eigvalsh(polarizability).min() > -tolerance, (
        "dipole, e Å: it falls along the field, its induced part has the wrong sign"
    )
    if at_rest.polarizability is not None:
        what = "polarizability, Å³: not the derivative of the dipole by the field"
        _close(at_rest.polarizability, polarizability, tolerance, what)


def _forces(result: PointResult) -> FloatArray:
    assert result.forces is not None
    return result.forces


def _derivative(
    pairs: Sequence[tuple[float | FloatArray | None, float | FloatArray | None]], step: float
) -> FloatArray:
    """Central differences; the first axis is the direction."""
    values = [(np.asarray(f), np.asarray(b)) for f, b in pairs]
    return np.array([(forward - back) / (2.0 * step) for forward, back in values])


def _close(found: ArrayLike, expected: ArrayLike, tolerance: float, what: str) -> None:
    found, expected = np.asarray(found), np.asarray(expected)
    worst = float(np.abs(found - expected).max())
    assert worst <= tolerance, (
        f"{what}: found\n{found}\nexpected\n{expected}\nwithin {tolerance:g}, off by {worst:g}"
    )
