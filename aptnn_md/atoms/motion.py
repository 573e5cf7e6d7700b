"""Rates by motion: translation, libration and vibration of molecules.

The velocity of atom i of a molecule with centre of mass R is split at each instant:

=============  ==============================  ===================================================
translation    V = Σ m v / Σ m                 of the centre of mass
libration      ω × (r - R), ω = I⁺ L           rigid rotation: L angular momentum about R, I⁺ the
                                               (pseudo-)inverse of the instantaneous inertia tensor
vibration      v - V - ω × (r - R)             what changes the shape
=============  ==============================  ===================================================

The three are projections that are orthogonal in the metric of the masses, so kinetic energies add
up, and the vibration has neither momentum nor angular momentum. Ṁ and ȧ are linear in the
velocities: their parts Σ P·v add up to the total. Imoto and Marx (J. Chem. Phys. 150, 084502
(2019)) decompose spectra of water by the same motions.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from ase import Atoms

from aptnn_md.arrays import FloatArray, IntArray
from aptnn_md.atoms.groups import Groups, Summation, group_sums, summation
from aptnn_md.atoms.molecules import Molecules
from aptnn_md.atoms.snapshot import Snapshot
from aptnn_md.errors import InputError
from aptnn_md.tensors import cross

MOTIONS = ("translation", "libration", "vibration")
"""The parts of a molecule's motion, in the order of the labels."""

OTHER = "other"
"""Label of kinds of molecules that were not there at the start."""


class MotionGroups:
    """Groups of atoms whose Ṁ is kept in three parts, by :data:`MOTIONS`.

    Parameters
    ----------
    groups : groups of atoms; one group ``all`` is not named in the labels
    atoms : the structure at the start: its masses and molecules
    each_step : find the molecules again in each frame, for systems that react; by default they
        are those of the start, and bonds may stretch as they like
    by_kind : with ``each_step``, atoms belong to the kind of molecule that they are in at the
        time; kinds that are not labels of ``groups`` are :data:`OTHER`

    Attributes
    ----------
    labels : ``"translation"``, ... or ``"H2O translation"``, ...: three for each group
    groups : the groups of atoms
    masses : (n_atoms,), amu

    Raises
    ------
    InputError
        Groups of other atoms.
    """

    def __init__(
        self, groups: Groups, atoms: Atoms, *, each_step: bool = False, by_kind: bool = False
    ) -> None:
        if groups.n_atoms != len(atoms):
            raise InputError("groups", "atoms", groups.n_atoms, f"{len(atoms)} as in the structure")
        self.groups = groups
        self.masses = np.asarray(atoms.get_masses(), dtype=np.float64)
        names = groups.labels if not (each_step and by_kind) else (*groups.labels, OTHER)
        self._base_labels = names
        prefixes = [""] if names == ("all",) else [f"{name} " for name in names]
        self.labels = tuple(prefix + motion for prefix in prefixes for motion in MOTIONS)
        self._numbers = np.array(atoms.numbers) if each_step else None
        self._by_kind = by_kind
        self._molecules = Molecules.of(atoms)
        self._members: _Members | None = None
        self._last: tuple[Snapshot, _Decomposition] | None = None

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def n_atoms(self) -> int:
        """Number of atoms."""
        return self.groups.n_atoms

    @property
    def atom_groups(self) -> Groups:
        """The groups of atoms whose motions these are."""
        return self.groups

    def rates(
        self, rows: FloatArray, velocities: FloatArray, snapshot: Snapshot | None = None
    ) -> FloatArray:
        """Rates of each label, (..., n_labels, k); see
        :meth:`aptnn_md.atoms.partition.Partition.rates`.
        """
        here = self._decomposed(snapshot)
        translation, rotation = here.rigid_motion(velocities)
        charge, turn = here.moments(rows)
        members = here.members
        of = members.molecule_of_part
        of_atoms = np.einsum("...nab,...nb->...na", rows, velocities)
        total = group_sums(of_atoms, members.by_group)
        moved = np.einsum("...pab,...pb->...pa", charge, translation[..., of, :])
        turned = np.einsum("...pab,...pb->...pa", turn, rotation[..., of, :])
        moved = group_sums(moved, members.parts_by_group)
        turned = group_sums(turned, members.parts_by_group)
        return _joined(moved, turned, total - moved - turned)

    def f_sums(
        self, apt: FloatArray, masses: FloatArray, snapshot: Snapshot | None = None
    ) -> FloatArray:
        """⟨|Ṁ|²⟩/(3 k_B T) of each label (..., n_labels), e²/amu.

        Thermal velocities of the centres of mass have the covariance k_B T / M, angular velocities
        k_B T I⁺, and the three motions are independent of each other.

        Raises
        ------
        InputError
            Other masses than those that the motions are found with, or no snapshot.
        """
        if not np.allclose(masses, self.masses):
            raise InputError("f-sum", "masses", masses, "those that the motions are found with")
        here = self._decomposed(snapshot)
        charge, turn = here.moments(apt)
        members = here.members
        of = members.molecule_of_part
        total = np.einsum("...nab,...nab->...n", apt, apt) / (3.0 * self.masses)
        moved = np.einsum("...pab,...pab->...p", charge, charge) / (3.0 * members.mass[of])
        turned = np.einsum("...pab,...pbc,...pac->...p", turn, here.inverse[..., of, :, :], turn)
        total = group_sums(total[..., None], members.by_group)
        moved = group_sums(moved[..., None], members.parts_by_group)
        turned = group_sums(turned[..., None] / 3.0, members.parts_by_group)
        return _joined(moved, turned, total - moved - turned)[..., 0]

    def velocity_parts(self, velocities: FloatArray, snapshot: Snapshot) -> FloatArray:
        """Velocities by :data:`MOTIONS`, (..., 3, n_atoms, 3), Å/fs; their sum is the velocity."""
        here = self._decomposed(snapshot)
        translation, rotation = here.rigid_motion(velocities)
        molecule = here.members.molecules.index
        moved = np.broadcast_to(translation[..., molecule, :], velocities.shape)
        turned = cross(rotation[..., molecule, :], here.relative)
        return np.stack([moved, turned, velocities - moved - turned], axis=-3)

    def _decomposed(self, snapshot: Snapshot | None) -> _Decomposition:
        if snapshot is None:
            raise InputError("groups by motion", "snapshot", "None", "where the atoms are")
        if self._last is not None and self._last[0] is snapshot:
            return self._last[1]
        if snapshot.n_atoms != self.n_atoms:
            found = f"{snapshot.n_atoms} as in the snapshot"
            raise InputError("groups", "atoms", self.n_atoms, found)
        now = _Decomposition.of(self._members_at(snapshot), snapshot)
        self._last = (snapshot, now)
        return now

    def _members_at(self, snapshot: Snapshot) -> _Members:
        """Those of the start, unless molecules or selected atoms are found again in each frame."""
        molecules, group = self._molecules, self.groups.index_in(snapshot)
        if self._numbers is None and group is self.groups.index:
            if self._members is None:
                self._members = _Members.of(molecules, group, len(self._base_labels), self.masses)
            return self._members
        if self._numbers is not None:
            molecules = Molecules.of(snapshot.centroid().atoms(self._numbers))
            if self._by_kind:
                number = {label: n for n, label in enumerate(self.groups.labels)}
                kinds = molecules.formulas(self._numbers)
                kind = np.array([number.get(k, len(number)) for k in kinds], dtype=np.int64)
                group = kind[molecules.index]
        return _Members.of(molecules, group, len(self._base_labels), self.masses)


@dataclass(frozen=True)
class _Members:
    """Which atoms belong to which molecules, and which to the parts of them that are in one group.

    Attributes
    ----------
    masses, mass : of the atoms (n_atoms,) and the molecules (n_molecules,), amu
    molecule_of_part : (n_parts,); a part is the atoms that molecule and group share
    by_molecule, by_part, by_group : sums over the atoms of each
    parts_by_group : sums over the parts of each group
    """

    molecules: Molecules
    masses: FloatArray
    mass: FloatArray
    molecule_of_part: IntArray
    by_molecule: Summation
    by_part: Summation
    by_group: Summation
    parts_by_group: Summation

    @classmethod
    def of(
        cls, molecules: Molecules, group: IntArray, n_groups: int, masses: FloatArray
    ) -> _Members:
        pairs, part = np.unique(molecules.index * n_groups + group, return_inverse=True)
        mass: FloatArray = np.bincount(molecules.index, weights=masses).astype(np.float64)
        return cls(
            molecules=molecules,
            masses=masses,
            mass=mass,
            molecule_of_part=pairs // n_groups,
            by_molecule=summation(molecules.index, len(mass)),
            by_part=summation(part, len(pairs)),
            by_group=summation(group, n_groups),
            parts_by_group=summation(pairs % n_groups, n_groups),
        )


@dataclass(frozen=True)
class _Decomposition:
    """Molecules at one time.

    Attributes
    ----------
    members : which atoms they have
    relative : (..., n_atoms, 3), positions relative to the molecule's centre of mass, Å
    inverse : (..., n_molecules, 3, 3), pseudo-inverse of the inertia tensor, 1/(amu Å²)
    """

    members: _Members
    relative: FloatArray
    inverse: FloatArray

    @classmethod
    def of(cls, members: _Members, snapshot: Snapshot) -> _Decomposition:
        masses, molecules = members.masses, members.molecules
        whole = molecules.whole(snapshot)
        centre = group_sums(masses[:, None] * whole, members.by_molecule) / members.mass[:, None]
        relative = whole - centre[..., molecules.index, :]
        weighted = masses[:, None] * relative
        products = weighted[..., :, None] * relative[..., None, :]
        second = group_sums(products, members.by_molecule, tail=2)
        trace = np.einsum("...aa->...", second)[..., None, None]
        inertia = trace * np.eye(3) - second
        return cls(members, relative, inverse_inertia(inertia, molecules.turns))

    def rigid_motion(self, velocities: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Velocity of the centre (Å/fs) and angular velocity (1/fs), each (..., n_molecules, 3)."""
        members = self.members
        momenta = members.masses[:, None] * velocities
        centre = group_sums(momenta, members.by_molecule) / members.mass[:, None]
        # relative to the centre of mass, whose own momentum has no lever
        angular = group_sums(cross(self.relative, momenta), members.by_molecule)
        return centre, np.einsum("...mab,...mb->...ma", self.inverse, angular)

    def moments(self, tensors: FloatArray) -> tuple[FloatArray, FloatArray]:
        """What velocity and angular velocity of each part are multiplied with to give its rate.

        Returns
        -------
        Σ P and Σ P_αβ ε_βγδ r_δ for tensors (..., n_atoms, k, 3), each (..., n_parts, k, 3); for
        APTs e and e Å
        """
        # ω × r = -r × ω: row by row, P·(ω × r) = (r × P)·ω
        levers = cross(self.relative[..., :, None, :], tensors)
        by_part = self.members.by_part
        return group_sums(tensors, by_part, tail=2), group_sums(levers, by_part, tail=2)


def inverse_inertia(inertia: FloatArray, turns: IntArray) -> FloatArray:
    """Inverse of inertia tensors (..., n_molecules, 3, 3) within the axes there are."""
    a, b, c = inertia[..., 0, :], inertia[..., 1, :], inertia[..., 2, :]
    adjugate = np.stack([cross(b, c), cross(c, a), cross(a, b)], axis=-1)
    determinant = np.einsum("...a,...a->...", a, adjugate[..., 0])
    size = np.einsum("...aa->...", inertia)
    regular = (turns == 3) & (determinant > 1e-9 * size**3)
    inverse = np.zeros_like(inertia)
    inverse[regular] = adjugate[regular] / determinant[regular][:, None, None]
    singular = np.broadcast_to(turns > 0, regular.shape) & ~regular & (size > 0)
    if singular.any():
        # the axis of least inertia is that of the molecule's own line
        moments, axes = np.linalg.eigh(inertia[singular])
        kept = moments > 1e-9 * moments[:, 2:]
        kept[:, 0] &= np.broadcast_to(turns == 3, regular.shape)[singular]
        inverses = np.where(kept, 1.0 / np.where(kept, moments, 1.0), 0.0)
        inverse[singular] = np.einsum("mak,mk,mbk->mab", axes, inverses, axes)
    return inverse


def _joined(*parts: FloatArray) -> FloatArray:
    """(..., n_groups, k) of each motion -> (..., 3 n_groups, k), motions of a group together."""
    shape = np.broadcast_shapes(*(part.shape for part in parts))
    stacked = np.stack([np.broadcast_to(part, shape) for part in parts], axis=-2)
    return stacked.reshape(*shape[:-2], -1, shape[-1])
