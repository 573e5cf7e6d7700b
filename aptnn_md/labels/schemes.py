"""Which single points give a label, and the label from them.

Field scheme: the field's forces, for all atoms at once. With E_tot = E₀ − M·E − ½ E·α·E, the
forces are F = F₀ + Pᵀ·E + ½ E·(∂α/∂r)·E, and with a field of strength f

* ``apt[i, a, c] = (F_ic(+a) − F_ic(−a)) / 2f``: six points;
* ``pgt[i, a, a, c] = (F_ic(+a) − 2 F_ic(0) + F_ic(−a)) / f²``, and for a ≠ b, with fields of both
  components, ``(F(+a+b) + F(−a−b) − F(+a) − F(−a) − F(+b) − F(−b) + 2 F(0))_ic / 2f²``: six more.

The point without field also gives energy and forces, and the others begin from it.

Space scheme: central differences of dipole and polarizability between places of an atom.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
from ase import Atoms

from aptnn_md.arrays import AnyArray, FloatArray
from aptnn_md.atoms.snapshot import Snapshot, nearest_images
from aptnn_md.labels.atomic_units import VOLT_ANGSTROM
from aptnn_md.labels.points import Point, PointResult

Results: TypeAlias = Mapping[Point, PointResult]

PAIRS = ((0, 1), (0, 2), (1, 2))
DIAGONAL = np.ones(3) / np.sqrt(3.0)


@dataclass(frozen=True)
class Scheme:
    """How labels are made.

    Parameters
    ----------
    kind : ``"field"`` or ``"space"``
    properties : of ``"apt"``, ``"pgt"``
    field : strength, V/Å
    step : displacement, Å, of the space scheme
    linearity : whether half the field (or half the step) is calculated too, as a check
    direct_polarizability : the engine gives the polarizability itself
    has_field : the engine knows fields
    """

    kind: str
    properties: tuple[str, ...]
    field: float
    step: float
    linearity: bool = False
    direct_polarizability: bool = False
    has_field: bool = True

    def points(self, chosen: AnyArray) -> list[Point]:
        """All points of a frame, the one without field first.

        Parameters
        ----------
        chosen : (n_atoms,) of bool, atoms to label; for the space scheme only they are moved
        """
        if self.kind == "field":
            return [Point(), *self._field_points()]
        points = [Point()]
        if self.has_field and not self.direct_polarizability and "pgt" in self.properties:
            points += self._axes()
        for atom in np.flatnonzero(chosen):
            for direction in range(3):
                for step in (self.step, -self.step):
                    points += self._displaced((int(atom), direction, step))
            if self.linearity:
                half = 0.5 * self.step
                points += [Point(displacement=(int(atom), 0, step)) for step in (half, -half)]
        return points

    @property
    def needed(self) -> str:
        """Without this property of a point there is no label."""
        return "forces" if self.kind == "field" else "dipole"

    def labels(self, atoms: Atoms, chosen: AnyArray, results: Results) -> Labels:
        """The labels of a frame from all its points."""
        return (
            _field_labels(self, atoms, results)
            if self.kind == "field"
            else _space_labels(self, atoms, chosen, results)
        )

    def _axes(self, displacement: tuple[int, int, float] | None = None) -> list[Point]:
        return [
            Point(_vector(self.field, a, sign), displacement) for a in range(3) for sign in (1, -1)
        ]

    def _field_points(self) -> list[Point]:
        points = self._axes()
        if "pgt" in self.properties:
            points += [Point(_mixed(self.field, a, b, sign)) for a, b in PAIRS for sign in (1, -1)]
        if self.linearity:
            points += [Point(_tuple(sign * 0.5 * self.field * DIAGONAL)) for sign in (1, -1)]
        return points

    def _displaced(self, displacement: tuple[int, int, float]) -> list[Point]:
        points = [Point(displacement=displacement)]
        if "pgt" in self.properties and not self.direct_polarizability:
            points += self._axes(displacement)
        return points


@dataclass(frozen=True)
class Labels:
    """Labels of a frame.

    Attributes
    ----------
    apt : (n_atoms, 3, 3), e, or None
    pgt : (n_atoms, 3, 3, 3), Å², ``[i, α, β, γ] = ∂a_αβ/∂r_iγ``, or None
    dipole : (3,), e Å, or None
    polarizability : (3, 3), Å³, as it came, not symmetrised, or None
    energy, forces : of the frame without field, where there are any
    linearity : name of a property -> largest difference to half the field or step
    """

    apt: FloatArray | None = None
    pgt: FloatArray | None = None
    dipole: FloatArray | None = None
    polarizability: FloatArray | None = None
    energy: float | None = None
    forces: FloatArray | None = None
    linearity: Mapping[str, float] = field(default_factory=dict)


def _field_labels(scheme: Scheme, atoms: Atoms, results: Results) -> Labels:
    f = scheme.field
    zero = results[Point()]

    def forces(field: FloatArray | tuple[float, float, float]) -> FloatArray:
        found = results[Point(_tuple(field))].forces
        assert found is not None
        return found

    at_zero = forces((0.0, 0.0, 0.0))
    plus = [forces(_vector(f, a, 1)) for a in range(3)]
    minus = [forces(_vector(f, a, -1)) for a in range(3)]
    apt = np.stack([(p - m) / (2.0 * f) for p, m in zip(plus, minus, strict=True)], axis=1)
    half = 0.5 * f
    linearity = {}
    if scheme.linearity:
        on, off = forces(half * DIAGONAL), forces(-half * DIAGONAL)
        along = np.einsum("a,iac->ic", DIAGONAL, apt)
        linearity["apt"] = _largest((on - off) / (2.0 * half) - along)
    pgt = None
    if "pgt" in scheme.properties:
        pgt = np.zeros((len(atoms), 3, 3, 3))
        for a in range(3):
            pgt[:, a, a] = (plus[a] - 2.0 * at_zero + minus[a]) / f**2
        for a, b in PAIRS:
            both = forces(_mixed(f, a, b, 1)) + forces(_mixed(f, a, b, -1))
            single = plus[a] + minus[a] + plus[b] + minus[b]
            pgt[:, a, b] = pgt[:, b, a] = (both - single + 2.0 * at_zero) / (2.0 * f**2)
        if scheme.linearity:
            along = np.einsum("a,iabc,b->ic", DIAGONAL, pgt, DIAGONAL)
            second = (on - 2.0 * at_zero + off) / half**2
            linearity["pgt"] = _largest(second - along) * VOLT_ANGSTROM
        pgt *= VOLT_ANGSTROM
    return Labels(
        apt=apt if "apt" in scheme.properties else None,
        pgt=pgt,
        dipole=zero.dipole,
        polarizability=_polarizability(scheme, atoms, results, None),
        energy=zero.energy,
        forces=zero.forces,
        linearity=linearity,
    )


def _space_labels(scheme: Scheme, atoms: Atoms, chosen: AnyArray, results: Results) -> Labels:
    h = scheme.step
    zero = results[Point()]
    shape = (len(atoms), 3, 3)
    apt = np.full(shape, np.nan)
    pgt = np.full((*shape, 3), np.nan) if "pgt" in scheme.properties else None

    def slope(atom: int, direction: int, step: float) -> FloatArray:
        ahead = results[Point(displacement=(atom, direction, step))]
        back = results[Point(displacement=(atom, direction, -step))]
        return _dipole_change(atoms, ahead, back) / (2.0 * step)

    worst = 0.0
    for atom in np.flatnonzero(chosen).tolist():
        for direction in range(3):
            apt[atom, :, direction] = slope(atom, direction, h)
            if pgt is not None:
                ahead, back = (
                    _polarizability(scheme, atoms, results, (atom, direction, step))
                    for step in (h, -h)
                )
                assert ahead is not None
                assert back is not None
                difference = (ahead - back) / (2.0 * h)
                pgt[atom, :, :, direction] = 0.5 * (difference + difference.T)
        if scheme.linearity:
            worst = max(worst, _largest(slope(atom, 0, 0.5 * h) - apt[atom, :, 0]))
    return Labels(
        apt=apt if "apt" in scheme.properties else None,
        pgt=pgt,
        dipole=zero.dipole,
        polarizability=_polarizability(scheme, atoms, results, None),
        energy=zero.energy,
        forces=zero.forces,
        linearity={"apt": worst} if scheme.linearity else {},
    )


def _polarizability(
    scheme: Scheme,
    atoms: Atoms,
    results: Results,
    displacement: tuple[int, int, float] | None,
) -> FloatArray | None:
    """∂M_b/∂E_a of a place of the atoms as [b, a], Å³; the engine's own where it gives one."""
    if scheme.direct_polarizability:
        return results[Point(displacement=displacement)].polarizability
    columns = []
    for a in range(3):
        ahead = results.get(Point(_vector(scheme.field, a, 1), displacement))
        back = results.get(Point(_vector(scheme.field, a, -1), displacement))
        if ahead is None or back is None or ahead.dipole is None or back.dipole is None:
            return None
        columns.append(_dipole_change(atoms, ahead, back) / (2.0 * scheme.field))
    return np.stack(columns, axis=1) * VOLT_ANGSTROM


def _dipole_change(atoms: Atoms, ahead: PointResult, back: PointResult) -> FloatArray:
    """Difference of two dipoles (3,), e Å; in a periodic cell, where each is known only up to
    lattice vectors times e, the smallest one."""
    assert ahead.dipole is not None
    assert back.dipole is not None
    snapshot = Snapshot.of(atoms)
    return nearest_images(ahead.dipole - back.dipole, snapshot.cell, snapshot.pbc)


def _vector(strength: float, a: int, sign: int) -> tuple[float, float, float]:
    components = [0.0, 0.0, 0.0]
    components[a] = sign * strength
    return components[0], components[1], components[2]


def _mixed(strength: float, a: int, b: int, sign: int) -> tuple[float, float, float]:
    components = [0.0, 0.0, 0.0]
    components[a] = components[b] = sign * strength
    return components[0], components[1], components[2]


def _tuple(field: FloatArray | tuple[float, float, float]) -> tuple[float, float, float]:
    x, y, z = (float(component) for component in field)
    return x, y, z


def _largest(values: FloatArray) -> float:
    return float(np.abs(values).max(initial=0.0))
