"""Which single points give a label, and the label from them.

Field scheme: the field's forces, for all atoms at once. With E_tot = E₀ − M·E − ½ E·α·E, the
forces are F = F₀ + Pᵀ·E + ½ E·(∂α/∂r)·E, and with a field of strength f

* ``apt[i, a, c] = (F_ic(+a) − F_ic(−a)) / 2f``: six points;
* ``pgt[i, a, a, c] = (F_ic(+a) − 2 F_ic(0) + F_ic(−a)) / f²``, and for a ≠ b, with fields of both
  components, ``(F(+a+b) + F(−a−b) − F(+a) − F(−a) − F(+b) − F(−b) + 2 F(0))_ic / 2f²``: six more.

The point without a field also gives energy and forces, and the others start from it.

Space scheme: central differences of dipole and polarizability between two positions of an atom.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

import numpy as np
from ase import Atoms

from aptnn_md.arrays import AnyArray, FloatArray
from aptnn_md.atomic_units import VOLT_ANGSTROM
from aptnn_md.atoms.snapshot import Snapshot, nearest_images
from aptnn_md.errors import InputError
from aptnn_md.labels.frame_labels import Labels
from aptnn_md.labels.points import Point, PointResult
from aptnn_md.settings import check_settings
from aptnn_md.targets import APT, PGT

Results: TypeAlias = Mapping[Point, PointResult]

FIELD_ORDER: dict[str, int] = {APT.name: 1, PGT.name: 2}
"""Target that a scheme can make -> the order of the derivative of the forces with respect to the
field that it is."""

Kind: TypeAlias = Literal["field", "space"]

KINDS: tuple[str, ...] = get_args(Kind)

PAIRS = ((0, 1), (0, 2), (1, 2))
DIAGONAL = np.ones(3) / np.sqrt(3.0)


@dataclass(frozen=True)
class Scheme:
    """How labels are made.

    Parameters
    ----------
    kind : ``"field"`` or ``"space"``
    properties : names of the targets, of :data:`FIELD_ORDER`
    field : strength, V/Å
    step : displacement, Å, of the space scheme
    linearity : whether half the field (or half the step) is calculated too, as a check
    direct_polarizability : the engine gives the polarizability itself
    has_field : the engine knows fields

    Raises
    ------
    InputError
        A value of another type or kind, a target that no scheme makes, or a field or step that is
        not small and positive.
    """

    kind: str
    properties: tuple[str, ...]
    field: float
    step: float
    linearity: bool = False
    direct_polarizability: bool = False
    has_field: bool = True

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise InputError("label", "--scheme", repr(self.kind), " or ".join(KINDS))
        unknown = [name for name in self.properties if name not in FIELD_ORDER]
        if unknown or not self.properties:
            found = ", ".join(unknown) or "nothing"
            raise InputError("label", "--property", found, f"some of {', '.join(FIELD_ORDER)}")
        check_settings(self, "label")
        for name, value in (("--field", self.field), ("--step", self.step)):
            if not 0.0 < value < 10.0:
                raise InputError("label", name, value, "between 0 and 10 (V/Å, Å)")

    @property
    def second_order(self) -> bool:
        """Whether a target needs derivatives of second order in the field."""
        return any(FIELD_ORDER[name] == 2 for name in self.properties)

    def points(self, chosen: AnyArray) -> list[Point]:
        """All points of a frame, the one without a field first.

        Parameters
        ----------
        chosen : (n_atoms,) of bool, atoms to label; for the space scheme only they are moved
        """
        if self.kind == "field":
            return [Point(), *self._field_points()]
        points = [Point()]
        if self.has_field and not self.direct_polarizability and self.second_order:
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
        if self.second_order:
            points += [Point(_mixed(self.field, a, b, sign)) for a, b in PAIRS for sign in (1, -1)]
        if self.linearity:
            points += [Point(_tuple(sign * 0.5 * self.field * DIAGONAL)) for sign in (1, -1)]
        return points

    def _displaced(self, displacement: tuple[int, int, float]) -> list[Point]:
        points = [Point(displacement=displacement)]
        if self.second_order and not self.direct_polarizability:
            points += self._axes(displacement)
        return points


def _field_labels(scheme: Scheme, atoms: Atoms, results: Results) -> Labels:
    first = _first_derivatives(scheme.field, results)
    made = {1: first}
    if scheme.second_order:
        made[2] = _second_derivatives(scheme.field, results)
    linearity = _linearity(scheme, made, results) if scheme.linearity else {}
    units = {1: 1.0, 2: VOLT_ANGSTROM}
    zero = results[Point()]
    return Labels(
        tensors={
            name: made[order] * units[order]
            for name in scheme.properties
            for order in [FIELD_ORDER[name]]
        },
        dipole=zero.dipole,
        polarizability=_polarizability(scheme, atoms, results, None),
        energy=zero.energy,
        forces=zero.forces,
        linearity={
            name: linearity[order] * units[order]
            for name, order in FIELD_ORDER.items()
            if order in linearity
        },
    )


def _forces(results: Results, field: FloatArray | tuple[float, float, float]) -> FloatArray:
    found = results[Point(_tuple(field))].forces
    assert found is not None
    return found


def _first_derivatives(f: float, results: Results) -> FloatArray:
    """∂F_ic/∂E_a, (n_atoms, 3, 3) as [i, a, c], e."""
    slopes = [
        (_forces(results, _vector(f, a, 1)) - _forces(results, _vector(f, a, -1))) / (2.0 * f)
        for a in range(3)
    ]
    return np.stack(slopes, axis=1)


def _second_derivatives(f: float, results: Results) -> FloatArray:
    """∂²F_ic/∂E_a∂E_b, (n_atoms, 3, 3, 3) as [i, a, b, c], e Å/V."""
    zero = _forces(results, (0.0, 0.0, 0.0))
    single = [
        _forces(results, _vector(f, a, 1)) + _forces(results, _vector(f, a, -1)) for a in range(3)
    ]
    found = np.zeros((len(zero), 3, 3, 3))
    for a in range(3):
        found[:, a, a] = (single[a] - 2.0 * zero) / f**2
    for a, b in PAIRS:
        both = _forces(results, _mixed(f, a, b, 1)) + _forces(results, _mixed(f, a, b, -1))
        found[:, a, b] = found[:, b, a] = (both - single[a] - single[b] + 2.0 * zero) / (2.0 * f**2)
    return found


def _linearity(
    scheme: Scheme, made: Mapping[int, FloatArray], results: Results
) -> dict[int, float]:
    """Order -> largest difference of the derivatives along the diagonal to those by half the
    field."""
    half = 0.5 * scheme.field
    on, off = _forces(results, half * DIAGONAL), _forces(results, -half * DIAGONAL)
    along = np.einsum("a,iac->ic", DIAGONAL, made[1])
    found = {1: _largest((on - off) / (2.0 * half) - along)}
    if 2 in made:
        along = np.einsum("a,iabc,b->ic", DIAGONAL, made[2], DIAGONAL)
        zero = _forces(results, (0.0, 0.0, 0.0))
        found[2] = _largest((on - 2.0 * zero + off) / half**2 - along)
    return found


def _space_labels(scheme: Scheme, atoms: Atoms, chosen: AnyArray, results: Results) -> Labels:
    h = scheme.step
    zero = results[Point()]
    first = np.full((len(atoms), *APT.shape), np.nan)
    second = np.full((len(atoms), *PGT.shape), np.nan)

    def slope(atom: int, direction: int, step: float) -> FloatArray:
        forward = results[Point(displacement=(atom, direction, step))]
        backward = results[Point(displacement=(atom, direction, -step))]
        return _dipole_change(atoms, forward, backward) / (2.0 * step)

    worst = 0.0
    for atom in np.flatnonzero(chosen).tolist():
        for direction in range(3):
            first[atom, :, direction] = slope(atom, direction, h)
            if scheme.second_order:
                forward, backward = (
                    _polarizability(scheme, atoms, results, (atom, direction, step))
                    for step in (h, -h)
                )
                assert forward is not None
                assert backward is not None
                difference = (forward - backward) / (2.0 * h)
                second[atom, :, :, direction] = 0.5 * (difference + difference.T)
        if scheme.linearity:
            worst = max(worst, _largest(slope(atom, 0, 0.5 * h) - first[atom, :, 0]))
    made = {1: first, 2: second}
    return Labels(
        tensors={name: made[FIELD_ORDER[name]] for name in scheme.properties},
        dipole=zero.dipole,
        polarizability=_polarizability(scheme, atoms, results, None),
        energy=zero.energy,
        forces=zero.forces,
        linearity={APT.name: worst} if scheme.linearity else {},
    )


def _polarizability(
    scheme: Scheme,
    atoms: Atoms,
    results: Results,
    displacement: tuple[int, int, float] | None,
) -> FloatArray | None:
    """∂M_b/∂E_a at a point as [b, a], Å³; the engine's own where it gives one."""
    if scheme.direct_polarizability:
        return results[Point(displacement=displacement)].polarizability
    columns = []
    for a in range(3):
        plus = results.get(Point(_vector(scheme.field, a, 1), displacement))
        minus = results.get(Point(_vector(scheme.field, a, -1), displacement))
        if plus is None or minus is None or plus.dipole is None or minus.dipole is None:
            return None
        columns.append(_dipole_change(atoms, plus, minus) / (2.0 * scheme.field))
    return np.stack(columns, axis=1) * VOLT_ANGSTROM


def _dipole_change(atoms: Atoms, plus: PointResult, minus: PointResult) -> FloatArray:
    """Difference of two dipoles (3,), e Å; in a periodic cell, where each is known only up to
    lattice vectors times e, the smallest one."""
    assert plus.dipole is not None
    assert minus.dipole is not None
    snapshot = Snapshot.of(atoms)
    return nearest_images(plus.dipole - minus.dipole, snapshot.cell, snapshot.pbc)


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
